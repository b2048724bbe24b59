"""What may become of an attempt: accepted, moved on, delivered, failed, stopped, followed by another."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from typing_extensions import Self

from mediabroker.broker.attempt.limits import deadline_passed, stop_reason, stop_wanted
from mediabroker.broker.attempt.placement import place
from mediabroker.broker.attempt.unit import LeaseLostError, Unit
from mediabroker.broker.core import Core
from mediabroker.errors import ErrorCode, JobError, MediaBrokerError
from mediabroker.events import (
    JobAttemptFailed,
    JobCancelled,
    JobFailed,
    JobProgressed,
    JobQueued,
    JobStarted,
    JobSucceeded,
)
from mediabroker.flows import HoldError
from mediabroker.jobs import JobSpec
from mediabroker.results import JobResult
from mediabroker.spi import Member, Observation, Provider
from mediabroker.states import JobState
from mediabroker.store import attempts
from mediabroker.store.attempts import Loaded
from mediabroker.store.records import AttemptRecord, JobRecord, MemberRecord, Placement

__all__ = ["DELIVERING", "Attempt", "LeaseLostError"]

_log = logging.getLogger(__name__)

DELIVERING = "delivering"
"""The phase between the vendor's success and the job's: the outputs are verified, and copied where needed."""

_PROGRESS_INTERVAL = timedelta(seconds=1)
_ELSEWHERE = frozenset({ErrorCode.UNSUPPORTED, ErrorCode.AUTH})
"""For the caller to change on this provider, and no obstacle on another: too long for it, or its credentials."""


class Attempt(Unit):
    """A job's latest attempt and its transitions. Each changes what this object holds and reports its event."""

    @classmethod
    def begin(cls, core: Core, job: JobRecord, provider: Provider, *, number: int = 1) -> AttemptRecord:
        """Return the record of a new attempt on `provider`, under its own token, with what has to be staged for it."""
        token = core.token_for(job.id, number)
        return AttemptRecord(
            job.id,
            number,
            token,
            provider.name,
            provider.account,
            provider.region,
            provider.capabilities().flow_version,
            core.clock.now(),
            placement=place(core, provider, job.spec, token) if job.spec is not None else Placement(),
        )

    @classmethod
    def first(cls, core: Core, job: JobRecord, provider: Provider) -> Self:
        """Return a new job's first attempt, leased to this process; nothing is stored yet."""
        lease: dict[str, Any] = {
            "lease_owner": core.owner,
            "lease_epoch": 1,
            "lease_until": core.clock.now() + core.lease,
        }
        row = replace(cls.begin(core, job, provider), **lease)
        return cls(core, Loaded(job, [row], [], {}), is_stored=False)

    @classmethod
    def acquire(cls, core: Core, job_id: str, state: JobState) -> Self | None:
        """Return the attempt leased to this caller; None while another one drives it, or it is not in that state."""
        with core.store.write() as tx:
            loaded = attempts.load_one(tx, job_id)
            now = core.clock.now()
            if loaded is None or loaded.job.state is not state:
                return None
            attempt = cls(core, loaded)
            row = attempt.row
            is_held = row.resume_at is not None and row.resume_at > now and not attempt.stop_wanted
            # Not even its own owner may acquire a lease twice: two threads of one process are two drivers.
            if is_held or (row.lease_until is not None and row.lease_until > now):
                return None
            attempt.change(lease_owner=core.owner, lease_epoch=row.lease_epoch + 1, lease_until=now + core.lease)
            attempt.save(tx)
        return attempt

    @property
    def provider(self) -> Provider:
        return self.core.fleet.named(self.row.provider)

    @property
    def is_delivering(self) -> bool:
        """Whether the vendor has succeeded and the broker has still to verify and deliver."""
        return self.row.state is JobState.SUCCEEDED and not self.job.state.is_terminal

    @property
    def moves_bytes(self) -> bool:
        """Whether its next step copies an input or an output."""
        is_staging = self.job.state is JobState.SUBMITTING and self.row.staged_at is None
        placement = self.row.placement
        is_copying = self.is_delivering and placement.output is not None and placement.undelivered is None
        return (is_staging and placement.input is not None) or is_copying

    @property
    def stop_wanted(self) -> bool:
        """Whether the caller has asked for a stop, or a limit has passed."""
        return stop_wanted(self.job, self.row, self.core.clock.now())

    @property
    def may_be_at_vendor(self) -> bool:
        """Whether anything of the submission may have been started."""
        return any(each.may_be_at_vendor for each in self.entries.values())

    def accept(self, submitted: Sequence[Member]) -> None:
        """Follow these vendor jobs from now on."""
        self._accepted = submitted
        self.members = [MemberRecord.new(self.row, position, each) for position, each in enumerate(submitted)]
        self.change(lease_until=None, resume_at=None, holds=0)
        self.change_job(phase=None, hold_reason=None)
        self.move(JobState.QUEUED)

    def hold(self, hold: HoldError, *, backoff_s: float = 0.0) -> None:
        """Wait visibly, and release the lease; the next pass after `backoff_s` seconds continues."""
        refused = hold.phase is None
        resume_at = self.core.clock.now() + timedelta(seconds=backoff_s) if backoff_s else None
        self.change(lease_until=None, resume_at=resume_at, holds=self.row.holds + 1 if refused else 0)
        self.change_job(phase=hold.phase, hold_reason=str(hold))

    def move(self, state: JobState) -> None:
        """Change to QUEUED or RUNNING; reported only when it is news."""
        if state is not self.row.state:
            self.change(state=state, **({"queued_at": self.core.clock.now()} if state is JobState.QUEUED else {}))
        if state is not self.job.state:
            self.change_job(state=state, hold_reason=None)
            self.report(JobQueued if state is JobState.QUEUED else JobStarted)

    def advance(self, folded: Observation) -> None:
        """Take over state, phase and progress of an attempt that the vendor works on."""
        if folded.state is None:
            return
        if self.job.cancel_requested_at is None or folded.state is not JobState.QUEUED:
            self.move(folded.state)
        job, now = self.job, self.core.clock.now()
        progress = max((each for each in (job.progress, folded.progress) if each is not None), default=None)
        is_fresh = job.progress_at is not None and now - job.progress_at < _PROGRESS_INTERVAL
        progressed = progress is not None and progress != job.progress and not is_fresh
        if folded.hold_reason != job.hold_reason and job.state is not JobState.SUBMITTING:
            self.change_job(hold_reason=folded.hold_reason)
        if folded.phase != job.phase or progressed:
            self.change_job(progress=progress, progress_at=now, frames=folded.frames, phase=folded.phase)
        if progressed:
            self.report(JobProgressed, progress=progress, phase=folded.phase, frames=folded.frames)

    def deliver_next(self, result: JobResult | None) -> None:
        """The vendor has succeeded: the outputs are verified and delivered next."""
        if self.job.inferred:
            self.change_job(state=JobState.RUNNING)  # the correction is reported when the outputs are verified
        else:
            self.move(JobState.RUNNING)
        stored = result.model_dump(mode="json") if result else None
        self.change(state=JobState.SUCCEEDED, result=stored)
        self.change_job(phase=DELIVERING)

    def fail(self, error: JobError | None, result: JobResult | None = None) -> None:
        """The attempt has failed by evidence: begin the next one of the job's route, or end the job."""
        if error is None or not self.follow(error):
            self.end(JobState.FAILED, error=error, result=result)

    def stop(self, error: JobError | None = None, result: JobResult | None = None) -> None:
        """The attempt was stopped: a job past one of its limits has failed, any other is cancelled."""
        reason = stop_reason(self.job, self.row, self.core.clock.now())
        if reason is not None:
            self.fail(reason, result)
        else:
            self.end(JobState.CANCELLED, error=error, result=result)

    def end(
        self,
        state: JobState,
        *,
        error: JobError | None = None,
        result: JobResult | None = None,
        inferred: bool = False,
    ) -> None:
        """Change to a terminal state; an earlier inferred one is corrected, and the event says which."""
        if state is JobState.CANCELLED and error is None:
            error = JobError.of(ErrorCode.CANCELLED, "the job was cancelled")
        corrects, now = self.job.inferred, self.core.clock.now()
        if state is JobState.SUCCEEDED:
            self.change_job(progress=1.0, frames=self.job.frames.completed() if self.job.frames else None)
        self.change(state=state, error=error, ended_at=now, lease_until=None)
        self.change_job(
            state=state,
            phase=None,
            hold_reason=None,
            inferred=inferred,
            error=error,
            transfer=None,
            result=result,
            finished_at=now,
        )
        if state is JobState.SUCCEEDED:
            self.report(JobSucceeded, result=result or JobResult(), corrects=corrects)
        elif state is JobState.FAILED:
            self.report(JobFailed, error=error, result=result, inferred=inferred, corrects=corrects)
        else:
            self.report(JobCancelled, corrects=corrects)

    def follow(self, error: JobError) -> bool:
        """End the attempt and begin the next one of the job's route; False, and nothing done, if none may follow."""
        provider = self._next_provider(error)
        if provider is None:
            return False
        _log.info("job %s: another attempt follows on %s", self.job.id, provider.name, extra={"job": self.job.id})
        self.change(state=JobState.FAILED, error=error, ended_at=self.core.clock.now(), lease_until=None)
        self.report(JobAttemptFailed, error=error)
        self._follower = self.begin(self.core, self.job, provider, number=self.row.number + 1)
        self.change_job(state=JobState.SUBMITTING, phase=None, hold_reason=None, frames=None, transfer=None)
        return True

    def _next_provider(self, error: JobError) -> Provider | None:
        job, spec = self.job, self.job.spec
        is_over = job.cancel_requested_at is not None or deadline_passed(job, self.core.clock.now()) or job.inferred
        may_differ = error.blame in ("provider", "capacity") or error.code in _ELSEWHERE
        if is_over or spec is None or not may_differ or self.row.number >= job.route.max_attempts:
            return None
        names = job.route.providers
        at = names.index(self.row.provider) + 1 if self.row.provider in names else 0
        for name in (*names[at:], *names[:at]):
            failed = [each.error for each in self.earlier if each.provider == name and each.error is not None]
            failed += [error] if name == self.row.provider else []
            if all(each.retryable for each in failed) and (provider := self._usable(name, spec)) is not None:
                return provider
        return None

    def _usable(self, name: str, spec: JobSpec[Any]) -> Provider | None:
        """Return the instance, if it is still configured and what the job needs can still be staged for it."""
        try:
            provider = self.core.fleet.named(name)
            place(self.core, provider, spec, "token")
        except MediaBrokerError as error:
            _log.warning("%s of the route of job %s is passed over: %s", name, self.job.id, error)
            return None
        return provider
