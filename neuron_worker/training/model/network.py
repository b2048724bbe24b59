"""The upscaling network: luma in, luma out, all convolutions at the input's resolution or at half of it.

Where blocks are used, ``PixelUnshuffle`` turns every 2x2 block of luma samples into four channels, so each 3x3
convolution covers a 6x6 area for a quarter of the positions: fast, but each position has four samples to care for. A
chain of convolutions with ReLU predicts what to add to the nearest-neighbour enlargement of the input; a pixel shuffle
puts the prediction in place. ReLU and the nearest base are chosen because every runtime (and every int8 kernel) fuses
the first and copies the second exactly.
"""

# torch is an optional extra; without it the base class below has no known type.
# mypy: disallow-subclassing-any=False

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from neuron_worker.training.model.branches import BranchedConvolution

__all__ = ["ARCHITECTURES", "Architecture", "LumaUpscaler", "build_network"]


@dataclass(frozen=True)
class Architecture:
    """Size of a network: channels of every hidden layer, how many layers stand between first and last, and the side
    of the input block that becomes one position (1: every sample its own); heights and widths are multiples of it."""

    features: int
    body_layers: int
    block_px: int

    @property
    def receptive_radius_px(self) -> int:
        """How far, in input pixels, an input sample can influence the output around its own position."""
        convolutions = self.body_layers + 2
        return self.block_px * convolutions + self.block_px - 1


ARCHITECTURES = {
    "fast": Architecture(features=48, body_layers=4, block_px=2),
    "quality": Architecture(features=48, body_layers=6, block_px=1),
}


class LumaUpscaler(nn.Module):
    """``(N, 1, H, W)`` float luma in 0..1 to ``(N, 1, scale*H, scale*W)`` float luma, not clipped; H and W even."""

    def __init__(self, architecture: Architecture, scale: int) -> None:
        super().__init__()
        self.architecture = architecture
        self.scale = scale
        features, block_px = architecture.features, architecture.block_px
        self.head = _convolution(block_px**2, features)
        self.body = nn.ModuleList(_convolution(features, features) for _ in range(architecture.body_layers))
        self.tail = _convolution(features, (block_px * scale) ** 2)
        for layer in self.body:
            _start_near_identity(layer)
        nn.init.zeros_(self.tail.weight)

    def branch(self) -> None:
        """Give every convolution the branches it is trained with."""
        self.head, self.tail = BranchedConvolution(self.head), BranchedConvolution(self.tail)
        plain = [layer for layer in self.body if isinstance(layer, nn.Conv2d)]
        self.body = nn.ModuleList(BranchedConvolution(layer) for layer in plain)

    def forward(self, luma: Tensor) -> Tensor:
        hidden = functional.relu(self.head(functional.pixel_unshuffle(luma, self.architecture.block_px)))
        for layer in self.body:
            hidden = functional.relu(layer(hidden))
        detail = functional.pixel_shuffle(self.tail(hidden), self.architecture.block_px * self.scale)
        return functional.interpolate(luma, scale_factor=float(self.scale), mode="nearest") + detail


def build_network(model: str, scale: int) -> LumaUpscaler:
    """A fresh network of a named size.

    Raises:
        KeyError: the model is not one of `ARCHITECTURES`.
    """
    return LumaUpscaler(ARCHITECTURES[model], scale)


def _convolution(inputs: int, outputs: int) -> nn.Conv2d:
    layer = nn.Conv2d(inputs, outputs, 3, padding=1)
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    nn.init.zeros_(layer.bias if layer.bias is not None else torch.empty(0))
    return layer


def _start_near_identity(layer: nn.Module) -> None:
    # A chain of many ReLU layers trains several times faster when each one starts as "what came in, slightly mixed".
    if isinstance(layer, nn.Conv2d):
        identity = nn.init.dirac_(torch.empty_like(layer.weight))
        with torch.no_grad():
            layer.weight.mul_(0.3).add_(identity)
