"""The one safe way to open a media file with PyAV."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import av.error
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition
from av.video.stream import VideoStream

from mediabroker.errors import ErrorCode, MediaError
from mediabroker.media.ffmpeg.limits import MEDIA_LIMITS, MediaLimits
from mediabroker.media.sniff import Container, sniff

__all__ = ["holds_sound", "media_errors", "moving_pictures", "open_as", "open_input", "presented_s"]

_UNSUPPORTED = (
    av.error.DecoderNotFoundError,
    av.error.DemuxerNotFoundError,
    av.error.PatchWelcomeError,
    av.error.NotImplementedError,
)
_EXHAUSTED = frozenset({errno.ENOSPC, errno.EDQUOT, errno.ENOMEM, errno.EMFILE})


def open_input(path: Path, *, limits: MediaLimits = MEDIA_LIMITS) -> InputContainer:
    """Open `path` for reading; close it, or use it with `with`.

    The file's own bytes choose the demuxer, so a playlist or a list under a video's name is refused and no other file
    is ever opened. Decoders refuse pictures above `limits.max_pixels`.

    Raises:
        MediaError: as `sniff` does, or `MEDIA_CORRUPT`, `MEDIA_UNSUPPORTED` when the content cannot be opened or is
            over a limit.
    """
    return open_as(path, sniff(path), limits)


def open_as(path: Path, container: Container, limits: MediaLimits = MEDIA_LIMITS) -> InputContainer:
    """`open_input` for a file that has been sniffed already."""
    with media_errors(path):
        opened = av.open(
            f"file:{path.absolute()}",
            format=container.demuxer,
            metadata_errors="replace",
            options={"max_pixels": str(limits.max_pixels)},
            container_options={"format_whitelist": container.demuxer, "protocol_whitelist": "file"},
        )
    try:
        _check_streams(path, opened, limits)
    except MediaError:
        opened.close()
        raise
    for stream in moving_pictures(opened):
        # Streams may change size midway; the decoder itself has to know the limit as well.
        stream.codec_context.options = {"max_pixels": str(limits.max_pixels)}
    return opened


def moving_pictures(container: InputContainer) -> list[VideoStream]:
    """The streams that are video, without cover pictures."""
    return [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]


def holds_sound(stream: AudioStream) -> bool:
    """Return whether a sound track has any: programme tables announce tracks that never come."""
    context = stream.codec_context
    return context is not None and bool(context.sample_rate) and bool(context.channels)


def presented_s(container: InputContainer) -> float | None:
    """Return for how long a container's content is shown, in seconds; None when the header does not say.

    MP4, FLV and Matroska count from time zero, also where a recording of a live stream starts hours or decades later.
    """
    if container.duration is None:
        return None
    counted, start = container.duration, container.start_time or 0
    counts_from_zero = not {"mov", "flv", "matroska"}.isdisjoint(container.format.name.split(","))
    return (counted - start if counts_from_zero and 0 < start < counted else counted) / av.time_base


def _check_streams(path: Path, container: InputContainer, limits: MediaLimits) -> None:
    if not container.streams:
        raise MediaError(ErrorCode.MEDIA_CORRUPT, f"{path} holds no stream")
    if len(container.streams) > limits.max_streams:
        found = f"{len(container.streams)} streams; at most {limits.max_streams} are allowed"
        raise MediaError(ErrorCode.MEDIA_UNSUPPORTED, f"{path} holds {found}")
    for stream in moving_pictures(container):
        if stream.codec_context is None:
            raise MediaError(ErrorCode.MEDIA_UNSUPPORTED, f"{path}: no decoder here knows the codec of its video")
        if stream.width * stream.height > limits.max_pixels:
            size = f"{stream.width}x{stream.height} pixels; at most {limits.max_pixels} pixels are allowed"
            raise MediaError(ErrorCode.MEDIA_UNSUPPORTED, f"{path} has pictures of {size}")
    duration_s = presented_s(container)
    if duration_s is not None and duration_s > limits.max_duration_s:
        found = f"{duration_s:.0f} s; at most {limits.max_duration_s:.0f} s are allowed"
        raise MediaError(ErrorCode.MEDIA_UNSUPPORTED, f"{path} lasts {found}")


@contextmanager
def media_errors(path: Path) -> Iterator[None]:
    """Turn what PyAV raises while `path` is read into a `MediaError` of the code that fits."""
    try:
        yield
    except (FFmpegError, OSError, MemoryError, UnicodeError) as error:
        raise _typed(path, error) from error


def _typed(path: Path, error: Exception) -> MediaError:
    number = getattr(error, "errno", None)
    if isinstance(error, FileNotFoundError):
        return MediaError(ErrorCode.INPUT_NOT_FOUND, f"{path} does not exist")
    if isinstance(error, PermissionError):
        return MediaError(ErrorCode.INPUT_DENIED, f"{path} may not be read")
    if isinstance(error, MemoryError) or number in _EXHAUSTED:
        return MediaError(ErrorCode.OUT_OF_RESOURCES, f"{path}: {getattr(error, 'strerror', None) or 'out of memory'}")
    reason = getattr(error, "strerror", None) or str(error)
    if isinstance(error, _UNSUPPORTED):
        return MediaError(ErrorCode.MEDIA_UNSUPPORTED, f"{path} cannot be decoded here: {reason}")
    return MediaError(ErrorCode.MEDIA_CORRUPT, f"{path} is damaged or incomplete: {reason}")
