"""Cancel: the request is durable first, then the provider is asked, and the answer is what was seen afterwards."""

from __future__ import annotations

from mediabroker.broker.core import Core
from mediabroker.broker.poll import poll
from mediabroker.broker.stop import ask_to_stop
from mediabroker.errors import JobNotFoundError
from mediabroker.spi import CancelOutcome
from mediabroker.states import JobState
from mediabroker.store import attempts, jobs
from mediabroker.store.records import JobRecord

__all__ = ["cancel"]


def cancel(core: Core, job_id: str) -> CancelOutcome:
    """Ask for the end of a job.

    Returns:
        CANCELLED: it has ended so. REQUESTED: the provider has taken note. TOO_LATE: it had ended before.
        UNSUPPORTED: the provider cannot stop it; nothing was recorded.
    """
    job = _read(core, job_id)
    if job.state.is_terminal:
        return CancelOutcome.CANCELLED if job.state is JobState.CANCELLED else CancelOutcome.TOO_LATE
    with core.store.read() as tx:
        attempt = attempts.latest(tx, job_id)
        members = [each.status.member for each in attempts.members_of(tx, attempt, job.kind)]
    # When the vendor is through, what can be stopped is our own copying, if there is any.
    copying = attempt.state is JobState.SUCCEEDED and attempt.placement.output is not None
    at_vendor = job.state is not JobState.SUBMITTING and not copying
    if at_vendor and not core.fleet.named(attempt.provider).capabilities().cancel:
        return CancelOutcome.UNSUPPORTED
    if job.cancel_requested_at is None:
        with core.store.write() as tx:
            jobs.update_job(tx, job_id, cancel_requested_at=core.clock.now())
    outcome = ask_to_stop(core, attempt, members) if at_vendor else CancelOutcome.REQUESTED
    poll(core, [job_id])
    return _seen(_read(core, job_id), outcome)


def _seen(job: JobRecord, outcome: CancelOutcome) -> CancelOutcome:
    if job.state is JobState.CANCELLED:
        return CancelOutcome.CANCELLED
    if job.state.is_terminal:
        return CancelOutcome.TOO_LATE
    return CancelOutcome.REQUESTED if outcome is CancelOutcome.CANCELLED else outcome


def _read(core: Core, job_id: str) -> JobRecord:
    with core.store.read() as tx:
        job = jobs.by_id(tx, job_id)
    if job is None:
        raise JobNotFoundError(f"no job {job_id!r} in {core.store.url}")
    return job
