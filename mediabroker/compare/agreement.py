"""What beside the pictures a result keeps of its source: how many frames, their times, the sound, the tags."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from hashlib import blake2b
from itertools import zip_longest
from pathlib import Path
from typing import Any

from mediabroker.compare.figures import Agreement, Audio
from mediabroker.errors import ErrorCode, MediaError
from mediabroker.media.probe import probe
from mediabroker.media.source import media_errors, moving_pictures, open_input
from mediabroker.results import MediaDetails

__all__ = ["agreement_of"]

_REORDER_FRAMES = 64
"""More than any decoder holds back (16), because containers interleave fields and hidden frames."""
_TAGS = {
    "range": "color_range",
    "matrix": "color_matrix",
    "primaries": "color_primaries",
    "transfer": "color_transfer",
    "bits": "bit_depth",
    "rotation": "rotation_deg",
    "pixel aspect": "sample_aspect_ratio",
}
_ADTS = 0xFFF0


def agreement_of(source: Path, result: Path) -> Agreement:
    """Compare all packets of both files; nothing is decoded.

    Raises:
        MediaError: a file cannot be read or holds no video.
    """
    before, after = _media(source), _media(result)
    counts, deviation_s = [0, 0], 0.0
    for times in zip_longest(_frame_times(source), _frame_times(result)):
        counts = [count + (time is not None) for count, time in zip(counts, times, strict=True)]
        if None not in times:
            deviation_s = max(deviation_s, abs(times[1] - times[0]))
    durations = (before.duration_s, after.duration_s)
    return Agreement(
        source_frames=counts[0],
        result_frames=counts[1],
        time_deviation_s=round(deviation_s, 6) if counts[0] == counts[1] else None,
        duration_change_s=None if None in durations else round((durations[1] or 0) - (durations[0] or 0), 4),
        audio=tuple(_audio(source, result, before)),
        tags={name: (_tag(before, field), _tag(after, field)) for name, field in _TAGS.items()},
    )


def _media(path: Path) -> MediaDetails:
    media = probe(path)
    if not media.video:
        raise MediaError(ErrorCode.MEDIA_UNSUPPORTED, f"{path} holds no video")
    return media


def _tag(media: MediaDetails, name: str) -> str | None:
    value = getattr(media.video[0], name)
    return None if value is None else str(value)


def _frame_times(path: Path) -> Iterator[float]:
    """When each frame is shown, in seconds after the first, in that order; holds a few times only."""
    with open_input(path) as container, media_errors(path):
        stream = moving_pictures(container)[0]
        first: int | None = None
        held: list[int] = []
        tick_s = float(stream.time_base or 1)
        for packet in container.demux(stream):
            if packet.size and not packet.is_discard:
                time = packet.dts if packet.pts is None or container.format.name == "avi" else packet.pts
                heapq.heappush(held, time if time is not None else 0)
            while held and (len(held) > _REORDER_FRAMES or not packet.size):
                time = heapq.heappop(held)
                first = time if first is None else first
                yield (time - first) * tick_s


@dataclass
class _Sound:
    """One audio stream: a digest of its packets' content, and when it starts against the picture."""

    codec: str
    packets: int = 0
    digest: Any = field(default_factory=lambda: blake2b(digest_size=16))
    start_s: float | None = None


def _audio(source: Path, result: Path, media: MediaDetails) -> Iterator[Audio]:
    if not media.audio:
        return
    theirs = list(_sounds(result))
    for index, sound in enumerate(_sounds(source)):
        other = theirs[index] if index < len(theirs) else None
        same = other is not None and (other.packets, other.digest.digest()) == (sound.packets, sound.digest.digest())
        starts = (sound.start_s, other.start_s if other else None)
        yield Audio(
            index=index,
            codec=sound.codec,
            packets=sound.packets,
            outcome="missing" if other is None else "identical" if same else "different",
            offset_change_s=None if None in starts else round((starts[1] or 0) - (starts[0] or 0), 4),
        )


def _sounds(path: Path) -> Iterator[_Sound]:
    with open_input(path) as container, media_errors(path):
        streams = [stream for stream in container.streams.audio if stream.codec_context is not None]
        video = moving_pictures(container)[0]
        sounds = {stream.index: _Sound(stream.codec_context.codec.canonical_name) for stream in streams}
        picture_s: float = math.inf
        for packet in container.demux(video, *streams):
            starts_s = _start_s(packet)
            if packet.stream.index == video.index:
                picture_s = picture_s if packet.is_discard else min(picture_s, starts_s)
            elif packet.size:
                sound = sounds[packet.stream.index]
                sound.start_s = starts_s if sound.start_s is None else sound.start_s
                sound.packets += 1
                sound.digest.update(_content(sound.codec, bytes(packet)))
    for sound in sounds.values():
        if sound.start_s is not None:
            sound.start_s -= picture_s
        yield sound


def _start_s(packet: Any) -> float:
    time = packet.pts if packet.pts is not None else packet.dts
    return math.inf if time is None else float(Fraction(time) * packet.time_base)


def _content(codec: str, data: bytes) -> bytes:
    """Transport streams put a header before each AAC packet that mp4 does not keep. Source: ISO 13818-7, 6.2."""
    if codec == "aac" and len(data) > 9 and int.from_bytes(data[:2], "big") & 0xFFF6 == _ADTS:
        return data[7 if data[1] & 1 else 9 :]
    return data
