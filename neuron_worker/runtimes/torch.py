"""PyTorch, on the processor or on a GPU: this project's networks, and third-party ones that were converted.

Weights are read from safetensors files only. Pickled ones (`.pth`) run code when they are opened, and torch before 2.6
does not prevent it even where it says so (CVE-2025-32434); `python -m neuron_worker convert` turns them into
safetensors once, on a current torch.
"""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mediabroker.errors import ConfigurationError
from neuron_worker.runtimes.availability import Engine, Task
from neuron_worker.runtimes.lazytorch import import_torch
from neuron_worker.tiles import upscale_in_tiles

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

    from neuron_worker.runtimes.protocol import Luma, Runtime
    from neuron_worker.runtimes.weights import Card

__all__ = ["ENGINE", "TorchRuntime", "read_network"]

_FORM = ".safetensors"
_TILE_BYTES = {"cpu": 64 << 20, "cuda": 512 << 20}
"""What one layer's activations of one tile may take."""
_GPU_WORKERS = 2
"""One frame is copied while another is computed."""
_GPU_MARK = Path("/dev/nvidiactl")


class TorchRuntime:
    """One network in torch. Variants: `cpu-fp32`, `cuda-fp16`, `cuda-fp32`.

    Raises:
        ConfigurationError: the weights are missing, not what their card names, or the GPU is gone.
    """

    name = "torch"

    def __init__(self, card: Card, variant: str, workers: int, *, tile_px: int | None = None) -> None:
        torch = import_torch()

        self._device, precision = variant.split("-")
        if self._device == "cuda" and not torch.cuda.is_available():
            raise ConfigurationError("the plan was made for a GPU, and torch finds none here")
        network: Any
        network, self.weights = read_network(card)
        self.variant, self.channels = variant, card.channels
        self._scale, self._overlap = card.scale, card.radius_px
        self._type = torch.float16 if precision == "fp16" else torch.float32
        self._network: Any = network.to(self._device, self._type, memory_format=torch.channels_last)
        if self._device == "cuda":
            self.workers = _GPU_WORKERS
            torch.backends.cudnn.benchmark = False
            torch.backends.cudnn.deterministic = True
        else:
            # Frames are the unit of parallel work; threads within one would fight with the encoder's.
            self.workers = workers
            torch.set_num_threads(1)
        largest = int((_TILE_BYTES[self._device] / card.features / 4) ** 0.5)
        self._tile_px = tile_px or max(largest // 2 * 2, 4 * card.radius_px)

    def upscale(self, luma: Luma) -> Luma:
        """As the protocol says; frames larger than a tile go through in pieces."""
        return upscale_in_tiles(
            self._run,
            luma,
            self._scale,
            tile_height=self._tile_px,
            tile_width=self._tile_px,
            overlap=self._overlap,
        )

    def _run(self, luma: Luma) -> Luma:
        torch = import_torch()

        with torch.inference_mode(), _memory_errors(luma):
            writable = np.require(luma, requirements="W")  # torch warns of arrays that it could damage
            samples = torch.from_numpy(writable).to(self._device, self._type, memory_format=torch.channels_last)
            if luma.dtype == np.uint8:
                enlarged = self._network(samples / 255)
                enlarged = (enlarged.float() * 255).round_().clamp_(0, 255).to(torch.uint8)
            else:
                enlarged = self._network(samples).float()
            result: Luma = enlarged.contiguous().cpu().numpy()
        return result


def read_network(card: Card) -> tuple[nn.Module, str]:
    """The network of a card, with its weights, and their digest.

    Raises:
        ConfigurationError: the weights are missing, or not what the card names.
    """
    torch = import_torch()
    from safetensors.numpy import load  # noqa: PLC0415

    from neuron_worker.runtimes.networks import build  # noqa: PLC0415

    content, digest = card.read(_FORM)
    tensors = {name: torch.from_numpy(value.astype(np.float32)) for name, value in load(content).items()}
    return build(card.kind, tensors, card.scale), digest


@contextmanager
def _memory_errors(luma: Luma) -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        if "memory" in str(error).lower():
            raise MemoryError(f"a tile of {luma.shape[3]}x{luma.shape[2]} does not fit into memory") from error
        raise


class _TorchEngine:
    def obstacle(self) -> str | None:
        return None

    def describe(self) -> str:
        torch = import_torch()

        gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
        return f"torch {torch.__version__} on {', '.join(gpus) or 'the processor'}"

    def choose_variant(self, task: Task) -> str:
        torch = import_torch()

        if task.card.name_of(_FORM) not in task.card.files:
            raise ConfigurationError(f"{task.card.model}-x{task.card.scale} has no {_FORM} weights")
        if not torch.cuda.is_available():
            return "cpu-fp32"
        # Half precision holds 11 bits, too few to compute with 10-bit samples.
        return "cuda-fp32" if task.deep else "cuda-fp16"

    def offer(self, task: Task) -> str | None:
        """Only on a GPU, or for models that nothing else here can run."""
        only = task.card.name_of(".onnx") not in task.card.files
        if not only and not _GPU_MARK.exists():
            return None
        variant = self.choose_variant(task)
        return variant if only or variant.startswith("cuda") else None

    def load(self, card: Card, variant: str, workers: int) -> Runtime:
        return TorchRuntime(card, variant, workers)


ENGINE: Engine = _TorchEngine()
