"""The pictures of a benchmark folder that a model serves best and worst, side by side with the truth.

python -m benchmarks.quality.strip PICTURES OUT.png --model fast --scale 2

One row for the largest and one for the smallest gain over Lanczos, clean and after H.264; in each row the pixels of the
source, Lanczos, the model's int8 graph and the truth, where the truth has most detail.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from neuron_worker.runtimes.weights import WEIGHTS
from neuron_worker.training.material.images import Bytes
from neuron_worker.training.scoring.benchmark import shipped_models
from neuron_worker.training.scoring.evaluate import BASELINES, Case, Upscale, benchmark_cases, score

__all__ = ["main"]

_WINDOW_PX = 176
_ZOOM = 2
_GAP_PX, _LINE_PX = 8, 16


class _Gain(NamedTuple):
    """How a model does on one picture, and what it was given."""

    case: Case
    low: Bytes
    psnr_db: float
    gain_db: float


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality.strip", description=__doc__)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("out", type=Path, help="a PNG")
    parser.add_argument("--model", default="fast")
    parser.add_argument("--scale", type=int, default=2)
    options = parser.parse_args()
    models = shipped_models(WEIGHTS, options.model, options.scale)
    name = f"{options.model}-x{options.scale}-int8"
    lanczos, model = BASELINES["lanczos"](options.scale), models[name]
    cases = benchmark_cases(options.pictures, options.scale)
    rows = []
    for kind in ("clean", "compressed"):
        gains = sorted((_gain(case, getattr(case, kind), lanczos, model) for case in cases), key=attrgetter("gain_db"))
        for word, gain in (("best", gains[-1]), ("worst", gains[0])):
            print(f"{kind:10} {word:5} {gain.case.name:>8} {gain.psnr_db:.2f} dB, Lanczos {gain.gain_db:+.2f} dB")
            title = f"{kind}, {word}: {gain.case.name}, {gain.gain_db:+.2f} dB over Lanczos"
            rows.append(_row(title, gain, {"Lanczos": lanczos(gain.low), name: model(gain.low)}, options.scale))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    _stack(rows).save(options.out)


def _gain(case: Case, low: Bytes, lanczos: Upscale, model: Upscale) -> _Gain:
    ours, plain = score(model, low, case.truth), score(lanczos, low, case.truth)
    return _Gain(case, low, ours.psnr_db, ours.psnr_db - plain.psnr_db)


def _row(title: str, gain: _Gain, enlarged: dict[str, Bytes], scale: int) -> Image.Image:
    planes = {"source": gain.low.repeat(scale, 0).repeat(scale, 1), **enlarged, "truth": gain.case.truth}
    top, left = _busiest(gain.case.truth)
    side = _WINDOW_PX * _ZOOM
    row = Image.new("L", ((side + _GAP_PX) * len(planes), side + 2 * _LINE_PX), 255)
    pen = ImageDraw.Draw(row)
    pen.text((0, 0), title, fill=0)
    for index, (name, plane) in enumerate(planes.items()):
        window = Image.fromarray(plane[top : top + _WINDOW_PX, left : left + _WINDOW_PX])
        x = index * (side + _GAP_PX)
        pen.text((x, _LINE_PX), name, fill=0)
        row.paste(window.resize((side, side), Image.Resampling.NEAREST), (x, 2 * _LINE_PX))
    return row


def _busiest(truth: Bytes) -> tuple[int, int]:
    """The corner of the window with the strongest edges."""
    edges = np.abs(np.diff(truth.astype(np.int64), axis=1))
    total = np.pad(edges.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    size = _WINDOW_PX
    windows = total[size:, size:] - total[:-size, size:] - total[size:, :-size] + total[:-size, :-size]
    top, left = np.unravel_index(int(windows.argmax()), windows.shape)
    return int(top), int(left)


def _stack(rows: Sequence[Image.Image]) -> Image.Image:
    whole = Image.new("L", (rows[0].width, sum(row.height + _GAP_PX for row in rows)), 255)
    y = 0
    for row in rows:
        whole.paste(row, (0, y))
        y += row.height + _GAP_PX
    return whole


if __name__ == "__main__":
    main()
