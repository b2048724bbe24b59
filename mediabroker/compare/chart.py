"""Figures over time as one SVG: a line for each way to large pictures, a band down to the worst frames of one."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from statistics import fmean

__all__ = ["chart"]

_WIDTH, _HEIGHT = 1100, 200
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 12, 12, 26
_POINTS = 400
"""More cannot be told apart; a point then stands for several frames."""
_LINES = 4
_NICE = (1, 2, 2.5, 5, 10)


@dataclass(frozen=True)
class _Axis:
    """Values of `low` to `high` on pixels of `first` to `last`."""

    low: float
    high: float
    first: float
    last: float

    def at(self, value: float) -> float:
        return self.first + (value - self.low) / (self.high - self.low) * (self.last - self.first)


def chart(
    title: str, times_s: Sequence[float], curves: Mapping[str, Sequence[float]], *, marked: int | None = None
) -> str:
    """The SVG. `curves` maps a class of the style sheet to one value a time; `marked` is the index of a worst frame.

    The first curve is the one that matters: it is drawn last and has the band.
    """
    values = [value for curve in curves.values() for value in curve]
    steps = _steps(min(values), max(values), _LINES)
    across = _Axis(times_s[0], max(times_s[-1], times_s[0] + 1e-3), _LEFT, _WIDTH - _RIGHT)
    upward = _Axis(steps[0], steps[-1], _HEIGHT - _BOTTOM, _TOP)
    first = next(iter(curves))
    parts = [
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}">',
        *_grid(steps, upward, across),
        f'<path class="band" d="{_band(times_s, curves[first], across, upward)}"/>',
        *(
            f'<path class="{escape(name)}" d="{_line(times_s, curve, across, upward)}"/>'
            for name, curve in reversed(list(curves.items()))
        ),
    ]
    if marked is not None:
        x, y = across.at(times_s[marked]), upward.at(curves[first][marked])
        parts.append(f'<circle class="worst" cx="{x:.1f}" cy="{y:.1f}" r="4.5"/>')
    return "".join([*parts, "</svg>"])


def _grid(steps: Sequence[float], upward: _Axis, across: _Axis) -> Iterator[str]:
    digits = len(f"{steps[1] - steps[0]:.6f}".rstrip("0").partition(".")[2])
    for step in steps:
        y = upward.at(step)
        yield f'<path class="grid" d="M{across.first} {y:.1f}H{across.last}"/>'
        yield f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{step:.{digits}f}</text>'
    times = [time for time in _steps(across.low, across.high, 8) if across.low <= time <= across.high]
    for time in times:
        x = across.at(time)
        yield f'<text x="{x:.1f}" y="{_HEIGHT - 6}" text-anchor="middle">{_clock(time)}</text>'


def _steps(low: float, high: float, count: int) -> Sequence[float]:
    """Round numbers, evenly spaced, about `count`, the first not above `low`, the last not below `high`."""
    span = max(high - low, 1e-3 * max(abs(high), 1.0))
    rough = span / count
    power = 10.0 ** math.floor(math.log10(rough))
    size = next(nice * power for nice in _NICE if nice * power >= rough * 0.999)
    first, last = math.floor(low / size + 1e-9), math.ceil((low + span) / size - 1e-9)
    return [round(index * size, 9) for index in range(first, last + 1)]


def _clock(time_s: float) -> str:
    if time_s < 60:
        return f"{time_s:g} s"
    minutes, seconds = divmod(time_s, 60)
    return f"{minutes:.0f}:{seconds:02.0f}"


def _buckets(times_s: Sequence[float], curve: Sequence[float]) -> Iterator[tuple[float, float, float]]:
    """Time, mean and lowest value of as many neighbouring frames as share a point."""
    size = math.ceil(len(curve) / _POINTS)
    for start in range(0, len(curve), size):
        values = curve[start : start + size]
        yield fmean(times_s[start : start + size]), fmean(values), min(values)


def _line(times_s: Sequence[float], curve: Sequence[float], across: _Axis, upward: _Axis) -> str:
    points = [f"{across.at(time):.1f} {upward.at(mean):.1f}" for time, mean, _ in _buckets(times_s, curve)]
    # One point alone has no length; it becomes a line over the width.
    return f"M{points[0]}H{across.last}" if len(points) == 1 else "M" + "L".join(points)


def _band(times_s: Sequence[float], curve: Sequence[float], across: _Axis, upward: _Axis) -> str:
    points = list(_buckets(times_s, curve))
    upper = [f"{across.at(time):.1f} {upward.at(mean):.1f}" for time, mean, _ in points]
    lower = [f"{across.at(time):.1f} {upward.at(lowest):.1f}" for time, _, lowest in reversed(points)]
    return "M" + "L".join([*upper, *lower]) + "Z"
