"""Small grey views of a video at even distances, and what they tell: where it is sharp, where something moves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mediabroker.errors import ErrorCode, MediaError
from mediabroker.media.effects.task import EffectTask
from mediabroker.media.ladders.ladder import display_size
from mediabroker.media.probe import Source, examine
from mediabroker.media.snapshot import picture_of
from mediabroker.media.source import media_errors, moving_pictures, open_input

__all__ = ["View", "look", "seen_video", "shape", "upright_size", "window_at"]

Luma = NDArray[np.float32]

_VIEW_WIDTH_PX = 160
_VIEWS = 120
"""At most so many views of one video: a look at a long film costs little more than one at a short one."""


@dataclass(frozen=True)
class View:
    """The picture `time_s` seconds after the start: `grey` is `(height, width) float32` in 0..1, upright."""

    time_s: float
    grey: Luma
    change: float
    """Mean difference from the view before, 0..1; 0 for the first."""

    @property
    def sharpness(self) -> float:
        """Mean strength of edges, 0..1."""
        down, right = np.gradient(self.grey)
        return float(np.hypot(down, right).mean())

    @property
    def contrast(self) -> float:
        """Standard deviation of the brightness, 0..0.5."""
        return float(self.grey.std())


def seen_video(task: EffectTask) -> Source:
    """The source, examined.

    Raises:
        MediaError: as `examine`; `MEDIA_UNSUPPORTED` when it holds no video.
    """
    source = examine(task.source, limits=task.media_limits)
    if not source.media.video:
        raise MediaError(ErrorCode.MEDIA_UNSUPPORTED, f"{task.source} holds no video")
    return source


def look(task: EffectTask, source: Source) -> list[View]:
    """Views from the whole video in order of their time, as evenly apart as its frames allow."""
    length_s = source.media.video[0].duration_s or source.media.duration_s or 0.0
    apart_s = length_s / _VIEWS
    views: list[View] = []
    for time_s, grey in _greys(task, source):
        if views and time_s < views[-1].time_s + apart_s:
            continue
        seen = grey()
        change = float(np.abs(seen - views[-1].grey).mean()) if views else 0.0
        views.append(View(time_s, seen, change))
    if not views:
        raise MediaError(ErrorCode.MEDIA_CORRUPT, f"{task.source}: no frame can be decoded")
    return views


def _greys(task: EffectTask, source: Source) -> Iterator[tuple[float, Callable[[], Luma]]]:
    """Each frame's time and a function that converts it, as most frames are passed over."""
    video = source.media.video[0]
    with open_input(task.source, limits=task.media_limits) as container, media_errors(task.source):
        stream = moving_pictures(container)[0]
        stream.thread_type = "AUTO"
        start_s: float | None = None
        for frame in container.decode(stream):
            task.heed()
            if frame.pts is None:
                continue
            time_s = float(frame.pts * frame.time_base)
            start_s = time_s if start_s is None else start_s

            def grey(frame: Any = frame) -> Luma:
                view = picture_of(frame, video, _VIEW_WIDTH_PX).convert("L")
                return np.asarray(np.asarray(view) / 255, np.float32)

            yield time_s - start_s, grey


def window_at(weights: Luma, share: float) -> float:
    """Where along an axis of `weights` the window of `share` of its length holds most: the window's start, 0..1."""
    size = max(1, round(share * len(weights)))
    sums = np.convolve(weights, np.ones(size, np.float32), mode="valid")
    return float(np.argmax(sums)) / len(weights)


def upright_size(source: Source) -> tuple[int, int]:
    """Width and height of what ffmpeg's filters see: stored samples, turned upright."""
    video = source.media.video[0]
    turned = video.rotation_deg % 180
    return (video.height_px, video.width_px) if turned else (video.width_px, video.height_px)


def shape(source: Source) -> float:
    """Width over height as a player shows it."""
    width, height = display_size(source.media.video[0])
    return width / height
