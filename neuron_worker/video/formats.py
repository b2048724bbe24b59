"""Pixel formats: which ones keep their luma apart, and what they are encoded as after upscaling."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from av.video.format import VideoFormat

from mediabroker.errors import ErrorCode, MediaError

__all__ = ["Sampling", "sampling_of"]

Sampling = Literal["yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "yuv444p10le"]
"""The planar formats that frames are encoded in; the first plane is luma."""

_SAMPLINGS: dict[str, Sampling] = {
    "yuv420p": "yuv420p",
    "yuvj420p": "yuv420p",
    "nv12": "yuv420p",
    "nv21": "yuv420p",
    "yuv422p": "yuv422p",
    "yuvj422p": "yuv422p",
    "nv16": "yuv422p",
    "yuv444p": "yuv444p",
    "yuvj444p": "yuv444p",
    "nv24": "yuv444p",
    "gray": "yuv420p",
    "yuv420p10le": "yuv420p10le",
    "yuv422p10le": "yuv422p10le",
    "yuv444p10le": "yuv444p10le",
    "gray10le": "yuv420p10le",
}
"""Decoded formats whose first plane is luma and nothing else."""


def sampling_of(path: Path, pixel_format: str) -> Sampling:
    """What frames of `pixel_format` are worked on as, without losing anything.

    Raises:
        MediaError: `MEDIA_UNSUPPORTED`, with what would be lost.
    """
    if pixel_format in _SAMPLINGS:
        return _SAMPLINGS[pixel_format]
    described = VideoFormat(pixel_format)
    if any(component.is_alpha for component in described.components):
        reason = "has transparency, which the output cannot hold"
    elif described.is_rgb or described.has_palette:
        reason = "stores RGB, which would have to be converted"
    elif max(component.bits for component in described.components) > 10:
        reason = "has more than 10 bits a sample, which would be lost"
    else:
        reason = "has a picture format that cannot be kept"
    raise MediaError(ErrorCode.MEDIA_UNSUPPORTED, f"{path} {reason} ({pixel_format})")
