"""From a decoded frame to what the network takes, and from what it gives to a frame for the encoder.

Frames stay YUV all the way: the network sees the luma plane, chroma is scaled by swscale on the whole frame (which is
told where 4:2:0 chroma sits), and no sample is converted to RGB and back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from av import VideoFrame
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter
from numpy.typing import NDArray

from neuron_worker.runtimes.protocol import Luma
from neuron_worker.video.filtering import FrameFilter
from neuron_worker.video.siting import SitingSetter
from neuron_worker.video.source import SourceFacts

__all__ = ["Canvas", "FramePreparer", "even", "luma_plane", "plane_view"]

_DEEP_LIMIT = 1023
"""The largest 10-bit sample."""


@dataclass(frozen=True)
class Canvas:
    """The frame to be encoded, its chroma done, its luma still empty; `pts` and `duration` in ticks of the source."""

    frame: VideoFrame
    pts: int
    duration: int

    def paint(self, luma: Luma) -> VideoFrame:
        """The finished frame. `luma` is `(1, 1, H, W)`, uint8 or float32 in 0..1, at least as large as the frame."""
        target = plane_view(self.frame, 0)
        height, width = target.shape
        samples = luma[0, 0, :height, :width]
        if samples.dtype == np.uint8:
            target[:] = samples
        else:
            np.rint(np.clip(samples, 0, 1) * _DEEP_LIMIT, out=target, casting="unsafe")
        return self.frame


class FramePreparer:
    """Splits frames of one source into luma for the network and a canvas for the encoder. Not thread-safe."""

    def __init__(self, facts: SourceFacts, scale: int) -> None:
        self._facts, self._scale = facts, scale
        self._scaler = VideoReformatter()
        self._locate = SitingSetter(facts.siting)
        self._cut = FrameFilter("crop", f"{facts.width_px * scale}:{facts.height_px * scale}:0:0")

    def prepare(self, frame: VideoFrame) -> tuple[Luma, Canvas]:
        """`(1, 1, H, W)` luma with even sides, uint8 or float32 in 0..1, and the canvas `scale` times as large."""
        assert frame.pts is not None
        return luma_plane(frame), Canvas(self._canvas(frame), frame.pts, frame.duration or 0)

    def _canvas(self, frame: VideoFrame) -> VideoFrame:
        width, height = frame.width, frame.height
        scaled = _reformat(
            self._scaler,
            self._locate(frame),
            even(width) * self._scale,
            even(height) * self._scale,
            self._facts.sampling,
        )
        if width % 2 == 0 and height % 2 == 0:
            return scaled
        # Scaled as if the sides were even, so that chroma of a half block keeps its place; the surplus is cut here.
        return self._cut(scaled)


def luma_plane(frame: VideoFrame) -> Luma:
    """The luma of a frame as `(1, 1, H, W)`; odd sides are made even by repeating the last row or column."""
    plane = plane_view(frame, 0)
    height, width = plane.shape
    if height % 2 or width % 2:
        plane = np.pad(plane, ((0, height % 2), (0, width % 2)), mode="edge")
    if plane.dtype == np.uint8:
        return np.ascontiguousarray(plane)[np.newaxis, np.newaxis]
    return (plane.astype(np.float32) / _DEEP_LIMIT)[np.newaxis, np.newaxis]


def plane_view(frame: VideoFrame, index: int) -> NDArray[Any]:
    """The samples of one plane, `(height, width)` uint8 or uint16, without a copy: writing changes the frame."""
    plane: Any = frame.planes[index]
    depth = frame.format.components[0].bits
    kind = np.dtype(np.uint8 if depth <= 8 else np.uint16)
    rows = np.frombuffer(plane, kind).reshape(-1, plane.line_size // kind.itemsize)
    return rows[: plane.height, : plane.width]


def even(length: int) -> int:
    """The next even number from `length` on."""
    return length + length % 2


def _reformat(scaler: VideoReformatter, frame: VideoFrame, width: int, height: int, sampling: str) -> VideoFrame:
    # The same range on both sides: samples are moved, never converted. "j" formats are full range by their name.
    full = ColorRange.JPEG if frame.format.name.startswith("yuvj") or frame.color_range == ColorRange.JPEG else None
    span = full or ColorRange.MPEG
    return scaler.reformat(
        frame,
        width,
        height,
        sampling,
        interpolation=Interpolation.BICUBIC,
        src_color_range=span,
        dst_color_range=span,
        threads=1,
    )
