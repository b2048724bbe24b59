"""Asks a provider to stop a job that is to end: by its caller's word, or because a limit has passed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

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

    Raises:
        ProviderError: it cannot be asked now; the next look at the job asks again.
    """
    outcome = core.converse(attempt.provider, core.fleet.named(attempt.provider).cancel(members))
    with core.store.write() as tx:
        if outcome is CancelOutcome.UNSUPPORTED:
            jobs.update_job(tx, attempt.job_id, cancel_requested_at=None)
        else:
            attempts.update_attempt(tx, attempt, stop_asked_at=core.clock.now())
    return outcome
