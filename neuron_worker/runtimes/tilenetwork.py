"""This project's network in the form that is compiled for fixed tiles: three kinds of operators and nothing else.

Space-to-depth followed by a 3x3 convolution is one 6x6 convolution with stride 2, so the operator that accelerators
lack (`pixel_unshuffle`) is not needed. The nearest enlargement stays outside: accelerators round to bfloat16, whose 8
bits would blur the picture itself, but not what is added to it.
"""

# torch is an optional extra; without it the base class below has no known type.
# mypy: disallow-subclassing-any=False

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from neuron_worker.training.network import BLOCK_PX, LumaUpscaler

__all__ = ["TileNetwork"]


class TileNetwork(nn.Module):
    """``(N, 1, H, W)`` float luma in 0..1 to what `LumaUpscaler` adds to its nearest enlargement."""

    def __init__(self, network: LumaUpscaler) -> None:
        super().__init__()
        features = network.architecture.features
        self.enlargement = BLOCK_PX * network.scale
        self.head = nn.Conv2d(1, features, 3 * BLOCK_PX, stride=BLOCK_PX, padding=BLOCK_PX)
        self.head.load_state_dict({"weight": _unfolded(network.head.weight), "bias": network.head.bias})
        self.body = network.body
        self.tail = network.tail
        self.eval().requires_grad_(requires_grad=False)

    def forward(self, luma: Tensor) -> Tensor:
        hidden = functional.relu(self.head(luma))
        for layer in self.body:
            hidden = functional.relu(layer(hidden))
        return functional.pixel_shuffle(self.tail(hidden), self.enlargement)


def _unfolded(weight: Tensor) -> Tensor:
    """``(features, 4, 3, 3)`` over blocks of 2x2 samples to ``(features, 1, 6, 6)`` over samples."""
    features = weight.shape[0]
    blocks = weight.reshape(features, BLOCK_PX, BLOCK_PX, 3, 3)  # rows and columns within a block, then of blocks
    unfolded: Tensor = torch.permute(blocks, (0, 3, 1, 4, 2)).reshape(features, 1, 3 * BLOCK_PX, 3 * BLOCK_PX)
    return unfolded.contiguous()
