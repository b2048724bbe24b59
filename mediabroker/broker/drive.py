"""Drives a provider's submit flow over the call journal.

Every call is written down before it is sent and every reply, refusals too, before the flow sees it. After a crash the
same generator runs again: journalled replies are fed back, and only the first call without a certain answer touches the
wire.
"""

from __future__ import annotations

import itertools
import logging
from datetime import timedelta
from typing import Any

from pydantic import JsonValue

from mediabroker.broker.circuit import CircuitOpenError
from mediabroker.broker.core import Core
from mediabroker.broker.limits import stop_wanted
from mediabroker.broker.placement import placed
from mediabroker.broker.route import options_for
from mediabroker.errors import MediaBrokerError, ProviderError, SubmissionUnknownError
from mediabroker.spi import (
    Call,
    CancelOutcome,
    Flow,
    Member,
    Observation,
    Provider,
    ProviderOptions,
    Reply,
    SubmitContext,
    Submitted,
)
from mediabroker.spi import drive as run_flow
from mediabroker.store import events, journal
from mediabroker.store import jobs as job_rows
from mediabroker.store.records import AttemptRecord, CallRecord, JobRecord

__all__ = ["HoldError", "NotBegunError", "StopRequestedError", "drive", "may_have_begun", "stored_options"]

_log = logging.getLogger(__name__)


class HoldError(MediaBrokerError):
    """The attempt cannot go on by itself now; its text becomes the job's `hold_reason`."""

    phase: str | None = "unknown"
    """Of the job meanwhile."""


class NotBegunError(HoldError):
    """The attempt cannot go on, and nothing of it can be at the vendor."""

    phase = None


class StopRequestedError(ProviderError):
    """Thrown into a flow in the place of a `create` that a cancel, or a limit, has made pointless: nothing was sent."""


def drive(core: Core, job: JobRecord, attempt: AttemptRecord) -> Submitted:
    """Run the attempt's submit flow to its end. The caller holds the lease that `attempt` was read with.

    Raises:
        HoldError: an outcome is unknown and cannot be settled yet, or the flow differs from its journal.
        ProviderError: the vendor refused, and the flow did not mend it.
        LeaseLostError: another process drives the attempt now.
    """
    conversation = _Conversation(core, job, attempt)
    counter = itertools.count()
    return run_flow(conversation.flow(), lambda call: conversation.answer(next(counter), call))


def stored_options(provider: Provider, job: JobRecord) -> ProviderOptions | None:
    """The options as they were given at submit."""
    cls = provider.capabilities().options
    if cls is None:
        return None
    given = [cls.model_validate(each["values"]) for each in job.options if each["provider"] == provider.type]
    return options_for(provider, given)


def may_have_begun(core: Core, attempt: AttemptRecord) -> bool:
    """Whether anything of the attempt can be at the vendor."""
    with core.store.read() as tx:
        known = journal.entries(tx, attempt).values()
    return any(each.effect == "create" and each.status not in ("unsent", "refused") for each in known)


class _Conversation:
    """One run of an attempt's flow: knows the journal, sends what is not yet in it."""

    def __init__(self, core: Core, job: JobRecord, attempt: AttemptRecord) -> None:
        self._core = core
        self._job = job
        self._attempt = attempt
        self._provider = core.fleet.named(attempt.provider)
        with core.store.read() as tx:
            self._journal = journal.entries(tx, attempt)

    def flow(self) -> Flow[Submitted]:
        spec = self._job.spec
        if spec is None:
            raise HoldError(f"no class for kind {self._job.kind!r} is defined in this process")
        if self._attempt.flow_version != self._provider.capabilities().flow_version:
            raise HoldError(
                f"{self._provider.name} was at flow version {self._attempt.flow_version} when this attempt began and "
                f"is at {self._provider.capabilities().flow_version} now; finish it with the release that began it"
            )
        spec = placed(spec, self._attempt.placement)
        self._context = SubmitContext(
            job_id=self._job.id,
            attempt=self._attempt.number,
            token=self._attempt.token,
            input=spec.input,
            output=spec.output,
            deliver_to=self._attempt.placement.target,
        )
        return self._provider.submit(spec, stored_options(self._provider, self._job), self._context)

    def answer(self, ordinal: int, call: Call[Any]) -> Reply:
        entry = self._journal.get(ordinal)
        if entry is None:
            self._intend(ordinal, call)
            return self._send(ordinal, call)
        if entry.digest != call.digest:
            raise HoldError(
                f"call {ordinal} of the journal was {entry.operation}, the flow now asks for another {call.operation}; "
                "it is not sent, for it might start a second job"
            )
        if entry.status == "accepted":
            return dict(entry.reply)
        if entry.status == "refused":
            raise _restored(entry)
        if entry.status == "unsent":
            if call.effect == "create":
                with self._core.store.write() as tx:
                    self._refuse_when_stopped(tx)
            self._note(ordinal, status="sent", sent_at=self._core.clock.now())
            return self._send(ordinal, call)
        return self._settle(ordinal, call, entry) if call.effect == "create" else self._send(ordinal, call)

    def _intend(self, ordinal: int, call: Call[Any]) -> None:
        with self._core.store.write() as tx:
            if call.effect == "create":
                self._refuse_when_stopped(tx)
            journal.record_intent(
                tx, self._attempt, ordinal, call, now=self._core.clock.now(), lease_until=self._lease_until()
            )

    def _refuse_when_stopped(self, tx: Any) -> None:
        job = job_rows.by_id(tx, self._job.id)
        if job is not None and stop_wanted(job, self._attempt, self._core.clock.now()):
            raise StopRequestedError("the job was stopped before this call was sent", provider=self._provider.name)

    def _send(self, ordinal: int, call: Call[Any]) -> Reply:
        try:
            reply = self._core.perform(self._provider.name, call)
            if call.effect == "create":
                call.read(reply)  # raises where no well-formed id is in it
        except CircuitOpenError as error:
            self._note(ordinal, status="unsent")
            cls = HoldError if may_have_begun(self._core, self._attempt) else NotBegunError
            raise cls(f"{self._provider.name} does not answer: {error}") from error
        except SubmissionUnknownError as error:
            return self._unknown(ordinal, call, error)
        except ProviderError as error:
            self._note(ordinal, status="refused", error=_stored(error))
            raise
        except Exception as error:
            if call.effect != "create":
                raise
            return self._unknown(ordinal, call, error)
        self._note(ordinal, status="accepted", reply=dict(reply))
        return reply

    def _unknown(self, ordinal: int, call: Call[Any], error: Exception) -> Reply:
        _log.warning("the outcome of a create is unknown", extra={"job": self._job.id, "error": str(error)})
        self._note(ordinal, status="unknown", error=_stored(error))
        with self._core.store.read() as tx:
            entry = journal.entries(tx, self._attempt)[ordinal]
        return self._settle(ordinal, call, entry)

    def _settle(self, ordinal: int, call: Call[Any], entry: CallRecord) -> Reply:
        """Find out what became of a `create`: adopt what exists, send again only after two negative searches."""
        settle_time_s = self._provider.settle_time_s(call)
        found = self._find(call, entry, searchable=settle_time_s is not None)
        if found:
            return self._adopt(ordinal, call, found)
        now = self._core.clock.now()
        if settle_time_s is None:
            self._risk_a_second_job(call, entry)
        else:
            settled = timedelta(seconds=settle_time_s)
            if entry.searched_at is None:
                self._note(ordinal, searched_at=now)
            if settled and (entry.searched_at is None or now - entry.searched_at < settled):
                raise HoldError(
                    f"whether {self._provider.name} accepted {call.operation} is unknown; it is searched for again "
                    f"in {settle_time_s:g} s"
                )
        with self._core.store.write() as tx:
            self._refuse_when_stopped(tx)
        self._note(ordinal, status="sent", sends=entry.sends + 1, sent_at=now, searched_at=None)
        return self._send(ordinal, call)

    def _find(self, call: Call[Any], entry: CallRecord, *, searchable: bool) -> list[Reply]:
        with self._core.store.read() as tx:
            hints = events.hinted_ids(tx, (self._attempt.job_id, self._attempt.number))
        if not searchable and not hints:
            return []
        context = self._context.model_copy(update={"sent_at": entry.sent_at, "hints": hints})
        try:
            return self._core.converse(self._provider.name, self._provider.find(context, call))
        except ProviderError as error:
            # Not a refusal of the create: that one may well have been accepted.
            raise HoldError(
                f"{self._provider.name} cannot be asked what became of {call.operation}: {error}"
            ) from error

    def _risk_a_second_job(self, call: Call[Any], entry: CallRecord) -> None:
        """Hold, unless the caller has asked for one more try; the risk that was taken stays on record."""
        options = stored_options(self._provider, self._job)
        unknown = f"whether {self._provider.name} accepted {call.operation} is unknown, and it cannot be searched"
        if options is None or options.on_unknown != "resubmit":
            raise HoldError(f"{unknown}; waiting for a callback that bears this job's token")
        if entry.sends > 1:
            raise HoldError(f"{unknown}; it was sent {entry.sends} times, and is not sent again")
        _log.warning("sending a create again; there may be a second job", extra={"job": self._job.id})
        risk: dict[str, JsonValue] = {"operation": call.operation, "sent_at": str(entry.sent_at)}
        possible = Observation(native_id="", phase="a second job is possible", token=self._attempt.token, raw=risk)
        with self._core.store.write() as tx:
            attempt = (self._attempt.job_id, self._attempt.number)
            events.record_observation(tx, attempt, possible, "resubmitted", self._core.clock.now())

    def _adopt(self, ordinal: int, call: Call[Any], found: list[Reply]) -> Reply:
        first, *extra = found
        self._note(ordinal, status="accepted", reply=dict(first))
        if extra:
            self._cancel_duplicates([Member(role=call.step, native_id=str(call.read(reply))) for reply in extra])
        return first

    def _cancel_duplicates(self, duplicates: list[Member]) -> None:
        """The create was accepted, whatever becomes of these: what goes on is named, for a person to end."""
        ids = ", ".join(each.native_id for each in duplicates)
        details = {"job": self._job.id, "native_ids": ids}
        _log.warning("cancelling duplicates: %s", ids, extra=details)
        try:
            outcome = self._core.converse(self._provider.name, self._provider.cancel(duplicates))
        except Exception as error:
            defect = not isinstance(error, MediaBrokerError)
            _log.warning("duplicates may go on: %s: %s", ids, error, extra=details, exc_info=defect)
        else:
            if outcome is CancelOutcome.UNSUPPORTED:
                _log.warning("duplicates go on, for they cannot be cancelled: %s", ids, extra=details)

    def _note(self, ordinal: int, **values: Any) -> None:
        with self._core.store.write() as tx:
            journal.update_call(tx, self._attempt, ordinal, lease_until=self._lease_until(), **values)

    def _lease_until(self) -> Any:
        return self._core.clock.now() + self._core.lease


_ERROR_FIELDS = ("provider", "operation", "provider_code", "request_id", "retryable", "retry_after_s", "raw")


def _stored(error: Exception) -> dict[str, Any]:
    details = {name: getattr(error, name, None) for name in _ERROR_FIELDS} if isinstance(error, ProviderError) else {}
    return {"type": type(error).__name__, "message": str(error), **details}


def _restored(entry: CallRecord) -> ProviderError:
    """A journalled refusal as the error it was: flows may tell refusals apart by class."""
    fields = dict(entry.error)
    name, message = fields.pop("type"), fields.pop("message")
    cls = next((each for each in _all_subclasses(ProviderError) if each.__name__ == name), ProviderError)
    return cls(message, **fields)


def _all_subclasses(cls: type[ProviderError]) -> list[type[ProviderError]]:
    return [cls, *(deeper for direct in cls.__subclasses__() for deeper in _all_subclasses(direct))]
