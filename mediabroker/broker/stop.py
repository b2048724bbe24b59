"""Asks a provider to stop a job that is to end: by its caller's word, or because a limit has passed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection

from mediabroker.broker.core import Core
from mediabroker.broker.limits import stop_wanted
from mediabroker.spi import CancelOutcome, Member
from mediabroker.states import JobState
from mediabroker.store import attempts, jobs
from mediabroker.store.records import AttemptRecord, JobRecord

__all__ = ["ask_to_stop", "stop_due"]

_ASK_AGAIN = timedelta(minutes=1)
"""A request may be lost like any other message; a vendor that takes its time must not be asked with every look."""


def stop_due(job: JobRecord, attempt: AttemptRecord, now: datetime) -> bool:
    """Whether the provider is to be asked now: the vendor works on the attempt, and has not just been told."""
    at_vendor = job.state in (JobState.QUEUED, JobState.RUNNING) and attempt.state is not JobState.SUCCEEDED
    told = attempt.stop_asked_at is not None and now - attempt.stop_asked_at < _ASK_AGAIN
    return at_vendor and not told and stop_wanted(job, attempt, now)


def ask_to_stop(core: Core, attempt: AttemptRecord, members: Sequence[Member]) -> CancelOutcome:
    """Ask once. A cancel that the provider cannot carry out is taken back: nobody shall wait for it.

    Not one that it has taken note of before: a vendor that is at it may well refuse to be asked a second time.

    Raises:
        ProviderError: it cannot be asked now; the next look at the job asks again.
    """
    outcome = core.converse(attempt.provider, core.fleet.named(attempt.provider).cancel(members))
    with core.store.write() as tx:
        if outcome is CancelOutcome.UNSUPPORTED and not _noted_before(tx, attempt):
            jobs.update_job(tx, attempt.job_id, cancel_requested_at=None)
            return outcome
        attempts.update_attempt(tx, attempt, stop_asked_at=core.clock.now())
    return CancelOutcome.REQUESTED if outcome is CancelOutcome.UNSUPPORTED else outcome


def _noted_before(tx: Connection, attempt: AttemptRecord) -> bool:
    """By the store's word, for the record at hand may be older than the provider's first answer."""
    known = attempts.all_of(tx, attempt.job_id)
    return any(each.number == attempt.number and each.stop_asked_at is not None for each in known)
