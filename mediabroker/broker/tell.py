"""Every change of a job that somebody may want to know of, written with the event that tells it, in one transaction."""

from __future__ import annotations

import secrets
from typing import Any

from sqlalchemy import Connection

from mediabroker.broker.core import Core
from mediabroker.errors import ErrorCode, JobError
from mediabroker.events import (
    JobCancelled,
    JobEvent,
    JobFailed,
    JobQueued,
    JobStarted,
    JobSucceeded,
)
from mediabroker.refs import JobRef, MemberRef
from mediabroker.results import JobResult
from mediabroker.states import JobState
from mediabroker.store import attempts, events, jobs
from mediabroker.store.records import AttemptRecord, JobRecord

__all__ = ["end", "move", "ref_of", "tell"]


def ref_of(tx: Connection, job: JobRecord, attempt: AttemptRecord) -> JobRef:
    """The job's reference as far as it is known: complete once the provider has accepted."""
    members = attempts.members_of(tx, attempt, job.kind)
    return JobRef(
        job_id=job.id,
        provider=attempt.provider,
        kind=job.kind,
        account=attempt.account,
        region=attempt.region,
        members=tuple(
            MemberRef(role=each.status.member.role, native_id=each.status.member.native_id)
            for each in members
            if each.status.required
        ),
    )


def tell(
    tx: Connection, core: Core, job: JobRecord, attempt: AttemptRecord, event: type[JobEvent], **fields: Any
) -> None:
    """Append one event with the job's next sequence number."""
    current = jobs.by_id(tx, job.id)
    assert current is not None
    sequence = current.sequence + 1
    jobs.update_job(tx, job.id, sequence=sequence)
    events.append_event(
        tx,
        event(
            id=secrets.token_hex(12),
            ref=ref_of(tx, job, attempt),
            sequence=sequence,
            occurred_at=core.clock.now(),
            provider=attempt.provider,
            attempt=attempt.number,
            user_data=job.user_data,
            **fields,
        ),
    )


def move(tx: Connection, core: Core, job: JobRecord, attempt: AttemptRecord, state: JobState) -> None:
    """To QUEUED or RUNNING; told only when it is news."""
    if state is not attempt.state:
        queued_at = core.clock.now() if state is JobState.QUEUED else attempt.queued_at
        attempts.update_attempt(tx, attempt, state=state, queued_at=queued_at)
    if state is not job.state:
        jobs.update_job(tx, job.id, state=state, hold_reason=None)
        tell(tx, core, job, attempt, JobQueued if state is JobState.QUEUED else JobStarted)


def end(
    tx: Connection,
    core: Core,
    job: JobRecord,
    attempt: AttemptRecord,
    state: JobState,
    *,
    error: JobError | None = None,
    result: JobResult | None = None,
    inferred: bool = False,
) -> None:
    """To a terminal state; an earlier inferred one is corrected, and the event says which."""
    corrects = events.last_terminal_id(tx, job.id) if job.inferred else None
    if state is JobState.CANCELLED and error is None:
        error = JobError.of(ErrorCode.CANCELLED, "the job was cancelled")
    now = core.clock.now()
    stored_error = error.model_dump(mode="json") if error else None
    attempts.update_attempt(tx, attempt, state=state, error=stored_error, ended_at=now, lease_until=None)
    jobs.update_job(
        tx,
        job.id,
        state=state,
        phase=None,
        hold_reason=None,
        inferred=inferred,
        error=stored_error,
        transfer=None,
        result=result.model_dump(mode="json") if result else None,
        progress=1.0 if state is JobState.SUCCEEDED else job.progress,
        finished_at=now,
    )
    if state is JobState.SUCCEEDED:
        tell(tx, core, job, attempt, JobSucceeded, result=result or JobResult(), corrects=corrects)
    elif state is JobState.FAILED:
        tell(tx, core, job, attempt, JobFailed, error=error, result=result, inferred=inferred, corrects=corrects)
    else:
        tell(tx, core, job, attempt, JobCancelled, corrects=corrects)
