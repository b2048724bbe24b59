"""The one rule by which a video is cut into ranges of time."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediabroker.media.slices import list_slices, slice_count


@pytest.mark.parametrize(
    ("duration_s", "slice_s", "count"),
    [
        (None, 60, 1),
        (0, 60, 1),
        (-3, 60, 1),
        (float("nan"), 60, 1),
        (float("inf"), 60, 1),
        (0.01, 60, 1),
        (60, 60, 1),
        (60.000001, 60, 2),
        (180, 60, 3),
        (0.3, 0.1, 3),
        (14400, 10, 1440),
    ],
)
def test_slice_count_rounds_up_and_is_at_least_one(duration_s: float | None, slice_s: float, count: int) -> None:
    assert slice_count(duration_s, slice_s) == count


@pytest.mark.parametrize("slice_s", [0, -1, float("nan"), float("inf")])
def test_slice_length_that_is_no_positive_number_is_refused(slice_s: float) -> None:
    with pytest.raises(ValueError, match="positive"):
        slice_count(10, slice_s)


@given(
    duration_s=st.one_of(st.none(), st.floats(0, 5000)),
    slice_s=st.floats(0.5, 600),
    time_s=st.fractions(-100, 10_000),
)
def test_every_instant_belongs_to_exactly_one_slice(duration_s: float | None, slice_s: float, time_s: Fraction) -> None:
    plan = list_slices(duration_s, slice_s)
    assert [each.index for each in plan] == list(range(len(plan)))
    assert sum(each.contains(time_s) for each in plan) == 1


def test_borders_are_exact_multiples_and_both_ends_are_open() -> None:
    plan = list_slices(0.35, 0.1)
    assert [each.start_s for each in plan] == [None, Fraction(1, 10), Fraction(1, 5), Fraction(3, 10)]
    assert [each.end_s for each in plan] == [Fraction(1, 10), Fraction(1, 5), Fraction(3, 10), None]
