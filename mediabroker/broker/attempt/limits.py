"""How long a job may take: its deadline, and how long an attempt may wait in a provider's queue.

Pure: whether a stop is wanted, read off the records. The process that follows the job (`wait`, `reconcile`, `serve`)
keeps the limits, at its next pass; what the provider has finished by then stands.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from mediabroker.errors import ErrorCode, JobError
from mediabroker.states import JobState
from mediabroker.store.records import AttemptRecord, JobRecord

__all__ = ["Limits", "deadline_passed", "stop_reason", "stop_wanted"]


@dataclass(frozen=True)
class Limits:
    """What a caller allows.

    Args:
        deadline: from submit to the job's end, all attempts together.
        queue_timeout: from a provider's acceptance to its start of the work, for each attempt anew.
    """

    deadline: timedelta | None = None
    queue_timeout: timedelta | None = None

    def __bool__(self) -> bool:
        return self.deadline is not None or self.queue_timeout is not None


def stop_wanted(job: JobRecord, attempt: AttemptRecord, now: datetime) -> bool:
    """Whether the attempt is to be stopped: its caller has asked for it, or a limit has passed."""
    return job.cancel_requested_at is not None or deadline_passed(job, now) or _queued_too_long(job, attempt, now)


def stop_reason(job: JobRecord, attempt: AttemptRecord, now: datetime) -> JobError | None:
    """Which limit a stopped attempt has failed at; None where its caller, or a person at the vendor, stopped it."""
    if job.cancel_requested_at is not None:
        return None
    if deadline_passed(job, now):
        return JobError.of(ErrorCode.DEADLINE, f"not done by its deadline, {job.deadline_at:%Y-%m-%d %H:%M:%S} UTC")
    if attempt.stop_asked_at is not None and job.queue_timeout_s is not None:
        held = f" ({job.hold_reason})" if job.hold_reason else ""
        message = f"{attempt.provider} has not begun it within {job.queue_timeout_s:g} s{held}"
        error = JobError.of(ErrorCode.CAPACITY, message)
        is_lasting = held.startswith(" (MISCONFIGURATION")
        return error.model_copy(update={"retryable": False}) if is_lasting else error
    return None


def deadline_passed(job: JobRecord, now: datetime) -> bool:
    return job.deadline_at is not None and job.deadline_at <= now


def _queued_too_long(job: JobRecord, attempt: AttemptRecord, now: datetime) -> bool:
    if attempt.state is not JobState.QUEUED or attempt.queued_at is None or job.queue_timeout_s is None:
        return False
    return attempt.queued_at + timedelta(seconds=job.queue_timeout_s) <= now
