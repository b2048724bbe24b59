"""A model's figures beside those of the plain filters, over whole sets of pictures."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from neuron_worker.training.scoring.evaluate import BASELINES, Case, Score, Upscale, benchmark_cases, mean_score, score
from neuron_worker.training.scoring.session import LumaModel

__all__ = ["figures", "shipped_models"]

_log = logging.getLogger(__name__)

_REFERENCE = "lanczos"


def shipped_models(weights: Path, model: str, scale: int) -> dict[str, Upscale]:
    """The 8-bit graphs of a model as onnxruntime runs them: what ships is what is scored."""
    name = f"{model}-x{scale}"
    return {
        name: LumaModel((weights / f"{name}.onnx").read_bytes()),
        f"{name}-int8": LumaModel((weights / f"{name}-int8.onnx").read_bytes()),
    }


def figures(models: Mapping[str, Upscale], sets: Mapping[str, Sequence[Path]], scale: int) -> dict[str, Any]:
    """``{set: {"clean" | "compressed": {method: {psnr_db, ssim, ...}}}}`` for the filters and the models.

    A model's entry also says how far its worst picture is from Lanczos, and which picture that is.
    """
    methods = {**{name: make(scale) for name, make in BASELINES.items()}, **models}
    found: dict[str, Any] = {}
    for name, paths in sets.items():
        cases = benchmark_cases(paths, scale)
        _log.info("scoring %d pictures of %s", len(cases), name)
        found[name] = {
            kind: _compare(methods, cases, [getattr(case, kind) for case in cases]) for kind in ("clean", "compressed")
        }
    return found


def _compare(methods: Mapping[str, Upscale], cases: Sequence[Case], inputs: Sequence[Any]) -> dict[str, Any]:
    scores = {
        name: [score(upscale, low, case.truth) for low, case in zip(inputs, cases, strict=True)]
        for name, upscale in methods.items()
    }
    table = {name: _summary(values) for name, values in scores.items()}
    for name in methods.keys() - BASELINES.keys():
        gains = [ours.psnr_db - theirs.psnr_db for ours, theirs in zip(scores[name], scores[_REFERENCE], strict=True)]
        worst = min(range(len(gains)), key=gains.__getitem__)
        table[name]["worst_gain_db"] = round(gains[worst], 2)
        table[name]["worst_picture"] = cases[worst].name
    return table


def _summary(scores: Sequence[Score]) -> dict[str, Any]:
    mean = mean_score(scores)
    return {"psnr_db": round(mean.psnr_db, 2), "ssim": round(mean.ssim, 4)}
