"""onnxruntime on the processor: the embedded default."""

from __future__ import annotations

import logging
import time
from typing import Any

import numpy as np
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as failures
from onnxruntime.capi.onnxruntime_pybind11_state import RuntimeException

from mediabroker.errors import ConfigurationError
from neuron_worker.runtimes.availability import Engine, Task
from neuron_worker.runtimes.golden import differs_from_golden, golden_tile
from neuron_worker.runtimes.protocol import Luma, Runtime
from neuron_worker.runtimes.weights import Card
from neuron_worker.tiles import upscale_in_tiles

__all__ = ["ENGINE", "FORMS", "OnnxRuntime", "best_turns_s", "choose_variant"]

_log = logging.getLogger(__name__)

FORMS = {"fp32": ".onnx", "int8": "-int8.onnx", "deep": "-deep.onnx"}
"""Variants and the files that hold them."""
_TIMING_PX = 256
_TIMING_ROUNDS = 4
_TILE_BYTES = 32 << 20
"""What one layer's activations of one tile may take; a handful of them live at the same time in each worker."""
_INPUT, _OUTPUT = "luma", "upscaled"
_PROBE_PX = 16
_UNUSABLE = (
    RuntimeException,
    failures.Fail,
    failures.InvalidArgument,
    failures.InvalidGraph,
    failures.InvalidProtobuf,
    failures.NotImplemented,
    ValueError,
)
"""What onnxruntime raises for a file that is no network, or not one of this project's shape."""


class OnnxRuntime:
    """One network in onnxruntime. A session runs in the thread that calls it, so `workers` threads use `workers` cores.

    Raises:
        ConfigurationError: the weights are missing, not what their card names, or no network of the card's scale.
    """

    name = "onnx"
    channels = 1

    def __init__(self, card: Card, variant: str, workers: int, *, tile_px: int | None = None) -> None:
        content, self.weights = card.read(FORMS[variant])
        self.variant, self.workers = variant, workers
        self._card = card
        self._session = _checked_session(content, card, variant)
        # After space-to-depth a layer holds `features` float32 for each block of four pixels.
        largest = int((_TILE_BYTES / card.features) ** 0.5)
        self._smallest_tile_px = 8 * card.radius_px
        self._tile_px = tile_px or max(largest // 2 * 2, self._smallest_tile_px)

    def upscale(self, luma: Luma) -> Luma:
        """As the protocol says. Frames larger than a tile go through in pieces, with the same result; when memory runs
        out the pieces become smaller."""
        while True:
            try:
                return self._upscale(luma)
            except MemoryError:
                if self._tile_px // 2 < self._smallest_tile_px:
                    raise
                self._tile_px //= 2
                _log.warning("memory ran out; going on with tiles of %d pixels", self._tile_px)

    def _upscale(self, luma: Luma) -> Luma:
        height, width = luma.shape[2:]
        if height * width <= self._tile_px**2:
            return self._run(luma)
        return upscale_in_tiles(
            self._run,
            luma,
            self._card.scale,
            tile_height=self._tile_px,
            tile_width=self._tile_px,
            overlap=self._card.radius_px,
        )

    def _run(self, luma: Luma) -> Luma:
        try:
            result: Luma = self._session.run([_OUTPUT], {_INPUT: luma})[0]
        except RuntimeException as error:
            if "alloc" in str(error).lower():
                raise MemoryError(f"a frame of {luma.shape[3]}x{luma.shape[2]} does not fit into memory") from error
            raise
        return result


def choose_variant(card: Card, *, deep: bool) -> str:
    """`deep` for video of more than 8 bits; else `int8` where it is right and faster on this processor, else `fp32`.

    Raises:
        ConfigurationError: the weights are missing or not what their card names.
    """
    if card.name_of(FORMS["fp32"]) not in card.files:
        raise ConfigurationError(f"{card.model}-x{card.scale} has no ONNX form; the torch runtime runs it")
    if deep:
        return "deep"
    if card.name_of(FORMS["int8"]) not in card.files or not card.golden:
        return "fp32"
    exact, int8 = OnnxRuntime(card, "fp32", 1), OnnxRuntime(card, "int8", 1)
    tile = golden_tile(card.golden["height_px"], card.golden["width_px"])
    if fault := differs_from_golden(exact.upscale(tile), int8.upscale(tile), card.golden):
        _log.warning("int8 is not exact on this processor (%s); using fp32", fault)
        return "fp32"
    return "int8" if _faster(int8, exact) else "fp32"


def best_turns_s(*runtimes: Runtime) -> tuple[float, ...]:
    """How long each takes for one small tile: the best of a few short turns, as the machine may be busy."""
    tile = golden_tile(_TIMING_PX, _TIMING_PX)

    def turn_s(runtime: Runtime) -> float:
        began = time.perf_counter()
        runtime.upscale(tile)
        return time.perf_counter() - began

    turns = [[turn_s(each) for each in runtimes] for _ in range(_TIMING_ROUNDS)]
    return tuple(min(column) for column in zip(*turns, strict=True))


def _faster(candidate: OnnxRuntime, other: OnnxRuntime) -> bool:
    first_s, second_s = best_turns_s(candidate, other)
    return first_s < second_s


def _checked_session(content: bytes, card: Card, variant: str) -> Any:
    """The network in a file, tried on a tile: nothing else tells whether it enlarges as much as the card says."""
    named = f"the weights {card.folder / card.name_of(FORMS[variant])}"
    tile = np.zeros((1, 1, _PROBE_PX, _PROBE_PX), np.float32 if variant == "deep" else np.uint8)
    try:
        session = _session(content)
        large = session.run([_OUTPUT], {_INPUT: tile})[0]
    except _UNUSABLE as error:
        raise ConfigurationError(f"{named} are no network that can be run here: {error}") from error
    side_px = _PROBE_PX * card.scale
    if large.shape != (1, 1, side_px, side_px) or large.dtype != tile.dtype:
        found = f"{large.shape} {large.dtype}"
        raise ConfigurationError(
            f"{named} make {found} of {tile.shape} {tile.dtype}; at scale {card.scale} it is {side_px} pixels a side"
        )
    return session


def _session(content: bytes) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    # Waiting threads that spin would take the cores from decoder and encoder.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


class _OnnxEngine:
    def obstacle(self) -> str | None:
        return None

    def describe(self) -> str:
        return f"onnxruntime {onnxruntime.__version__} on the processor"

    def choose_variant(self, task: Task) -> str:
        return choose_variant(task.card, deep=task.deep)

    def offer(self, task: Task) -> str | None:
        return self.choose_variant(task)

    def load(self, card: Card, variant: str, workers: int) -> Runtime:
        return OnnxRuntime(card, variant, workers)


ENGINE: Engine = _OnnxEngine()
