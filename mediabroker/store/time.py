"""The time that a store's processes share: that of its database server, or of the file system that holds its file.

Leases, settle times, deadlines and "lost" compare times that several processes have written. A process whose own clock
is wrong would take over a live lease, send a call again, or end a job at a deadline that has not come.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from threading import Event, Lock

from mediabroker.clock import Clock, SystemClock
from mediabroker.errors import StoreError
from mediabroker.store.database import Store

__all__ = ["StoreClock"]

_log = logging.getLogger(__name__)

_EVERY_S = 60.0
_JITTER = timedelta(seconds=0.5)
"""A smaller change of the difference is the way to the database, not its clock."""
_WORTH_TELLING = timedelta(seconds=5)


class StoreClock:
    """A `Clock` that tells the store's time; the difference to this process's clock is measured once a minute."""

    def __init__(self, store: Store, clock: Clock | None = None) -> None:
        self._store, self._clock, self._lock = store, clock or SystemClock(), Lock()
        self._offset, self._measured_at_s = timedelta(), float("-inf")

    def now(self) -> datetime:
        """See `Clock.now`."""
        if self.monotonic_s() - self._measured_at_s >= _EVERY_S and self._lock.acquire(blocking=False):
            try:
                self._measure()
            finally:
                self._lock.release()
        return self._clock.now() + self._offset

    def monotonic_s(self) -> float:
        """See `Clock.monotonic_s`."""
        return self._clock.monotonic_s()

    def wait(self, event: Event, timeout_s: float) -> bool:
        """See `Clock.wait`."""
        return self._clock.wait(event, timeout_s)

    def _measure(self) -> None:
        before = self._clock.now()
        try:
            there = self._store.time()
        except StoreError:
            return  # the difference of the last minute stands, and is measured at the next call
        offset = there - (before + (self._clock.now() - before) / 2)
        self._measured_at_s = self.monotonic_s()
        if abs(offset - self._offset) < _JITTER:
            return
        self._offset = offset
        if abs(offset) > _WORTH_TELLING:
            _log.warning(
                "the clock of this process differs from the store's by %+.0f s; the broker goes by the store's",
                -offset.total_seconds(),
            )
