"""How a player turns and mirrors a picture before it is shown: the display matrix that travels with its frames.

Source: ISO/IEC 14496-12, 8.3.2 (matrix of the track header); FFmpeg libavutil/display.h.
"""

from __future__ import annotations

import math
import struct
from typing import Any, NamedTuple

__all__ = ["Orientation", "orientation_of"]


class Orientation(NamedTuple):
    """First the stored picture is turned clockwise by `rotation_deg` (0, 90, 180, 270), then left and right change."""

    rotation_deg: int = 0
    is_mirrored: bool = False


def orientation_of(frame: Any) -> Orientation:
    """Return how a decoded frame is shown; a matrix that neither turns nor mirrors is the usual one."""
    for data in frame.side_data:
        if data.type.name == "DISPLAYMATRIX" and len(bytes(data)) == 36:
            a, b, _, c, d = struct.unpack("=9i", bytes(data))[:5]
            is_mirrored = a * d - b * c < 0
            turned = math.degrees(math.atan2(b, -a if is_mirrored else a))
            return Orientation(round(turned / 90) * 90 % 360, is_mirrored)
    return Orientation()
