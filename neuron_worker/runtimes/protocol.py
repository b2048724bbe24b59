"""What executes a network, seen from the pipeline."""

from __future__ import annotations

from typing import Any, Protocol

from numpy.typing import NDArray

__all__ = ["Luma", "Runtime"]

Luma = NDArray[Any]
"""Luma planes `(N, 1, H, W)`: uint8, or float32 in 0..1 for video of more than 8 bits. Networks that work on colour
take `(N, 3, H, W)` RGB of the same types in its place."""


class Runtime(Protocol):
    """A network of one model and scale, ready to run. Safe to call from several threads at once."""

    name: str
    """The runtime's name in the job document."""
    variant: str
    """Which form of the weights it runs, such as `int8`."""
    weights: str
    """Hex SHA-256 of the file that it loaded."""
    channels: int
    """1: takes and gives luma; 3: RGB."""
    workers: int
    """How many calls at the same time keep it busy."""

    def upscale(self, luma: Luma) -> Luma:
        """Make planes larger.

        Args:
            luma: `(N, channels, H, W)` with even H and W, C-contiguous; uint8, or float32 in 0..1 if the runtime was
                loaded for deep video.

        Returns:
            `(N, channels, scale*H, scale*W)` of the same dtype. Float results are not clipped. The same input gives the
            same output, whatever else runs.

        Raises:
            MemoryError: the frame does not fit; fewer workers or smaller tiles would help.
        """
        ...
