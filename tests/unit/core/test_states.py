from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediabroker.states import JobState, MergeKey, fold_states

STATES = st.sampled_from(JobState)
TERMINAL = [JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED]
KEYS = st.builds(MergeKey.of, STATES, vendor_attempt=st.integers(0, 3), sub_rank=st.integers(0, 4))


@dataclass(frozen=True)
class Seen:
    state: JobState
    required: bool = True


MEMBERS = st.lists(st.builds(Seen, STATES, st.booleans()), max_size=6)


@given(KEYS, KEYS, KEYS)
def test_greatest_key_does_not_depend_on_order_grouping_or_repetition(a: MergeKey, b: MergeKey, c: MergeKey) -> None:
    assert max(a, b) == max(b, a)
    left = max(a, b)
    right = max(b, c)
    assert max(left, c) == max(a, right)
    assert max(a, a) == a


@given(st.lists(KEYS, min_size=1, max_size=5))
def test_every_delivery_order_with_duplicates_gives_the_same_key(keys: list[MergeKey]) -> None:
    expected = max(keys)
    for order in list(permutations(keys))[:24]:
        assert reduce(max, [*order, *order]) == expected


def test_the_vendors_own_retry_may_truthfully_move_running_back_to_queued() -> None:
    running = MergeKey.of(JobState.RUNNING, vendor_attempt=1)
    queued_again = MergeKey.of(JobState.QUEUED, vendor_attempt=2)
    assert queued_again > running
    assert MergeKey.of(JobState.QUEUED, vendor_attempt=1) < running


def test_words_within_one_state_are_ordered_by_sub_rank() -> None:
    assert MergeKey.of(JobState.QUEUED, sub_rank=1) < MergeKey.of(JobState.QUEUED, sub_rank=2)
    assert MergeKey.of(JobState.QUEUED, sub_rank=9) < MergeKey.of(JobState.RUNNING)


def test_only_the_three_ends_are_terminal() -> None:
    assert [state for state in JobState if state.is_terminal] == TERMINAL


@given(MEMBERS)
def test_fold_depends_on_no_order(members: list[Seen]) -> None:
    assert fold_states(members) is fold_states(list(reversed(members)))


@given(MEMBERS)
def test_fold_fails_exactly_when_a_required_member_failed(members: list[Seen]) -> None:
    failed = any(each.required and each.state is JobState.FAILED for each in members)
    assert (fold_states(members) is JobState.FAILED) is failed


@given(MEMBERS)
def test_fold_succeeds_exactly_when_every_required_member_did(members: list[Seen]) -> None:
    required = [each.state for each in members if each.required]
    assert (fold_states(members) is JobState.SUCCEEDED) is (set(required) == {JobState.SUCCEEDED})


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ([], JobState.SUBMITTING),
        ([Seen(JobState.RUNNING, required=False)], JobState.SUBMITTING),
        ([Seen(JobState.QUEUED)], JobState.QUEUED),
        ([Seen(JobState.QUEUED), Seen(JobState.RUNNING, required=False)], JobState.RUNNING),
        ([Seen(JobState.SUCCEEDED), Seen(JobState.QUEUED)], JobState.RUNNING),
        ([Seen(JobState.SUCCEEDED), Seen(JobState.CANCELLED)], JobState.CANCELLED),
        ([Seen(JobState.SUCCEEDED), Seen(JobState.FAILED, required=False)], JobState.SUCCEEDED),
        ([Seen(JobState.CANCELLED), Seen(JobState.FAILED)], JobState.FAILED),
    ],
)
def test_fold_of_typical_attempts(members: list[Seen], expected: JobState) -> None:
    assert fold_states(members) is expected
