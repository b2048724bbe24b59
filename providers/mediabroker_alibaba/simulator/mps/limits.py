"""How often an account may call. Source: ApsaraVideo for Media Processing, "QPS limits"."""

from __future__ import annotations

from collections import deque
from threading import Lock

from mediabroker.clock import Clock
from mediabroker_alibaba.simulator.mps.refusals import RpcError

__all__ = ["CALLS_PER_S", "RateLimits", "throttling"]

CALLS_PER_S = {"SubmitMediaInfoJob": 50, "SubmitSnapshotJob": 50}
"""Of one account with all its users; every other action of this simulator has 100."""
_USUAL = 100


def throttling() -> RpcError:
    """Too many requests are an HTTP 400 at this vendor."""
    return RpcError(400, "Throttling.User", "Request was denied due to user flow control.")


class RateLimits:
    """Counts calls in a sliding second. Thread-safe.

    Attributes:
        enforced: off by default, so that tests that are not about it may be quick.
    """

    def __init__(self, clock: Clock) -> None:
        self.enforced = False
        self._clock = clock
        self._calls: dict[tuple[str, str], deque[float]] = {}
        self._lock = Lock()

    def count(self, account: str, action: str) -> None:
        """Let a call pass.

        Raises:
            RpcError: `Throttling.User`; such a call does not count.
        """
        if not self.enforced:
            return
        now_s = self._clock.monotonic_s()
        with self._lock:
            calls = self._calls.setdefault((account, action), deque())
            while calls and calls[0] <= now_s - 1:
                calls.popleft()
            if len(calls) >= CALLS_PER_S.get(action, _USUAL):
                raise throttling()
            calls.append(now_s)
