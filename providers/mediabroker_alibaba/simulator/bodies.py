"""Request bodies as streams, whichever way they are framed: by `Content-Length` or in chunks. Source: RFC 9112, 6-7."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import BinaryIO, cast

__all__ = ["open_body"]

_LINE_LIMIT_BYTES = 4096


def open_body(connection: BinaryIO, headers: Mapping[str, str]) -> BinaryIO:
    """The body that follows the headers on a connection; an empty one when none was announced.

    Raises:
        ConnectionError: while reading: the client went away before the end, or its framing is wrong.
    """
    raw: io.RawIOBase
    if _header(headers, "transfer-encoding").lower() == "chunked":
        raw = _Chunked(connection)
    else:
        raw = _Sized(connection, int(_header(headers, "content-length") or 0))
    return io.BufferedReader(raw, 1 << 16)


def _header(headers: Mapping[str, str], wanted: str) -> str:
    return next((value for name, value in headers.items() if name.lower() == wanted), "")


class _Sized(io.RawIOBase):
    def __init__(self, connection: BinaryIO, size_bytes: int) -> None:
        self._connection, self._left = connection, size_bytes

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        return self._fill(memoryview(cast("bytearray", buffer)))

    def _fill(self, buffer: memoryview) -> int:
        wanted = min(len(buffer), self._left)
        if not wanted:
            return 0
        read = self._connection.read(wanted)
        if len(read) < wanted:
            raise ConnectionError(f"the client went away {self._left - len(read)} bytes before the end of the body")
        buffer[: len(read)] = read
        self._left -= len(read)
        return len(read)


class _Chunked(_Sized):
    def __init__(self, connection: BinaryIO) -> None:
        super().__init__(connection, 0)
        self._begun = self._ended = False

    def _fill(self, buffer: memoryview) -> int:
        if not self._left and not self._ended:
            self._next_chunk()
        return super()._fill(buffer)

    def _next_chunk(self) -> None:
        if self._begun and self._line():
            raise ConnectionError("a chunk does not end where its size says")
        self._begun = True
        size = self._line().partition(b";")[0]
        try:
            self._left = int(size, 16)
        except ValueError:
            raise ConnectionError(f"{size!r} is no chunk size") from None
        if not self._left:
            self._ended = True
            while self._line():  # trailers
                pass

    def _line(self) -> bytes:
        line = self._connection.readline(_LINE_LIMIT_BYTES)
        if not line.endswith(b"\n"):
            raise ConnectionError("the client went away within a chunked body")
        return line.rstrip(b"\r\n")
