"""An accelerator that is not there: it takes its time for each frame and no processor."""

from __future__ import annotations

import time
from threading import Lock

import numpy as np

from neuron_worker.runtimes import Luma

__all__ = ["SimulatedAccelerator"]


class SimulatedAccelerator:
    """One frame after the other at a fixed rate. A frame that is there when the one before it is done starts at once;
    one that comes late costs the time that was missed, as on a real device."""

    name = variant = weights = "simulated"
    channels = 1
    workers = 2  # one frame on the device, the next one waiting

    def __init__(self, rate_fps: float, scale: int) -> None:
        self._period_s, self._scale = 1 / rate_fps, scale
        self._lock = Lock()
        self._free_at_s = 0.0

    def upscale(self, luma: Luma) -> Luma:
        """The nearest-neighbour enlargement, when the device would have been done."""
        with self._lock:
            done_s = self._free_at_s = max(time.perf_counter(), self._free_at_s) + self._period_s
        count, channels, height, width = luma.shape
        result = np.empty((count, channels, height, self._scale, width, self._scale), luma.dtype)
        for row, column in np.ndindex(self._scale, self._scale):
            result[:, :, :, row, :, column] = luma
        time.sleep(max(0.0, done_s - time.perf_counter()))
        return result.reshape(count, channels, height * self._scale, width * self._scale)
