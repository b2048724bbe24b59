"""Room on this machine's disk: private folders that vanish when nobody works in them any more.

A lock on the folder lives as long as the process that holds it, so what a killed worker leaves behind is removed by the
next to come, and what lies here is never more than what is being worked with, and one source.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event

from mediabroker.errors import ConfigurationError, ErrorCode, MediaError
from mediabroker.media.publish import is_at, own_folder, private_folder, sweep
from neuron_worker.failures import heed

__all__ = ["Scratch", "check_room"]

_LOOK_S = 0.1
_MARGIN_BYTES = 16 << 20
_PRIVATE, _SUFFIX = "run-", ".mediabroker-scratch"
_NAME = re.compile(r"(run-[a-z0-9_]{8}|source-[0-9a-f]{32})\.mediabroker-scratch")
"""A private folder, or a shared one, which is named by a digest."""


class Scratch:
    """A folder of this user's, shared by all workers on this machine. Only what is named as here is ever removed.

    Raises:
        ConfigurationError: it cannot be made, is a link, or others may look into it.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        try:
            root.parent.mkdir(parents=True, exist_ok=True)
            own_folder(root)
            found = root.lstat()
        except OSError as error:
            raise ConfigurationError(f"the scratch folder {root} cannot be used: {error.strerror}") from error
        if found.st_mode & 0o077:
            raise ConfigurationError(f"the scratch folder {root} is open to others; chmod 700 it, or choose another")

    @contextmanager
    def private(self) -> Iterator[Path]:
        """A new, empty folder for the body alone."""
        with private_folder(self._root, _PRIVATE, _SUFFIX) as folder:
            yield folder

    @contextmanager
    def shared(
        self, name: str, stop: Event, *, ready: Callable[[Path], bool], prepare: Callable[[Path], None]
    ) -> Iterator[Path]:
        """The folder `name`, which stays while the body runs; one worker alone prepares it, if it is not ready.

        Folders of this class that no worker uses are removed first.

        Raises:
            InterruptedWorkError: `stop` was set.
            ConfigurationError: a link, or another user's folder, stands at its name.
        """
        folder = self._root / f"{name}{_SUFFIX}"
        sweep(self._root, _NAME, keep=folder)
        while True:
            with _held(folder, fcntl.LOCK_SH, stop):
                if ready(folder):
                    yield folder
                    return
            # Whoever has seen it too early must not wait for the end of those who work with it by now.
            with _held(folder, fcntl.LOCK_EX, stop, unless=lambda: ready(folder)):
                if not ready(folder):
                    prepare(folder)


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
        try:
            own_folder(folder)
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except PermissionError as error:
            raise ConfigurationError(f"the scratch folder {folder} cannot be used: {error.strerror}") from error
        except FileNotFoundError:
            if not folder.parent.is_dir():
                raise
            continue  # another worker has just removed it
        try:
            _lock(lock, how, stop, unless)
            if is_at(folder, lock):
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
