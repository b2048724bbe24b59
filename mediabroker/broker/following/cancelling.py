"""Cancel: the request is stored first, so that it outlives this process; then the provider is asked."""

from __future__ import annotations

from mediabroker.broker.attempt.attempt import Attempt
from mediabroker.broker.core import Core
from mediabroker.broker.following.passing import Pass, ask_to_stop
from mediabroker.errors import JobNotFoundError
from mediabroker.spi import CancelOutcome
from mediabroker.states import JobState
from mediabroker.store import attempts, jobs

__all__ = ["cancel"]


def cancel(core: Core, job_id: str) -> CancelOutcome:
    """Request the end of a job.

    Returns:
        CANCELLED: it has ended so. REQUESTED: the provider has accepted the request. TOO_LATE: it had ended before.
        UNSUPPORTED: the provider cannot stop it; nothing was stored.
    """
    attempt = _load(core, job_id)
    if attempt.job.state.is_terminal:
        return _seen(attempt, CancelOutcome.TOO_LATE)
    # When the vendor has succeeded, what can be stopped is the broker's own copying, if there is any.
    is_copying = attempt.is_delivering and attempt.row.placement.output is not None
    is_at_vendor = attempt.job.state is not JobState.SUBMITTING and not is_copying
    if is_at_vendor and not attempt.provider.capabilities().cancel:
        return CancelOutcome.UNSUPPORTED
    if attempt.job.cancel_requested_at is None:
        with core.store.write() as tx:
            jobs.update_job(tx, job_id, {"cancel_requested_at": core.clock.now()})
    outcome = ask_to_stop(attempt) if is_at_vendor else CancelOutcome.REQUESTED
    Pass(core, [job_id]).run()
    return _seen(_load(core, job_id), outcome)


def _load(core: Core, job_id: str) -> Attempt:
    with core.store.read() as tx:
        loaded = attempts.load_one(tx, job_id)
    if loaded is None:
        raise JobNotFoundError(f"no job {job_id!r} in {core.store.url}")
    return Attempt(core, loaded)


def _seen(attempt: Attempt, outcome: CancelOutcome) -> CancelOutcome:
    if attempt.job.state is JobState.CANCELLED:
        return CancelOutcome.CANCELLED
    if attempt.job.state.is_terminal:
        return CancelOutcome.TOO_LATE
    return CancelOutcome.REQUESTED if outcome is CancelOutcome.CANCELLED else outcome
