"""One worker's claim on the work of one source: taken, kept alive, and given up, by conditional writes alone.

Lambda runs an asynchronous invocation at least once. A second one finds the claim and leaves; when the first has died,
its claim is not kept alive any more, and the retry of a minute later takes it over.
"""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mediabroker.errors import ErrorCode, JobError, ProviderError
from mediabroker_aws.transcoder.status import LostInvocation, Seen, Status, StatusBoard

__all__ = ["Claim", "end_lost"]

_log = logging.getLogger(__name__)

LEASE_S = 45.0
"""A claim that was not renewed for so long is dead; Lambda's first retry comes after a minute."""
_RENEW_S = 15.0


_TOO_OLD = "EventAgeExceeded"


def end_lost(board: StatusBoard, lost: LostInvocation) -> Status | None:
    """Write down that a work has failed which Lambda has given up; None: it has ended, or is another invocation's.

    What is being published may be whole, and whoever reads the status will see it fall silent.
    """
    work, seen = lost.payload.work, board.read(lost.payload.work)
    if seen is None or seen.status.state not in ("queued", "running"):
        return None
    if seen.status.owner is not None and not seen.status.owner.startswith(f"{lost.context.id}/"):
        return None
    code = ErrorCode.CAPACITY if lost.context.condition == _TOO_OLD else ErrorCode.WORKER_CRASHED
    error = JobError.of(code, f"Lambda has given its worker up: {lost.context.condition}")
    failed = seen.status.model_copy(update={"state": "failed", "error": error})
    return failed if board.write(work, failed, replaces=seen.version) else None


class Claim:
    """Held by one invocation. `lost` is set when somebody else has changed the status: a cancel, or another worker."""

    def __init__(self, board: StatusBoard, work: str, seen: Seen) -> None:
        self.work, self.lost = work, threading.Event()
        self.progress: float | None = None
        self._board, self._status, self._version = board, seen.status, seen.version
        self._lock = threading.Lock()

    @classmethod
    def take(cls, board: StatusBoard, work: str, owner: str) -> Claim | None:
        """The claim; None when the work has ended, was never asked for, or is in other hands."""
        seen = board.read(work)
        if seen is None or seen.status.has_ended:
            return None
        if seen.status.state != "queued" and seen.age_s <= LEASE_S:
            return None
        claim = cls(board, work, seen)
        state = "publishing" if seen.status.state == "publishing" else "running"
        # Both deliveries of one invocation bear its id; the status must tell them apart.
        mark = f"{owner}/{secrets.token_hex(4)}"
        taken = claim.move(state=state, owner=mark, attempts=seen.status.attempts + 1)
        return claim if taken else None

    @property
    def status(self) -> Status:
        return self._status

    def move(self, **changes: Any) -> bool:
        """Write a change; False, and `lost`, when the claim is somebody else's by now."""
        with self._lock:
            status = self._status.model_copy(update=changes)
            version = self._board.write(self.work, status, replaces=self._version)
            if version is None:
                self.lost.set()
                return False
            self._status, self._version = status, version
            return True

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Keep the claim alive, and tell `progress`, while the body runs."""
        over = threading.Event()
        thread = threading.Thread(target=self._renew, args=(over,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _renew(self, over: threading.Event) -> None:
        while not over.wait(_RENEW_S) and not self.lost.is_set():
            try:
                self.move(progress=self.progress)
            except ProviderError as error:
                _log.warning("a claim could not be renewed: %s", error, extra={"work": self.work})
