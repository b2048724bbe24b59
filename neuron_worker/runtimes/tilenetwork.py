"""This project's network in the form that is compiled for fixed tiles: three kinds of operators and nothing else.

Space-to-depth (of blocks of 2x2) followed by a 3x3 convolution is one 6x6 convolution with stride 2, so the operator
that accelerators lack (`pixel_unshuffle`) is not needed. The nearest enlargement stays outside: accelerators round to
bfloat16, whose 8 bits would blur the picture itself, but not what is added to it.
"""

# torch is an optional extra; without it the base class below has no known type.
# mypy: disallow-subclassing-any=False

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from neuron_worker.training.model.network import LumaUpscaler

__all__ = ["TileNetwork"]


class TileNetwork(nn.Module):
    """``(N, 1, H, W)`` float luma in 0..1 to what `LumaUpscaler` adds to its nearest enlargement."""

    def __init__(self, network: LumaUpscaler) -> None:
        super().__init__()
        features, block_px = network.architecture.features, network.architecture.block_px
        self.enlargement = block_px * network.scale
        self.head = nn.Conv2d(1, features, 3 * block_px, stride=block_px, padding=block_px)
        self.head.load_state_dict({"weight": _unfolded(network.head.weight, block_px), "bias": network.head.bias})
        self.body = network.body
        self.tail = network.tail
        self.eval().requires_grad_(requires_grad=False)

    def forward(self, luma: Tensor) -> Tensor:
        hidden = functional.relu(self.head(luma))
        for layer in self.body:
            hidden = functional.relu(layer(hidden))
        return functional.pixel_shuffle(self.tail(hidden), self.enlargement)


def _unfolded(weight: Tensor, block_px: int) -> Tensor:
    """``(features, block_px**2, 3, 3)`` over blocks to ``(features, 1, 3 * block_px, 3 * block_px)`` over samples."""
    features = weight.shape[0]
    blocks = weight.reshape(features, block_px, block_px, 3, 3)  # rows and columns within a block, then of blocks
    unfolded: Tensor = torch.permute(blocks, (0, 3, 1, 4, 2)).reshape(features, 1, 3 * block_px, 3 * block_px)
    return unfolded.contiguous()
