"""From a spec to accepted vendor jobs: the intent is stored, then the engine drives the provider's submit flow.

The intent, the attempt with its lease and the first journalled call are one commit; the last answer, the vendor jobs,
the state and its event are another.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from pydantic import JsonValue

from mediabroker.broker.attempt.attempt import Attempt, LeaseLostError
from mediabroker.broker.attempt.carrying import ClosingError
from mediabroker.broker.attempt.choosing import options_for
from mediabroker.broker.attempt.intent import KeyTakenError, claim_key
from mediabroker.broker.attempt.placement import placed
from mediabroker.broker.attempt.staging import clear_ended, stage
from mediabroker.broker.core import Core
from mediabroker.errors import (
    ErrorCode,
    IdempotencyConflictError,
    JobError,
    MediaBrokerError,
    MediaError,
    ProviderError,
)
from mediabroker.flows import Call, Engine, Entry, Flow, HoldError, Reply, StopRequestedError, drive
from mediabroker.spi import CancelOutcome, Member, Observation, Provider, ProviderOptions, SubmitContext, Submitted
from mediabroker.states import JobState
from mediabroker.store import events, jobs
from mediabroker.store.records import JobRecord

__all__ = ["Submission", "go_on", "submit"]

_log = logging.getLogger(__name__)

_BACKOFF_CAP_S = 60.0
_LATE_SEARCHES = timedelta(hours=24)
"""How long after a resend the vendor is searched for a second job."""


def submit(core: Core, job: JobRecord, provider: Provider) -> JobRecord:
    """Submit a new job, or find the one that its idempotency key names; return its record.

    Raises:
        IdempotencyConflictError: the key belongs to a different request; nothing was stored or sent.
    """
    attempt, job_id = Attempt.first(core, job, provider), job.id
    try:
        if not Submission(attempt).run():
            return attempt.job
    except KeyTakenError as known:
        job_id = known.job_id
    go_on(core, job_id)
    with core.store.read() as tx:
        stored = jobs.by_id(tx, job_id)
    return stored or job


def go_on(core: Core, job_id: str) -> None:
    """Continue a job's submission as far as it goes, unless it is complete or another caller drives it.

    When the provider rejects it and another one may follow, that one is next.
    """
    while (attempt := Attempt.acquire(core, job_id, JobState.SUBMITTING)) is not None:
        if not Submission(attempt).run():
            return


class Submission:
    """One run of an attempt's submission, by the holder of its lease: the engine's journal, and its vendor."""

    def __init__(self, attempt: Attempt) -> None:
        self._attempt, self._core = attempt, attempt.core
        self._context: SubmitContext | None = None

    def run(self) -> bool:
        """Drive the submission as far as it goes; return whether another attempt follows."""
        attempt = self._attempt
        try:
            submitted = self._submitted()
        except LeaseLostError:
            _log.info("job %s: another process drives the attempt", attempt.job.id, extra={"job": attempt.job.id})
            return False
        except HoldError as hold:
            return self._held(hold)
        except StopRequestedError:
            with self._write():
                attempt.stop(JobError.of(ErrorCode.CANCELLED, "cancelled before it was submitted"))
        except (ProviderError, MediaError) as refusal:
            with self._write():
                attempt.fail(self._error_of(refusal))
        except ClosingError:
            with self._write():
                attempt.change(lease_until=None)
        except (KeyTakenError, IdempotencyConflictError):
            raise
        except Exception as error:
            with self._write():
                attempt.hold(HoldError(f"{type(error).__name__} while submitting"))
            raise
        else:
            with self._write():
                attempt.accept(submitted.members)
        if attempt.row.placement.folders:
            clear_ended(self._core, [attempt.job.id])
        return attempt.is_followed

    def _error_of(self, refusal: ProviderError | MediaError) -> JobError:
        if isinstance(refusal, MediaError):
            return refusal.error
        error = self._attempt.provider.classify(refusal)
        return error if error.raw is not None else error.model_copy(update={"raw": refusal.raw})

    def search_late(self) -> None:
        """Replay the flow of a submitted attempt, and cancel what a resent create has started beside it."""
        attempt, now = self._attempt, self._core.clock.now()
        drive(self._flow(), Engine(self, self, self._core.clock, search_late=True))
        sent = max((each.sent_at for each in attempt.entries.values() if each.sends > 1 and each.sent_at), default=now)
        pause = max(now - sent, timedelta(minutes=1))
        attempt.change(late_search_at=now + pause if now - sent < _LATE_SEARCHES else None)

    def _submitted(self) -> Submitted:
        attempt = self._attempt
        if attempt.stop_wanted and not attempt.may_be_at_vendor:
            raise StopRequestedError("the job was stopped before it was submitted", provider=attempt.row.provider)
        if attempt.row.placement.folders and attempt.row.staged_at is None:
            with self._write():
                pass  # the intent, before anything is copied
            stage(attempt)
        return drive(self._flow(), Engine(self, self, self._core.clock))

    def _flow(self) -> Flow[Submitted]:
        attempt, provider = self._attempt, self._attempt.provider
        spec, row = attempt.job.spec, attempt.row
        if spec is None:
            raise HoldError(f"no class for kind {attempt.job.kind!r} is defined in this process")
        version = provider.capabilities().flow_version
        if row.flow_version != version:
            raise HoldError(
                f"{provider.name} was at flow version {row.flow_version} when this attempt began and is at {version} "
                "now; finish it with the release that began it"
            )
        spec = placed(spec, row.placement)
        self._context = SubmitContext(
            job_id=row.job_id,
            attempt=row.number,
            token=row.token,
            input=spec.input,
            output=spec.output,
            deliver_to=row.placement.target,
        )
        return provider.submit(spec, self._options(), self._context)

    def _options(self) -> ProviderOptions | None:
        """Return the options as they were given at submit."""
        provider = self._attempt.provider
        cls = provider.capabilities().options
        if cls is None:
            return None
        listed = self._attempt.job.options
        given = [cls.model_validate(each["values"]) for each in listed if each["provider"] == provider.type]
        return options_for(provider, given)

    def _held(self, hold: HoldError) -> bool:
        """Let another provider of the route run it, or wait for this one."""
        attempt, refusal = self._attempt, hold.__cause__
        with self._write():
            if hold.is_untouched:
                classified = attempt.provider.classify(refusal) if isinstance(refusal, ProviderError) else None
                if attempt.follow(classified or JobError.of(ErrorCode.PROVIDER_INTERNAL, str(hold))):
                    return True
            attempt.hold(hold, backoff_s=_backoff_s(attempt.row.holds, hold))
        return False

    @contextmanager
    def _write(self) -> Iterator[None]:
        """One fenced write; of a new job, after its key has been claimed."""
        attempt = self._attempt
        is_new = not attempt.is_stored
        try:
            with attempt.unit() as tx:
                if is_new:
                    claim_key(tx, self._core, attempt.job)
                yield
        except LeaseLostError:
            _log.info("job %s: another process drives the attempt", attempt.job.id, extra={"job": attempt.job.id})

    # The engine's journal

    def recall(self, ordinal: int, call: Call[Any]) -> Entry | None:  # noqa: ARG002  the place alone says which
        return self._attempt.entries.get(ordinal)

    def begin(self, entry: Entry) -> None:
        attempt = self._attempt
        if entry.effect == "read" and attempt.is_stored:
            attempt.note(entry)  # nothing is lost when a read is made twice
            return
        is_new = not attempt.is_stored
        with attempt.unit() as tx:
            if is_new:
                claim_key(tx, self._core, attempt.job)
            if entry.effect == "create":
                self.check_stop()
            attempt.note(entry)

    def record(self, entry: Entry) -> None:
        self._attempt.note(entry)  # stored with the next write, which comes before the next call

    def entries(self) -> list[Entry]:
        return [self._attempt.entries[each] for each in sorted(self._attempt.entries)]

    def check_stop(self) -> None:
        if self._attempt.stop_wanted:
            raise StopRequestedError("the job was stopped before this call was sent", provider=self.name)

    # The engine's vendor

    @property
    def name(self) -> str:
        return self._attempt.row.provider

    def perform(self, call: Call[Any]) -> Reply:
        return self._core.caller.perform(self._attempt.provider, call)

    def settle_time_s(self, call: Call[Any]) -> float | None:
        return self._attempt.provider.settle_time_s(call)

    def search(self, entry: Entry) -> Sequence[Reply]:
        assert self._context is not None
        with self._core.store.read() as tx:
            hints = events.hinted_ids(tx, (self._attempt.row.job_id, self._attempt.row.number))
        if self.settle_time_s(entry.call) is None and not hints:
            return []
        context = self._context.model_copy(update={"sent_at": entry.sent_at, "hints": hints})
        return self._core.converse(self.name, self._attempt.provider.find(context, entry.call))

    def may_risk_second_job(self, entry: Entry) -> bool:
        """Only where the caller has opted in, and once; the risk is stored and logged."""
        options, job = self._options(), self._attempt.job
        if options is None or options.on_unknown != "resubmit" or entry.sends > 1:
            return False
        _log.warning("job %s: sending a create again; there may be a second job", job.id, extra={"job": job.id})
        risk: dict[str, JsonValue] = {"operation": entry.operation, "sent_at": str(entry.sent_at)}
        row = self._attempt.row
        possible = Observation(native_id="", phase="a second job is possible", token=row.token, raw=risk)
        with self._core.store.write() as tx:
            events.record_observation(tx, (row.job_id, row.number), possible, "resubmitted", self._core.clock.now())
        return True

    def discard(self, call: Call[Any], duplicates: Sequence[Reply]) -> None:
        members = [Member(role=call.step, native_id=str(call.read(each))) for each in duplicates]
        ids, job = ", ".join(each.native_id for each in members), self._attempt.job
        details = {"job": job.id, "native_ids": ids}
        _log.warning("job %s: cancelling duplicates: %s", job.id, ids, extra=details)
        row = self._attempt.row
        with self._core.store.write() as tx:
            for each in members:
                twin = Observation(native_id=each.native_id, phase="a second job", token=row.token)
                events.record_observation(tx, (row.job_id, row.number), twin, "duplicate", self._core.clock.now())
        try:
            outcome = self._core.converse(self.name, self._attempt.provider.cancel(members))
        except Exception as error:
            defect = not isinstance(error, MediaBrokerError)
            _log.warning("job %s: duplicates may go on: %s: %s", job.id, ids, error, extra=details, exc_info=defect)
        else:
            if outcome is CancelOutcome.UNSUPPORTED:
                _log.warning("job %s: duplicates go on; they cannot be cancelled: %s", job.id, ids, extra=details)


def _backoff_s(holds: int, hold: HoldError) -> float:
    """When a held submission resumes: after a refusal later each time, and as the vendor wishes; else at any pass."""
    if hold.phase is not None:
        return 0.0
    ceiling_s = min(2.0 ** min(holds, 10), _BACKOFF_CAP_S)
    return max(hold.retry_after_s or 0.0, random.uniform(ceiling_s / 2, ceiling_s))  # noqa: S311  jitter is no secret
