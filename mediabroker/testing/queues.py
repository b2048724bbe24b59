"""A queue as bad as the contracts of the real ones allow, seeded, in one file, shared by any number of processes.

    queue = FaultyQueue(folder / "queue.db", faults=Faults(duplicate=0.2, drop=0.1, shuffle=True), seed=7)
    queue.send(b"...")
    with broker.events(queue) as stream: ...

Real queues and their simulators are kinder: an application that gets along with this one has nothing to fear of them.
"""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mediabroker.errors import ProviderError
from mediabroker.messages import InboundMessage

__all__ = ["Faults", "FaultyQueue"]

_BATCH = 10
_LOOK_EVERY_S = 0.01
_SCHEMA = """
CREATE TABLE IF NOT EXISTS messages (
    id INTEGER PRIMARY KEY, body BLOB, received INTEGER DEFAULT 0, receipt TEXT DEFAULT '', visible_at REAL DEFAULT 0
)"""


@dataclass(frozen=True)
class Faults:
    """Probabilities from 0 to 1.

    `duplicate` and `drop` strike when a message is sent; `delete_fails` names an entry as failed and keeps it; `ghost`
    says "deleted" and brings the message back; `refuse` fails a whole call.
    """

    duplicate: float = 0.0
    drop: float = 0.0
    shuffle: bool = False
    delete_fails: float = 0.0
    ghost: float = 0.0
    refuse: float = 0.0


class FaultyQueue:
    """An `EventSource` over a file.

    Args:
        visibility_s: how long a received message stays hidden.
        long_poll_s: how long `receive` waits at most, whatever is asked.
        max_delay_s: how long a released message stays hidden at most, whatever is asked.
    """

    def __init__(
        self,
        path: Path,
        *,
        faults: Faults | None = None,
        seed: int = 0,
        visibility_s: float = 30.0,
        long_poll_s: float = 0.2,
        max_delay_s: float = 0.0,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.url = f"faulty://{path}"
        self._path = path
        self._faults = faults or Faults()
        self._random = random.Random(seed)
        self._visibility_s = visibility_s
        self._long_poll_s = long_poll_s
        self._max_delay_s = max_delay_s
        self._now = now
        with self._transaction() as tx:
            tx.execute(_SCHEMA)

    def send(self, body: bytes) -> int:
        """Put a message in, as often as the faults will have it: 0, 1 or 2 times."""
        copies = 0 if self._strikes(self._faults.drop) else 1 + self._strikes(self._faults.duplicate)
        with self._transaction() as tx:
            for _ in range(copies):
                tx.execute("INSERT INTO messages (body) VALUES (?)", (body,))
        return copies

    def receive(self, *, wait_s: float) -> list[InboundMessage]:
        self._maybe_refuse("receive")
        ends = time.monotonic() + min(wait_s, self._long_poll_s)
        while not (found := self._receive_now()) and time.monotonic() < ends:
            time.sleep(_LOOK_EVERY_S)
        return found

    def _receive_now(self) -> list[InboundMessage]:
        with self._transaction() as tx:
            rows = tx.execute(
                "SELECT id, body, received FROM messages WHERE visible_at <= ?", (self._now(),)
            ).fetchall()
            if self._faults.shuffle:
                self._random.shuffle(rows)
            return [self._hand_out(tx, *row) for row in rows[:_BATCH]]

    def _hand_out(self, tx: sqlite3.Connection, number: int, body: bytes, received: int) -> InboundMessage:
        receipt = f"{number}:{received + 1}"
        hidden_until = self._now() + self._visibility_s
        tx.execute(
            "UPDATE messages SET received = received + 1, receipt = ?, visible_at = ? WHERE id = ?",
            (receipt, hidden_until, number),
        )
        return InboundMessage(body, self.url, str(number), receipt, receive_count=received + 1)

    def delete(self, messages: Sequence[InboundMessage]) -> list[InboundMessage]:
        self._maybe_refuse("delete")
        failed = [message for message in messages if self._strikes(self._faults.delete_fails)]
        with self._transaction() as tx:
            for message in messages:
                if message not in failed and not self._strikes(self._faults.ghost):
                    # A stale receipt deletes nothing and says nothing, as with SQS.
                    tx.execute("DELETE FROM messages WHERE receipt = ?", (message.receipt,))
        return failed

    def release(self, messages: Sequence[InboundMessage], *, delay_s: float = 0.0) -> None:
        self._maybe_refuse("release")
        visible_at = self._now() + min(delay_s, self._max_delay_s)
        with self._transaction() as tx:
            for message in messages:
                tx.execute("UPDATE messages SET visible_at = ? WHERE receipt = ?", (visible_at, message.receipt))

    def close(self) -> None:
        """Nothing stays open between calls."""

    def __len__(self) -> int:
        """Messages in the queue, hidden ones too."""
        with self._transaction() as tx:
            count: int = tx.execute("SELECT count(*) FROM messages").fetchone()[0]
            return count

    def _strikes(self, probability: float) -> bool:
        return self._random.random() < probability

    def _maybe_refuse(self, operation: str) -> None:
        if self._strikes(self._faults.refuse):
            raise ProviderError("the queue is out of order", operation=operation, retryable=True)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self._path, timeout=10, isolation_level=None)
        try:
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")
        finally:
            connection.close()
