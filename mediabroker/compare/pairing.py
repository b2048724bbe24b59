"""Frames of several files that are shown at the same time, whatever their numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from mediabroker.compare.luma import Picture, Track

__all__ = ["Pairing"]

_SHORTEST_S = Fraction(1, 1000)
_SHARE_OF_FRAME = Fraction(1, 4)


@dataclass
class Pairing:
    """Reads all tracks at once, holds one frame of each, and counts what has no partner.

    Times count from each file's first frame and may differ by what containers round them to (a tick of both, but at
    least 1 ms and at most a quarter of a frame).
    """

    tracks: Sequence[Track]
    limit_s: float | None = None
    paired: int = 0
    alone: list[int] = field(default_factory=list)
    """For each track how many of its frames had no partner, once all were read."""

    def __iter__(self) -> Iterator[tuple[Picture, ...]]:
        """One picture of each track at a time."""
        tolerance_s = _tolerance_s(self.tracks)
        streams = [self._until_limit(track) for track in self.tracks]
        self.alone = [0] * len(streams)
        heads = [next(stream, None) for stream in streams]
        while True:
            shown = [head for head in heads if head is not None]
            if len(shown) < len(heads):
                break
            latest = max(head.time_s for head in shown)
            late = [index for index, head in enumerate(shown) if head.time_s < latest - tolerance_s]
            if late:
                for index in late:
                    self.alone[index] += 1
            else:
                self.paired += 1
                yield tuple(shown)
            for index in late or range(len(heads)):
                heads[index] = next(streams[index], None)
        for index, (head, stream) in enumerate(zip(heads, streams, strict=True)):
            self.alone[index] += (head is not None) + sum(1 for _ in stream)

    def _until_limit(self, track: Track) -> Iterator[Picture]:
        for picture in track.pictures():
            if self.limit_s is not None and picture.time_s >= self.limit_s:
                return
            yield picture


def _tolerance_s(tracks: Sequence[Track]) -> Fraction:
    shortest = min(1 / (Fraction(track.video.frame_rate) or Fraction(25)) for track in tracks)
    ticks = sum((track.tick_s for track in tracks), Fraction(0))
    return min(max(ticks, _SHORTEST_S), shortest * _SHARE_OF_FRAME)
