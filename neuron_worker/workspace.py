"""The job's folder: records that appear whole or not at all, digests, and claims that die with their process."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from neuron_worker.failures import DuplicateWorkError, heed

__all__ = [
    "claim",
    "claim_folder",
    "durable_rename",
    "read_record",
    "remove_claimed",
    "sha256_of",
    "write_record",
]

RecordT = TypeVar("RecordT", bound=BaseModel)

_BLOCK_BYTES = 1 << 20
_FOLDER_LOCK = "folder.lock"
_POLL_S = 0.05


def sha256_of(path: Path, stop: Event | None = None) -> str:
    """Hex digest of a file's content.

    Raises:
        InterruptedWorkError: `stop` was set.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
            if stop is not None:
                heed(stop)
    return digest.hexdigest()


def write_record(path: Path, record: BaseModel) -> None:
    """Store a record so that a reader at any moment, also after a crash, finds the old content or the new."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.part")
    with partial.open("w", encoding="utf-8") as file:
        file.write(record.model_dump_json(indent=2) + "\n")
    durable_rename(partial, path)


def read_record(path: Path, kind: type[RecordT]) -> RecordT | None:
    """The record at `path`, or None if there is none that this version understands."""
    try:
        return kind.model_validate_json(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValidationError, UnicodeError):
        return None


def durable_rename(partial: Path, final: Path) -> None:
    """Give a finished file its name: content first on the disk, then the name."""
    _sync(partial)
    partial.replace(final)
    _sync(final.parent)


@contextmanager
def claim(path: Path, what: str, *, patience_s: float = 0.0, stop: Event | None = None) -> Iterator[None]:
    """Hold the claim to some work while the body runs; the system frees it when the process dies.

    Args:
        path: the file that is locked.
        what: the work, for the message.
        patience_s: how long to wait for somebody else who holds it.
        stop: ends the waiting.

    Raises:
        DuplicateWorkError: a live process holds it, still after that time.
        InterruptedWorkError: `stop` was set while waiting.
    """
    descriptor = _take(path, what, patience_s, stop or Event())
    try:
        yield
    finally:
        os.close(descriptor)


@contextmanager
def claim_folder(folder: Path, what: str) -> Iterator[bool]:
    """Hold a whole folder while the body runs; the value says whether it was empty, so that nothing is lost with it.

    Raises:
        DuplicateWorkError: a live process holds it.
    """
    try:
        descriptor = _take(folder / _FOLDER_LOCK, what, 0.0, Event())
    except FileNotFoundError as error:  # whoever held it has just removed it
        raise DuplicateWorkError(f"another process has just ended {what}") from error
    try:
        yield all(entry.name == _FOLDER_LOCK for entry in folder.iterdir())
    finally:
        os.close(descriptor)


def remove_claimed(folder: Path) -> None:
    """Remove a folder that this process holds, as far as the system lets it."""
    with suppress(OSError):
        for entry in folder.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry, ignore_errors=True)
            elif entry.name != _FOLDER_LOCK:
                entry.unlink()
        # Last, for without it the next process takes the folder; one that comes in between keeps what it then has.
        (folder / _FOLDER_LOCK).unlink()
        folder.rmdir()


def _take(path: Path, what: str, patience_s: float, stop: Event) -> int:
    deadline = time.monotonic() + patience_s
    while (descriptor := _try_lock(path)) is None:
        if time.monotonic() >= deadline:
            raise DuplicateWorkError(f"another process is working on {what}")
        stop.wait(_POLL_S)
        heed(stop)
    return descriptor


def _try_lock(path: Path) -> int | None:
    """The descriptor that holds the lock; None while somebody else does."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), path.stat()):
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    except BaseException:
        os.close(descriptor)
        raise
    # Held, or removed together with the work by whoever held it: a lock on a file without a name guards nothing.
    os.close(descriptor)
    return None


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
