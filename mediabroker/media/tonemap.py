"""HDR pictures as ordinary ones: for stills only, where a plain conversion would come out grey."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

__all__ = ["to_standard_range"]

_Pixels = np.ndarray[Any, np.dtype[Any]]

_WHITE_NITS = 203.0
"""Reference white in HDR. Source: ITU-R BT.2408-7, table 1."""
_PEAK_NITS = 1000.0
_PQ_M1, _PQ_M2, _PQ_C1, _PQ_C2, _PQ_C3 = 0.1593017578125, 78.84375, 0.8359375, 18.8515625, 18.6875
"""Source: SMPTE ST 2084:2014, 5.1."""
_HLG_A, _HLG_B, _HLG_C, _HLG_GAMMA = 0.17883277, 0.28466892, 0.55991073, 1.2
"""Source: ITU-R BT.2100-2, table 5."""
_LUMA_2020 = np.array([0.2627, 0.6780, 0.0593], dtype=np.float32)
_FROM_2020_TO_709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], dtype=np.float32
)
"""Source: ITU-R BT.2087-0, annex 2, inverted."""


def to_standard_range(rgb: _Pixels, curve: Literal["pq", "hlg"]) -> _Pixels:
    """`(H, W, 3) float32` BT.2020 R'G'B' in 0..1, coded with `curve`, as `(H, W, 3) uint8` sRGB.

    Highlights up to 1,000 nits are compressed, colours outside BT.709 are clipped.
    """
    nits = _pq_nits(rgb) if curve == "pq" else _hlg_nits(rgb)
    linear = nits / _WHITE_NITS
    luma = np.maximum(linear @ _LUMA_2020, 1e-6)[..., np.newaxis]
    peak = _PEAK_NITS / _WHITE_NITS
    mapped = linear * ((1 + luma / peak**2) / (1 + luma))
    clipped = np.clip(mapped @ _FROM_2020_TO_709.T, 0, 1)
    coded = np.where(clipped <= 0.0031308, clipped * 12.92, 1.055 * np.power(clipped, 1 / 2.4) - 0.055)
    whole: _Pixels = np.round(coded * 255).astype(np.uint8)
    return whole


def _pq_nits(rgb: _Pixels) -> _Pixels:
    power = np.power(np.clip(rgb, 0, 1), 1 / _PQ_M2)
    nits: _Pixels = 10_000 * np.power(np.maximum(power - _PQ_C1, 0) / (_PQ_C2 - _PQ_C3 * power), 1 / _PQ_M1)
    return nits


def _hlg_nits(rgb: _Pixels) -> _Pixels:
    coded = np.clip(rgb, 0, 1)
    scene = np.where(coded <= 0.5, coded**2 / 3, (np.exp((coded - _HLG_C) / _HLG_A) + _HLG_B) / 12)
    luma = np.maximum(scene @ _LUMA_2020, 1e-6)[..., np.newaxis]
    nits: _Pixels = _PEAK_NITS * np.power(luma, _HLG_GAMMA - 1) * scene
    return nits
