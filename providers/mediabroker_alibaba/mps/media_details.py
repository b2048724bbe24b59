"""What MPS measures of media, all of it as text, in our types: pure functions.

Source: Alibaba Cloud MPS, "SubmitMediaInfoJob" and "Parameter details", Properties: bitrates in kbit/s, sizes in bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from pydantic import ValidationError

from mediabroker.results import AudioStream, MediaDetails, SubtitleStream, VideoStream

__all__ = ["parse_properties", "whole"]

_KBPS = 1000
_DEEP = {"10": 10, "12": 12}
"""How the name of a pixel format tells its depth, as in `yuv420p10le`."""


def parse_properties(properties: object) -> MediaDetails | None:
    """The `Properties` of a job; None where there are none that can be read."""
    if not isinstance(properties, Mapping):
        return None
    streams = _mapping(properties.get("Streams"))
    form = _mapping(properties.get("Format"))
    try:
        return MediaDetails(
            container=str(form.get("FormatName") or properties.get("FileFormat") or "unknown"),
            size_bytes=whole(properties.get("FileSize") or form.get("Size")) or 0,
            duration_s=_seconds(properties.get("Duration") or form.get("Duration")),
            start_s=_seconds(form.get("StartTime")) or 0.0,
            bitrate_bps=_bitrate(properties.get("Bitrate") or form.get("Bitrate")),
            video=tuple(_video(each) for each in _listed(streams, "VideoStream")),
            audio=tuple(_audio(each) for each in _listed(streams, "AudioStream")),
            subtitles=tuple(_subtitle(each) for each in _listed(streams, "SubtitleStream")),
        )
    except (ValidationError, ValueError):
        return None


def whole(value: object) -> int | None:
    """A whole number, also one in text."""
    try:
        return round(float(value)) if isinstance(value, str | int | float) and not isinstance(value, bool) else None
    except (ValueError, OverflowError):
        return None


def _video(stream: Mapping[str, Any]) -> VideoStream:
    pixel_format = str(stream.get("PixFmt") or "unknown")
    return VideoStream(
        index=whole(stream.get("Index")) or 0,
        codec=str(stream.get("CodecName") or "unknown"),
        width_px=whole(stream.get("Width")) or 0,
        height_px=whole(stream.get("Height")) or 0,
        pixel_format=pixel_format,
        bit_depth=next((depth for name, depth in _DEEP.items() if f"p{name}" in pixel_format), 8),
        frame_rate=_rate(stream.get("AvgFPS") or stream.get("Fps")),
        frame_count=whole(stream.get("NumFrames")),
        duration_s=_seconds(stream.get("Duration")),
        bitrate_bps=_bitrate(stream.get("Bitrate")),
        rotation_deg=(whole(stream.get("Rotate")) or 0) % 360,
        sample_aspect_ratio=_aspect(stream.get("Sar")),
    )


def _audio(stream: Mapping[str, Any]) -> AudioStream:
    return AudioStream(
        index=whole(stream.get("Index")) or 0,
        codec=str(stream.get("CodecName") or "unknown"),
        sample_rate_hz=whole(stream.get("Samplerate")) or 0,
        channels=whole(stream.get("Channels")) or 0,
        language=_text(stream.get("Lang")),
        duration_s=_seconds(stream.get("Duration")),
        bitrate_bps=_bitrate(stream.get("Bitrate")),
    )


def _subtitle(stream: Mapping[str, Any]) -> SubtitleStream:
    return SubtitleStream(
        index=whole(stream.get("Index")) or 0,
        codec=str(stream.get("CodecName") or "unknown"),
        language=_text(stream.get("Lang")),
    )


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _listed(streams: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    found = streams.get(f"{name}List")
    found = found.get(name) if isinstance(found, Mapping) else found
    return [each for each in found if isinstance(each, Mapping)] if isinstance(found, list) else []


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _seconds(value: object) -> float | None:
    try:
        seconds = float(value) if isinstance(value, str | int | float) and value != "" else None
    except ValueError:
        return None
    return seconds if seconds is not None and 0 <= seconds < float("inf") else None


def _bitrate(value: object) -> int | None:
    kbps = _seconds(value)
    return round(kbps * _KBPS) if kbps else None


def _rate(value: object) -> str:
    """Frames a second as an exact fraction; MPS rounds 30000/1001 to 29.97."""
    text = str(value or "0")
    try:
        rate = Fraction(text)
    except (ValueError, ZeroDivisionError):
        return "0/1"
    ntsc = Fraction(round(rate * 1001 / 1000) * 1000, 1001)
    if rate.denominator != 1 and abs(ntsc - rate) < Fraction(1, 100):
        rate = ntsc
    return f"{rate.numerator}/{rate.denominator}"


def _aspect(value: object) -> str:
    """`4:3` as a fraction; `0:1` and nothing mean square pixels."""
    left, _, right = str(value or "").partition(":")
    if left.isdecimal() and right.isdecimal() and int(left) and int(right):
        return f"{int(left)}/{int(right)}"
    return "1/1"
