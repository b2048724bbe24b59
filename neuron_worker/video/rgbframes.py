"""Frames for networks that work on RGB: converted to it before and back after, by the source's own matrix and range.

Two conversions and three times the samples make this several times slower than luma; it exists for third-party models.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from av import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

from mediabroker.errors import ErrorCode, MediaError
from neuron_worker.runtimes import Luma
from neuron_worker.video.frames import Canvas
from neuron_worker.video.siting import SitingSetter
from neuron_worker.video.source import SourceFacts

__all__ = ["RgbCanvas", "RgbPreparer", "check_rgb"]

_MATRICES = {
    1: Colorspace.ITU709,
    4: Colorspace.FCC,
    5: Colorspace.ITU601,
    6: Colorspace.ITU601,
    7: Colorspace.SMPTE240M,
}
"""Source: ITU-T H.273, table 4, "MatrixCoefficients"; those that the converter knows both ways."""
_UNSPECIFIED = frozenset({0, 2})
_FULL = 2


@dataclass(frozen=True)
class RgbCanvas(Canvas):
    """Here `frame` is the source's, of which nothing but the times and the colours are taken."""

    facts: SourceFacts
    scale: int
    locate: SitingSetter
    """Says where the chroma that comes of RGB samples is to sit."""

    def paint(self, luma: Luma) -> VideoFrame:
        """The finished frame. `luma` is RGB, `(1, 3, H, W)` uint8, at least as large as the frame."""
        height, width = self.facts.height_px * self.scale, self.facts.width_px * self.scale
        rgb = VideoFrame.from_ndarray(np.ascontiguousarray(luma[0, :, :height, :width].transpose(1, 2, 0)), "rgb24")
        matrix, span = _colours(self.facts)
        return VideoReformatter().reformat(
            self.locate(rgb),
            width,
            height,
            self.facts.sampling,
            src_colorspace=matrix,
            dst_colorspace=matrix,
            src_color_range=ColorRange.JPEG,
            dst_color_range=span,
            interpolation=Interpolation.BICUBIC,
            threads=1,
        )


class RgbPreparer:
    """As `FramePreparer`, for networks that take RGB. Not thread-safe."""

    def __init__(self, facts: SourceFacts, scale: int) -> None:
        self._facts, self._scale = facts, scale
        self._scaler = VideoReformatter()
        self._locate, self._relocate = SitingSetter(facts.siting), SitingSetter(facts.siting)

    def prepare(self, frame: VideoFrame) -> tuple[Luma, Canvas]:
        """`(1, 3, H, W)` uint8 RGB with even sides, and the canvas."""
        assert frame.pts is not None
        matrix, span = _colours(self._facts)
        rgb = self._scaler.reformat(
            self._locate(frame),
            frame.width,
            frame.height,
            "rgb24",
            src_colorspace=matrix,
            dst_colorspace=matrix,
            src_color_range=span,
            dst_color_range=ColorRange.JPEG,
            interpolation=Interpolation.BICUBIC,
            threads=1,
        ).to_ndarray()
        height, width = rgb.shape[:2]
        planes = np.pad(rgb, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge").transpose(2, 0, 1)
        canvas = RgbCanvas(
            frame, frame.pts, frame.duration or 0, facts=self._facts, scale=self._scale, locate=self._relocate
        )
        return np.ascontiguousarray(planes)[np.newaxis], canvas


def check_rgb(path: Path, facts: SourceFacts) -> None:
    """Refuse what would not survive the way to RGB and back.

    Raises:
        MediaError: `MEDIA_UNSUPPORTED`.
    """
    if facts.is_deep:
        raise MediaError(
            ErrorCode.MEDIA_UNSUPPORTED, f"{path} has 10 bits a sample; models that work on RGB keep 8, ours keep all"
        )
    if facts.colour.matrix not in _MATRICES and facts.colour.matrix not in _UNSPECIFIED:
        raise MediaError(
            ErrorCode.MEDIA_UNSUPPORTED,
            f"{path} has a colour matrix (H.273 number {facts.colour.matrix}) that models "
            "which work on RGB cannot keep",
        )


def _colours(facts: SourceFacts) -> tuple[Colorspace, ColorRange]:
    # Unspecified: any matrix will do, if it is the same both ways.
    return (
        _MATRICES.get(facts.colour.matrix, Colorspace.ITU601),
        ColorRange.JPEG if facts.colour.range == _FULL else ColorRange.MPEG,
    )
