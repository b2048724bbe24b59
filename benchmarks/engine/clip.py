"""The clips that are measured: a real one where there is one, the demo's otherwise, brought to size and length."""

from __future__ import annotations

import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av import VideoFrame
from av.video.reformatter import Interpolation

__all__ = ["RATE_FPS", "count_repeats", "find_source", "make_clip"]

RATE_FPS = 25
_ROOT = Path(__file__).parent.parent.parent
_SAMPLE = _ROOT / "examples/demo/sample-480x270.mp4"
_REAL = Path("clips/bottle-detection.mp4")


def find_source() -> Path:
    """Filmed pictures, noise and all, from the folder in `MEDIABROKER_DATA`; else the demo's rendered ones."""
    real = Path(os.environ.get("MEDIABROKER_DATA") or _ROOT.parent / "shared/data") / _REAL
    return real if real.is_file() else _SAMPLE


def make_clip(source: Path, target: Path, *, width: int, height: int, frames: int) -> Path:
    """The first `frames` frames of a source, over and over if it has fewer, as H.264 of the given size, no audio."""
    with av.open(str(target), "w") as container:
        stream: Any = container.add_stream("libx264", rate=RATE_FPS, options={"preset": "veryfast", "crf": "20"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for index, frame in zip(range(frames), _endless(source), strict=False):
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
