"""What compiles a network for an accelerator with fixed shapes and runs the result, seen from everything else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from numpy.typing import NDArray

__all__ = ["Graph", "Toolchain"]

Graph = Callable[[NDArray[Any]], NDArray[Any]]
"""A loaded graph on one core: float32 luma in 0..1 `(batch, 1, tile_height, tile_width)` to what must be added to the
nearest enlargement of it, float32 `(batch, 1, scale*tile_height, scale*tile_width)`. One call at a time."""


class Toolchain(Protocol):
    """The narrow door to a vendor's compiler and runtime."""

    name: str
    """In file names and manifests."""
    card_tolerance: tuple[int, float]
    """By how many grey levels, at most and on average, its arithmetic may differ from 32 bits."""

    def obstacle(self) -> str | None:
        """Why it cannot compile here, or None."""
        ...

    def device_obstacle(self) -> str | None:
        """Why it cannot run here although it can compile, or None."""
        ...

    def version(self) -> str:
        """Of everything that decides what a compiled graph is."""
        ...

    def cores(self) -> int:
        """How many graphs can run at the same time in this process."""
        ...

    def trace(self, network: Any, example: Any) -> bytes:
        """Compile a torch module for exactly the shape of `example`.

        Raises:
            ConfigurationError: the compiler refuses it; the message says why.
        """
        ...

    def load(self, content: bytes) -> Graph:
        """Put a compiled graph on the core that has the least to do.

        Raises:
            ConfigurationError: the device does not take it.
        """
        ...
