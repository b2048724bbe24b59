"""The lease: one thread of one process drives an attempt at a time; whoever comes meanwhile leaves it alone."""

from __future__ import annotations

from mediabroker.broker.core import Core
from mediabroker.states import JobState
from mediabroker.store import attempts, jobs
from mediabroker.store.records import AttemptRecord, JobRecord

__all__ = ["take"]


def take(core: Core, job_id: str, *, state: JobState) -> tuple[JobRecord, AttemptRecord] | None:
    """The job and its latest attempt, ours to drive; None if the job is not in `state` or somebody else drives it."""
    with core.store.write() as tx:
        job = jobs.by_id(tx, job_id)
        if job is None or job.state is not state:
            return None
        attempt = attempts.take_lease(
            tx, attempts.latest(tx, job_id), core.owner, now=core.clock.now(), lease_s=core.settings.lease_s
        )
    return (job, attempt) if attempt is not None else None
