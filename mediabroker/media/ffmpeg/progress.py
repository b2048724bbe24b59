"""What ffmpeg says of its progress (`-progress pipe:`), line by line, as a typed value."""

from __future__ import annotations

import math

from mediabroker.models import Value

__all__ = ["Progress", "ProgressParser"]


class Progress(Value):
    """How far a child is. `frames` are those of the first output; `total_s` is the source's duration where known."""

    frames: int = 0
    out_time_s: float = 0.0
    size_bytes: int = 0
    fps: float | None = None
    speed: float | None = None
    """Seconds of media a second of work."""
    total_s: float | None = None

    @property
    def fraction(self) -> float | None:
        """Between 0 and 1, or None when nobody knows the total."""
        return min(1.0, max(0.0, self.out_time_s / self.total_s)) if self.total_s else None


class ProgressParser:
    """Collects lines of `key=value`; each block ends with a line `progress=…`."""

    def __init__(self, total_s: float | None = None) -> None:
        self._block: dict[str, str] = {}
        self._total_s = total_s
        self._last = Progress(total_s=total_s)

    def feed(self, line: str) -> Progress | None:
        """The state that a finished block describes; None inside a block. What is missing or N/A stays as it was."""
        key, _, value = line.partition("=")
        if key.strip() != "progress":
            self._block[key.strip()] = value.strip()
            return None
        block, self._block = self._block, {}
        self._last = Progress(
            frames=int(_number(block.get("frame")) or self._last.frames),
            out_time_s=max(self._last.out_time_s, (_number(block.get("out_time_us")) or 0.0) / 1e6),
            size_bytes=int(_number(block.get("total_size")) or self._last.size_bytes),
            fps=_number(block.get("fps")),
            speed=_number((block.get("speed") or "").removesuffix("x")),
            total_s=self._total_s,
        )
        return self._last


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None
