"""Which frames to show: sharp ones, spread over the video, each with the spot where source and result differ most."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
from PIL import Image

from mediabroker.compare.facts import Facts
from mediabroker.errors import MediaError
from mediabroker.media.snapshot import frame_at, picture_of
from mediabroker.media.source import open_input
from mediabroker.results import VideoStream

__all__ = ["ENLARGED_PX", "Box", "Moment", "Original", "detail_of", "find_moments", "worst_moment"]

ENLARGED_PX = (396, 300)
"""Width and height of a detail once it is enlarged."""
_LARGE_PX = 1400
"""From this width on details show twice, not three times their size, or one would see a few edges only."""
_LOOKS_PER_PART = 3
_SAME = 1.5
"""Mean difference of two thumbnails, in steps of 255, under which they show the same scene."""

_SHOWN_WEIGHT = 0.2

Box = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels of the result."""
Luma = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True)
class Moment:
    """One frame twice, in the result's size: `before` is the source enlarged bicubically, `after` the result."""

    time_s: float
    before: Image.Image
    after: Image.Image
    detail: Box
    strength: float
    """How much the two differ there: mean difference of luma."""
    truth: Image.Image | None = None
    """The original at full resolution, where one is known."""
    note: str = ""

    @property
    def views(self) -> Sequence[tuple[Image.Image, str]]:
        """What stands side by side, each with its name."""
        pair = [(self.before, "source, bicubic"), (self.after, "result")]
        return pair if self.truth is None else [*pair, (self.truth, "original")]

    @property
    def zoom(self) -> int:
        """How many times its size a detail is shown."""
        return _zoom(self.after.width)

    @property
    def timecode(self) -> str:
        minutes, seconds = divmod(self.time_s, 60)
        return f"{minutes:.0f}:{seconds:05.2f}"


class Original(NamedTuple):
    """The full-resolution video that both should look like; its first frame is shown `later_s` after the source's."""

    path: Path
    video: VideoStream
    later_s: float


@dataclass(frozen=True)
class _Look:
    time_s: float
    next_s: float
    picture: Image.Image


def find_moments(
    source: Path, result: Path, facts: Facts, *, count: int = 4, original: Original | None = None
) -> Sequence[Moment]:
    """At most `count` moments in the order of time; fewer where the video shows fewer different pictures.

    Raises:
        MediaError: no frame can be decoded.
    """
    looks: list[_Look] = []
    for times in _parts(facts, count):
        seen = [look for look in _look(source, facts.source_video, times) if not _shown(look, looks)]
        looks += [max(seen, key=lambda look: _sharpness(look.picture))] if seen else []
    looks = looks or list(_look(source, facts.source_video, [0.0]))
    moments: list[Moment] = []
    for look in looks:
        moment = _moment(look, result, facts.result_video, [moment.detail for moment in moments])
        moments.append(_with_truth(moment, look, original))
    return moments


def worst_moment(
    source: Path, result: Path, facts: Facts, time_s: float, *, original: Original | None = None
) -> Moment | None:
    """The moment in which the result was measured as the worst, with the spot where it strays most; None if unseen.

    Args:
        time_s: after the start of the source, in seconds.
    """
    look = next(_look(source, facts.source_video, [time_s]), None)
    if look is None:
        return None
    moment = _with_truth(_moment(look, result, facts.result_video, []), look, original)
    detail = moment.detail if moment.truth is None else detail_of(moment.truth, moment.after, [])[0]
    return replace(moment, detail=detail, note="worst frame")


def _parts(facts: Facts, count: int) -> Iterator[Sequence[float]]:
    """For each equal part of the video the times to look at, in seconds."""
    rate = float(Fraction(facts.source_video.frame_rate)) or 25.0
    duration_s = facts.source.duration_s or facts.source_frames / rate
    for part in range(count):
        yield [duration_s * (part + (look + 0.5) / _LOOKS_PER_PART) / count for look in range(_LOOKS_PER_PART)]


def _look(path: Path, video: VideoStream, times: Sequence[float]) -> Iterator[_Look]:
    for time_s in times:
        with open_input(path) as container:
            try:
                frame = frame_at(container, path, time_s)
            except MediaError:
                if time_s == 0.0:
                    raise
                continue  # sound may outlast the picture, and damage may hide a spot
            start_s = (container.start_time or 0) / av.time_base
            length_s = float((frame.duration or 0) * (frame.time_base or 0)) or 1 / float(Fraction(video.frame_rate))
        began_s = max((frame.time or 0.0) - start_s, 0.0)
        yield _Look(began_s, began_s + length_s, picture_of(frame, video))


def _moment(look: _Look, path: Path, video: VideoStream, taken: Sequence[Box]) -> Moment:
    # The middle of the frame's time: clocks of two containers may differ by a tick.
    with open_input(path) as container:
        after = picture_of(frame_at(container, path, (look.time_s + look.next_s) / 2), video)
    before = look.picture.resize(after.size, Image.Resampling.BICUBIC)
    detail, strength = detail_of(before, after, taken)
    return Moment(look.time_s, before, after, detail, strength)


def _with_truth(moment: Moment, look: _Look, original: Original | None) -> Moment:
    if original is None:
        return moment
    with open_input(original.path) as container:
        frame = frame_at(container, original.path, (look.time_s + look.next_s) / 2 + original.later_s)
        truth = picture_of(frame, original.video)
    return replace(moment, truth=truth.resize(moment.after.size, Image.Resampling.BICUBIC))


def _shown(look: _Look, chosen: Sequence[_Look]) -> bool:
    small = np.asarray(look.picture.resize((32, 18)), dtype=np.float32)
    return any(
        look.time_s == other.time_s
        or float(np.abs(small - np.asarray(other.picture.resize((32, 18)), dtype=np.float32)).mean()) < _SAME
        for other in chosen
    )


def _sharpness(picture: Image.Image) -> float:
    luma = _luma(picture)
    if min(luma.shape) < 3:
        return 0.0
    middle = luma[1:-1, 1:-1]
    laplacian = 4 * middle - luma[:-2, 1:-1] - luma[2:, 1:-1] - luma[1:-1, :-2] - luma[1:-1, 2:]
    return float(np.abs(laplacian).mean())


def detail_of(before: Image.Image, after: Image.Image, taken: Sequence[Box]) -> tuple[Box, float]:
    """Where a detail is worth the most: the box with the largest sum of differences, and the mean of them.

    What lies in `taken` counts little: a caption or a logo that always stands there is shown once.
    """
    weighed = np.abs(_luma(after) - _luma(before))
    height, width = weighed.shape
    box_width, box_height = (min(side, ENLARGED_PX[i] // _zoom(width)) for i, side in enumerate((width, height)))
    for left, top, right, bottom in taken:
        weighed[top:bottom, left:right] *= _SHOWN_WEIGHT
    sums = np.pad(weighed, ((1, 0), (1, 0))).cumsum(0, dtype=np.float64).cumsum(1)
    boxes = (
        sums[box_height:, box_width:]
        - sums[:-box_height, box_width:]
        - sums[box_height:, :-box_width]
        + sums[:-box_height, :-box_width]
    )
    top, left = (int(each) for each in np.unravel_index(int(boxes.argmax()), boxes.shape))
    return (left, top, left + box_width, top + box_height), float(boxes.max()) / (box_width * box_height)


def _zoom(width: int) -> int:
    return 2 if width >= _LARGE_PX else 3


def _luma(picture: Image.Image) -> Luma:
    return np.asarray(picture.convert("L"), dtype=np.float32)
