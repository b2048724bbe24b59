"""How much an enlarged video flickers, beside the same video enlarged by Lanczos.

Two clips are rendered from each picture, both through x264 (medium, CRF 23): one that stands still, and a slow pan of
one large pixel a frame. The pan is known exactly, so consecutive frames are compared where they show the same thing;
a difference that is left is flicker. Part of it is detail that Lanczos blurs away and a network keeps, at places that
shift by fractions of a pixel.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np

from neuron_worker.training.material.codec import h264_luma
from neuron_worker.training.material.images import Bytes, crop_to_multiple, to_bytes
from neuron_worker.training.material.resample import resize
from neuron_worker.training.scoring.evaluate import BASELINES, COMPRESSION_CRF, Upscale

__all__ = ["flicker"]

_FRAMES = 12


def flicker(models: Mapping[str, Upscale], pictures: Sequence[Bytes], scale: int) -> dict[str, dict[str, float]]:
    """Return ``{method: {"still" | "pan": mean difference of consecutive frames}}`` in grey levels, with Lanczos."""
    clips = {
        "still": [_compressed([rgb] * _FRAMES, scale) for rgb in pictures],
        "pan": [_compressed(_pan(rgb), scale) for rgb in pictures],
    }
    methods = {"lanczos": BASELINES["lanczos"](scale), **models}
    return {
        name: {
            kind: round(float(np.mean([_difference(upscale, clip, int(kind == "pan")) for clip in shown])), 3)
            for kind, shown in clips.items()
        }
        for name, upscale in methods.items()
    }


def _pan(rgb: Bytes) -> list[Bytes]:
    width = rgb.shape[1] - _FRAMES
    return [rgb[:, start : start + width] for start in range(_FRAMES)]


def _compressed(windows: Sequence[Bytes], scale: int) -> list[Bytes]:
    cropped = [crop_to_multiple(window, 2 * scale) for window in windows]
    height, width = (side // scale for side in cropped[0].shape[:2])
    return h264_luma([to_bytes(resize(window, height, width)) for window in cropped], COMPRESSION_CRF)


def _difference(upscale: Upscale, clip: Sequence[Bytes], moved_px: int) -> float:
    """Return the mean absolute difference of consecutive frames after the known movement is undone."""
    frames = [upscale(low).astype(np.int16) for low in clip]
    kept = frames[0].shape[1] - moved_px
    pairs = itertools.pairwise(frames)
    return float(np.mean([np.abs(earlier[:, moved_px:] - later[:, :kept]).mean() for earlier, later in pairs]))
