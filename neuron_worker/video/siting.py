"""Where chroma samples sit between those of luma, which decoders know and PyAV does not tell.

swscale heeds it, so it is read off what swscale makes of a slope. Scaled at the wrong place, colours move against
edges by up to half a pixel.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from av import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter

from neuron_worker.video.filtering import FrameFilter

__all__ = ["Siting", "SitingSetter", "find_siting"]

Siting = Literal["left", "center", "topleft", "top", "bottomleft", "bottom"]
"""Source: FFmpeg libavutil/pixdesc.c, the names of `AVChromaLocation`."""

_SITINGS: tuple[Siting, ...] = ("left", "center", "topleft", "top", "bottomleft", "bottom")
_TELLING = frozenset({"h264", "hevc", "mpeg1video", "mpeg2video", "mpeg4", "mjpeg", "theora"})
"""Whose decoders state the siting of every frame. Of others swscale believes the centre where nothing is stated; but
then it is the left, as H.273 has it for silent 4:2:0 video, and as players show VP8, VP9 and AV1."""
_SLOPE_PX = 64


class SitingSetter(FrameFilter):
    """Gives frames of one format a siting; the samples are shared, not copied."""

    def __init__(self, siting: Siting) -> None:
        super().__init__("setparams", f"chroma_location={siting}")


def find_siting(frame: VideoFrame, codec: str) -> Siting:
    """The siting of a decoded frame, stated or by convention."""
    slope = _slope_like(frame)
    seen = _enlarged_chroma(slope)
    found = next(each for each in _SITINGS if np.array_equal(seen, _enlarged_chroma(SitingSetter(each)(slope))))
    return "left" if found == "center" and codec not in _TELLING else found


def _slope_like(frame: VideoFrame) -> VideoFrame:
    """A frame that states what `frame` does, and rises to the right and downwards."""
    slope = VideoReformatter().reformat(frame, _SLOPE_PX, _SLOPE_PX, "yuv420p", threads=1)
    for plane in slope.planes:
        rise = np.add.outer(2 * np.arange(plane.height), 3 * np.arange(plane.line_size))
        plane.update(rise.astype(np.uint8).tobytes())
    return slope


def _enlarged_chroma(frame: VideoFrame) -> Any:
    size = 2 * _SLOPE_PX
    large = VideoReformatter().reformat(frame, size, size, "yuv420p", interpolation=Interpolation.BICUBIC, threads=1)
    return np.frombuffer(bytes(large.planes[1]), np.uint8)
