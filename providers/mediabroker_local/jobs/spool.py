"""All jobs of one root folder, and the order in which they are taken.

    lock      short critical sections: adding, taking, cancelling, forgetting a job, and a supervisor's decision to end
    queue/    one empty file `<number>.<token>` for each job that has not ended; the smallest number is the earliest
    jobs/     one folder for each job
    slots/    one lock for each job that may run at a time

A job's own lock is tried under the spool's lock only, so a lock that cannot be had means that the job runs.
Standard library only, as the supervisor uses it.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from mediabroker_local.jobs.folder import JobFolder, sync_folder, write_atomically
from mediabroker_local.processes.locks import FileLock, take_lock, try_lock

__all__ = ["Spool"]

_LOCK_TIMEOUT_S = 30.0


class Spool:
    """The jobs under `root`, shared by all processes of this user."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._jobs = root / "jobs"
        self._queue = root / "queue"
        self._slots = root / "slots"

    def prepare(self) -> None:
        """Make the folders, readable by this user alone."""
        self.root.mkdir(parents=True, mode=0o700, exist_ok=True)
        for folder in (self._jobs, self._queue, self._slots):
            folder.mkdir(mode=0o700, exist_ok=True)

    def folder(self, token: str) -> JobFolder:
        return JobFolder(self._jobs / token)

    @contextmanager
    def locked(self) -> Generator[None, None, None]:
        """The critical section of all processes.

        Raises:
            LockTimeoutError: another process stays in it.
        """
        with take_lock(self.root / "lock", timeout_s=_LOCK_TIMEOUT_S):
            yield

    def unfinished(self) -> Iterator[JobFolder]:
        """The jobs that have not ended, the earliest first; under the lock."""
        for name in self._entries():
            folder = self.folder(name.partition(".")[2])
            if folder.exists():
                yield folder
            else:  # whoever added it died before the folder was in place
                (self._queue / name).unlink(missing_ok=True)

    def positions(self) -> dict[str, int]:
        """How many unfinished jobs stand before each one, by token."""
        return {name.partition(".")[2]: index for index, name in enumerate(self._entries())}

    def add(self, token: str, document: dict[str, Any]) -> None:
        """Put a job at the end of the queue; under the lock. It is there as a whole or not at all."""
        last = max((int(name.partition(".")[0]) for name in self._entries()), default=0)
        (self._queue / f"{last + 1:012d}.{token}").touch(mode=0o600)
        sync_folder(self._queue)
        draft = Path(tempfile.mkdtemp(prefix=".new-", dir=self._jobs))
        try:
            write_atomically(draft / "job.json", document)
            write_atomically(draft / "state.json", {"state": "QUEUED", "attempt": 0, "phase": "queued"})
            draft.rename(self._jobs / token)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
        sync_folder(self._jobs)

    def take(self) -> tuple[JobFolder, FileLock] | None:
        """The earliest job that nobody runs, with its lock; under the spool's lock."""
        for folder in self.unfinished():
            if lock := try_lock(folder.lock_path):
                if not self.settle(folder):
                    return folder, lock
                lock.release()
        return None

    def settle(self, folder: JobFolder) -> bool:
        """Whether the job needs no run: it has ended, or it is to be cancelled and now is. For the lock's holder."""
        if folder.cancel_requested() and not folder.has_ended():
            folder.end(state="CANCELLED", phase="cancelled")
        if ended := folder.has_ended():
            self._dequeue(folder)
        return ended

    def _dequeue(self, folder: JobFolder) -> None:
        for entry in self._queue.glob(f"*.{folder.token}"):
            entry.unlink(missing_ok=True)

    def waiting(self, limit: int) -> int:
        """How many jobs wait for somebody to run them, counted up to `limit`; under the lock."""
        return sum(1 for _ in islice(self._idle(), limit))

    def _idle(self) -> Iterator[JobFolder]:
        for folder in self.unfinished():
            if lock := try_lock(folder.lock_path):
                lock.release()
                yield folder

    def try_slot(self, index: int) -> FileLock | None:
        """The right to run one job at a time, if it is free."""
        return try_lock(self._slots / f"{index}.lock")

    def forget(self, folder: JobFolder) -> bool:
        """Take an ended job out of sight; under the lock. False where it has not ended, or runs."""
        if not folder.exists() or not folder.has_ended() or (lock := try_lock(folder.lock_path)) is None:
            return False
        with lock:
            self._dequeue(folder)
            folder.path.rename(self._jobs / f".old-{folder.token}")
        return True

    def sweep(self) -> None:
        """Remove what was forgotten, and what a killed process left half-made; under the lock."""
        for path in self._jobs.iterdir():
            if path.name.startswith((".old-", ".new-")):
                shutil.rmtree(path, ignore_errors=True)

    def _entries(self) -> list[str]:
        return sorted(path.name for path in self._queue.iterdir() if path.name.partition(".")[0].isdigit())
