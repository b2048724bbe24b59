"""A lock whose waiters get it in the order in which they came."""

from __future__ import annotations

from collections import deque
from threading import Lock

__all__ = ["Turns"]


class Turns:
    """One writer after the other, within this process.

    SQLite lets writers wait by looking again after ever longer pauses, so that of several threads that write without
    a pause one may look in vain for as long as it is willing to. Here each is handed the lock in its turn.
    """

    def __init__(self) -> None:
        self._guard = Lock()
        self._taken = False
        self._waiting: deque[Lock] = deque()

    def acquire(self, timeout_s: float) -> bool:
        """Wait for the turn; False when it has not come within `timeout_s` seconds."""
        with self._guard:
            if not self._taken:
                self._taken = True
                return True
            turn = Lock()
            turn.acquire()
            self._waiting.append(turn)
        if turn.acquire(timeout=timeout_s):
            return True
        with self._guard:
            if turn in self._waiting:
                self._waiting.remove(turn)
                return False
        return True  # it came at the last moment

    def release(self) -> None:
        with self._guard:
            if self._waiting:
                self._waiting.popleft().release()  # handed over: it stays taken
            else:
                self._taken = False
