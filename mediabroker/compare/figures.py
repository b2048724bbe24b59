"""What a measurement says, as values that print as JSON."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from statistics import fmean
from typing import Literal

from mediabroker.models import Value

__all__ = ["METRICS", "Agreement", "Audio", "Comparison", "Curves", "Metric", "Pictures", "Quality", "Spread", "Worst"]

Metric = Literal["psnr_y_db", "ssim_y", "vmaf", "vmaf_neg"]
METRICS: tuple[Metric, ...] = ("psnr_y_db", "ssim_y", "vmaf", "vmaf_neg")


class Spread(Value, frozen=True):
    """A figure over all measured frames; all three are equal for one frame."""

    mean: float
    lowest: float
    worst_1pct: float
    """Mean of the worst hundredth of the frames, of at least one."""

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        worst = sorted(values)[: math.ceil(len(values) / 100)]
        return cls(mean=round(fmean(values), 4), lowest=round(worst[0], 4), worst_1pct=round(fmean(worst), 4))


class Curves(Value, frozen=True):
    """Figures frame by frame, in the order of `Quality.times_s`; empty where a figure was not measured."""

    psnr_y_db: tuple[float, ...]
    ssim_y: tuple[float, ...]
    vmaf: tuple[float, ...] = ()
    vmaf_neg: tuple[float, ...] = ()

    def of(self, metric: Metric) -> tuple[float, ...]:
        values: tuple[float, ...] = getattr(self, metric)
        return values


class Pictures(Value, frozen=True):
    """One way to large pictures, and how near it comes: the result, or the source enlarged by a plain filter."""

    name: Literal["result", "lanczos", "bicubic"]
    psnr_y_db: Spread
    ssim_y: Spread
    vmaf: Spread | None = None
    vmaf_neg: Spread | None = None
    frames: Curves

    @classmethod
    def of(cls, name: Literal["result", "lanczos", "bicubic"], curves: Curves) -> Pictures:
        spreads = {metric: Spread.of(curves.of(metric)) for metric in METRICS if curves.of(metric)}
        return cls.model_validate({"name": name, "frames": curves, **spreads})

    def spread(self, metric: Metric) -> Spread | None:
        found: Spread | None = getattr(self, metric)
        return found


class Worst(Value, frozen=True):
    """The frame in which the result comes least near, by PSNR."""

    time_s: float
    psnr_y_db: float


class Quality(Value, frozen=True):
    """How near the result's luma comes to a truth, beside plain enlargements of the same source.

    `against` says what the truth was. "reference": the full-resolution original; the figures are quality. "source": no
    original is known; each picture is reduced to the source's size and compared with the source. Such figures show only
    that the picture was kept; whether the added detail is right they cannot show.
    """

    against: Literal["reference", "source"]
    width_px: int
    height_px: int
    bits: int
    full_range: bool
    every: int
    limit_s: float | None = None
    frames: int
    """How many frames were measured."""
    paired: int
    """How many frames of the files are shown at the same time; with `every`, more than were measured."""
    alone: dict[str, int]
    """How many frames of each file have no partner in the others."""
    vmaf_model: str | None = None
    notes: tuple[str, ...] = ()
    pictures: tuple[Pictures, ...]
    worst: Worst
    times_s: tuple[float, ...]

    def of(self, name: str) -> Pictures:
        return next(each for each in self.pictures if each.name == name)

    def gain(self, metric: Metric, over: str) -> float | None:
        """How much higher the result's mean is than that of a plain enlargement."""
        ours, theirs = self.of("result").spread(metric), self.of(over).spread(metric)
        return None if ours is None or theirs is None else round(ours.mean - theirs.mean, 4)

    def share_better(self, over: str) -> float:
        """In which share of the frames the result's PSNR is the higher one, 0 to 1."""
        pairs = zip(self.of("result").frames.psnr_y_db, self.of(over).frames.psnr_y_db, strict=True)
        return fmean(ours > theirs for ours, theirs in pairs)

    def metrics(self) -> Iterator[Metric]:
        """What was measured."""
        return (metric for metric in METRICS if self.of("result").spread(metric) is not None)


class Audio(Value, frozen=True):
    """One audio stream of the source and whether the result holds the same packets."""

    index: int
    codec: str
    packets: int
    outcome: Literal["identical", "different", "missing"]
    offset_change_s: float | None = None
    """How much later the sound starts against the picture than it did in the source."""


class Agreement(Value, frozen=True):
    """What the result keeps of the source beside the pictures; from all packets of both files."""

    source_frames: int
    result_frames: int
    time_deviation_s: float | None = None
    """The largest change of a frame's time, counted from the first frame; None where the frames differ in number."""
    duration_change_s: float | None = None
    audio: tuple[Audio, ...] = ()
    tags: dict[str, tuple[str | None, str | None]]
    """Colour, rotation and pixel aspect, of the source and of the result."""


class Comparison(Value, frozen=True):
    """Everything that was measured of two or three files."""

    source: str
    result: str
    reference: str | None = None
    agreement: Agreement
    quality: Quality
