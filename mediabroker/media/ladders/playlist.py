"""Reading our own variant playlists and writing the master playlist of a ladder: pure functions.

Source: RFC 8216 (HTTP Live Streaming), sections 4.3.3 and 4.3.4; RFC 6381 and ISO/IEC 14496-15 Annex E for `CODECS`.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple
from urllib.parse import quote

__all__ = ["Segment", "Variant", "avc_codec", "build_master", "hevc_codec", "parse_segments", "peak_bitrate"]


class Segment(NamedTuple):
    """One piece of a variant playlist."""

    name: str
    duration_s: float


class Variant(NamedTuple):
    """What the master playlist says of one rendition; `uri` is relative to the master. Unknown codecs are left out."""

    uri: str
    width_px: int
    height_px: int
    frame_rate: Fraction
    peak_bps: int
    average_bps: int
    codecs: tuple[str, ...]
    hdr: str | None = None


def parse_segments(playlist: str) -> list[Segment]:
    """The segments of a variant playlist, in order."""
    segments, duration_s = [], 0.0
    for line in playlist.splitlines():
        if line.startswith("#EXTINF:"):
            duration_s = float(line.removeprefix("#EXTINF:").partition(",")[0])
        elif line and not line.startswith("#"):
            segments.append(Segment(line, duration_s))
    return segments


def peak_bitrate(sizes_bytes: Sequence[int], segments: Sequence[Segment]) -> int:
    """Bits a second of the heaviest segment. A last piece under half the longest says little and does not count."""
    longest_s = max(segment.duration_s for segment in segments)
    rates = [
        size * 8 / segment.duration_s
        for size, segment in zip(sizes_bytes, segments, strict=True)
        if segment.duration_s > 0 and segment.duration_s >= longest_s / 2
    ]
    return round(max(rates, default=0))


def build_master(variants: Sequence[Variant], *, fragmented: bool) -> str:
    """The text of the master playlist."""
    lines = ["#EXTM3U", f"#EXT-X-VERSION:{7 if fragmented else 6}", "#EXT-X-INDEPENDENT-SEGMENTS"]
    for variant in variants:
        attributes = [
            f"BANDWIDTH={variant.peak_bps}",
            f"AVERAGE-BANDWIDTH={variant.average_bps}",
            f"RESOLUTION={variant.width_px}x{variant.height_px}",
        ]
        if variant.frame_rate:
            attributes.append(f"FRAME-RATE={float(variant.frame_rate):.3f}")
        if variant.codecs:
            attributes.append(f'CODECS="{",".join(variant.codecs)}"')
        if variant.hdr:
            attributes.append(f"VIDEO-RANGE={variant.hdr.upper()}")
        lines += [f"#EXT-X-STREAM-INF:{','.join(attributes)}", quote(variant.uri)]
    return "\n".join(lines) + "\n"


def avc_codec(extradata: bytes) -> str:
    """`avc1.PPCCLL` from the parameter sets, in the form that mp4 (avcC) or that transport streams use.

    Raises:
        ValueError: there is no sequence parameter set.
    """
    if extradata[:1] == b"\x01":
        return f"avc1.{extradata[1:4].hex()}"
    for unit in extradata.replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1"):
        if unit and unit[0] & 0x1F == 7:
            return f"avc1.{unit[1:4].hex()}"
    raise ValueError("the video has no sequence parameter set")


def hevc_codec(extradata: bytes) -> str:
    """`hvc1.…` from an mp4's hvcC record.

    Raises:
        ValueError: it is not such a record.
    """
    if len(extradata) < 13 or extradata[0] != 1:
        raise ValueError("the video has no hvcC record")
    space = ("", "A", "B", "C")[extradata[1] >> 6]
    tier = "H" if extradata[1] & 0x20 else "L"
    compatibility = int(f"{int.from_bytes(extradata[2:6], 'big'):032b}"[::-1], 2)
    constraints = extradata[6:12].rstrip(b"\0")
    parts = [f"hvc1.{space}{extradata[1] & 0x1F}", f"{compatibility:x}", f"{tier}{extradata[12]}"]
    return ".".join(parts + [f"{byte:x}" for byte in constraints])
