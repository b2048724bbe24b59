"""Running graphs compiled for one tile shape: frames in tiles, tiles in batches, batches on whichever core is free."""

from __future__ import annotations

from contextlib import contextmanager
from itertools import product
from queue import SimpleQueue
from typing import TYPE_CHECKING

import numpy as np

from mediabroker.errors import ConfigurationError
from neuron_worker.runtimes import artefacts
from neuron_worker.runtimes.golden import differs_from_golden, golden_tile
from neuron_worker.runtimes.weights import LUMA
from neuron_worker.tiles import Tile, list_tiles

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from neuron_worker.runtimes.artefacts import Manifest
    from neuron_worker.runtimes.availability import Task
    from neuron_worker.runtimes.protocol import Luma, Runtime
    from neuron_worker.runtimes.toolchain import Graph, Toolchain
    from neuron_worker.runtimes.weights import Card

__all__ = ["CompiledEngine", "CompiledRuntime"]

_WORKERS_PER_CORE = 2
"""One frame's samples are prepared or joined while another's are computed."""


class CompiledRuntime:
    """One graph, loaded once for each core.

    Frames smaller than the tile are continued by repeating their last row and column, so near those two borders the
    result may differ a little from that of a runtime that takes any size; everywhere else it is the same.

    Args:
        name: of the runtime.
        card: of the model that the graph was compiled from.
        manifest: of the graph.
        graphs: the copies, one for each core.
    """

    channels = 1

    def __init__(self, name: str, card: Card, manifest: Manifest, graphs: Sequence[Graph]) -> None:
        self.name, self.variant, self.weights = name, manifest.variant, manifest.graph_sha256
        self.workers = _WORKERS_PER_CORE * len(graphs)
        self._scale, self._overlap = card.scale, card.radius_px
        self._tile, self._batch = (manifest.tile_height_px, manifest.tile_width_px), manifest.batch
        self._idle: SimpleQueue[Graph] = SimpleQueue()
        for graph in graphs:
            self._idle.put(graph)

    def upscale(self, luma: Luma) -> Luma:
        """As the protocol says."""
        count, _, height, width = luma.shape
        samples = _continued(luma, *self._tile)
        windows = list(product(range(count), _tiles(samples, self._tile, self._overlap)))
        scale = self._scale
        result = luma.repeat(scale, axis=2).repeat(scale, axis=3)
        for start in range(0, len(windows), self._batch):
            batch = windows[start : start + self._batch]
            details = self._run(np.concatenate([_cut(samples, index, tile) for index, tile in batch]))
            for (index, tile), detail in zip(batch, details, strict=False):
                bottom, right = min(tile.inner_bottom, height), min(tile.inner_right, width)
                _add(
                    result[index, 0, tile.inner_top * scale : bottom * scale, tile.inner_left * scale : right * scale],
                    detail[0, (tile.inner_top - tile.top) * scale :, (tile.inner_left - tile.left) * scale :],
                )
        return result

    def _run(self, tiles: Luma) -> Luma:
        missing = self._batch - len(tiles)
        if missing:
            tiles = np.concatenate([tiles, np.repeat(tiles[-1:], missing, axis=0)])
        with self._borrowed() as graph:
            return graph(tiles)

    @contextmanager
    def _borrowed(self) -> Iterator[Graph]:
        graph = self._idle.get()
        try:
            yield graph
        finally:
            self._idle.put(graph)


class CompiledEngine:
    """A toolchain as a runtime. `automatic` says whether `auto` may take it."""

    def __init__(self, name: str, toolchain: Toolchain, *, automatic: bool) -> None:
        self.name, self.toolchain = name, toolchain
        self._automatic = automatic

    def obstacle(self) -> str | None:
        """The toolchain's, or its device's."""
        return self.toolchain.obstacle() or self.toolchain.device_obstacle()

    def describe(self) -> str:
        """Version and number of cores."""
        return f"{self.toolchain.name} {self.toolchain.version()}, {self.toolchain.cores()} cores"

    def choose_variant(self, task: Task) -> str:
        """The compiled shape that computes the fewest samples for the task's frames."""
        card = task.card
        if card.kind != LUMA:
            raise ConfigurationError(f"{self.name} runs this project's networks; {card.model} is another one")
        if task.deep:
            raise ConfigurationError(f"{self.name} computes with 8 significant bits, too few for this source")
        found = artefacts.find(card, self.toolchain.name, self.toolchain.version())
        if not found:
            raise ConfigurationError(
                f"nothing is compiled for {card.model}-x{card.scale} by {self.toolchain.name} "
                f"{self.toolchain.version()}; `python -m neuron_worker compile --scale {card.scale} --tile HxW` does it"
            )
        return min(found, key=lambda manifest: _work(manifest, task)).variant

    def offer(self, task: Task) -> str | None:
        """The same, if it may offer itself."""
        return self.choose_variant(task) if self._automatic else None

    def load(self, card: Card, variant: str, workers: int) -> Runtime:
        """The graph on every core; the first copy must give the network's own result for a test tile."""
        del workers  # the accelerator decides how many there are
        toolchain = self.toolchain
        manifest, content = artefacts.read_graph(card, toolchain.name, toolchain.version(), variant)
        runtime = CompiledRuntime(
            self.name, card, manifest, [toolchain.load(content) for _ in range(toolchain.cores())]
        )
        _check(runtime, card, manifest, toolchain.card_tolerance)
        return runtime


def _check(runtime: CompiledRuntime, card: Card, manifest: Manifest, tolerance: tuple[int, float]) -> None:
    from neuron_worker.runtimes.torch import TorchRuntime  # noqa: PLC0415  loads torch

    tile = golden_tile(manifest.tile_height_px, manifest.tile_width_px)
    exact = TorchRuntime(card, "cpu-fp32", 1).upscale(tile)
    limits = {"int8_max_difference": tolerance[0], "int8_mean_difference": tolerance[1]}
    if fault := differs_from_golden(exact, runtime.upscale(tile), limits):
        raise ConfigurationError(f"{runtime.name} computes something else than the network does: {fault}")


def _work(manifest: Manifest, task: Task) -> tuple[int, int]:
    tile = (manifest.tile_height_px, manifest.tile_width_px)
    if task.frame_px is None:
        return 0, -tile[0] * tile[1]
    height, width = (max(side + side % 2, least) for side, least in zip(task.frame_px, tile, strict=True))
    try:
        tiles = list_tiles(height, width, tile_height=tile[0], tile_width=tile[1], overlap=task.card.radius_px)
        return sum(1 for _ in tiles) * tile[0] * tile[1], -manifest.batch
    except ValueError:
        return 1 << 62, 0


def _tiles(samples: Luma, tile: tuple[int, int], overlap: int) -> Iterator[Tile]:
    height, width = samples.shape[2:]
    return list_tiles(height, width, tile_height=tile[0], tile_width=tile[1], overlap=overlap)


def _continued(luma: Luma, height: int, width: int) -> Luma:
    """At least as large as a tile."""
    missing = max(0, height - luma.shape[2]), max(0, width - luma.shape[3])
    if missing == (0, 0):
        return luma
    return np.pad(luma, ((0, 0), (0, 0), (0, missing[0]), (0, missing[1])), mode="edge")


def _cut(samples: Luma, index: int, tile: Tile) -> Luma:
    window = samples[index : index + 1, :, tile.top : tile.bottom, tile.left : tile.right]
    scaled: Luma = window.astype(np.float32) / np.float32(255) if window.dtype == np.uint8 else window
    return scaled


def _add(target: Luma, detail: Luma) -> None:
    """Add detail in 0..1 to samples, in place; it may be larger than they are."""
    detail = detail[: target.shape[0], : target.shape[1]]
    if target.dtype == np.uint8:
        target[:] = np.clip(np.rint(target + detail * np.float32(255)), 0, 255)
    else:
        target += detail
