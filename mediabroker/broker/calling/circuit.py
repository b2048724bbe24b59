"""What keeps a broken vendor from being flooded: a budget for retries, and a breaker that stops asking for a while.

One of each for a provider and an operation, in this process. The budget bounds what retries add to the calls that
somebody wanted; the breaker bounds those calls themselves while nothing answers.
"""

from __future__ import annotations

from threading import Lock

from mediabroker.clock import Clock
from mediabroker.errors import UnavailableError

__all__ = ["Circuit", "CircuitOpenError"]

_SHARE = 0.1
"""Of all calls may be retries, in the long run."""
_SAVED = 10.0
"""Retries that may be saved up, so that a short trouble is met with patience."""
_FAILURES = 10
"""How many tries in a row may find nobody there before the breaker opens."""
_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 20.0


class CircuitOpenError(UnavailableError):
    """Not sent: the calls before it found nobody there, and the next try is not due yet."""


class Circuit:
    """The state of one operation of one provider. Thread-safe."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = Lock()
        self._retries = _SAVED
        self._failures = 0
        self._pause_s = 0.0
        self._closed_until_s = float("-inf")

    def begin(self, provider: str, operation: str) -> None:
        """Before a call that somebody wants.

        While the breaker is open one call is let through after each pause; it tells whether the vendor is back.

        Raises:
            CircuitOpenError: with the seconds to wait as `retry_after_s`; nothing may be sent.
        """
        with self._lock:
            now_s = self._clock.monotonic_s()
            if self._pause_s and now_s < self._closed_until_s:
                left_s = self._closed_until_s - now_s
                raise CircuitOpenError(
                    f"it was out of order {self._failures} times in a row; asked again in {left_s:.0f} s",
                    provider=provider,
                    operation=operation,
                    retry_after_s=left_s,
                )
            if self._pause_s:
                self._closed_until_s = now_s + self._pause_s  # others wait for what this one finds
            self._retries = min(_SAVED, self._retries + _SHARE)

    def may_retry(self) -> bool:
        """Whether the budget has room for one more; it is taken."""
        with self._lock:
            if self._pause_s or self._retries < 1:
                return False
            self._retries -= 1
            return True

    def answered(self) -> None:
        """The vendor is there, whatever it said."""
        with self._lock:
            self._failures, self._pause_s = 0, 0.0

    def nobody_there(self) -> None:
        """The vendor could not be reached, or is out of order."""
        with self._lock:
            self._failures += 1
            if self._failures >= _FAILURES:
                self._pause_s = min(max(_FIRST_PAUSE_S, self._pause_s * 2), _LONGEST_PAUSE_S)
                self._closed_until_s = self._clock.monotonic_s() + self._pause_s
