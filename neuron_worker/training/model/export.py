"""From trained weights to the files that ship: three ONNX graphs, the weights, the card data."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from safetensors.numpy import load_file, save

from neuron_worker.runtimes.golden import golden_tile
from neuron_worker.training.material.degrade import clean_pair, compressed_pair
from neuron_worker.training.material.folder import training_paths
from neuron_worker.training.material.images import Bytes, crop_to_multiple, load_rgb
from neuron_worker.training.model.graph import Layer, build_bytes_graph, build_deep_graph, build_int8_graph
from neuron_worker.training.model.quantise import quantise
from neuron_worker.training.record import TrainingRecord, sha256, write_card
from neuron_worker.training.scoring.session import LumaModel

__all__ = ["GOLDEN_RECIPE", "calibration_pictures", "export", "load_layers"]

_EVEN_PX = 2
_CALIBRATION_PX = 576
_GOLDEN_HEIGHT_PX, _GOLDEN_WIDTH_PX = 64, 96

GOLDEN_RECIPE = "v = (x*x + 2*y*y + x*y) // 8 % 512; sample[y, x] = v if v < 256 else 511 - v"


def load_layers(weights: Path) -> list[Layer]:
    """The convolutions of a safetensors file in the order of the signal, rounded to what ships."""
    tensors = {name: tensor.astype(np.float32) for name, tensor in _shipped_precision(load_file(weights)).items()}
    names = {name.rsplit(".", 1)[0] for name in tensors}
    body = sorted((name for name in names if name.startswith("body.")), key=lambda name: int(name.split(".")[1]))
    return [Layer(tensors[f"{name}.weight"], tensors[f"{name}.bias"]) for name in ("head", *body, "tail")]


def calibration_pictures(folder: Path, scale: int, count: int = 64) -> list[Bytes]:
    """Small luma planes with even sides, half of them clean and half out of the H.264 encoder; none held out."""
    random = np.random.default_rng(0)
    paths = training_paths(folder)
    chosen = random.choice(len(paths), size=min(count, len(paths)), replace=False)
    pictures = []
    for position, index in enumerate(chosen):
        rgb = load_rgb(paths[index])[:_CALIBRATION_PX, :_CALIBRATION_PX]
        pair = compressed_pair(rgb, scale, random) if position % 2 else clean_pair(rgb, scale)
        pictures.append(crop_to_multiple(pair.low, _EVEN_PX))
    return pictures


def export(weights: Path, images: Path, out: Path) -> dict[str, Any]:
    """Write ``<model>-x<scale>`` in all its forms to ``out`` and return the card data.

    Figures of an earlier card are dropped: they belong to other weights.

    Raises:
        FileNotFoundError: no training record lies beside the weights, or no pictures in ``images``.
    """
    record = TrainingRecord.beside(weights)
    if record is None:
        raise FileNotFoundError(f"no training record beside {weights}")
    layers = load_layers(weights)
    int8 = quantise(layers, record.scale, calibration_pictures(images, record.scale))
    graphs = {
        ".onnx": build_bytes_graph(layers, record.scale),
        "-int8.onnx": build_int8_graph(int8.layers, record.scale, int8.steps),
        "-deep.onnx": build_deep_graph(layers, record.scale),
    }
    contents = {suffix: model.SerializeToString(deterministic=True) for suffix, model in graphs.items()}
    contents[".safetensors"] = save(_shipped_precision(load_file(weights)))
    name = f"{record.model}-x{record.scale}"
    out.mkdir(parents=True, exist_ok=True)
    for suffix, content in contents.items():
        (out / f"{name}{suffix}").write_bytes(content)
    card = {
        "model": record.model,
        "scale": record.scale,
        "architecture": _describe(layers),
        "files": {f"{name}{suffix}": sha256(content) for suffix, content in contents.items()},
        "golden": _golden(graphs[".onnx"], graphs["-int8.onnx"]),
        "training": {"seconds": round(record.seconds), "stages": [asdict(stage) for stage in record.stages]},
    }
    write_card(out / f"{name}.json", card)
    return card


def _shipped_precision(tensors: dict[str, NDArray[np.floating]]) -> dict[str, NDArray[np.floating]]:
    """Weights as float16, biases as they are: 11 significant bits cost nothing visible and halve the files."""
    return {name: value.astype(np.float16) if value.ndim > 1 else value for name, value in tensors.items()}


def _describe(layers: list[Layer]) -> dict[str, int]:
    features, entering = layers[0].weight.shape[:2]
    block_px = math.isqrt(entering)
    return {
        "features": features,
        "body_layers": len(layers) - 2,
        "block_px": block_px,
        "parameters": sum(layer.weight.size + layer.bias.size for layer in layers),
        "receptive_radius_px": block_px * len(layers) + block_px - 1,
    }


def _golden(exact: onnx.ModelProto, int8: onnx.ModelProto) -> dict[str, Any]:
    tile = golden_tile(_GOLDEN_HEIGHT_PX, _GOLDEN_WIDTH_PX)[0, 0]
    reference, approximate = LumaModel(exact)(tile), LumaModel(int8)(tile)
    difference = np.abs(reference.astype(np.int16) - approximate)
    return {
        "height_px": tile.shape[0],
        "width_px": tile.shape[1],
        "recipe": GOLDEN_RECIPE,
        "input_sha256": sha256(tile.tobytes()),
        "output_sha256": sha256(reference.tobytes()),
        "int8_output_sha256": sha256(approximate.tobytes()),
        "int8_max_difference": int(difference.max()) + 2,
        "int8_mean_difference": round(float(difference.mean()) * 1.25 + 0.05, 3),
    }
