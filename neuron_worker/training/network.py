"""The upscaling network: luma in, luma out, all convolutions at half the input's resolution.

``PixelUnshuffle(2)`` turns every 2x2 block of luma samples into four channels, so each 3x3 convolution covers a 6x6
area for a quarter of the positions. A chain of convolutions with ReLU predicts what to add to the nearest-neighbour
enlargement of the input; a pixel shuffle puts the prediction in place. ReLU and the nearest base are chosen because
every runtime (and every int8 kernel) fuses the first and copies the second exactly.
"""

# torch is an optional extra; without it the base class below has no known type.
# mypy: disallow-subclassing-any=False

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["ARCHITECTURES", "BLOCK_PX", "Architecture", "LumaUpscaler", "build_network", "grow"]

BLOCK_PX = 2
"""Side of the input block that becomes one position of the network; height and width must be multiples of it."""


@dataclass(frozen=True)
class Architecture:
    """Size of a network: channels of every hidden layer, and how many layers stand between first and last."""

    features: int
    body_layers: int

    @property
    def receptive_radius_px(self) -> int:
        """How far, in input pixels, an input sample can influence the output around its own position."""
        convolutions = self.body_layers + 2
        return BLOCK_PX * convolutions + BLOCK_PX - 1


ARCHITECTURES = {
    "fast": Architecture(features=48, body_layers=4),
    "quality": Architecture(features=64, body_layers=6),
}


class LumaUpscaler(nn.Module):
    """``(N, 1, H, W)`` float luma in 0..1 to ``(N, 1, scale*H, scale*W)`` float luma, not clipped; H and W even."""

    def __init__(self, architecture: Architecture, scale: int) -> None:
        super().__init__()
        self.architecture = architecture
        self.scale = scale
        features = architecture.features
        self.head = _convolution(BLOCK_PX**2, features)
        self.body = nn.ModuleList(_convolution(features, features) for _ in range(architecture.body_layers))
        self.tail = _convolution(features, (BLOCK_PX * scale) ** 2)
        for layer in self.body:
            _start_near_identity(layer)
        nn.init.zeros_(self.tail.weight)

    def forward(self, luma: Tensor) -> Tensor:
        hidden = functional.relu(self.head(functional.pixel_unshuffle(luma, BLOCK_PX)))
        for layer in self.body:
            hidden = functional.relu(layer(hidden))
        detail = functional.pixel_shuffle(self.tail(hidden), BLOCK_PX * self.scale)
        return functional.interpolate(luma, scale_factor=float(self.scale), mode="nearest") + detail


def build_network(model: str, scale: int) -> LumaUpscaler:
    """A fresh network of a named size.

    Raises:
        KeyError: the model is not one of `ARCHITECTURES`.
    """
    return LumaUpscaler(ARCHITECTURES[model], scale)


def grow(small: dict[str, Tensor], network: LumaUpscaler) -> None:
    """Load a smaller (or equal) network's weights so that ``network`` starts where that one stands.

    Channels that the small network lacks get outgoing weights of zero; layers it lacks pass their input on (the input
    is never negative after a ReLU, so an identity convolution changes nothing). A last layer of another scale is
    left as it is. Afterwards the enlarged network computes the same function when the scales are equal.
    """
    with torch.no_grad():
        for name, target in network.state_dict().items():
            source = small.get(name)
            if source is None:
                target.zero_() if name.endswith("bias") else nn.init.dirac_(target)
                continue
            if name.startswith("tail") and source.shape[0] != target.shape[0]:
                continue
            kept = tuple(slice(length) for length in source.shape)
            if target.dim() > 1:
                target[:, source.shape[1] :] = 0
            target[kept] = source


def _convolution(inputs: int, outputs: int) -> nn.Conv2d:
    layer = nn.Conv2d(inputs, outputs, 3, padding=1)
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    nn.init.zeros_(layer.bias if layer.bias is not None else torch.empty(0))
    return layer


def _start_near_identity(layer: nn.Module) -> None:
    # A chain of five ReLU layers trains several times faster when each one starts as "what came in, slightly mixed".
    if isinstance(layer, nn.Conv2d):
        identity = nn.init.dirac_(torch.empty_like(layer.weight))
        with torch.no_grad():
            layer.weight.mul_(0.3).add_(identity)
