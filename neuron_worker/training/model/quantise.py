"""Post-training quantisation: how coarse the 8-bit steps may be, and which way each weight is rounded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neuron_worker.training.material.images import Bytes
from neuron_worker.training.model.graph import BLOCKS, Int8Layer, Layer, build_bytes_graph, for_bytes, hidden_name
from neuron_worker.training.scoring.session import hidden_activations

__all__ = ["Quantised", "quantise"]

_LEVELS = 255
_LARGEST_WEIGHT = 127
_POSITIONS_PER_PICTURE = 1500
_CANDIDATES = np.linspace(0.3, 1.0, 36)
_DAMPING = 0.01

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Quantised:
    """Everything `build_int8_graph` needs: the layers, and one quantisation step per hidden layer's output."""

    layers: list[Int8Layer]
    steps: list[float]


def quantise(layers: Sequence[Layer], scale: int, pictures: Sequence[Bytes]) -> Quantised:
    """Choose activation steps and weight roundings that change the output least on the given pictures.

    Args:
        layers: the float weights.
        scale: 2 or 4.
        pictures: ``(H, W)`` uint8 luma planes with even sides, of the kind that will be upscaled.
    """
    model = build_bytes_graph(layers, scale)
    names = [BLOCKS, *(hidden_name(index) for index in range(len(layers) - 1))]
    random = np.random.default_rng(0)
    sampled: list[list[Matrix]] = [[] for _ in names]
    for picture in pictures:
        for index, values in enumerate(hidden_activations(model, names, picture)):
            sampled[index].append(_neighbourhoods(values[0], random))
    inputs = [np.concatenate(rows) for rows in sampled]
    rounded = [_round_layer(layer, rows) for layer, rows in zip(for_bytes(layers), inputs, strict=True)]
    return Quantised(rounded, [_best_step(rows) for rows in inputs[1:]])


def _neighbourhoods(hidden: NDArray[np.float32], random: np.random.Generator) -> Matrix:
    """What a 3x3 convolution sees at random positions: ``(positions, channels * 9)``."""
    windows = np.lib.stride_tricks.sliding_window_view(hidden, (3, 3), axis=(1, 2))
    rows, columns = windows.shape[1:3]
    y, x = random.integers(rows, size=_POSITIONS_PER_PICTURE), random.integers(columns, size=_POSITIONS_PER_PICTURE)
    chosen: Matrix = windows[:, y, x].transpose(1, 0, 2, 3).astype(np.float64)
    return chosen.reshape(_POSITIONS_PER_PICTURE, -1)


def _best_step(values: Matrix) -> float:
    # Cutting off rare peaks buys finer steps for everything else; the squared error says how far to go.
    samples = values[:, 4::9]
    steps = _CANDIDATES * max(float(samples.max()), 1e-6) / _LEVELS
    errors = [np.square(np.clip(np.rint(samples / step), 0, _LEVELS) * step - samples).mean() for step in steps]
    return float(np.float32(steps[int(np.argmin(errors))]))


def _round_layer(layer: Layer, inputs: Matrix) -> Int8Layer:
    """Round weight after weight, and let the ones still to come make up for the error made so far.

    Source: E. Frantar et al., "GPTQ: accurate post-training quantization for generative pre-trained transformers",
    ICLR 2023, algorithm 1, with one column per block.
    """
    left = layer.weight.reshape(len(layer.weight), -1).astype(np.float64)
    largest = np.abs(left).max(axis=1)
    steps = np.where(largest > 0, largest, 1) / _LARGEST_WEIGHT
    second_moments = inputs.T @ inputs
    second_moments += np.eye(len(second_moments)) * (_DAMPING * np.diag(second_moments).mean() + 1e-9)
    influence = np.linalg.cholesky(np.linalg.inv(second_moments)).T
    rounded = np.zeros_like(left)
    for column in range(left.shape[1]):
        rounded[:, column] = np.clip(np.rint(left[:, column] / steps), -_LARGEST_WEIGHT, _LARGEST_WEIGHT)
        error = (left[:, column] - rounded[:, column] * steps) / influence[column, column]
        left[:, column + 1 :] -= np.outer(error, influence[column, column + 1 :])
    weight = rounded.reshape(layer.weight.shape).astype(np.int8)
    return Int8Layer(weight, steps.astype(np.float32), layer.bias)
