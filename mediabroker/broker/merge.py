"""The merge: what was seen of vendor jobs becomes the state of members, attempt and job, in one transaction.

Each observation is a key in a total order and a member's state is the maximum, so duplicates, disorder and races
between callbacks and queries change nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from datetime import timedelta

from sqlalchemy import Connection

from mediabroker.broker.attempt import fail, stopped
from mediabroker.broker.core import Core
from mediabroker.broker.tell import end, move, tell
from mediabroker.errors import ErrorCode, JobError
from mediabroker.events import JobProgressed
from mediabroker.spi import Observation
from mediabroker.states import JobState, MergeKey
from mediabroker.store import attempts, events, jobs
from mediabroker.store.records import AttemptRecord, JobRecord, MemberRecord

__all__ = ["DELIVERING", "merge"]

_log = logging.getLogger(__name__)

DELIVERING = "delivering"
"""The phase between the vendor's success and the job's: the outputs are being looked at."""

_PROGRESS_INTERVAL = timedelta(seconds=1)


def merge(core: Core, job_id: str, seen: Mapping[str, Observation]) -> None:
    """Take in what was seen of a job's vendor jobs, by native id."""
    with core.store.write() as tx:
        job = jobs.by_id(tx, job_id)
        if job is None or (job.state.is_terminal and not job.inferred):
            return
        attempt = attempts.latest(tx, job_id)
        for member in attempts.members_of(tx, attempt, job.kind):
            observation = seen.get(member.status.member.native_id)
            if observation is not None:
                _absorb(tx, core, member, observation)
        _conclude(tx, core, job, attempt)


def _absorb(tx: Connection, core: Core, member: MemberRecord, observation: Observation) -> None:
    if observation.not_found:
        if member.not_found_at is None:
            attempts.update_member(tx, member, not_found_at=core.clock.now())
        return
    state = observation.state or member.status.state
    key = MergeKey.of(state, vendor_attempt=observation.vendor_attempt, sub_rank=observation.sub_rank)
    if member.status.state.is_terminal:
        if state.is_terminal and state is not member.status.state:
            # The vendor contradicts itself: the first evidenced end stays.
            _log.warning("conflicting ends", extra={"native_id": observation.native_id, "state": state.value})
            events.record_observation(tx, (member.job_id, member.attempt), observation, "conflict", core.clock.now())
    elif observation.state is None or key == member.key:
        _renew(tx, member, observation)
    elif key > member.key:
        events.record_observation(tx, (member.job_id, member.attempt), observation, "applied", core.clock.now())
        attempts.update_member(
            tx,
            member,
            state=state.value,
            vendor_attempt=key.vendor_attempt,
            rank=key.rank,
            sub_rank=key.sub_rank,
            error=observation.error.model_dump(mode="json") if observation.error else None,
            result=observation.result.model_dump(mode="json") if observation.result else None,
            not_found_at=None,
            **_detail(member, observation),
        )


def _renew(tx: Connection, member: MemberRecord, observation: Observation) -> None:
    """Take in what has changed within the state. Mostly nothing has, and then a look must not cost a flush."""
    detail, known = _detail(member, observation), member.status
    frames = known.frames.model_dump(mode="json") if known.frames else None
    before = {"phase": known.phase, "progress": known.progress, "frames": frames, "raw": known.raw}
    if detail != before or member.not_found_at is not None:
        attempts.update_member(tx, member, not_found_at=None, **detail)


def _detail(member: MemberRecord, observation: Observation) -> dict[str, object]:
    """What may change within a state. Progress is a running maximum."""
    known = [each for each in (member.status.progress, observation.progress) if each is not None]
    return {
        "phase": observation.phase,
        "progress": max(known) if known else None,
        "frames": observation.frames.model_dump(mode="json") if observation.frames else None,
        "raw": observation.raw,
    }


def _conclude(tx: Connection, core: Core, job: JobRecord, attempt: AttemptRecord) -> None:
    members = attempts.members_of(tx, attempt, job.kind)
    provider = core.fleet.named(attempt.provider)
    folded = provider.fold([member.status for member in members])
    if folded.state is JobState.FAILED:
        fail(tx, core, job, attempt, error=folded.error, result=folded.result)
    elif folded.state is JobState.CANCELLED:
        stopped(tx, core, job, attempt, error=folded.error, result=folded.result)
    elif _lost(core, members, provider.capabilities().lost_after_s):
        error = JobError.of(ErrorCode.LOST, f"{attempt.provider} no longer knows the job")
        if not job.inferred:
            end(tx, core, job, attempt, JobState.FAILED, error=error, inferred=True)
    elif folded.state is JobState.SUCCEEDED:
        _vendor_succeeded(tx, core, job, attempt, folded)
    elif folded.state is not None and not job.inferred:
        move(tx, core, job, attempt, folded.state)
        _progress(tx, core, job, attempt, folded)


def _lost(core: Core, members: Iterable[MemberRecord], lost_after_s: float) -> bool:
    """Whether a member that has not ended stayed unknown to the vendor for long enough, asked twice at least."""
    horizon = core.clock.now() - timedelta(seconds=lost_after_s)
    return any(
        member.not_found_at is not None and member.not_found_at < horizon and not member.status.state.is_terminal
        for member in members
        if member.status.required
    )


def _vendor_succeeded(tx: Connection, core: Core, job: JobRecord, attempt: AttemptRecord, folded: Observation) -> None:
    if job.inferred:
        # A late success after all; the correction is told when the outputs have been looked at.
        jobs.update_job(tx, job.id, state=JobState.RUNNING)
    else:
        move(tx, core, job, attempt, JobState.RUNNING)
    result = folded.result.model_dump(mode="json") if folded.result else None
    attempts.update_attempt(tx, attempt, state=JobState.SUCCEEDED, result=result)
    jobs.update_job(tx, job.id, phase=DELIVERING)


def _progress(tx: Connection, core: Core, job: JobRecord, attempt: AttemptRecord, folded: Observation) -> None:
    progress = max((each for each in (job.progress, folded.progress) if each is not None), default=None)
    now = core.clock.now()
    fresh = job.progress_at is not None and now - job.progress_at < _PROGRESS_INTERVAL
    changed = progress is not None and progress != job.progress
    if folded.phase != job.phase or (changed and not fresh):
        frames = folded.frames.model_dump(mode="json") if folded.frames else None
        jobs.update_job(tx, job.id, progress=progress, progress_at=now, frames=frames, phase=folded.phase)
    if changed and not fresh:
        tell(tx, core, job, attempt, JobProgressed, progress=progress, phase=folded.phase, frames=folded.frames)
