"""Exclusive file locks that live exactly as long as the processes that hold them.

A lock belongs to the open file description, so a child that inherits the descriptor holds it too, and the kernel
frees it when the last holder is gone, however it died. Source: flock(2).
"""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType

__all__ = ["FileLock", "LockTimeoutError", "take_lock", "try_lock"]

_POLL_S = 0.005


class LockTimeoutError(TimeoutError):
    """Somebody else has held a lock for longer than anybody should."""


class FileLock:
    """A lock that this process holds. `fd` may be passed on to a child, which then holds it as well."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def release(self) -> None:
        """Let go; children that inherited the descriptor keep the lock."""
        # Closing instead of LOCK_UN: unlocking would take the lock away from them too.
        fd, self.fd = self.fd, -1
        if fd >= 0:
            with suppress(OSError):
                os.close(fd)

    def __enter__(self) -> FileLock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def try_lock(path: Path) -> FileLock | None:
    """The lock at `path`, or None where somebody holds it."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    except BaseException:
        os.close(fd)
        raise
    return FileLock(fd)


def take_lock(path: Path, *, timeout_s: float) -> FileLock:
    """The lock at `path`, waited for.

    Raises:
        LockTimeoutError: held by others for `timeout_s`.
    """
    until = time.monotonic() + timeout_s
    while (lock := try_lock(path)) is None:
        if time.monotonic() >= until:
            raise LockTimeoutError(f"{path} has been locked by another process for {timeout_s:g} s")
        time.sleep(_POLL_S)
    return lock
