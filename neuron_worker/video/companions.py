"""What stands beside the video (audio, subtitles, covers, attachments) and whether the output can hold it."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer, OutputContainer
from av.error import FFmpegError
from av.stream import Disposition, Stream

from mediabroker.errors import ErrorCode, MediaError
from mediabroker.media.source import holds_sound, media_errors
from neuron_worker.video.source import open_source, video_of

__all__ = ["add_companions", "check_companions", "copy_tags", "read_companions"]

_UNPLAYABLE: Mapping[str, tuple[str, ...]] = {"mp4": ("vorbis", "pcm_"), "mov": ("vorbis",), "matroska": ()}
"""Codecs by the start of their names that the muxer would take but hardly any player reads in that container."""
_COVER_TYPES: Mapping[str, str] = {"mjpeg": "image/jpeg", "png": "image/png", "bmp": "image/bmp", "gif": "image/gif"}
_KEPT_TYPES = frozenset({"audio", "subtitle", "video", "attachment"})
"""Data tracks (time codes, telemetry, chapter text) belong to the old file; chapters are kept as chapters."""
_OWN_TAGS = frozenset({"encoder", "major_brand", "minor_version", "compatible_brands", "duration"})
"""Tags in which a muxer describes itself."""
_STATISTICS = ("BPS", "NUMBER_OF_", "_STATISTICS_", "DURATION")


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
        if output.format.name == "matroska" and _is_cover(stream):
            _attach_cover(path, stream, output)
            continue
        copy = output.add_stream_from_template(stream, opaque=True)
        copy_tags(stream, copy)
        added[stream.index] = copy
    return added


def read_companions(
    path: Path, source: InputContainer, added: Mapping[int, Stream], origin_s: Fraction
) -> Iterator[Any]:
    """The packets of those streams, untouched but for `origin_s` becoming time zero.

    Raises:
        MediaError: `MEDIA_CORRUPT`, one cannot be read.
    """
    wanted = [stream for stream in source.streams if stream.index in added and stream.type != "attachment"]
    if not wanted:
        return
    latest: dict[int, int] = {}
    for packet in _demuxed(path, source, wanted):
        if packet.dts is None and packet.pts is None:
            if not packet.size:
                continue  # the demuxer's end marks, which say that they are of stream 0
            packet.pts = packet.dts = 0  # a cover
        stream = added[packet.stream_index]
        if packet.is_discard and stream.container.format.name == "matroska":
            continue  # hidden by an edit list, which Matroska has not got
        shift = 0 if packet.time_base is None else round(origin_s / packet.time_base)
        packet.pts = None if packet.pts is None else packet.pts - shift
        packet.dts = None if packet.dts is None else packet.dts - shift
        if stream.type == "audio" and packet.dts is not None:
            _keep_order(packet, latest)
        packet.stream = stream
        yield packet


def _demuxed(path: Path, source: InputContainer, wanted: Sequence[Stream]) -> Iterator[Any]:
    with media_errors(path):
        yield from source.demux(*wanted)


def _keep_order(packet: Any, latest: dict[int, int]) -> None:
    """Two packets of one time are moved apart by a tick, as FFmpeg's own copy does: muxers refuse them."""
    earliest = latest.get(packet.stream_index, packet.dts - 1) + 1
    if packet.dts < earliest:
        packet.dts = earliest
        packet.pts = max(earliest, packet.pts if packet.pts is not None else earliest)
    latest[packet.stream_index] = packet.dts


def copy_tags(source: Any, target: Any) -> None:
    """Language, title and the like, and which stream is the default."""
    for name, value in source.metadata.items():
        if name.lower() not in _OWN_TAGS and not name.upper().startswith(_STATISTICS):
            target.metadata[name] = value
    if isinstance(target, Stream):
        target.disposition = source.disposition


def _companions(path: Path, container: InputContainer) -> list[Any]:
    main = video_of(path, container)
    known = [each for each in container.streams.audio if each.codec_context is not None]
    silent = {each.index for each in known if not holds_sound(each)}
    kept = (each for each in container.streams if each.type in _KEPT_TYPES and each.index not in silent)
    return [each for each in kept if _belongs(each, main.index)]


def _belongs(stream: Any, main: int) -> bool:
    # Of several videos only the first is upscaled; of pictures only covers are no videos.
    return stream.type != "video" or (stream.index != main and _is_cover(stream))


def _is_cover(stream: Any) -> bool:
    return stream.type == "video" and bool(stream.disposition & Disposition.attached_pic)


def _attach_cover(path: Path, stream: Any, output: OutputContainer) -> None:
    """Matroska keeps covers as attachments, which stand in its header: so this one is read ahead.

    Source: RFC 9559, section 21.2, "Cover Art".
    """
    codec = _codec_name(stream)
    kind = _COVER_TYPES[codec]
    name = stream.metadata.get("filename") or f"cover.{kind.rpartition('/')[2].replace('jpeg', 'jpg')}"
    with open_source(path) as again:
        picture = next(packet for packet in again.demux(again.streams[stream.index]) if packet.size)
    output.add_attachment(name, stream.metadata.get("mimetype") or kind, bytes(picture))


def _obstacle(stream: Any, muxer: str) -> str | None:
    name = _codec_name(stream)
    if muxer == "matroska" and _is_cover(stream):
        return None if name in _COVER_TYPES else "it is no picture that is attached as a cover"
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
