"""Reads what a video in an object store says of itself, by parts, without copying it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import IO

import av
from av.error import FFmpegError
from typing_extensions import Buffer

from mediabroker.errors import ErrorCode, MediaError
from mediabroker.media.sniff import identify
from mediabroker.objects import ObjectStore
from mediabroker.refs import MediaURI
from mediabroker.spi import Reply

__all__ = ["read_metadata"]

_HEAD_BYTES = 1 << 16
_SKIP_BYTES = 1 << 20
"""A gap up to this size is read over; for a larger one a new request is cheaper."""
_BUFFER_BYTES = 1 << 16


def read_metadata(store: ObjectStore, uri: MediaURI) -> Reply:
    """Size, version, duration in seconds, picture size in pixels and frames a second of the video at `uri`.

    Duration and frame rate are None where they are unknown.

    The object's own bytes choose the demuxer, so a playlist under a video's name opens no other file.

    Raises:
        MediaError: there is no such object, it may not be read, or it is no video.
        ProviderError: the store cannot be asked now.
    """
    stat = store.stat(uri)
    if stat is None:
        raise MediaError(ErrorCode.INPUT_NOT_FOUND, f"{uri} does not exist")
    with io.BufferedReader(_Remote(store, uri, stat.size_bytes), _BUFFER_BYTES) as file:
        kind = identify(file.read(_HEAD_BYTES))
        if kind is None:
            raise MediaError(ErrorCode.MEDIA_UNSUPPORTED, f"{uri} is in no known media container")
        file.seek(0)
        return {"size_bytes": stat.size_bytes, "version": stat.version, **_look(file, uri, kind.demuxer)}


def _look(file: IO[bytes], uri: MediaURI, demuxer: str) -> dict[str, float | int | None]:
    only = {"format_whitelist": demuxer, "protocol_whitelist": "file"}
    try:
        with av.open(file, format=demuxer, metadata_errors="replace", container_options=only) as container:
            if not container.streams.video:
                raise MediaError(ErrorCode.MEDIA_UNSUPPORTED, f"{uri} holds no video")
            stream, ticks = container.streams.video[0], container.duration
            return {
                "duration_s": None if ticks is None else ticks / av.time_base,
                "width_px": stream.width,
                "height_px": stream.height,
                "frame_rate": float(stream.average_rate) if stream.average_rate else None,
            }
    except FFmpegError as error:
        reason = error.strerror or str(error)
        raise MediaError(ErrorCode.MEDIA_CORRUPT, f"{uri} is damaged or incomplete: {reason}") from error


class _Remote(io.RawIOBase):
    """A stored object as a file that can be read and sought in."""

    def __init__(self, store: ObjectStore, uri: MediaURI, size_bytes: int) -> None:
        super().__init__()
        self._store, self._uri, self._size_bytes = store, uri, size_bytes
        self._at = 0
        self._chunks: Iterator[bytes] | None = None
        self._chunk = memoryview(b"")
        self._chunk_at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size_bytes}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Buffer) -> int:
        target = memoryview(buffer)
        if self._at >= self._size_bytes or not self._reach():
            return 0
        start = self._at - self._chunk_at
        count = min(len(target), len(self._chunk) - start)
        target[:count] = self._chunk[start : start + count]
        self._at += count
        return count

    def _reach(self) -> bool:
        """Hold the chunk that the position lies in; False at the end."""
        ahead = self._at - (self._chunk_at + len(self._chunk))
        if self._chunks is None or self._at < self._chunk_at or ahead > _SKIP_BYTES:
            self._drop()
            self._chunks = self._store.read(self._uri, start=self._at)
            self._chunk, self._chunk_at = memoryview(b""), self._at
        while self._at >= self._chunk_at + len(self._chunk):
            self._chunk_at += len(self._chunk)
            self._chunk = memoryview(next(self._chunks, b""))
            if not self._chunk:
                return False
        return True

    def _drop(self) -> None:
        stop = getattr(self._chunks, "close", None)  # lets go of the connection at once
        self._chunks = None
        if stop is not None:
            stop()

    def close(self) -> None:
        self._drop()
        super().close()
