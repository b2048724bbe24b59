"""Time as an argument: production reads the machine's clocks, tests bring their own."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from threading import Event
from typing import Protocol

__all__ = ["Clock", "SystemClock"]


class Clock(Protocol):
    """Wall time for records, monotonic time for intervals, and waiting that an event can end early."""

    def now(self) -> datetime:
        """Aware UTC."""
        ...

    def monotonic_s(self) -> float: ...

    def wait(self, event: Event, timeout_s: float) -> bool:
        """Wait until the event is set or the time is over; True when it is set."""
        ...


class SystemClock:
    """The machine's clocks."""

    def now(self) -> datetime:
        return datetime.now(timezone.utc)

    def monotonic_s(self) -> float:
        return time.monotonic()

    def wait(self, event: Event, timeout_s: float) -> bool:
        return event.wait(timeout_s)
