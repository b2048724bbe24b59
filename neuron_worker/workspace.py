"""The job's folder: records that appear whole or not at all, digests, and claims that die with their process."""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from neuron_worker.failures import DuplicateWorkError, heed

__all__ = ["claim", "durable_rename", "read_record", "sha256_of", "write_record"]

RecordT = TypeVar("RecordT", bound=BaseModel)

_BLOCK_BYTES = 1 << 20


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
def claim(path: Path, what: str) -> Iterator[None]:
    """Hold the claim to some work while the body runs; the system frees it when the process dies.

    Raises:
        DuplicateWorkError: a live process holds it.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DuplicateWorkError(f"another process is working on {what}") from error
        yield
    finally:
        os.close(descriptor)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
