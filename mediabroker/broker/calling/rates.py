"""Keeps to the calls that a vendor grants an account: a call that comes too early waits for its turn."""

from __future__ import annotations

from threading import Event, Lock

from mediabroker.clock import Clock
from mediabroker.spi import Call, Provider, RateLimit

__all__ = ["Bucket", "RateLimiter"]

_BURST_SHARE = 0.1
"""Of a limit may come at once. The rest is spread, so that no second ever sees more than the limit."""


class Bucket:
    """A token bucket that hands out moments instead of tokens: each call is told how long to wait.

    Within any second at most `per_s` calls are let through: a tenth of them at once, the others evenly.
    """

    def __init__(self, per_s: float) -> None:
        burst = max(1.0, per_s * _BURST_SHARE)
        # The whole limit for limits of less than two a second, where burst and spread cannot share it.
        self._interval_s = 1 / max(per_s - burst, per_s / 2)
        self._slack_s = (burst - 1) * self._interval_s
        self._next_s = float("-inf")
        self._lock = Lock()

    def reserve(self, now_s: float) -> float:
        """Take the next free moment; how many seconds from now it is."""
        with self._lock:
            due_s = max(self._next_s, now_s)
            self._next_s = due_s + self._interval_s
            return max(0.0, due_s - self._slack_s - now_s)


class RateLimiter:
    """One bucket for each limit of each account, whichever of its instances calls. For one process.

    Instances of one type that do not tell their account may all be of the same: they share one bucket, too.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._buckets: dict[tuple[str, str | None, RateLimit], Bucket] = {}
        self._lock = Lock()
        self._never = Event()

    def wait(self, provider: Provider, call: Call[object]) -> None:
        """Return when the call may be sent."""
        limits = [each for each in provider.capabilities().rates if each.holds_for(call)]
        waits_s = [self._bucket(provider, each).reserve(self._clock.monotonic_s()) for each in limits]
        if (longest_s := max(waits_s, default=0.0)) > 0:
            self._clock.wait(self._never, longest_s)

    def _bucket(self, provider: Provider, limit: RateLimit) -> Bucket:
        key = (provider.type, provider.account, limit)
        with self._lock:
            return self._buckets.setdefault(key, Bucket(limit.per_s))
