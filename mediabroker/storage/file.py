"""`file://`: objects on this machine's disks."""

from __future__ import annotations

import fcntl
import glob
import logging
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path

from mediabroker.errors import ErrorCode, MediaError
from mediabroker.media.publish import output_errors, publish_file
from mediabroker.objects import ObjectStat, named
from mediabroker.refs import MediaURI

__all__ = ["FileStore"]

_log = logging.getLogger(__name__)

_CHUNK_BYTES = 1 << 20


class FileStore:
    """Files, written beside their final name, flushed, and moved into place in one step."""

    def stat(self, uri: MediaURI) -> ObjectStat | None:
        try:
            found = uri.path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise MediaError(ErrorCode.INPUT_DENIED, f"{uri.path} cannot be looked at: {error.strerror}") from error
        return _described(found)

    def read(self, uri: MediaURI, *, start: int = 0) -> Iterator[bytes]:
        try:
            with uri.path.open("rb") as file:
                file.seek(start)
                while chunk := file.read(_CHUNK_BYTES):
                    yield chunk
        except FileNotFoundError:
            raise MediaError(ErrorCode.INPUT_NOT_FOUND, f"{uri.path} does not exist") from None
        except OSError as error:
            raise MediaError(ErrorCode.INPUT_DENIED, f"{uri.path} cannot be read: {error.strerror}") from error

    def write(self, uri: MediaURI, chunks: Iterator[bytes], *, overwrite: bool = False) -> ObjectStat:
        path = uri.path
        with output_errors(path):
            if not overwrite and path.exists():
                raise MediaError(ErrorCode.OUTPUT_EXISTS, f"{path} exists; set overwrite to replace it")
        with _written_beside(path, chunks) as temporary:
            publish_file(temporary, path, overwrite=overwrite)
        with output_errors(path):
            return _described(path.stat())

    def delete(self, uri: MediaURI) -> None:
        try:
            uri.path.unlink(missing_ok=True)
        except NotADirectoryError:
            return  # then it is not there either
        except OSError as error:
            raise MediaError(ErrorCode.OUTPUT_DENIED, f"{uri.path} cannot be removed: {error.strerror}") from error

    def list(self, folder: MediaURI) -> Iterator[MediaURI]:
        for path, _, names in os.walk(folder.path):
            yield from named(folder, (Path(path, name) for name in names))

    def close(self) -> None:
        """Nothing stays open between calls."""


def _described(found: os.stat_result) -> ObjectStat:
    version = f"{found.st_dev:x}-{found.st_ino:x}-{found.st_size:x}-{found.st_mtime_ns:x}"
    return ObjectStat(found.st_size, version)


@contextmanager
def _written_beside(path: Path, chunks: Iterator[bytes]) -> Iterator[Path]:
    """The chunks in a file beside `path`, as long as the block runs."""
    with output_errors(path):
        _remove_abandoned(path)
        temporary, file = _locked_file(path)
    try:
        for chunk in chunks:
            with output_errors(path):  # not around the chunks: they have errors of their own
                _write_all(file, chunk)
        yield temporary
    finally:
        with suppress(OSError):  # what is left, the next writer to this name removes
            temporary.unlink(missing_ok=True)
        with suppress(OSError):  # nothing is held back that closing could lose
            file.close()


def _write_all(file: FileIO, chunk: bytes) -> None:
    left = memoryview(chunk)
    while left:
        left = left[file.write(left) :]


def _locked_file(path: Path) -> tuple[Path, FileIO]:
    """A new file beside `path`, locked as long as its writer lives and it is open.

    It is made with the mode that the umask leaves to any new file, for it is the one that gets the final name.
    """
    while True:
        temporary = path.parent / (f".{path.name[:60]}.{secrets.token_hex(4)}.part")
        try:
            number = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        except FileExistsError:
            continue  # another writer's
        file = FileIO(number, "r+")
        fcntl.flock(file, fcntl.LOCK_EX)
        if temporary.exists():  # else another writer took it for abandoned before it was locked
            return temporary, file
        file.close()


def _remove_abandoned(path: Path) -> None:
    """What writers to this name have left behind that were killed: nobody holds its lock any more."""
    for left in path.parent.glob(f".{glob.escape(path.name[:60])}.*.part"):
        try:
            with left.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                left.unlink(missing_ok=True)
        except OSError:
            continue  # somebody is at it, or it is gone
