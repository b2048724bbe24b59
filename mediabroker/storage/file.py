"""`file://`: objects on this machine's disks."""

from __future__ import annotations

import fcntl
import glob
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from mediabroker.errors import ErrorCode, MediaError
from mediabroker.media.publish import publish_file
from mediabroker.objects import ObjectStat
from mediabroker.refs import MediaURI

__all__ = ["FileStore"]

_CHUNK_BYTES = 1 << 20


class FileStore:
    """Files, written beside their final name, flushed, and moved into place in one step."""

    def stat(self, uri: MediaURI) -> ObjectStat | None:
        try:
            found = uri.path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
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
        if not overwrite and path.exists():
            raise MediaError(ErrorCode.OUTPUT_EXISTS, f"{path} exists; set overwrite to replace it")
        with _written_beside(path, chunks) as temporary:
            publish_file(temporary, path, overwrite=overwrite)
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
            yield from (MediaURI(Path(path, name)) for name in names)

    def close(self) -> None:
        """Nothing stays open between calls."""


def _described(found: os.stat_result) -> ObjectStat:
    version = f"{found.st_dev:x}-{found.st_ino:x}-{found.st_size:x}-{found.st_mtime_ns:x}"
    return ObjectStat(found.st_size, version)


@contextmanager
def _written_beside(path: Path, chunks: Iterator[bytes]) -> Iterator[Path]:
    """The chunks in a file beside `path`, as long as the block runs."""
    _remove_abandoned(path)
    with _locked_file(path) as file:
        temporary = Path(file.name)
        try:
            for chunk in chunks:
                file.write(chunk)
            file.flush()
            yield temporary
        finally:
            temporary.unlink(missing_ok=True)


def _locked_file(path: Path) -> IO[bytes]:
    """A new file, locked as long as its writer lives and it is open."""
    while True:
        try:
            file = tempfile.NamedTemporaryFile(  # noqa: SIM115  its block is the caller's
                dir=path.parent, prefix=f".{path.name[:60]}.", suffix=".part", delete=False
            )
        except OSError as error:
            raise MediaError(ErrorCode.OUTPUT_DENIED, f"{path.parent} cannot be written: {error.strerror}") from error
        fcntl.flock(file, fcntl.LOCK_EX)
        if Path(file.name).exists():  # else another writer took it for abandoned before it was locked
            return file
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
