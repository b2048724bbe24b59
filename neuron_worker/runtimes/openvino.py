"""OpenVINO on the processor: reads the same ONNX files, and is faster than onnxruntime on some processors."""

from __future__ import annotations

import logging
from functools import cache
from threading import local
from typing import Any

import openvino

from mediabroker.errors import ConfigurationError
from neuron_worker.runtimes import onnx
from neuron_worker.runtimes.availability import Engine, Task
from neuron_worker.runtimes.golden import differs_from_golden, golden_tile
from neuron_worker.runtimes.onnx import FORMS, OnnxRuntime, best_turns_s
from neuron_worker.runtimes.protocol import Luma, Runtime
from neuron_worker.runtimes.weights import Card
from neuron_worker.tiles import upscale_in_tiles

__all__ = ["ENGINE", "OpenVinoRuntime"]

_log = logging.getLogger(__name__)

_DEVICE = "CPU"
_BF16 = "bf16"
_TILE_PX = 512
_CLEARLY_FASTER = 1.5
"""A smaller lead may be noise of a busy machine, and jobs that are done twice should give the same samples."""
_EXACT_MAX_DIFFERENCE = 1
"""Grey levels by which 32-bit arithmetic in another order may differ after rounding."""


class OpenVinoRuntime:
    """One network in OpenVINO, with one stream of one thread for each worker. `bf16` is the fp32 file computed in
    bfloat16, which some processors do in hardware.

    Raises:
        ConfigurationError: the weights are missing or not what their card names.
    """

    name = "openvino"
    channels = 1

    def __init__(self, card: Card, variant: str, workers: int) -> None:
        content, self.weights = card.read(FORMS["fp32" if variant == _BF16 else variant])
        self.variant, self.workers = variant, workers
        self._scale, self._overlap = card.scale, card.radius_px
        core = _core()
        settings = {
            "NUM_STREAMS": str(workers),
            "INFERENCE_NUM_THREADS": str(workers),
            "INFERENCE_PRECISION_HINT": _BF16 if variant == _BF16 else "f32",
        }
        self._model: Any = core.compile_model(core.read_model(model=content), _DEVICE, settings)
        self._requests = local()

    def upscale(self, luma: Luma) -> Luma:
        """As the protocol says; frames larger than a tile go through in pieces, with the same result."""
        return upscale_in_tiles(
            self._run, luma, self._scale, tile_height=_TILE_PX, tile_width=_TILE_PX, overlap=self._overlap
        )

    def _run(self, luma: Luma) -> Luma:
        if not hasattr(self._requests, "own"):
            self._requests.own = self._model.create_infer_request()
        result: Luma = self._requests.own.infer([luma])[0].copy()
        return result


@cache
def _core() -> Any:
    # Kept for good. Its CPU plug-in gives the thread that loads it a signal stack and frees that memory in whatever
    # thread lets the last core go. Python's handlers run on signal stacks: the next SIGTERM would kill the process.
    return openvino.Core()


def _choose_variant(task: Task) -> str:
    """`deep`; else the fastest form that is right on this processor."""
    card = task.card
    if onnx.choose_variant(card, deep=task.deep) == "deep":
        return "deep"
    if not card.golden:
        return "fp32"
    exact = OnnxRuntime(card, "fp32", 1)
    allowed = {
        "fp32": {"int8_max_difference": _EXACT_MAX_DIFFERENCE, "int8_mean_difference": _EXACT_MAX_DIFFERENCE},
        _BF16: card.golden,
        "int8": card.golden,
    }
    tile = golden_tile(card.golden["height_px"], card.golden["width_px"])
    right: list[OpenVinoRuntime] = []
    for variant in _variants(card):
        candidate = OpenVinoRuntime(card, variant, 1)
        if fault := differs_from_golden(exact.upscale(tile), candidate.upscale(tile), allowed[variant]):
            _log.warning("openvino's %s is not exact on this processor (%s)", variant, fault)
        else:
            right.append(candidate)
    if not right:
        raise ConfigurationError("openvino computes something else than onnxruntime on this processor")
    turns_s = best_turns_s(*right)
    return right[turns_s.index(min(turns_s))].variant


def _variants(card: Card) -> list[str]:
    capabilities = _core().get_property(_DEVICE, "OPTIMIZATION_CAPABILITIES")
    found = ["fp32"]
    if "BF16" in capabilities:
        found.append(_BF16)
    if card.name_of(FORMS["int8"]) in card.files:
        found.append("int8")
    return found


class _OpenVinoEngine:
    def obstacle(self) -> str | None:
        return None

    def describe(self) -> str:
        capabilities = _core().get_property(_DEVICE, "OPTIMIZATION_CAPABILITIES")
        kinds = [kind for kind in ("INT8", "BF16", "FP16") if kind in capabilities]
        return f"openvino {openvino.__version__.split('-')[0]} on the processor, {', '.join(kinds)}"

    def choose_variant(self, task: Task) -> str:
        return _choose_variant(task)

    def offer(self, task: Task) -> str | None:
        """Only where a race of a few tiles, one thread each, says that it is clearly faster than onnxruntime."""
        if task.deep:
            return None
        variant = _choose_variant(task)
        rival = OnnxRuntime(task.card, onnx.choose_variant(task.card, deep=False), 1)
        ours_s, theirs_s = best_turns_s(OpenVinoRuntime(task.card, variant, 1), rival)
        _log.info("openvino %s takes %.1f ms a tile, onnx %.1f ms", variant, ours_s * 1e3, theirs_s * 1e3)
        return variant if ours_s * _CLEARLY_FASTER < theirs_s else None

    def load(self, card: Card, variant: str, workers: int) -> Runtime:
        return OpenVinoRuntime(card, variant, workers)


ENGINE: Engine = _OpenVinoEngine()
