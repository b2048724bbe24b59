"""The pictures of a folder as training material: which are kept out, at which sizes, in which pieces."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from neuron_worker.training.material.drawing import drawn_picture
from neuron_worker.training.material.images import Bytes, image_paths, load_rgb, to_bytes
from neuron_worker.training.material.resample import resize

__all__ = ["held_out_paths", "training_paths", "training_pictures", "validation_pictures"]

_HELD_OUT_EVERY, _HELD_OUT_INDEX = 6, 1
_LARGEST_PX = 640
_TILE_PX = 512
_TILES_PER_PICTURE = 6
_FLAT_DEVIATION = 6.0
_SMALLEST_PX = 160
_SMALLER = (0.5, 0.6, 0.7, 0.8)


def held_out_paths(folder: Path) -> list[Path]:
    """Return the part that no weight is trained on: in each folder the second picture and every sixth after it."""
    return [path for index, path in _numbered(folder) if index % _HELD_OUT_EVERY == _HELD_OUT_INDEX]


def training_paths(folder: Path) -> list[Path]:
    """Return the other pictures of a folder."""
    return [path for index, path in _numbered(folder) if index % _HELD_OUT_EVERY != _HELD_OUT_INDEX]


def training_pictures(folder: Path, seed: int, drawn: int) -> Iterator[Bytes]:
    """Yield RGB pictures: each training picture as it is and once reduced, large ones in tiles, then drawn ones.

    A reduced picture holds more detail to a pixel, so that the network meets every object at two sizes.
    """
    for index, path in enumerate(training_paths(folder)):
        random = np.random.default_rng([seed, index])
        for piece in _pieces(load_rgb(path), random):
            yield piece
            if min(smaller := _reduced_size(piece, random)) >= _SMALLEST_PX:
                yield to_bytes(resize(piece, *smaller))
    for index in range(drawn):
        yield drawn_picture(np.random.default_rng([seed, index, 1]))


def validation_pictures(folder: Path) -> list[Bytes]:
    """Return the held-out pictures, large ones in tiles; the same ones every time."""
    paths = held_out_paths(folder)
    return [piece for path in paths for piece in _pieces(load_rgb(path), np.random.default_rng(0))]


def _numbered(folder: Path) -> Iterator[tuple[int, Path]]:
    by_folder: dict[Path, list[Path]] = defaultdict(list)
    for path in image_paths(folder):
        by_folder[path.parent].append(path)
    for paths in by_folder.values():
        yield from enumerate(paths)


def _pieces(rgb: Bytes, random: np.random.Generator) -> Sequence[Bytes]:
    """Return the picture, or tiles of it that hold something when it is large."""
    if max(rgb.shape[:2]) <= _LARGEST_PX:
        return [rgb]
    tiles = []
    for _ in range(_TILES_PER_PICTURE):
        y, x = (int(random.integers(max(side - _TILE_PX, 0) + 1)) for side in rgb.shape[:2])
        tiles.append(rgb[y : y + _TILE_PX, x : x + _TILE_PX])
    return [tile for tile in tiles if tile.std() > _FLAT_DEVIATION]


def _reduced_size(rgb: Bytes, random: np.random.Generator) -> tuple[int, int]:
    # A few fixed ratios: the resampling matrices are cached by size.
    ratio = float(random.choice(_SMALLER))
    return int(rgb.shape[0] * ratio), int(rgb.shape[1] * ratio)
