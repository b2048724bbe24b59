"""The plan: which frames belong to which slice. Made once from the packets alone, then stored and only read."""

from __future__ import annotations

import bisect
import math
from fractions import Fraction
from pathlib import Path
from threading import Event
from typing import Any, NamedTuple

from mediabroker.errors import ErrorCode, MediaError
from mediabroker.media.slices import list_slices
from mediabroker.media.source import media_errors
from mediabroker.media.timeline import end_of, stored_at
from mediabroker.models import Value
from neuron_worker.failures import heed
from neuron_worker.video.source import SourceFacts, open_source, video_of
from neuron_worker.video.truncation import refuse_cut_short

__all__ = ["Plan", "PlannedSlice", "Slices", "Source", "make_slices"]


class Source(Value):
    """Which bytes a plan is about."""

    size_bytes: int
    sha256: str


class PlannedSlice(Value):
    """Frames with `start` <= pts < `end`, in ticks of the source; None is an open end.

    `seek` is the last keyframe at or before `start`. `frames` is how many stored frames there are; a codec with hidden
    frames shows fewer.
    """

    index: int
    start: int | None
    end: int | None
    seek: int | None
    frames: int

    def holds(self, pts: int) -> bool:
        """Whether the frame shown at `pts` belongs to this slice."""
        return (self.start is None or self.start <= pts) and (self.end is None or pts < self.end)


class Plan(Value):
    """Everything that two workers on two machines must agree on.

    `key` is a digest of source, settings and model. `runtime`, `variant` and `weights` (SHA-256) were chosen by whoever
    made the plan; mixing them within one video would show.
    """

    version: int = 1
    key: str
    source: Source
    facts: SourceFacts
    slices: tuple[PlannedSlice, ...]
    step: int
    """Ticks that divide every distance between two frames; with a constant rate, those of one frame."""
    last_ticks: int = 0
    """How long the last frame is shown; 0 where the container does not tell. Of others the next frame tells it."""
    runtime: str
    variant: str
    weights: str
    golden: str | None = None
    """Digest of what an int8 network makes of the golden tile. Processors without VNNI may add otherwise: slices of
    machines that disagree would show in one video. None for arithmetic that differs by rounding at most."""

    @property
    def frames(self) -> int:
        """Stored frames of the whole video."""
        return sum(each.frames for each in self.slices)


class _Scan(NamedTuple):
    times: list[int]
    keyframes: list[int]
    shown: list[tuple[int, int]]
    end: int = 0


class Slices(NamedTuple):
    """`step` is the largest number of ticks that lies between any two frames a whole number of times; `last_ticks` as
    in `Plan`."""

    slices: tuple[PlannedSlice, ...]
    step: int
    last_ticks: int


def make_slices(path: Path, facts: SourceFacts, slice_s: float, *, stop: Event) -> Slices:
    """Read all packets of the video, decode none, and cut time into slices.

    Raises:
        InterruptedWorkError: `stop` was set.
        MediaError: `MEDIA_CORRUPT`, the file breaks off, holds no frame, or its frames have no times.
    """
    scan = _scan(path, facts, stop)
    times, keyframes = sorted(scan.times), sorted(scan.keyframes)
    if not times:
        raise MediaError(ErrorCode.MEDIA_CORRUPT, f"{path}: the video stream holds no frame")
    start = Fraction(*facts.start)
    # The last frame lasts a moment too, so a video of exactly one slice length has one slice.
    length_s = float(times[-1] * facts.tick_s - start)
    pieces = list_slices(length_s if facts.can_be_cut else None, slice_s)
    planned = []
    for piece in pieces:
        first = _tick_at(start, piece.start_s, facts.tick_s)
        end = _tick_at(start, piece.end_s, facts.tick_s)
        inside = bisect.bisect_left(times, math.inf if end is None else end)
        inside -= bisect.bisect_left(times, -math.inf if first is None else first)
        planned.append(
            PlannedSlice(index=piece.index, start=first, end=end, seek=_keyframe(keyframes, first), frames=inside)
        )
    is_distinct = len(set(times)) == len(times)  # else frames are moved apart by a tick, which the step must allow
    step = math.gcd(*(when - times[0] for when in times)) if is_distinct else 1
    return Slices(tuple(planned), step or 1, max(0, scan.end - times[-1]))


def _scan(path: Path, facts: SourceFacts, stop: Event) -> _Scan:
    scan = _Scan([], [], [])
    with open_source(path) as container:
        stream = video_of(path, container)
        try:
            with media_errors(path):
                for place, packet in enumerate(container.demux(stream)):
                    heed(stop)
                    if packet.size:
                        when = stored_at(stream, packet, place) if facts.counts_frames else packet.pts
                        _note(path, scan, packet, when, facts)
                refuse_cut_short(path, facts.demuxer)
        except MediaError as error:
            if error.error.code is ErrorCode.MEDIA_CORRUPT and scan.times:
                seen_s = float(max(scan.times) * facts.tick_s - Fraction(*facts.start))
                raise MediaError(ErrorCode.MEDIA_CORRUPT, f"{path} breaks off after {seen_s:.2f} s") from error
            raise
        end = end_of(stream, scan.shown) if scan.shown else 0
    # What precedes the first keyframe cannot be decoded by anybody.
    first = min(scan.keyframes or scan.times, default=0)
    return scan._replace(times=[pts for pts in scan.times if pts >= first], end=end)


def _note(path: Path, scan: _Scan, packet: Any, when: int | None, facts: SourceFacts) -> None:
    if packet.is_corrupt and facts.sizes_packets:
        # Said here, for a decoder with several threads notices a damaged last frame only at times.
        raise MediaError(ErrorCode.MEDIA_CORRUPT, f"{path}: a packet is cut short")
    if when is None:
        raise MediaError(ErrorCode.MEDIA_UNSUPPORTED, f"{path} has frames without a presentation time")
    if packet.is_keyframe:
        scan.keyframes.append(when)
    if not packet.is_discard:  # an edit list hides a frame that others are decoded from
        scan.times.append(when)
        scan.shown.append((when, packet.duration or 0))


def _tick_at(start: Fraction, time_s: Fraction | None, tick_s: Fraction) -> int | None:
    return None if time_s is None else math.ceil((start + time_s) / tick_s)


def _keyframe(keyframes: list[int], first: int | None) -> int | None:
    if first is None:
        return None
    at = bisect.bisect_right(keyframes, first)
    return keyframes[at - 1] if at else None
