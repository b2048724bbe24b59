"""What the simulated services need of each other: MPS reads and writes objects, and posts messages."""

from __future__ import annotations

from pathlib import Path
from threading import Lock
from typing import Protocol

__all__ = ["InMemoryQueues", "Objects", "PostRefusedError", "Queues", "StorageRefusedError"]


class PostRefusedError(Exception):
    """A message that was not taken. `code` is MNS's, as `QueueNotExist`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message = code, message


class StorageRefusedError(Exception):
    """An object that was not given or taken. `code` is OSS's, as `NoSuchKey`, `NoSuchBucket`, `AccessDenied`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message = code, message


class Queues(Protocol):
    """The message service, seen from inside."""

    def post(self, account: str, region: str, queue: str, body: str) -> str:
        """Put a message whose `MessageBody` is exactly `body`; its message id.

        Raises:
            PostRefusedError: no such queue.
        """
        ...

    def publish(self, account: str, region: str, topic: str, body: str) -> str:
        """Publish to a topic, whose subscribers get the message; its id.

        Raises:
            PostRefusedError: no such topic.
        """
        ...


class Objects(Protocol):
    """The object store, seen from inside."""

    def region_of(self, account: str, bucket: str) -> str | None:
        """Where the account's bucket is; None: the account has no such bucket."""
        ...

    def fetch(self, account: str, bucket: str, key: str, target: Path) -> None:
        """Write the object's bytes to `target`.

        Raises:
            StorageRefusedError: there is none.
        """
        ...

    def store(self, account: str, bucket: str, key: str, source: Path) -> None:
        """Make `source`'s bytes the object, whatever was there.

        Raises:
            StorageRefusedError: no such bucket, or one that may not be written.
        """
        ...


class InMemoryQueues:
    """Queues that only remember what was posted. Thread-safe."""

    def __init__(self) -> None:
        self.posted: dict[tuple[str, str, str], list[str]] = {}
        self._lock = Lock()

    def create(self, account: str, region: str, queue: str) -> None:
        with self._lock:
            self.posted.setdefault((account, region, queue), [])

    def post(self, account: str, region: str, queue: str, body: str) -> str:
        with self._lock:
            if (account, region, queue) not in self.posted:
                raise PostRefusedError("QueueNotExist", "The queue you provided is not exist.")
            self.posted[account, region, queue].append(body)
            return f"{len(self.posted[account, region, queue]):016X}"

    def publish(self, account: str, region: str, topic: str, body: str) -> str:  # noqa: ARG002  the seam's signature
        raise PostRefusedError("TopicNotExist", "The topic you provided is not exist.")
