"""One job as a folder: what was asked, where it stands, and the marks that others leave in it.

    job.json     the request; written once
    state.json   where it stands; replaced as a whole, by the holder of `lock` only
    lock         held by whoever runs the job; liveness is this lock, never a process id
    cancel       there when somebody has asked to stop
    worker.log   what the worker and its children said
    work/        what a run leaves for the next one to resume from
    publishing.json   the result, and the identities of the finished files, once they are about to get their names

Standard library only: the supervisor must start quickly and stay small.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

__all__ = ["ENDED", "JobFolder", "sync_folder", "write_atomically"]

ENDED = frozenset({"SUCCEEDED", "FAILED", "CANCELLED"})
_LOG_TAIL_BYTES = 4096
_LOG_LIMIT_BYTES = 1 << 20


class JobFolder:
    """The folder of one job; `token` is its name."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.token = path.name
        self.lock_path = path / "lock"
        self.log_path = path / "worker.log"
        self.work_path = path / "work"
        self.record_path = path / "publishing.json"

    def exists(self) -> bool:
        return (self.path / "job.json").is_file()

    def document(self) -> dict[str, Any]:
        """What was asked: `spec`, `options`, `settings`, `claim`."""
        return _read(self.path / "job.json")

    def state(self) -> dict[str, Any]:
        """Where it stands: `state`, `attempt`, `phase`, and what there is of progress, frames, error, exit, result."""
        try:
            return _read(self.path / "state.json")
        except ValueError:  # progress is written without a flush, so a power cut may have left an empty file
            return {"state": "RUNNING", "attempt": 1, "phase": "interrupted"}

    def write_state(self, state: dict[str, Any], *, durable: bool = True) -> None:
        """Replace the state; only for the holder of the lock. Progress need not be `durable`."""
        write_atomically(self.path / "state.json", state, durable=durable)

    def end(self, **last: Any) -> None:
        """The last state, durably; only for the holder of the lock."""
        self.clear()  # first, so that whoever reads the end finds everything tidied up
        self.write_state({**self.state(), **last})

    def has_ended(self) -> bool:
        return self.state()["state"] in ENDED

    def cancel_requested(self) -> bool:
        return (self.path / "cancel").exists()

    def request_cancel(self) -> None:
        """Leave the mark, durably."""
        (self.path / "cancel").touch(mode=0o600)
        sync_folder(self.path)

    def open_log(self) -> int:
        """A descriptor that appends to the log; a log that has grown past its limit starts anew."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(self.log_path, flags, 0o600)
        if os.fstat(fd).st_size > _LOG_LIMIT_BYTES:
            os.ftruncate(fd, 0)
        return fd

    def log_tail(self) -> str:
        """The last lines of the log."""
        try:
            with self.log_path.open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - _LOG_TAIL_BYTES))
                return log.read(_LOG_TAIL_BYTES).decode(errors="replace").strip()
        except FileNotFoundError:
            return ""

    def staging_path(self) -> Path | None:
        """A folder beside the output, on the same file system, in which results are made; None without an output.

        Only the holder of `lock` removes it. Its name is none that `mediabroker.media.publish` sweeps.
        """
        claim = self.document()["claim"]
        return Path(claim).with_name(f".mediabroker-job-{self.token}.partial") if claim else None

    def clear(self) -> None:
        """Remove the unpublished, and the intermediates unless the job asked to keep them."""
        if staging := self.staging_path():
            shutil.rmtree(staging, ignore_errors=True)
        if not self.document()["spec"].get("debug"):
            shutil.rmtree(self.work_path, ignore_errors=True)


def write_atomically(path: Path, content: dict[str, Any], *, durable: bool = True) -> None:
    """Replace `path` by `content` as JSON: readers see the old file or the new one, nothing between."""
    fresh = path.with_name(path.name + ".new")
    with fresh.open("w", encoding="utf-8") as file:
        json.dump(content, file)
        if durable:
            file.flush()
            os.fsync(file.fileno())
    fresh.replace(path)
    if durable:
        sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Make the names inside a folder survive a power cut."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content
