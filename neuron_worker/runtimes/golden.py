"""The self-check: int8 arithmetic must give on this processor what it gave where the weights were made.

Processors without VNNI add pairs of 8-bit products in 16 bits, which can overflow; nothing else would tell.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuron_worker.runtimes.protocol import Luma, Runtime

__all__ = ["differs_from_golden", "digest_of_golden", "golden_tile"]

_DIGEST_PX = 64

_TOLERANCE = 2.0
"""Processors without VNNI let some 8-bit sums saturate: off by 1.6 times what the card says, which costs 0.01 dB."""


def golden_tile(height: int, width: int) -> Luma:
    """The test picture `(1, 1, height, width)` uint8: stripes from broad to finer than the grid, at full contrast.

    Integer arithmetic only, so that every machine draws the same one.
    """
    y, x = np.mgrid[:height, :width]
    value = (x * x + 2 * y * y + x * y) // 8 % 512
    tile: Luma = np.where(value < 256, value, 511 - value).astype(np.uint8)[np.newaxis, np.newaxis]
    return tile


def digest_of_golden(runtime: Runtime) -> str | None:
    """Return the digest of what an int8 network makes of the golden tile; None for other arithmetic."""
    if runtime.variant != "int8":
        return None
    tile = np.repeat(golden_tile(_DIGEST_PX, _DIGEST_PX), runtime.channels, axis=1)
    return hashlib.sha256(np.ascontiguousarray(runtime.upscale(tile)).tobytes()).hexdigest()


def differs_from_golden(exact: Luma, int8: Luma, golden: Mapping[str, Any]) -> str | None:
    """How the int8 result of the golden tile differs from the exact one by far more than the card says, or None."""
    difference: NDArray[np.int16] = np.abs(exact.astype(np.int16) - int8)
    largest, mean = int(difference.max()), float(difference.mean())
    if largest > _TOLERANCE * golden["int8_max_difference"] or mean > _TOLERANCE * golden["int8_mean_difference"]:
        return f"off by up to {largest} grey levels, {mean:.3f} on average"
    return None
