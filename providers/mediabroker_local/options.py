"""What can be chosen for one job on this machine."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from mediabroker.spi import ProviderOptions

__all__ = ["LocalOptions"]


class LocalOptions(ProviderOptions, frozen=True):
    """How one job runs on this machine. `extra` is refused: there is nothing beyond these options."""

    provider: ClassVar[str] = "local"

    runtime: Literal["auto", "onnx", "openvino", "torch", "neuron", "neuronx"] = "auto"
    """What runs the super-resolution model; `auto` takes the best that is usable. `python -m neuron_worker runtimes`
    tells which are."""
    threads: int | None = Field(default=None, ge=1, le=256)
    """How many frames are upscaled at a time; default: one for each processor."""
    nice: int = Field(default=0, ge=0, le=19)
    """How far the job gives way to other programs: 0 not at all, 19 as far as possible."""
