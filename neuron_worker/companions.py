"""What stands beside the video (audio, subtitles, covers, attachments) and whether the output can hold it."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer, OutputContainer
from av.error import FFmpegError
from av.stream import Disposition, Stream

from mediabroker.errors import ErrorCode, MediaError
from neuron_worker.source import open_source, video_of

__all__ = ["CONTAINERS", "add_companions", "check_companions", "container_of", "copy_tags", "read_companions"]

CONTAINERS: Mapping[str, str] = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}
"""Suffix of the output to the muxer that writes it."""

_UNPLAYABLE: Mapping[str, tuple[str, ...]] = {"mp4": ("vorbis", "pcm_"), "mov": ("vorbis",), "matroska": ()}
"""Codecs by the start of their names that the muxer would take but hardly any player reads in that container."""
_KEPT_TYPES = frozenset({"audio", "subtitle", "video", "attachment"})
"""Data tracks (time codes, telemetry, chapter text) belong to the old file; chapters are kept as chapters."""
_OWN_TAGS = frozenset({"encoder", "major_brand", "minor_version", "compatible_brands", "duration"})
"""Tags in which a muxer describes itself."""
_STATISTICS = ("BPS", "NUMBER_OF_", "_STATISTICS_", "DURATION")


def container_of(output: Path) -> str:
    """The muxer for an output.

    Raises:
        MediaError: `INVALID_SPEC`, the suffix names no container that is written here.
    """
    if found := CONTAINERS.get(output.suffix.lower()):
        return found
    known = ", ".join(CONTAINERS)
    raise MediaError(ErrorCode.INVALID_SPEC, f"the output {output} ends in {output.suffix!r}; use one of {known}")


def check_companions(path: Path, muxer: str) -> None:
    """Refuse, before any work, what the output could not hold.

    Raises:
        MediaError: `MEDIA_UNSUPPORTED`, naming the stream and what to do.
    """
    with open_source(path) as container:
        for stream in _companions(path, container):
            if reason := _obstacle(stream, muxer):
                what = f"{stream.type} stream {stream.index} ({_codec_name(stream)})"
                advice = "" if muxer == "matroska" else "; an output ending in .mkv can"
                raise MediaError(ErrorCode.MEDIA_UNSUPPORTED, f"{path}: {muxer} cannot hold {what}: {reason}{advice}")


def add_companions(path: Path, source: InputContainer, output: OutputContainer) -> dict[int, Stream]:
    """Add a stream to `output` for everything beside the video; source index to new stream."""
    added: dict[int, Stream] = {}
    for stream in _companions(path, source):
        copy = output.add_stream_from_template(stream, opaque=True)
        copy_tags(stream, copy)
        added[stream.index] = copy
    return added


def read_companions(source: InputContainer, added: Mapping[int, Stream], origin_s: Fraction) -> Iterator[Any]:
    """The packets of those streams, untouched but for `origin_s` becoming time zero."""
    wanted = [stream for stream in source.streams if stream.index in added and stream.type != "attachment"]
    if not wanted:
        return
    for packet in source.demux(*wanted):
        if packet.dts is None and packet.pts is None:
            if not packet.size:
                continue  # the demuxer's end marks
            packet.pts = packet.dts = 0  # a cover
        shift = 0 if packet.time_base is None else round(origin_s / packet.time_base)
        packet.pts = None if packet.pts is None else packet.pts - shift
        packet.dts = None if packet.dts is None else packet.dts - shift
        packet.stream = added[packet.stream_index]
        yield packet


def copy_tags(source: Any, target: Any) -> None:
    """Language, title and the like, and which stream is the default."""
    for name, value in source.metadata.items():
        if name.lower() not in _OWN_TAGS and not name.upper().startswith(_STATISTICS):
            target.metadata[name] = value
    if isinstance(target, Stream):
        target.disposition = source.disposition


def _companions(path: Path, container: InputContainer) -> list[Any]:
    main = video_of(path, container)
    return [each for each in container.streams if each.type in _KEPT_TYPES and _belongs(each, main.index)]


def _belongs(stream: Any, main: int) -> bool:
    # Of several videos only the first is upscaled; of pictures only covers are no videos.
    return stream.type != "video" or (stream.index != main and bool(stream.disposition & Disposition.attached_pic))


def _obstacle(stream: Any, muxer: str) -> str | None:
    name = _codec_name(stream)
    if name.startswith(_UNPLAYABLE[muxer]) if _UNPLAYABLE[muxer] else False:
        return "hardly any player would read it there"
    if stream.type != "attachment" and stream.codec_context is None:
        return "its codec is not known here"
    if stream.type == "attachment" and muxer != "matroska":
        return "it has no attachments"
    try:
        with av.open(io.BytesIO(), "w", format=muxer) as rehearsal:
            rehearsal.add_stream_from_template(stream, opaque=True)
            rehearsal.start_encoding()
    except (FFmpegError, ValueError) as error:
        return getattr(error, "strerror", None) or str(error)
    return None


def _codec_name(stream: Any) -> str:
    context = stream.codec_context
    return str(stream.type if context is None else context.codec.canonical_name)
