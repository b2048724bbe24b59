"""The pool of training pairs and the random patches cut from it."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neuron_worker.training.material.degrade import Pair, clean_pair, compressed_pair, resampled_pair
from neuron_worker.training.material.images import Bytes

__all__ = ["Mixture", "Pool", "build_pool", "patches"]

_log = logging.getLogger(__name__)

_UNIT = np.float32(1 / 255)

Batch = tuple[NDArray[np.float32], NDArray[np.float32]]


@dataclass(frozen=True)
class Mixture:
    """How patches are drawn: how many, how large, and the share of each kind; the rest comes out of the encoder."""

    clean: float = 0.4
    resampled: float = 0.1
    batch_size: int = 16
    patch_px: int = 48

    @property
    def shares(self) -> tuple[float, float, float]:
        return self.clean, self.resampled, 1 - self.clean - self.resampled


@dataclass(frozen=True)
class Pool:
    """Pairs by kind: benchmark shrinking, other kernels, H.264."""

    clean: Sequence[Pair]
    resampled: Sequence[Pair]
    compressed: Sequence[Pair]


def build_pool(pictures: Iterable[Bytes], scale: int, seed: int, clips_per_picture: int) -> Pool:
    """Degrade every RGB picture once by each simple way and ``clips_per_picture`` times through H.264.

    Pictures with a side below 16 * scale pixels after panning are no use and must not be among them.
    """
    clean, resampled, compressed = [], [], []
    for index, rgb in enumerate(pictures):
        # One generator per picture: the pairs of a picture do not depend on the degradation of others.
        random = np.random.default_rng([seed, index])
        clean.append(clean_pair(rgb, scale))
        resampled.append(resampled_pair(rgb, scale, random))
        compressed += [compressed_pair(rgb, scale, random) for _ in range(clips_per_picture)]
        if (index + 1) % 50 == 0:
            _log.info("degraded %d pictures", index + 1)
    _log.info("the pool holds %d clean and %d compressed pairs", len(clean), len(compressed))
    return Pool(clean, resampled, compressed)


def patches(pool: Pool, mixture: Mixture, scale: int, random: np.random.Generator) -> Iterator[Batch]:
    """Endless batches of ``(N, 1, p, p)`` inputs and ``(N, 1, scale*p, scale*p)`` truths, float32 in 0..1."""
    kinds = (pool.clean, pool.resampled, pool.compressed)
    batch_size, patch_px = mixture.batch_size, mixture.patch_px
    low = np.empty((batch_size, 1, patch_px, patch_px), dtype=np.float32)
    high = np.empty((batch_size, 1, patch_px * scale, patch_px * scale), dtype=np.float32)
    while True:
        for row, kind in enumerate(random.choice(3, size=batch_size, p=mixture.shares)):
            pairs = kinds[int(kind)]
            low[row, 0], high[row, 0] = _cut(pairs[int(random.integers(len(pairs)))], scale, patch_px, random)
        yield low * _UNIT, high * _UNIT


def _cut(pair: Pair, scale: int, patch_px: int, random: np.random.Generator) -> tuple[Bytes, Bytes]:
    y, x = (int(random.integers(side - patch_px + 1)) for side in pair.low.shape)
    low = pair.low[y : y + patch_px, x : x + patch_px]
    side = patch_px * scale
    high = pair.high[y * scale : y * scale + side, x * scale : x * scale + side]
    turns, mirror = int(random.integers(4)), bool(random.integers(2))
    low, high = np.rot90(low, turns), np.rot90(high, turns)
    return (low[:, ::-1], high[:, ::-1]) if mirror else (low, high)
