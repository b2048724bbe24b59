"""`file://`: objects on this machine's disks."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

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
        temporary = _write_beside(path, chunks)
        try:
            publish_file(temporary, path, overwrite=overwrite)
        finally:
            temporary.unlink(missing_ok=True)
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


def _write_beside(path: Path, chunks: Iterator[bytes]) -> Path:
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:60]}.", suffix=".part")
    except OSError as error:
        raise MediaError(ErrorCode.OUTPUT_DENIED, f"{path.parent} cannot be written: {error.strerror}") from error
    try:
        with os.fdopen(handle, "wb") as file:
            for chunk in chunks:
                file.write(chunk)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return Path(name)
