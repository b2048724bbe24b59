"""Job states, their partial order, the merge key, and the fold of members: pure functions, no I/O.

    SUBMITTING -> QUEUED -> RUNNING -> SUCCEEDED | FAILED | CANCELLED

Nuance lives beside the state: `phase`, `hold_reason`, `cancel_requested`, and the job's error.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import NamedTuple, Protocol

__all__ = ["JobState", "MemberLike", "MergeKey", "fold_states"]


class JobState(str, Enum):
    """Where a job, an attempt or a vendor's job stands."""

    SUBMITTING = "SUBMITTING"
    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    def __str__(self) -> str:
        return self.value

    @property
    def rank(self) -> int:
        """Position in the partial order; the three terminal states share one rank."""
        return _RANKS[self]

    @property
    def is_terminal(self) -> bool:
        return self.rank == _TERMINAL_RANK


_RANKS = {
    JobState.SUBMITTING: 0,
    JobState.QUEUED: 1,
    JobState.RUNNING: 2,
    JobState.SUCCEEDED: 3,
    JobState.FAILED: 3,
    JobState.CANCELLED: 3,
}
_TERMINAL_RANK = 3


class MergeKey(NamedTuple):
    """Total order of what can be seen of one vendor job; the member's state is the maximum of its keys.

    A maximum is commutative, associative and idempotent, so duplicates, disorder and races between callbacks and
    queries change nothing. The vendor's own retry comes first: it may truthfully move RUNNING back to QUEUED.
    """

    vendor_attempt: int
    rank: int
    sub_rank: int

    @classmethod
    def of(cls, state: JobState, *, vendor_attempt: int = 0, sub_rank: int = 0) -> MergeKey:
        return cls(vendor_attempt, state.rank, sub_rank)


class MemberLike(Protocol):
    """What the fold needs to know of one vendor job inside an attempt."""

    @property
    def state(self) -> JobState: ...
    @property
    def required(self) -> bool: ...


def fold_states(members: Iterable[MemberLike]) -> JobState:
    """The attempt's state from its members' states.

    Failed as soon as a required member failed; succeeded when all required ones did; cancelled when a cancel ended
    one that would still be needed; else running once any member started, else queued. Members that are not required
    (the children of an array) only show that work has started.
    """
    listed = list(members)
    required = {member.state for member in listed if member.required}
    if not required:
        return JobState.SUBMITTING
    if JobState.FAILED in required:
        return JobState.FAILED
    if required == {JobState.SUCCEEDED}:
        return JobState.SUCCEEDED
    if JobState.CANCELLED in required:
        return JobState.CANCELLED
    started = any(member.state.rank >= JobState.RUNNING.rank for member in listed)
    return JobState.RUNNING if started else JobState.QUEUED
