"""The merge: observations of vendor jobs become the state of members, attempt and job, in memory.

Each observation is a key in a total order and a member's state is the maximum, so duplicates, disorder and races
between callbacks and queries change nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import timedelta

from mediabroker.broker.attempt.attempt import Attempt
from mediabroker.errors import ErrorCode, JobError
from mediabroker.events import Unrecognised
from mediabroker.spi import Observation
from mediabroker.states import JobState, MergeKey
from mediabroker.store.records import MemberRecord

__all__ = ["merge"]

_log = logging.getLogger(__name__)


def merge(attempt: Attempt, seen: Mapping[str, Observation]) -> list[tuple[Observation, str]]:
    """Take in observations by native id; return those to be kept in the inbox, with what became of each."""
    if attempt.job.state is JobState.SUBMITTING or (attempt.job.state.is_terminal and not attempt.job.inferred):
        return []
    kept: list[tuple[Observation, str]] = []
    for position, member in enumerate(attempt.members):
        observation = seen.get(member.status.member.native_id)
        if observation is not None and (outcome := _absorb(attempt, position, member, observation)):
            kept.append((observation, outcome))
    _conclude(attempt)
    return kept


def _absorb(attempt: Attempt, position: int, member: MemberRecord, observation: Observation) -> str | None:
    if observation.not_found:
        if member.not_found_at is None:
            attempt.change_member(position, not_found_at=attempt.core.clock.now())
        return None
    known, state = member.status, observation.state or member.status.state
    key = MergeKey.of(state, vendor_attempt=observation.vendor_attempt, sub_rank=observation.sub_rank)
    if known.state.is_terminal:
        if state.is_terminal and state is not known.state:
            # The vendor contradicts itself: the first evidenced end stays.
            native_id = observation.native_id
            _log.warning("job %s: conflicting ends of %s: %s", attempt.job.id, native_id, state)
            return "conflict"
        return None
    progress = max((each for each in (known.progress, observation.progress) if each is not None), default=None)
    within = {
        "phase": observation.phase,
        "hold_reason": observation.hold_reason,
        "progress": progress,
        "frames": observation.frames,
        "raw": observation.raw,
    }
    if observation.state is None and observation.phase != known.phase:
        _log.warning("job %s: %r of %s is in no table", attempt.job.id, observation.phase, observation.native_id)
        attempt.report(Unrecognised, raw=observation.raw)
    if observation.state is None or key == member.key:
        # Mostly nothing has changed, and then a pass must not cost a flush.
        if member.not_found_at is not None or any(getattr(known, name) != value for name, value in within.items()):
            attempt.change_member(position, **within)
        return None
    if key < member.key:
        return None
    error = observation.error
    if error is not None and error.raw is None:
        error = error.model_copy(update={"raw": observation.raw})
    ended = {"error": error, "result": observation.result}
    attempt.change_member(position, key=key, state=state, **within, **ended)
    return "applied"


def _conclude(attempt: Attempt) -> None:
    folded = attempt.provider.fold([each.status for each in attempt.members])
    if folded.state is JobState.FAILED:
        attempt.fail(folded.error, folded.result)
    elif folded.state is JobState.CANCELLED:
        attempt.stop(folded.error, folded.result)
    elif folded.state is JobState.SUCCEEDED:
        if not attempt.is_delivering:
            attempt.deliver_next(folded.result)
    elif _is_lost(attempt):
        if not attempt.job.inferred:
            error = JobError.of(ErrorCode.LOST, f"{attempt.row.provider} no longer knows the job")
            attempt.end(JobState.FAILED, error=error, inferred=True)
    elif not attempt.job.inferred:
        attempt.advance(folded)


def _is_lost(attempt: Attempt) -> bool:
    """Whether a member that has not ended stayed unknown to the vendor for long enough, asked twice at least."""
    horizon = attempt.core.clock.now() - timedelta(seconds=attempt.provider.capabilities().lost_after_s)
    return any(
        each.not_found_at is not None and each.not_found_at < horizon and not each.status.state.is_terminal
        for each in attempt.members
        if each.status.required
    )
