"""When a stream's frames are shown: what every operation goes by, whatever the container says of itself."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from typing import Any

import av.error

__all__ = ["count_frames", "end_of", "frame_rate_of", "is_bare", "number_frames", "stored_at"]

_BARE = frozenset({"h264", "hevc"})
"""Demuxers of streams without a container: their pictures follow each other at one rate, and nothing can be sought."""
_COUNTED = frozenset({"avi", *_BARE})


def is_bare(container: Any) -> bool:
    """Return whether frames have no times but their places."""
    return container.format.name in _BARE


def count_frames(demuxer: str) -> bool:
    """Return whether the container only numbers frames as they are stored: the k-th shown has the k-th number."""
    return demuxer in _COUNTED


def frame_rate_of(stream: Any) -> Fraction:
    """Return frames a second; 0 when nothing tells. DV states its tick in place of a rate."""
    average: Fraction | None = stream.average_rate
    if average and stream.time_base and average * stream.time_base == 1:
        average = None
    return average or stream.guessed_rate or stream.average_rate or stream.base_rate or Fraction(0)


def stored_at(stream: Any, packet: Any, place: int) -> int:
    """Return the number that a counting container gives the packet at `place`, in ticks."""
    if packet.dts is not None:
        return int(packet.dts)
    frame_ticks: Fraction = 1 / ((frame_rate_of(stream) or 25) * stream.time_base)
    return place * max(1, round(frame_ticks))


def number_frames(stream: Any, packets: Iterable[Any]) -> Iterator[Any]:
    """Decode the packets of a container that only counts, and give each frame its time in the order of showing."""
    numbers: deque[int] = deque()
    begun = False
    for place, packet in enumerate(packets):
        if packet.size:
            numbers.append(stored_at(stream, packet, place))
        try:
            frames = packet.decode()
        except av.error.EOFError:
            return
        except av.error.InvalidDataError:
            if begun:
                raise
            numbers.clear()  # the recording starts between keyframes
            continue
        begun = begun or bool(frames)
        for frame in frames:
            frame.pts = numbers.popleft() if numbers else None
            yield frame


def end_of(stream: Any, shown: Sequence[tuple[int, int]]) -> int:
    """Return when the last shown frame ends. `shown` are the times and durations of packets, in ticks.

    MP4 states durations in the order of storage: the longest of an uneven rate may stand with any frame, so the
    header's own end counts there.
    """
    last, duration = max(shown)
    stated = stream.duration if "mov" in stream.container.format.name.split(",") else None
    if stated is not None and last < stated <= max(time + length for time, length in shown):
        return int(stated)
    return last + duration
