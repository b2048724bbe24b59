"""From a spec to accepted vendor jobs: commit the intent, then drive the attempt; pick up what a crash has left."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from mediabroker.broker import lease
from mediabroker.broker.attempt import begin, fail, follow, stopped
from mediabroker.broker.core import Core, new_job_id
from mediabroker.broker.drive import HoldError, NotBegunError, StopRequestedError, drive, may_have_begun
from mediabroker.broker.limits import Limits, stop_wanted
from mediabroker.broker.route import Choice
from mediabroker.broker.stage import clear_ended, stage
from mediabroker.broker.tell import move
from mediabroker.broker.transfer import ClosingError
from mediabroker.errors import (
    ErrorCode,
    IdempotencyConflictError,
    InvalidJobError,
    JobError,
    MediaError,
    ProviderError,
)
from mediabroker.jobs import JobSpec
from mediabroker.spi import ProviderOptions, Submitted
from mediabroker.states import JobState
from mediabroker.store import attempts, jobs
from mediabroker.store.journal import LeaseLostError
from mediabroker.store.records import AttemptRecord, JobRecord

__all__ = ["commit_intent", "fingerprint", "go_on"]

_log = logging.getLogger(__name__)

_KEY_LIMIT = 256


def commit_intent(
    core: Core,
    spec: JobSpec[Any],
    choice: Choice,
    *,
    options: Sequence[ProviderOptions],
    key: str | None,
    limits: Limits,
) -> str:
    """Store the job and its first attempt, or find the job that the key already names; the job's id.

    Raises:
        IdempotencyConflictError: the key belongs to a different request.
        InvalidJobError: the key is empty or longer than 256 characters.
    """
    _check_key(key)
    digest = fingerprint(spec, options)
    now = core.clock.now()
    with core.store.write() as tx:
        known = _holder_of(tx, key, core, now)
        if known is not None:
            _refuse_other_request(known, digest)
            return known.id
        job_id = new_job_id()
        given = [{"provider": each.provider, "values": each.model_dump(mode="json")} for each in options]
        jobs.insert_job(
            tx,
            job_id,
            kind=spec.kind,
            spec=spec,
            options=given,
            key=key,
            fingerprint=digest,
            route=choice.route,
            deadline_at=now + limits.deadline if limits.deadline else None,
            queue_timeout_s=limits.queue_timeout.total_seconds() if limits.queue_timeout else None,
            now=now,
        )
        begin(tx, core, choice.provider, (job_id, spec), number=1)
    return job_id


def go_on(core: Core, job_id: str) -> None:
    """Drive the job's submission as far as it goes, unless it is through or somebody else is at it.

    What has to be staged is staged first. When the provider refuses and another one may follow, that one is next.
    """
    while (taken := lease.take(core, job_id, state=JobState.SUBMITTING)) is not None:
        job, attempt = taken
        followed = _advance(core, job, attempt)
        if attempt.placement.folders:
            clear_ended(core, [job_id])
        if not followed:
            return


def _advance(core: Core, job: JobRecord, attempt: AttemptRecord) -> bool:
    """One run of an attempt's submission; whether another attempt follows it."""
    try:
        submitted = _submitted(core, job, attempt)
    except LeaseLostError:
        _log.info("another process drives the attempt", extra={"job": job.id})
    except NotBegunError as trouble:
        return _not_begun(core, job, attempt, trouble)
    except HoldError as hold:
        _hold(core, job, attempt, hold.phase, str(hold))
    except StopRequestedError:
        return _stopped(core, job, attempt)
    except ProviderError as refusal:
        return _failed(core, job, attempt, core.fleet.named(attempt.provider).classify(refusal))
    except MediaError as error:
        return _failed(core, job, attempt, error.error)
    except ClosingError:
        with core.store.write() as tx:
            attempts.release(tx, attempt)
    except Exception as error:
        _hold(core, job, attempt, HoldError.phase, f"{type(error).__name__} while submitting")
        raise
    else:
        _accepted(core, job, attempt, submitted)
    return False


def _submitted(core: Core, job: JobRecord, attempt: AttemptRecord) -> Submitted:
    if stop_wanted(job, attempt, core.clock.now()) and not may_have_begun(core, attempt):
        raise StopRequestedError("the job was stopped before it was submitted", provider=attempt.provider)
    stage(core, job, attempt)
    return drive(core, job, attempt)


def fingerprint(spec: JobSpec[Any], options: Sequence[ProviderOptions]) -> str:
    """Digest of what was asked for: equal for equal requests, across processes and releases.

    Defaults are left out, so that a field which a later release adds does not change an old request.
    """
    content = {
        "spec": spec.model_dump(mode="json", exclude_defaults=True),
        "kind": spec.kind,
        "options": [[each.provider, each.model_dump(mode="json", exclude_defaults=True)] for each in options],
    }
    canonical = json.dumps(content, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return "1:" + hashlib.sha256(canonical.encode()).hexdigest()


def _check_key(key: str | None) -> None:
    if key is None:
        return
    if not (isinstance(key, str) and 1 <= len(key) <= _KEY_LIMIT and key.isprintable()):
        raise InvalidJobError(f"idempotency_key: {key!r:.80} must have 1 to {_KEY_LIMIT} printable characters")


def _holder_of(tx: Connection, key: str | None, core: Core, now: datetime) -> JobRecord | None:
    known = jobs.by_key(tx, key) if key is not None else None
    if known is None or known.finished_at is None:
        return known
    if now - known.finished_at <= timedelta(days=core.settings.key_retention_days):
        return known
    jobs.release_key(tx, known.id)
    return None


def _refuse_other_request(known: JobRecord, digest: str) -> None:
    if known.fingerprint != digest:
        raise IdempotencyConflictError(
            f"idempotency_key {known.idempotency_key!r} belongs to job {known.id}, which asked for something else"
        )


def _accepted(core: Core, job: JobRecord, attempt: AttemptRecord, submitted: Submitted) -> None:
    with core.store.write() as tx:
        if not attempts.update_attempt(tx, attempt, fenced=True, lease_until=None):
            return
        attempts.insert_members(tx, attempt, submitted.members)
        jobs.update_job(tx, job.id, phase=None, hold_reason=None)
        move(tx, core, job, attempt, JobState.QUEUED)


def _hold(core: Core, job: JobRecord, attempt: AttemptRecord, phase: str | None, reason: str) -> None:
    with core.store.write() as tx:
        attempts.release(tx, attempt)
        jobs.update_job(tx, job.id, phase=phase, hold_reason=reason)


def _not_begun(core: Core, job: JobRecord, attempt: AttemptRecord, trouble: NotBegunError) -> bool:
    """Let another provider of the route do it, or wait for this one."""
    error = JobError.of(ErrorCode.PROVIDER_INTERNAL, str(trouble))
    with core.store.write() as tx:
        ours = attempts.update_attempt(tx, attempt, fenced=True, lease_until=None)
        followed = ours and follow(tx, core, job, attempt, error)
    if not followed:
        _hold(core, job, attempt, trouble.phase, str(trouble))
    return followed


def _stopped(core: Core, job: JobRecord, attempt: AttemptRecord) -> bool:
    error = JobError.of(ErrorCode.CANCELLED, "cancelled before it was submitted")
    with core.store.write() as tx:
        if not attempts.update_attempt(tx, attempt, fenced=True, lease_until=None):
            return False
        return stopped(tx, core, job, attempt, error=error)


def _failed(core: Core, job: JobRecord, attempt: AttemptRecord, error: JobError) -> bool:
    with core.store.write() as tx:
        if not attempts.update_attempt(tx, attempt, fenced=True, lease_until=None):
            return False
        return fail(tx, core, job, attempt, error=error)
