"""How a network does on the held-out pictures while it is trained: the learning curve."""

from __future__ import annotations

import csv
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from neuron_worker.training.material.codec import h264_luma
from neuron_worker.training.material.degrade import Pair, clean_pair
from neuron_worker.training.material.images import Bytes, crop_to_multiple, to_bytes
from neuron_worker.training.material.resample import resize
from neuron_worker.training.model.network import build_network
from neuron_worker.training.scoring.evaluate import COMPRESSION_CRF

__all__ = ["Validation"]

_log = logging.getLogger(__name__)

_FRAMES = 5
_EVEN_PX = 2
_PEAK = 255.0
_ROUNDING_ERROR = 1 / 12


class Validation:
    """Held-out pictures, clean and after H.264, and a file that gains a line with every measurement."""

    def __init__(self, model: str, scale: int, pictures: Sequence[Bytes], curve: Path, every_s: float = 120.0) -> None:
        self._network = build_network(model, scale)
        self._pairs = [_pairs(crop_to_multiple(rgb, _EVEN_PX * scale), scale) for rgb in pictures]
        self._curve = curve
        self._every_s = every_s
        self._next_s = every_s

    def due(self, elapsed_s: float) -> bool:
        """Return whether it is time to measure again."""
        return bool(self._pairs) and elapsed_s >= self._next_s

    def measure(self, weights: Mapping[str, Tensor], steps: int, elapsed_s: float) -> None:
        """Add steps, seconds and the two mean PSNR (dB) to the curve."""
        if not self._pairs:
            return
        self._next_s = elapsed_s + self._every_s
        self._network.load_state_dict(dict(weights))
        clean, compressed = (self._mean_psnr_db([pair[kind] for pair in self._pairs]) for kind in (0, 1))
        _log.info("held out after %d steps: clean %.3f dB, compressed %.3f dB", steps, clean, compressed)
        fresh = not self._curve.exists()
        with self._curve.open("a", newline="") as file:
            writer = csv.writer(file)
            if fresh:
                writer.writerow(["steps", "seconds", "clean_db", "compressed_db"])
            writer.writerow([steps, round(elapsed_s), f"{clean:.3f}", f"{compressed:.3f}"])

    def _mean_psnr_db(self, pairs: Sequence[Pair]) -> float:
        return float(np.mean([_psnr_db(self._enlarge(pair.low), pair.high) for pair in pairs]))

    def _enlarge(self, low: Bytes) -> Bytes:
        with torch.no_grad():
            luma = torch.from_numpy(low.astype(np.float32) / _PEAK)[None, None]
            return to_bytes(self._network(luma)[0, 0].numpy() * _PEAK)


def _pairs(rgb: Bytes, scale: int) -> tuple[Pair, Pair]:
    clean = clean_pair(rgb, scale)
    small = to_bytes(resize(rgb, rgb.shape[0] // scale, rgb.shape[1] // scale))
    return clean, Pair(h264_luma([small] * _FRAMES, COMPRESSION_CRF)[-1], clean.high)


def _psnr_db(ours: Bytes, wanted: Bytes) -> float:
    # One tile of a screen that comes out exactly must not outweigh fifty photographs.
    square = max(np.square(ours.astype(np.float64) - wanted).mean(), _ROUNDING_ERROR)
    return float(10 * np.log10(_PEAK**2 / square))
