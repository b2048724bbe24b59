"""The simulator's time: the machine's, moved by tests."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from threading import Event, Lock

__all__ = ["MAX_SKEW", "SimulatedClock"]

MAX_SKEW = timedelta(minutes=15)
"""How far the time of a signed request may be from the server's, either way.

Source: Alibaba Cloud, RPC API gateway error codes; OSS, "RequestTimeTooSkewed"; MNS, "Access control by signature".
"""
_SLICE_S = 0.05


class SimulatedClock:
    """Runs with the machine's clock, from `start` on, and jumps when told; fits `mediabroker.clock.Clock`. Thread-safe.

    Args:
        start: an aware time; None: now.
        frozen: stand still between jumps.
    """

    def __init__(self, start: datetime | None = None, *, frozen: bool = False) -> None:
        if start is not None and start.tzinfo is None:
            raise ValueError(f"start: {start!r} has no time zone; give an aware time")
        self._origin = start or datetime.now(timezone.utc)
        self._since_s = time.monotonic()
        self._frozen = frozen
        self._ahead_s = 0.0
        self._listeners: list[Callable[[], None]] = []
        self._lock = Lock()

    def now(self) -> datetime:
        """Aware UTC."""
        return (self._origin + timedelta(seconds=self.monotonic_s())).astimezone(timezone.utc)

    def monotonic_s(self) -> float:
        """Seconds since the clock was made, jumps included."""
        running_s = 0.0 if self._frozen else time.monotonic() - self._since_s
        with self._lock:
            return running_s + self._ahead_s

    def advance(self, seconds: float) -> None:
        """Jump ahead; whoever waits sees the new time at once.

        Raises:
            ValueError: seconds is negative.
        """
        if seconds < 0:
            raise ValueError(f"seconds: {seconds} is negative; time only moves forward")
        with self._lock:
            self._ahead_s += seconds
            listeners = list(self._listeners)
        for listener in listeners:
            listener()

    def on_advance(self, listener: Callable[[], None]) -> None:
        """Call `listener` after every jump, in the thread that made it."""
        with self._lock:
            self._listeners.append(listener)

    def wait(self, event: Event, timeout_s: float) -> bool:
        """Wait until the event is set or `timeout_s` of this clock have passed; True when it is set."""
        end_s = self.monotonic_s() + timeout_s
        while (left_s := end_s - self.monotonic_s()) > 0:
            if event.wait(min(left_s, _SLICE_S)):  # a jump must end the wait, and no event tells of one
                return True
        return event.is_set()
