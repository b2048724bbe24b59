"""Room on this machine's disk: private folders that vanish when nobody works in them any more.

A lock on the folder lives as long as the process that holds it, so what a killed worker leaves behind is removed by the
next to come, and what lies here is never more than what is being worked with, and one source.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event

from mediabroker.errors import ConfigurationError, ErrorCode, MediaError
from neuron_worker.failures import heed

__all__ = ["Scratch", "check_room"]

_LOOK_S = 0.1
_PRIVATE = "run-"
_SUFFIX = ".mediabroker-scratch"
_NAME = re.compile(r"(run-[a-z0-9_]{8}|source-[0-9a-f]{32})\.mediabroker-scratch")
"""A private folder, or a shared one, which is named by a digest."""
_MARGIN_BYTES = 16 << 20


class Scratch:
    """A folder of this user's, shared by all workers on this machine. Names in it are given here, never by callers.

    Raises:
        ConfigurationError: it cannot be made, or others may look into it.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        try:
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
            found = root.lstat()
        except OSError as error:
            raise ConfigurationError(f"the scratch folder {root} cannot be made: {error.strerror}") from error
        if stat.S_ISLNK(found.st_mode):
            raise ConfigurationError(f"the scratch folder {root} is a link, perhaps a planted one; name a folder")
        if found.st_uid != os.geteuid() or found.st_mode & 0o077:
            raise ConfigurationError(f"the scratch folder {root} is open to others; chmod 700 it, or choose another")

    @contextmanager
    def private(self) -> Iterator[Path]:
        """A new, empty folder for the body alone."""
        while True:
            folder = Path(tempfile.mkdtemp(prefix=_PRIVATE, suffix=_SUFFIX, dir=self._root))
            lock = os.open(folder, os.O_RDONLY)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if _is_there(folder, lock):
                break
            os.close(lock)  # swept away before it was locked
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)

    @contextmanager
    def shared(
        self, name: str, stop: Event, *, ready: Callable[[Path], bool], prepare: Callable[[Path], None]
    ) -> Iterator[Path]:
        """The folder `name`, which stays while the body runs; one worker alone prepares it, if it is not ready.

        Whatever nobody works with is removed first.

        Raises:
            InterruptedWorkError: `stop` was set.
        """
        folder = self._root / f"{name}{_SUFFIX}"
        self._sweep(keep=folder)
        while True:
            with _held(folder, fcntl.LOCK_SH, stop):
                if ready(folder):
                    yield folder
                    return
            # Whoever has seen it too early must not wait for the end of those who work with it by now.
            with _held(folder, fcntl.LOCK_EX, stop, unless=lambda: ready(folder)):
                if not ready(folder):
                    prepare(folder)

    def _sweep(self, keep: Path) -> None:
        """Remove the folders of this class that no process holds; what others keep here is theirs."""
        for folder in self._root.glob(f"*{_SUFFIX}"):
            if folder == keep or not _is_own(folder):
                continue
            try:
                lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            except OSError:  # another worker has just removed it
                continue
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            except BlockingIOError:
                continue
            finally:
                os.close(lock)


def _is_own(folder: Path) -> bool:
    """Whether the name is one that this class gives, and stands for a real folder of this user."""
    found = folder.lstat()
    return bool(_NAME.fullmatch(folder.name)) and stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()


def check_room(folder: Path, need_bytes: int) -> None:
    """Refuse to begin what will not fit.

    Raises:
        MediaError: `OUT_OF_RESOURCES`.
    """
    free = shutil.disk_usage(folder).free
    if free < need_bytes + _MARGIN_BYTES:
        raise MediaError(
            ErrorCode.OUT_OF_RESOURCES, f"{folder} has {free >> 20} MiB free; {need_bytes >> 20} MiB are needed"
        )


@contextmanager
def _held(folder: Path, how: int, stop: Event, *, unless: Callable[[], bool] = lambda: False) -> Iterator[None]:
    while True:
        folder.mkdir(mode=0o700, exist_ok=True)
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            _lock(lock, how, stop, unless)
            if _is_there(folder, lock):
                yield
                return
        finally:
            os.close(lock)


def _lock(lock: int, how: int, stop: Event, unless: Callable[[], bool]) -> None:
    while not unless():
        heed(stop)
        try:
            fcntl.flock(lock, how | fcntl.LOCK_NB)
        except BlockingIOError:
            stop.wait(_LOOK_S)
        else:
            return


def _is_there(folder: Path, lock: int) -> bool:
    try:
        return os.path.samestat(folder.stat(), os.fstat(lock))
    except FileNotFoundError:
        return False
