"""What was really accepted, for tests that count: nothing is ever taken out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from threading import Lock

__all__ = ["Accepted", "Ledger"]


@dataclass(frozen=True)
class Accepted:
    """A job that exists at the vendor, whatever its submitter has heard of it."""

    at: datetime
    account: str
    region: str
    action: str
    job_id: str
    params: Mapping[str, str]


class Ledger:
    """Append-only. Thread-safe."""

    def __init__(self) -> None:
        self._entries: list[Accepted] = []
        self._lock = Lock()

    def append(self, entry: Accepted) -> None:
        with self._lock:
            self._entries.append(entry)

    def entries(self, action: str | None = None) -> list[Accepted]:
        """All of them, or those of one action, in the order in which they were accepted."""
        with self._lock:
            return [each for each in self._entries if action in (None, each.action)]
