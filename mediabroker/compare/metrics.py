"""PSNR and SSIM of one luma plane against another."""

from __future__ import annotations

from typing import Any

import numpy as np

from mediabroker.compare.luma import Samples

__all__ = ["IDENTICAL_DB", "SMALLEST_PX", "Truth"]

IDENTICAL_DB = 100.0
"""Stands for the infinite PSNR of two equal pictures."""

_REACH = 5
_OFFSETS = np.arange(-_REACH, _REACH + 1)
_WINDOW = np.exp(-(_OFFSETS**2) / (2 * 1.5**2))
_WINDOW /= _WINDOW.sum()
SMALLEST_PX = _WINDOW.size
"""A picture below this has no place for SSIM's window."""
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
"""Window and constants. Source: Z. Wang et al., "Image quality assessment: from error visibility to structural
similarity", IEEE TIP 13(4), 2004, section III.C."""

_ROWS, _COLUMNS = 128, 32
"""Of one product. So small that BLAS does it in this thread: on a busy machine its own threads wait for each other."""
_BAND = np.zeros((_COLUMNS + 2 * _REACH, _COLUMNS), dtype=np.float32)
for _column in range(_COLUMNS):
    _BAND[_column : _column + _WINDOW.size, _column] = _WINDOW
_Floats = np.ndarray[Any, np.dtype[np.float32]]


class Truth:
    """The picture that others are compared with; what depends on it alone is computed once.

    Args:
        samples: `(H, W)`, both at least `SMALLEST_PX`.
        peak: the largest value a sample can have. Also for limited range, as everybody reports it.
    """

    def __init__(self, samples: Samples, peak: int) -> None:
        self._unit = np.float32(255 / peak)
        self._samples = samples.astype(np.float32) * self._unit
        self._mean = _blurred(self._samples)
        self._spread = _blurred(self._samples * self._samples) - self._mean**2

    def psnr_db(self, samples: Samples) -> float:
        """10 log10(peak² / mean squared error), at most `IDENTICAL_DB`."""
        error = (samples.astype(np.float32) * self._unit - self._samples).ravel()
        squared = float(np.dot(error, error)) / error.size
        return IDENTICAL_DB if squared == 0 else min(float(10 * np.log10(255**2 / squared)), IDENTICAL_DB)

    def ssim(self, samples: Samples) -> float:
        """Mean over all places where the window (11x11, Gaussian with sigma 1.5) lies inside the picture, at most 1."""
        other = samples.astype(np.float32) * self._unit
        mean = _blurred(other)
        spread = _blurred(other * other) - mean**2
        shared = _blurred(other * self._samples) - mean * self._mean
        alike = (2 * mean * self._mean + _C1) * (2 * shared + _C2)
        return float((alike / ((mean**2 + self._mean**2 + _C1) * (spread + self._spread + _C2))).mean(dtype=np.float64))


def _blurred(plane: _Floats) -> _Floats:
    blurred: _Floats = _along(_along(plane).T).T
    return blurred


def _along(plane: _Floats) -> _Floats:
    """Every row filtered, block by block: a small matrix product each, far faster than eleven shifted sums."""
    height, width = plane.shape
    inside = width - 2 * _REACH
    down, across = -(-height // _ROWS), -(-inside // _COLUMNS)
    padded = np.zeros((down * _ROWS, across * _COLUMNS + 2 * _REACH), dtype=np.float32)
    padded[:height, :width] = plane
    row_bytes, sample_bytes = padded.strides
    blocks = np.lib.stride_tricks.as_strided(
        padded,
        (down, across, _ROWS, _BAND.shape[0]),
        (_ROWS * row_bytes, _COLUMNS * sample_bytes, row_bytes, sample_bytes),
        writeable=False,
    )
    filtered: _Floats = (blocks @ _BAND).transpose(0, 2, 1, 3).reshape(down * _ROWS, -1)[:height, :inside]
    return filtered
