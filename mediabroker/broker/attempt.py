"""How an attempt begins, and what follows when it has failed: another provider's attempt, or the job's end.

Another one follows only an attempt that is proven dead or was never accepted, never one that is merely slow; and only
for a failure that another provider need not share.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from mediabroker.broker.core import Core
from mediabroker.broker.limits import deadline_passed, stop_reason
from mediabroker.broker.placement import place
from mediabroker.broker.tell import end, tell
from mediabroker.errors import ErrorCode, JobError, MediaBrokerError
from mediabroker.events import JobAttemptFailed
from mediabroker.jobs import JobSpec
from mediabroker.refs import token_for
from mediabroker.results import JobResult
from mediabroker.spi import Provider
from mediabroker.states import JobState
from mediabroker.store import attempts, jobs
from mediabroker.store.records import AttemptRecord, JobRecord

__all__ = ["begin", "fail", "follow", "stopped"]

_log = logging.getLogger(__name__)

_ELSEWHERE = frozenset({ErrorCode.UNSUPPORTED, ErrorCode.AUTH})
"""The caller's to mend on this provider, and no hindrance on another: too long for it, or its credentials."""


def begin(tx: Connection, core: Core, provider: Provider, job: tuple[str, JobSpec[Any]], *, number: int) -> None:
    """Store a new attempt on `provider`, under its own token, with what has to be staged for it."""
    job_id, spec = job
    token = token_for(job_id, number)
    placement = place(core, provider, spec, token)
    attempts.insert_attempt(
        tx,
        job_id,
        number,
        token=token,
        provider=provider.name,
        account=provider.account,
        region=provider.region,
        flow_version=provider.capabilities().flow_version,
        placement=placement.model_dump(mode="json") if placement.folders else None,
        started_at=core.clock.now(),
    )


def fail(
    tx: Connection,
    core: Core,
    job: JobRecord,
    attempt: AttemptRecord,
    *,
    error: JobError | None,
    result: JobResult | None = None,
) -> bool:
    """The attempt has failed by evidence: begin the next one of the job's route (True), or end the job."""
    if error is not None and follow(tx, core, job, attempt, error):
        return True
    end(tx, core, job, attempt, JobState.FAILED, error=error, result=result)
    return False


def stopped(
    tx: Connection,
    core: Core,
    job: JobRecord,
    attempt: AttemptRecord,
    *,
    error: JobError | None = None,
    result: JobResult | None = None,
) -> bool:
    """The attempt was stopped: a job past one of its limits has failed, any other is cancelled; as `fail` otherwise."""
    current = jobs.by_id(tx, job.id) or job  # a cancel may have come since it was read
    reason = stop_reason(current, attempt, core.clock.now())
    if reason is not None:
        return fail(tx, core, job, attempt, error=reason, result=result)
    end(tx, core, job, attempt, JobState.CANCELLED, error=error, result=result)
    return False


def follow(tx: Connection, core: Core, job: JobRecord, attempt: AttemptRecord, error: JobError) -> bool:
    """End an attempt and begin the next one of the job's route; False, and nothing done, if none may follow."""
    follower = _follower(tx, core, job, attempt, error)
    if follower is None or job.spec is None:
        return False
    _log.info("another attempt follows", extra={"job": job.id, "failed": attempt.provider, "next": follower.name})
    stored = error.model_dump(mode="json")
    attempts.update_attempt(
        tx, attempt, state=JobState.FAILED, error=stored, ended_at=core.clock.now(), lease_until=None
    )
    tell(tx, core, job, attempt, JobAttemptFailed, error=error)
    begin(tx, core, follower, (job.id, job.spec), number=attempt.number + 1)
    jobs.update_job(tx, job.id, state=JobState.SUBMITTING, phase=None, hold_reason=None, frames=None, transfer=None)
    return True


def _follower(tx: Connection, core: Core, job: JobRecord, attempt: AttemptRecord, error: JobError) -> Provider | None:
    """The provider of the next attempt; None when none may follow, or none is left."""
    current = jobs.by_id(tx, job.id)
    over = current is None or current.cancel_requested_at is not None or deadline_passed(current, core.clock.now())
    if over or job.inferred or job.spec is None or not _may_differ_elsewhere(error):
        return None
    made = attempts.all_of(tx, job.id)
    if len(made) >= job.route.max_attempts:
        return None
    for name in _in_turn(job.route.providers, attempt.provider):
        failed = [each.error for each in made if each.provider == name and each.error is not None]
        failed += [error] if name == attempt.provider else []
        if all(each.retryable for each in failed) and (provider := _usable(core, name, job.spec)) is not None:
            return provider
    return None


def _may_differ_elsewhere(error: JobError) -> bool:
    return error.blame in ("provider", "capacity") or error.code in _ELSEWHERE


def _in_turn(providers: Sequence[str], last: str) -> Sequence[str]:
    """All of a route, beginning with the one after `last`, which comes at the end."""
    at = providers.index(last) + 1 if last in providers else 0
    return [*providers[at:], *providers[:at]]


def _usable(core: Core, name: str, spec: JobSpec[Any]) -> Provider | None:
    """The instance, if it is still configured and what the job needs can still be staged for it."""
    try:
        provider = core.fleet.named(name)
        place(core, provider, spec, "token")
    except MediaBrokerError as error:
        _log.warning("a provider of the route is passed over: %s", error, extra={"provider": name})
        return None
    return provider
