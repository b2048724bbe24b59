"""`file://`: objects on this machine's disks."""

from __future__ import annotations

import fcntl
import logging
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from io import FileIO
from pathlib import Path

from mediabroker.errors import ErrorCode, MediaError
from mediabroker.media.publish import is_at, output_errors, publish_file, sweep
from mediabroker.objects import ObjectStat, named
from mediabroker.refs import MediaURI

__all__ = ["FileStore"]

_log = logging.getLogger(__name__)

_CHUNK_BYTES = 1 << 20
_RANDOM = r"[0-9a-f]{8}\.part"


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

    def write(
        self, uri: MediaURI, chunks: Iterator[bytes], *, overwrite: bool = False, if_version: str | None = None
    ) -> ObjectStat:
        path = uri.path
        sweep(path.parent, re.compile(re.escape(_stem(path)) + _RANDOM), files=True)
        with output_errors(path):
            if not (overwrite or if_version) and path.exists():
                raise MediaError(ErrorCode.OUTPUT_EXISTS, f"{path} exists; set overwrite to replace it")
        with _written_beside(path, chunks) as temporary, _unchanged(path, if_version):
            publish_file(temporary, path, overwrite=overwrite or if_version is not None)
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
def _unchanged(path: Path, version: str | None) -> Iterator[None]:
    """Let no other writer that names a version replace the file while the block runs; None: no version matters."""
    if version is None:
        yield
        return
    changed = MediaError(ErrorCode.INPUT_CHANGED, f"{path} is not of version {version} any more")
    with ExitStack() as stack, output_errors(path):
        try:
            file = stack.enter_context(path.open("rb"))
        except FileNotFoundError:
            raise changed from None
        # The lock is on the file that is replaced: who has waited for it finds another file at the name.
        fcntl.flock(file, fcntl.LOCK_EX)
        if not is_at(path, file.fileno()) or _described(os.fstat(file.fileno())).version != version:
            raise changed
        yield


@contextmanager
def _written_beside(path: Path, chunks: Iterator[bytes]) -> Iterator[Path]:
    """The chunks in a file beside `path`, as long as the block runs."""
    with output_errors(path):
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
        temporary = path.parent / f"{_stem(path)}{secrets.token_hex(4)}.part"
        try:
            number = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        except FileExistsError:
            continue  # another writer's
        file = FileIO(number, "r+")
        fcntl.flock(file, fcntl.LOCK_EX)
        if is_at(temporary, number):  # else another writer took it for abandoned before it was locked
            return temporary, file
        file.close()


def _stem(path: Path) -> str:
    """The beginning of the names of files that become `path`."""
    return f".{path.name[:60]}."
