"""What a media file holds: streams as their headers declare them, the rest from a bounded look at the first packets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import av
import av.error
from av.container import InputContainer

from mediabroker.errors import ErrorCode, MediaError
from mediabroker.media.colour import MATRICES, PRIMARIES, RANGES, TRANSFERS, hdr_kind
from mediabroker.media.ffmpeg.limits import MEDIA_LIMITS, MediaLimits
from mediabroker.media.orientation import Orientation, orientation_of
from mediabroker.media.sniff import sniff
from mediabroker.media.source import holds_sound, media_errors, moving_pictures, open_as, open_input, presented_s
from mediabroker.media.timeline import frame_rate_of, is_bare, stored_at
from mediabroker.results import AudioStream, MediaDetails, SubtitleStream, VideoStream

__all__ = ["Source", "examine", "is_variable", "open_input", "probe"]

_LOOK_PACKETS = 400
_LOOK_BYTES = 64 << 20
_REORDER_FRAMES = 16
"""The most frames a decoder may hold back. Source: ITU-T H.264, A.3.1 (MaxDpbFrames)."""
_OFFSET_S = 1.0
_PROGRESSIVE = (0, 1)
"""Field orders that say "unknown" and "progressive". Source: FFmpeg libavcodec/defs.h, enum AVFieldOrder."""


class Source(NamedTuple):
    """A file that was looked at: `demuxer` may open it, and the times of its video are multiples of `tick_s`.

    `sound` is the index of the track that belongs to the picture: of the picture's own programme, the default one.
    """

    path: Path
    demuxer: str
    media: MediaDetails
    tick_s: Fraction
    sound: int | None = None

    @property
    def tracks(self) -> tuple[AudioStream, ...]:
        """All sound tracks, the one that belongs to the picture first."""
        return tuple(sorted(self.media.audio, key=lambda each: each.index != self.sound))


def probe(path: Path, *, limits: MediaLimits = MEDIA_LIMITS, images: bool = False) -> MediaDetails:
    """Describe the media file at `path`.

    Reads the header and a bounded number of packets, and decodes one picture a stream, so time and memory do not grow
    with the file. Cover pictures are not listed as video. A still picture is described only if `images` is set.

    Raises:
        MediaError: `INPUT_NOT_FOUND`, `INPUT_DENIED`, `MEDIA_CORRUPT`, `MEDIA_UNSUPPORTED`, `OUT_OF_RESOURCES`.
    """
    return examine(path, limits=limits, images=images).media


def examine(path: Path, *, limits: MediaLimits = MEDIA_LIMITS, images: bool = False) -> Source:
    """`probe`, with what is needed to open the file again with ffmpeg."""
    kind = sniff(path, images=images)
    with open_as(path, kind, limits) as container, media_errors(path):
        looks = _look(container)
        if any(look.times for look in looks.values()) and all(look.frame is None for look in looks.values()):
            raise MediaError(ErrorCode.MEDIA_CORRUPT, f"{path} is damaged: none of its first pictures can be decoded")
        moving, shown_s = moving_pictures(container), presented_s(container)
        video = tuple(_video(path, stream, looks[stream.index], shown_s) for stream in moving)
        media = MediaDetails(
            container=kind.name,
            size_bytes=path.stat().st_size,
            duration_s=video[0].duration_s if is_bare(container) and video else shown_s,
            start_s=_seconds(container.start_time, Fraction(1, av.time_base)) or 0.0,
            bitrate_bps=container.bit_rate or None,
            video=video,
            audio=tuple(_audio(stream, shown_s) for stream in container.streams.audio if holds_sound(stream)),
            subtitles=tuple(_subtitle(stream) for stream in container.streams.subtitles),
        )
        tick = moving[0].time_base if moving else None
        best = container.streams.best("audio", related=moving[0]) if moving else None
        return Source(path, kind.demuxer, media, tick or Fraction(1, 90_000), best.index if best else None)


def is_variable(times: Sequence[int], tick_s: float, *, complete: bool) -> bool:
    """Whether frames shown at `times` (any order, in ticks) come at an uneven rate.

    Containers round times to their tick, so a difference of two ticks is still even. Unless the times are `complete`,
    the last ones miss frames that are stored later, and do not count.
    """
    ordered = sorted(set(times))
    if not complete:
        ordered = ordered[:-_REORDER_FRAMES]
    gaps = sorted(later - earlier for earlier, later in pairwise(ordered))
    if len(gaps) < 2:
        return False
    spread, usual = gaps[-1] - gaps[0], gaps[len(gaps) // 2]
    return spread > 2 and spread > 0.05 * usual and spread * tick_s > 0.001


@dataclass
class _Look:
    """What the first packets of one stream showed; `complete` if there were no more."""

    times: list[int] = field(default_factory=list)
    frame: Any = None
    complete: bool = False


def _look(container: InputContainer) -> dict[int, _Look]:
    streams = moving_pictures(container)
    looks = {stream.index: _Look() for stream in streams}
    if not streams:
        return looks
    packets = size_bytes = 0
    timed = not is_bare(container)
    try:
        for packet in container.demux(*streams):
            look = looks[packet.stream.index]
            _note(look, packet, None if timed else stored_at(packet.stream, packet, len(look.times)))
            packets, size_bytes = packets + 1, size_bytes + packet.size
            if packets >= _LOOK_PACKETS * len(streams) or size_bytes >= _LOOK_BYTES:
                return looks
    except (av.error.InvalidDataError, av.error.EOFError):
        return looks  # the file breaks off; what was seen before still describes it
    for look in looks.values():
        look.complete = True
    return looks


def _note(look: _Look, packet: Any, counted: int | None) -> None:
    time = packet.pts if packet.pts is not None else packet.dts  # AVI stores no presentation times
    time = counted if time is None else time
    if packet.size and time is not None and not packet.is_discard:
        look.times.append(time)
    if look.frame is None:
        try:
            look.frame = next(iter(packet.decode()), None)
        except av.error.InvalidDataError:
            return  # a recording that starts between keyframes; a later packet will do


def _video(path: Path, stream: Any, look: _Look, shown_s: float | None) -> VideoStream:
    context, frame = stream.codec_context, look.frame
    if look.complete and not look.times and look.frame is None:
        raise MediaError(ErrorCode.MEDIA_CORRUPT, f"{path}: the video stream holds no frame")
    if not (stream.width and stream.height and context.pix_fmt):
        raise MediaError(
            ErrorCode.MEDIA_CORRUPT, f"{path}: stream {stream.index} does not say how large its picture is"
        )
    transfer = _tag(TRANSFERS, context.color_trc, getattr(frame, "color_trc", 0))
    rate = frame_rate_of(stream)
    shown = orientation_of(frame) if frame is not None else Orientation()
    counted = len(look.times) if look.complete else None
    full_range = "pc" if context.pix_fmt.startswith("yuvj") else None
    return VideoStream(
        index=stream.index,
        codec=context.codec.canonical_name,
        width_px=stream.width,
        height_px=stream.height,
        pixel_format=context.pix_fmt,
        bit_depth=max((component.bits for component in context.format.components), default=8),
        frame_rate=f"{rate.numerator}/{rate.denominator}",
        variable_frame_rate=is_variable(look.times, float(stream.time_base), complete=look.complete),
        frame_count=counted or stream.frames or None,
        duration_s=_duration_s(stream, shown_s) or _looked_s(stream, look),
        bitrate_bps=context.bit_rate or None,
        rotation_deg=shown.rotation_deg,
        mirrored=shown.is_mirrored,
        sample_aspect_ratio=_ratio(stream.sample_aspect_ratio),
        color_range=_tag(RANGES, context.color_range, getattr(frame, "color_range", 0)) or full_range,
        color_matrix=_tag(MATRICES, context.colorspace, getattr(frame, "colorspace", 2)),
        color_primaries=_tag(PRIMARIES, context.color_primaries, getattr(frame, "color_primaries", 2)),
        color_transfer=transfer,
        hdr=hdr_kind(transfer),
        interlaced=bool(frame is not None and frame.interlaced_frame) or _field_order(context) not in _PROGRESSIVE,
    )


def _field_order(context: Any) -> int:
    # PyAV tells it from version 18 on; before that the first frame alone has to say it.
    return int(getattr(context, "field_order", _PROGRESSIVE[0]))


def _audio(stream: Any, shown_s: float | None) -> AudioStream:
    context = stream.codec_context
    return AudioStream(
        index=stream.index,
        codec=context.codec.canonical_name,
        sample_rate_hz=context.sample_rate or 0,
        channels=context.channels or 0,
        language=_language(stream),
        duration_s=_duration_s(stream, shown_s),
        bitrate_bps=context.bit_rate or None,
    )


def _subtitle(stream: Any) -> SubtitleStream:
    context = stream.codec_context
    return SubtitleStream(
        index=stream.index,
        codec=context.codec.canonical_name if context is not None else "unknown",
        language=_language(stream),
    )


def _language(stream: Any) -> str | None:
    return stream.language if stream.language != "und" else None


def _duration_s(stream: Any, shown_s: float | None) -> float | None:
    """What the stream's header says, which may count from long before its first frame, but no more than is shown."""
    said = _seconds(stream.duration, stream.time_base)
    is_offset = said is not None and shown_s is not None and stream.start_time and said > shown_s + _OFFSET_S
    return shown_s if is_offset else said


def _looked_s(stream: Any, look: _Look) -> float | None:
    """Return how long all frames of a stream without a container last together, where they were all seen."""
    if not (is_bare(stream.container) and look.complete and look.times and stream.time_base):
        return None
    shown = max(look.times) - min(look.times) + round(1 / ((frame_rate_of(stream) or 25) * stream.time_base))
    return float(shown * stream.time_base)


def _seconds(ticks: int | None, tick_s: Fraction | None) -> float | None:
    return float(ticks * tick_s) if ticks is not None and tick_s is not None else None


def _tag(words: Any, *values: Any) -> str | None:
    return next((words[int(value)] for value in values if int(value) in words), None)


def _ratio(value: Fraction | None) -> str:
    return f"{value.numerator}/{value.denominator}" if value else "1/1"
