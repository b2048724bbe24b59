"""Tells the outside how far a worker is, without writing more often than anybody looks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from mediabroker.results import Frames
from mediabroker_local.jobs.folder import JobFolder

__all__ = ["Reporter"]

_INTERVAL_S = 0.25


class Reporter:
    """Keeps a running job's state file up to date; threads may share it."""

    def __init__(self, folder: JobFolder, *, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._folder = folder
        self._clock_s = clock_s
        self._state = folder.state()
        self._written_s = float("-inf")
        self._lock = threading.Lock()

    def phase(self, phase: str) -> None:
        """A new phase is written at once."""
        self._update({"phase": phase}, at_once=phase != self._state.get("phase"))

    def progress(self, progress: float | None, frames: Frames | None = None) -> None:
        """How far the job is, from 0 to 1; it never goes back, also not after a restart."""
        known = [each for each in (progress, self._state.get("progress")) if each is not None]
        self._update(
            {"progress": max(known, default=None), "frames": frames.model_dump() if frames else None}, at_once=False
        )

    def end(self, **state: Any) -> None:
        """The last word; durable."""
        with self._lock:
            self._folder.write_state(self._state, durable=False)
            self._folder.end(**state)

    def _update(self, change: dict[str, Any], *, at_once: bool) -> None:
        with self._lock:
            self._state = {**self._state, **change}
            now_s = self._clock_s()
            if at_once or now_s - self._written_s >= _INTERVAL_S:
                self._written_s = now_s
                self._folder.write_state(self._state, durable=False)
