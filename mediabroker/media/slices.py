"""The pieces that a long video is worked on in: ranges of presentation time, never files.

Slice k is [k*S, (k+1)*S) of the time since the container's start. The first also takes what lies before zero and the
last what lies after its end, so a wrong duration loses no frame. An empty slice is legal. Everybody who counts slices
(a planner that has read a header, a worker that has the file) uses this one rule.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

__all__ = ["Slice", "list_slices", "slice_count"]


@dataclass(frozen=True)
class Slice:
    """Frames with `start_s` <= time < `end_s`, exact seconds since the container's start; None is an open end."""

    index: int
    start_s: Fraction | None
    end_s: Fraction | None

    def contains(self, time_s: Fraction) -> bool:
        """Whether the frame shown at `time_s` belongs to this slice; exactly one slice of a plan says yes."""
        return (self.start_s is None or self.start_s <= time_s) and (self.end_s is None or time_s < self.end_s)


def slice_count(duration_s: float | None, slice_s: float) -> int:
    """How many slices a video of `duration_s` seconds has: at least one, and one when the duration is unknown.

    Raises:
        ValueError: `slice_s` is not a positive number.
    """
    if not (math.isfinite(slice_s) and slice_s > 0):
        raise ValueError(f"slice_s is {slice_s}; it must be a positive number of seconds")
    if duration_s is None or not math.isfinite(duration_s):
        return 1
    return max(1, math.ceil(_exact(duration_s) / _exact(slice_s)))


def list_slices(duration_s: float | None, slice_s: float) -> tuple[Slice, ...]:
    """The whole plan, in order; together the slices cover all of time and no two share an instant."""
    count, length = slice_count(duration_s, slice_s), _exact(slice_s)
    return tuple(
        Slice(index, index * length if index else None, (index + 1) * length if index + 1 < count else None)
        for index in range(count)
    )


def _exact(seconds: float) -> Fraction:
    # Through the decimal text: 0.1 becomes 1/10, so that every process computes the same border.
    return Fraction(str(seconds))
