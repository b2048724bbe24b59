"""Colour tags: the numbers that streams carry and the words that ffmpeg's options use for them.

Source: ITU-T H.273 (2021), tables 2, 3 and 4; FFmpeg libavutil/pixdesc.c for the spelling. "Unspecified" has no word.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

__all__ = ["MATRICES", "PRIMARIES", "RANGES", "TRANSFERS", "hdr_kind"]

RANGES: Mapping[int, str] = {1: "tv", 2: "pc"}

PRIMARIES: Mapping[int, str] = {
    1: "bt709",
    4: "bt470m",
    5: "bt470bg",
    6: "smpte170m",
    7: "smpte240m",
    8: "film",
    9: "bt2020",
    10: "smpte428",
    11: "smpte431",
    12: "smpte432",
}

TRANSFERS: Mapping[int, str] = {
    1: "bt709",
    4: "bt470m",
    5: "bt470bg",
    6: "smpte170m",
    7: "smpte240m",
    8: "linear",
    9: "log100",
    10: "log316",
    11: "iec61966-2-4",
    12: "bt1361e",
    13: "iec61966-2-1",
    14: "bt2020-10",
    15: "bt2020-12",
    16: "smpte2084",
    17: "smpte428",
    18: "arib-std-b67",
}

MATRICES: Mapping[int, str] = {
    0: "gbr",
    1: "bt709",
    4: "fcc",
    5: "bt470bg",
    6: "smpte170m",
    7: "smpte240m",
    8: "ycgco",
    9: "bt2020nc",
    10: "bt2020c",
    14: "ictcp",
}

_HDR: Mapping[str, Literal["pq", "hlg"]] = {"smpte2084": "pq", "arib-std-b67": "hlg"}


def hdr_kind(transfer: str | None) -> Literal["pq", "hlg"] | None:
    """Which high-dynamic-range curve a transfer function is, if it is one."""
    return _HDR.get(transfer or "")
