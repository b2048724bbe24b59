"""How far the work is: counted in frames, told at most a few times a second to whoever listens."""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

__all__ = ["FrameCounter", "Progress", "say"]

_INTERVAL_S = 0.25
_WINDOW_S = 5.0


def say(line: str) -> None:
    """Print a line at once. If nobody can receive it any more, the work goes on all the same."""
    try:
        print(line, flush=True)  # noqa: T201
    except OSError:
        # What is still in the buffer has to go somewhere too, or the interpreter complains of it when it ends.
        with open(os.devnull, "w") as nowhere:  # noqa: PTH123
            os.dup2(nowhere.fileno(), sys.stdout.fileno())


class Progress(NamedTuple):
    """`fps` is measured over the last seconds, None as long as nothing can be said."""

    frames_done: int
    frames_total: int | None
    fps: float | None


class FrameCounter:
    """Counts frames and passes on a `Progress` at most four times a second.

    Args:
        total: all frames of the job, if known.
        tell: receives the progress.
        clock: monotonic seconds.
    """

    def __init__(
        self, total: int | None, tell: Callable[[Progress], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._total, self._tell, self._clock = total, tell, clock
        self._done = self._new = 0
        self._told_s = -_INTERVAL_S
        self._recent: deque[tuple[float, int]] = deque([(clock(), 0)])

    def skip(self, frames: int) -> None:
        """Frames that were done before: they count, but not as speed."""
        self._done += frames

    def add(self) -> None:
        """One frame has just been done."""
        self._done, self._new = self._done + 1, self._new + 1
        now = self._clock()
        if now - self._told_s >= _INTERVAL_S:
            self._report(now)

    def finish(self) -> None:
        """Tell the last state."""
        self._report(self._clock())

    def _report(self, now: float) -> None:
        self._told_s = now
        self._recent.append((now, self._new))
        while len(self._recent) > 2 and now - self._recent[0][0] > _WINDOW_S:
            self._recent.popleft()
        then, before = self._recent[0]
        elapsed = now - then
        fps = (self._new - before) / elapsed if elapsed > 0 and self._new > before else None
        self._tell(Progress(self._done, self._total, round(fps, 2) if fps else None))
