"""Calibration: how coarse the 8-bit steps of each hidden layer may be."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from neuron_worker.training.graph import Layer, build_bytes_graph, hidden_name
from neuron_worker.training.images import Bytes
from neuron_worker.training.session import hidden_activations

__all__ = ["calibrate"]

_LEVELS = 255
_SAMPLES_PER_PICTURE = 20_000
_CANDIDATES = np.linspace(0.3, 1.0, 36)


def calibrate(layers: Sequence[Layer], scale: int, pictures: Sequence[Bytes]) -> list[float]:
    """One quantisation step per hidden layer, the one with the least squared error over the pictures.

    Args:
        layers: the float weights.
        scale: 2 or 4.
        pictures: ``(H, W)`` uint8 luma planes with even sides, of the kind that will be upscaled.
    """
    model = build_bytes_graph(layers, scale)
    names = [hidden_name(index) for index in range(len(layers) - 1)]
    random = np.random.default_rng(0)
    drawn: list[list[NDArray[np.float32]]] = [[] for _ in names]
    largest = [0.0] * len(names)
    for picture in pictures:
        for index, values in enumerate(hidden_activations(model, names, picture)):
            drawn[index].append(random.choice(values.ravel(), _SAMPLES_PER_PICTURE))
            largest[index] = max(largest[index], float(values.max()))
    return [_best_step(np.concatenate(values), top) for values, top in zip(drawn, largest, strict=True)]


def _best_step(values: NDArray[np.float32], largest: float) -> float:
    # Cutting off rare peaks buys finer steps for everything else; the squared error says how far to go.
    steps = _CANDIDATES * max(largest, 1e-6) / _LEVELS
    errors = [np.square(np.clip(np.rint(values / step), 0, _LEVELS) * step - values).mean() for step in steps]
    return float(np.float32(steps[int(np.argmin(errors))]))
