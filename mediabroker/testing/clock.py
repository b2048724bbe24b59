"""A clock that moves when a test says so."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from threading import Event

__all__ = ["HandClock"]

_PAUSE_S = 0.01


class HandClock:
    """A `Clock` that starts with 2026. Waiting is real but short: it lets other threads work, and no time passes."""

    def __init__(self) -> None:
        self.time = datetime(2026, 1, 1, tzinfo=timezone.utc)

    def now(self) -> datetime:
        return self.time

    def monotonic_s(self) -> float:
        return self.time.timestamp()

    def wait(self, event: Event, timeout_s: float) -> bool:
        return event.wait(min(timeout_s, _PAUSE_S))

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.time += timedelta(seconds=seconds)
