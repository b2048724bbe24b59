"""PSNR and SSIM as the super-resolution literature reports them, clean and after H.264.

The truth is cropped to a multiple of the scale and shrunk by anti-aliased bicubic; both are taken as BT.601 luma
(16..235); ``scale`` pixels of every border are left out. "Compressed" means: the small picture as five identical
yuv420p frames through x264 (medium, CRF 23), the last one scored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neuron_worker.training.material.codec import h264_luma
from neuron_worker.training.material.images import Bytes, crop_to_multiple, load_rgb, luma, to_bytes
from neuron_worker.training.material.resample import resize

__all__ = ["BASELINES", "COMPRESSION_CRF", "Case", "Score", "Upscale", "benchmark_cases", "mean_score", "score"]

COMPRESSION_CRF = 23
_CLIP_FRAMES = 5

Upscale = Callable[[Bytes], Bytes]


@dataclass(frozen=True)
class Case:
    """One benchmark picture: the truth and the two inputs, ``(H, W)`` uint8 luma."""

    name: str
    truth: Bytes
    clean: Bytes
    compressed: Bytes


@dataclass(frozen=True)
class Score:
    """PSNR in dB and SSIM (0..1) on luma."""

    psnr_db: float
    ssim: float


def _baseline(kernel: str, scale: int) -> Upscale:
    def enlarge(low: Bytes) -> Bytes:
        return to_bytes(resize(low, low.shape[0] * scale, low.shape[1] * scale, kernel))

    return enlarge


BASELINES: Mapping[str, Callable[[int], Upscale]] = {
    "bicubic": lambda scale: _baseline("bicubic", scale),
    "lanczos": lambda scale: _baseline("lanczos", scale),
}
"""What every model is compared with: name to a maker of an upscaler for a scale."""


def benchmark_cases(paths: Iterable[Path], scale: int) -> list[Case]:
    """Prepare pictures by the protocol."""
    cases = []
    for path in paths:
        truth = crop_to_multiple(load_rgb(path), scale)
        low = to_bytes(resize(truth, truth.shape[0] // scale, truth.shape[1] // scale))
        compressed = h264_luma([low] * _CLIP_FRAMES, COMPRESSION_CRF)[-1]
        cases.append(Case(path.stem, luma(truth), luma(low), compressed))
    return cases


def score(upscale: Upscale, low: Bytes, truth: Bytes) -> Score:
    """Upscale one luma plane and compare; the border of ``scale`` pixels is shaved."""
    enlarged = upscale(low)
    shave = slice(truth.shape[0] // low.shape[0], -(truth.shape[0] // low.shape[0]))
    ours, wanted = (plane[shave, shave].astype(np.float64) for plane in (enlarged, truth))
    return Score(_psnr_db(ours, wanted), _ssim(ours, wanted))


def mean_score(scores: Iterable[Score]) -> Score:
    """The arithmetic mean over pictures, as the literature averages."""
    values = np.array([(one.psnr_db, one.ssim) for one in scores])
    return Score(*(float(value) for value in values.mean(axis=0)))


def _psnr_db(ours: NDArray[np.float64], wanted: NDArray[np.float64]) -> float:
    return float(10 * np.log10(255**2 / max(np.square(ours - wanted).mean(), 1e-12)))


def _ssim(ours: NDArray[np.float64], wanted: NDArray[np.float64]) -> float:
    # Source: Z. Wang et al., "Image quality assessment: from error visibility to structural similarity", IEEE TIP
    # 13(4), 2004, section III.C: 11x11 Gaussian window, sigma 1.5, K1 0.01, K2 0.03, dynamic range 255.
    mean_a, mean_b = _blur(ours), _blur(wanted)
    variance_a = _blur(ours * ours) - mean_a**2
    variance_b = _blur(wanted * wanted) - mean_b**2
    covariance = _blur(ours * wanted) - mean_a * mean_b
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    similar = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    return float((similar / ((mean_a**2 + mean_b**2 + c1) * (variance_a + variance_b + c2))).mean())


def _blur(plane: NDArray[np.float64]) -> NDArray[np.float64]:
    offsets = np.arange(-5, 6)
    window = np.exp(-(offsets**2) / (2 * 1.5**2))
    window /= window.sum()
    rows = np.lib.stride_tricks.sliding_window_view(plane, 11, axis=0) @ window
    blurred: NDArray[np.float64] = np.lib.stride_tricks.sliding_window_view(rows, 11, axis=1) @ window
    return blurred
