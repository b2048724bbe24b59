"""Sizes, rates and spans of time for people."""

from __future__ import annotations

from datetime import datetime

__all__ = ["bitrate_text", "size_text", "span_text"]


def size_text(size_bytes: float) -> str:
    """Bytes in powers of 1,000."""
    for unit in ("B", "kB", "MB", "GB"):
        if size_bytes < 1000:
            return f"{size_bytes:.0f} {unit}" if unit in ("B", "kB") else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1000
    return f"{size_bytes:.1f} TB"


def bitrate_text(bits_per_s: int) -> str:
    """Bits a second in powers of 1,000."""
    return f"{bits_per_s / 1e6:.1f} Mbit/s" if bits_per_s >= 1e6 else f"{bits_per_s / 1e3:.0f} kbit/s"


def span_text(start: datetime, end: datetime) -> str:
    """The time between two moments, in the largest unit of which there are two."""
    seconds = max((end - start).total_seconds(), 0)
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
