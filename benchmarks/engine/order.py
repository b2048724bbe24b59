"""What a measured process is told, and what it tells."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

__all__ = ["Measured", "Order"]


class Order(NamedTuple):
    """One run of one way.

    `folder` is its own; `rate_fps` is the simulated accelerator's; `frames` is what the clip holds, `slices` into how
    many equal slices it is cut; `piece` is the one to make (None: all of them), `merged` whether they are merged.
    """

    way: str
    clip: Path
    folder: Path
    frames: int
    variant: str = "fp32"
    scale: int = 2
    threads: int = 2
    rate_fps: float = 0.0
    slices: int = 1
    piece: int | None = None
    merged: bool = True

    def to_json(self) -> str:
        """One line."""
        return json.dumps(self._asdict(), default=str)

    @classmethod
    def from_json(cls, line: str) -> Order:
        """The order of a line."""
        content = json.loads(line)
        return cls(**{**content, "clip": Path(content["clip"]), "folder": Path(content["folder"])})


class Measured(NamedTuple):
    """One run: its own and its children's processor time; `others` is the share of all processors' time that went to
    other programs meanwhile, None where the system does not tell."""

    frames: int
    wall_s: float
    cpu_s: float
    peak_rss_bytes: int
    others: float | None = None

    @property
    def fps(self) -> float:
        """Frames a second."""
        return self.frames / self.wall_s

    @property
    def cpu_ms(self) -> float:
        """Processor time for a frame, in milliseconds."""
        return 1000 * self.cpu_s / self.frames
