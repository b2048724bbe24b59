"""Bytes on disk: written once, measured while they come in, never held in memory."""

from __future__ import annotations

import hashlib
import secrets
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from oss2.utils import Crc64

__all__ = ["Blob", "Blobs"]

_CHUNK_BYTES = 1 << 18


@dataclass(frozen=True)
class Blob:
    """A file with what is known of its content. `md5` in upper-case digits, as ETags are; `crc64` is CRC-64/XZ."""

    path: Path
    size_bytes: int
    md5: str
    crc64: int


class Blobs:
    """A folder of them. Thread-safe: every blob has a name of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def receive(self, stream: BinaryIO) -> Blob:
        """Keep what the stream holds; nothing stays behind when it breaks."""
        path = self._folder / secrets.token_hex(16)
        digest, crc, size_bytes = hashlib.md5(usedforsecurity=False), Crc64(), 0
        try:
            with path.open("wb") as file:
                while chunk := stream.read(_CHUNK_BYTES):
                    file.write(chunk)
                    digest.update(chunk)
                    crc.update(chunk)
                    size_bytes += len(chunk)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return Blob(path, size_bytes, digest.hexdigest().upper(), crc.crc)

    def cut(self, blob: Blob, start: int, size_bytes: int) -> Blob:
        """A copy of a part of it."""
        with blob.path.open("rb") as file:
            file.seek(start)
            return self.receive(_Limited(file, size_bytes))  # type: ignore[arg-type]  # only `read` is used

    def join(self, parts: Sequence[Blob]) -> Blob:
        """One blob of several, in their order, which are used up. Its `md5` is that of their digests."""
        first, *rest = parts
        joined = replace(first, path=self._folder / secrets.token_hex(16))
        first.path.rename(joined.path)
        for each in rest:
            joined = self.append(joined, each)
        digests = b"".join(bytes.fromhex(each.md5) for each in parts)
        return replace(joined, md5=hashlib.md5(digests, usedforsecurity=False).hexdigest().upper())

    def append(self, blob: Blob, more: Blob) -> Blob:
        """The blob with another one at its end, which is used up; who reads the first one now is not disturbed."""
        with blob.path.open("ab") as file, more.path.open("rb") as added:
            shutil.copyfileobj(added, file, _CHUNK_BYTES)
        more.path.unlink()
        crc64 = Crc64().combine(blob.crc64, more.crc64, more.size_bytes)
        return replace(blob, size_bytes=blob.size_bytes + more.size_bytes, crc64=crc64)


class _Limited:
    def __init__(self, file: BinaryIO, size_bytes: int) -> None:
        self._file, self._left = file, size_bytes

    def read(self, size: int) -> bytes:
        chunk = self._file.read(min(size, self._left))
        self._left -= len(chunk)
        return chunk
