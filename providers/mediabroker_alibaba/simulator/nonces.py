"""Which nonces were seen lately: a signed request works once."""

from __future__ import annotations

from collections import deque
from threading import Lock

from mediabroker.clock import Clock
from mediabroker_alibaba.simulator.clock import MAX_SKEW

__all__ = ["NonceMemory"]

_KEEP_S = 2 * MAX_SKEW.total_seconds()
"""A request is fresh from 15 minutes before its time to 15 minutes after it; older nonces cannot come back."""


class NonceMemory:
    """Nonces by the key that used them. Thread-safe."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seen: set[tuple[str, str]] = set()
        self._order: deque[tuple[float, tuple[str, str]]] = deque()
        self._lock = Lock()

    def use(self, access_key_id: str, nonce: str) -> bool:
        """Whether this is the first use; from now on it is not."""
        now_s, one = self._clock.monotonic_s(), (access_key_id, nonce)
        with self._lock:
            while self._order and self._order[0][0] < now_s - _KEEP_S:
                self._seen.discard(self._order.popleft()[1])
            if one in self._seen:
                return False
            self._seen.add(one)
            self._order.append((now_s, one))
            return True
