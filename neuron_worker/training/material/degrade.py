"""From a sharp picture to what a camera, an editor and an encoder leave of it, with the matching truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neuron_worker.training.material.codec import h264_luma
from neuron_worker.training.material.images import Bytes, crop_to_multiple, luma, to_bytes
from neuron_worker.training.material.resample import KERNELS, resize

__all__ = ["Pair", "clean_pair", "compressed_pair", "resampled_pair"]

_MAX_SPEED_PX = 3
_FRAMES = 6
_CRF_RANGE = (16, 30)


@dataclass(frozen=True)
class Pair:
    """``low``: ``(H, W)`` uint8 luma; ``high``: the truth, ``(scale*H, scale*W)`` uint8 luma."""

    low: Bytes
    high: Bytes


def clean_pair(rgb: Bytes, scale: int) -> Pair:
    """The benchmark's degradation: anti-aliased bicubic shrinking, nothing else."""
    truth = crop_to_multiple(rgb, scale)
    return Pair(luma(_shrink(truth, scale, "bicubic", 1.0)), luma(truth))


def resampled_pair(rgb: Bytes, scale: int, random: np.random.Generator) -> Pair:
    """Shrinking by a random kernel of random width."""
    truth = crop_to_multiple(rgb, scale)
    return Pair(luma(_shrink(truth, scale, *_random_kernel(random))), luma(truth))


def compressed_pair(rgb: Bytes, scale: int, random: np.random.Generator) -> Pair:
    """One frame of a short H.264 clip that stands still or pans over the picture.

    The pan is in whole pixels of the large picture, so the small one moves by fractions of a pixel, as video does.
    """
    speed = random.integers(-_MAX_SPEED_PX, _MAX_SPEED_PX + 1, size=2) * (random.random() < 0.5)
    travel = np.abs(speed) * (_FRAMES - 1)
    height, width = (int(side) for side in np.array(rgb.shape[:2]) - travel)
    height, width = height - height % (2 * scale), width - width % (2 * scale)
    start = np.where(speed < 0, travel, 0)
    corners = [start + speed * index for index in range(_FRAMES)]
    windows = [rgb[y : y + height, x : x + width] for y, x in corners]
    kernel = ("bicubic", 1.0) if random.random() < 0.5 else _random_kernel(random)
    if speed.any():
        clip = [_shrink(window, scale, *kernel) for window in windows]
    else:
        clip = [_shrink(windows[0], scale, *kernel)] * _FRAMES
    crf = int(random.integers(_CRF_RANGE[0], _CRF_RANGE[1] + 1))
    preset = str(random.choice(["medium", "veryfast"]))
    chosen = int(random.integers(2, _FRAMES))
    return Pair(h264_luma(clip, crf, preset)[chosen], luma(windows[chosen]))


def _shrink(rgb: Bytes, scale: int, kernel: str, stretch: float) -> Bytes:
    return to_bytes(resize(rgb, rgb.shape[0] // scale, rgb.shape[1] // scale, kernel, stretch))


def _random_kernel(random: np.random.Generator) -> tuple[str, float]:
    # A few fixed widths instead of a continuum: the resampling matrices are cached by size, kernel and width.
    return str(random.choice(sorted(KERNELS))), float(random.choice([0.9, 1.0, 1.0, 1.15]))
