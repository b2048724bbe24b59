"""The clips that are measured: real pictures where there are some, the demo's otherwise, brought to size and length."""

from __future__ import annotations

import os
from collections.abc import Iterator
from fractions import Fraction
from itertools import count
from pathlib import Path
from typing import Any

import av
import numpy as np
from av import VideoFrame
from av.video.reformatter import Interpolation
from PIL import Image

__all__ = ["RATE_FPS", "count_repeats", "find_footage", "find_source", "make_clip"]

RATE_FPS = 25
_ROOT = Path(__file__).parent.parent.parent
_SAMPLE = _ROOT / "examples/demo/sample-480x270.mp4"
_REAL = {"filmed": Path("clips/bottle-detection.mp4"), "photographs": Path("sr/b100")}
_COLUMNS, _ROWS = 4, 3
_STEP_PX = 2
"""How far the window over the photographs moves from frame to frame."""


def find_footage() -> dict[str, Path]:
    """What can be made into clips, by name, most ordinary first: out of the folder in `MEDIABROKER_DATA` a video
    (strongly compressed once, so poor in detail) and a folder of photographs (rich in it); else the demo's video."""
    data = Path(os.environ.get("MEDIABROKER_DATA") or _ROOT.parent / "shared/data")
    found = {name: data / path for name, path in _REAL.items() if (data / path).exists()}
    return found or {"rendered": _SAMPLE}


def find_source() -> Path:
    """The most ordinary footage."""
    return next(iter(find_footage().values()))


def make_clip(source: Path, target: Path, *, width: int, height: int, frames: int) -> Path:
    """The first `frames` frames of a source, over and over if it has fewer, as H.264 of the given size, no audio. A
    folder of photographs becomes a window of that size which moves over them."""
    pictures = _pan(source, width, height) if source.is_dir() else _endless(source)
    with av.open(str(target), "w") as container:
        stream: Any = container.add_stream("libx264", rate=RATE_FPS, options={"preset": "veryfast", "crf": "20"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for index, frame in zip(range(frames), pictures, strict=False):
            fitted = frame.reformat(width, height, "yuv420p", interpolation=Interpolation.AREA)
            fitted.pts, fitted.time_base, fitted.pict_type = index, Fraction(1, RATE_FPS), 0
            container.mux(stream.encode(fitted))
        container.mux(stream.encode(None))
    return target


def count_repeats(clip: Path) -> int:
    """How many frames have the luma of the frame before: those the engine would not compute again."""
    repeats, previous = 0, None
    with av.open(str(clip)) as container:
        for frame in container.decode(video=0):
            luma = frame.to_ndarray()[: frame.height]
            repeats += previous is not None and np.array_equal(luma, previous)
            previous = luma
    return repeats


def _endless(source: Path) -> Iterator[VideoFrame]:
    while True:
        with av.open(str(source)) as container:
            yield from container.decode(video=0)


def _pan(folder: Path, width: int, height: int) -> Iterator[VideoFrame]:
    wall = _wall(folder)
    for index in count():
        left = index * _STEP_PX % (wall.width - width)
        top = index * _STEP_PX // 2 % (wall.height - height)
        yield VideoFrame.from_image(wall.crop((left, top, left + width, top + height)))


def _wall(folder: Path) -> Image.Image:
    """Photographs of the size of the first, side by side and not enlarged, so that each keeps its detail."""
    pictures = [Image.open(path) for path in sorted(folder.glob("*.jpg"))]
    alike = [each for each in pictures if each.size == pictures[0].size]
    width, height = pictures[0].size
    wall = Image.new("RGB", (width * _COLUMNS, height * _ROWS))
    for place, picture in zip(range(_COLUMNS * _ROWS), alike, strict=False):
        wall.paste(picture, (place % _COLUMNS * width, place // _COLUMNS * height))
    return wall
