"""Networks for torch, rebuilt from nothing but their named tensors.

Three shapes: this project's own (`luma`), the compact one of Real-ESRGAN's video models (`compact`) and the dense
residual one of ESRGAN and Real-ESRGAN (`rrdb`). Names of tensors are the published checkpoints'; what a shape computes
follows K. Zhang et al., "Residual-in-residual dense blocks" as in X. Wang et al., "ESRGAN", ECCVW 2018, section 3.1,
and X. Wang et al., "Real-ESRGAN", ICCVW 2021, section 3.3. Everything else is left to spandrel where it is installed.
"""

# torch is an optional extra; without it the base class below has no known type.
# mypy: disallow-subclassing-any=False

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import av.logging
import torch
from torch import Tensor, nn
from torch.nn import functional

from mediabroker.errors import ConfigurationError, MissingDependencyError
from neuron_worker.runtimes.weights import LUMA
from neuron_worker.training.model.network import Architecture, LumaUpscaler

__all__ = ["Shape", "build", "recognise", "spandrel_shape"]

Tensors = Mapping[str, Tensor]

_SLOPE = 0.2
_RESIDUAL = 0.2
_FULL_SCALE = 4
_USEFUL_RADIUS_PX = 48
"""Deep networks look further than any tile reaches; what lies beyond this changes hardly anything."""


@dataclass(frozen=True)
class Shape:
    """What a set of tensors is: `kind` as on a card, and what a card says of it."""

    kind: str
    scale: int
    features: int
    radius_px: int


class Compact(nn.Module):
    """A chain of 3x3 convolutions with PReLU, a pixel shuffle, and the nearest enlargement of the input added."""

    def __init__(self, tensors: Tensors) -> None:
        super().__init__()
        layers: dict[str, nn.Module] = {}
        for name in _body_order(tensors):
            weight = tensors[f"body.{name}.weight"]
            if weight.dim() == 4:
                layers[name] = nn.Conv2d(weight.shape[1], weight.shape[0], 3, padding=1)
                last = int(weight.shape[0])
            else:
                layers[name] = nn.PReLU(int(weight.shape[0]))
        self.body = nn.ModuleDict(layers)
        self.scale = int((last / 3) ** 0.5)

    def forward(self, rgb: Tensor) -> Tensor:
        hidden = rgb
        for layer in self.body.values():
            hidden = layer(hidden)
        base = functional.interpolate(rgb, scale_factor=float(self.scale), mode="nearest")
        return functional.pixel_shuffle(hidden, self.scale) + base


class _DenseBlock(nn.Module):
    def __init__(self, features: int, growth: int) -> None:
        super().__init__()
        for index in range(1, 6):
            inputs = features + (index - 1) * growth
            self.add_module(f"conv{index}", _convolution(inputs, growth if index < 5 else features))

    def forward(self, entering: Tensor) -> Tensor:
        known = [entering]
        for index in range(1, 5):
            known.append(_leak(getattr(self, f"conv{index}")(torch.cat(known, 1))))
        leaving: Tensor = self.get_submodule("conv5")(torch.cat(known, 1))
        return leaving * _RESIDUAL + entering


class _DenseBlocks(nn.Module):
    def __init__(self, features: int, growth: int) -> None:
        super().__init__()
        self.rdb1, self.rdb2, self.rdb3 = (_DenseBlock(features, growth) for _ in range(3))

    def forward(self, entering: Tensor) -> Tensor:
        leaving: Tensor = self.rdb3(self.rdb2(self.rdb1(entering)))
        return leaving * _RESIDUAL + entering


class Rrdb(nn.Module):
    """Residual-in-residual dense blocks; always enlarges fourfold inside, after a space-to-depth for smaller scales."""

    def __init__(self, tensors: Tensors) -> None:
        super().__init__()
        first = tensors["conv_first.weight"]
        features, growth = int(first.shape[0]), int(tensors["body.0.rdb1.conv1.weight"].shape[0])
        self.block_px = int((first.shape[1] / 3) ** 0.5)
        self.conv_first = _convolution(int(first.shape[1]), features)
        self.body = nn.Sequential(*(_DenseBlocks(features, growth) for _ in range(_block_count(tensors))))
        for name in ("conv_body", "conv_up1", "conv_up2", "conv_hr"):
            self.add_module(name, _convolution(features, features))
        self.conv_last = _convolution(features, 3)

    def forward(self, rgb: Tensor) -> Tensor:
        blocks = functional.pixel_unshuffle(rgb, self.block_px) if self.block_px > 1 else rgb
        hidden = self.conv_first(blocks)
        hidden = hidden + self.get_submodule("conv_body")(self.body(hidden))
        for name in ("conv_up1", "conv_up2"):
            hidden = functional.interpolate(hidden, scale_factor=2.0, mode="nearest")
            hidden = _leak(self.get_submodule(name)(hidden))
        result: Tensor = self.conv_last(_leak(self.get_submodule("conv_hr")(hidden)))
        return result


def recognise(tensors: Tensors) -> Shape | None:
    """What third-party tensors are, or None if they are neither compact nor dense."""
    if "conv_first.weight" in tensors and "body.0.rdb1.conv1.weight" in tensors:
        first = tensors["conv_first.weight"]
        block = int((first.shape[1] / 3) ** 0.5)
        if first.shape[1] != 3 * block**2 or _FULL_SCALE % block:
            return None
        return Shape("rrdb", _FULL_SCALE // block, int(first.shape[0]), _USEFUL_RADIUS_PX)
    names = _body_order(tensors)
    if not names or len(names) != len({name.rsplit(".", 1)[0] for name in tensors}):
        return None
    convolutions = [tensors[f"body.{name}.weight"] for name in names if tensors[f"body.{name}.weight"].dim() == 4]
    rectifiers = len(names) - len(convolutions)
    scale = int((convolutions[-1].shape[0] / 3) ** 0.5) if convolutions else 0
    if len(convolutions) < 2 or rectifiers != len(convolutions) - 1 or convolutions[-1].shape[0] != 3 * scale**2:
        return None
    return Shape("compact", scale, int(convolutions[0].shape[0]), len(convolutions))


def build(kind: str, tensors: Tensors, scale: int) -> nn.Module:
    """The network of a card's kind with these tensors, ready to evaluate.

    Raises:
        ConfigurationError: the tensors are not of that kind and scale.
        MissingDependencyError: the kind needs spandrel, which is not installed.
    """
    try:
        if kind == "spandrel":
            network: nn.Module = _load_foreign(tensors).model
            return network
        network = _MAKERS[kind](tensors, scale)
        network.load_state_dict({name: value.float() for name, value in tensors.items()})
    except (KeyError, RuntimeError) as error:
        raise ConfigurationError(f"the weights are no {kind} network for scale {scale}: {error}") from error
    return network.eval().requires_grad_(requires_grad=False)


def spandrel_shape(tensors: Tensors) -> Shape:
    """What spandrel takes the tensors for.

    Raises:
        ConfigurationError: it does not know them, or they do not enlarge RGB.
        MissingDependencyError: spandrel is not installed.
    """
    described = _load_foreign(tensors)
    if (described.input_channels, described.output_channels) != (3, 3) or described.scale < 2:
        raise ConfigurationError(f"the checkpoint ({described.architecture.name}) does not enlarge RGB pictures")
    return Shape("spandrel", int(described.scale), 64, _USEFUL_RADIUS_PX)


def _load_foreign(tensors: Tensors) -> Any:
    spandrel = _import_spandrel()
    try:
        found = spandrel.ModelLoader(device="cpu").load_from_state_dict(dict(tensors))
    except spandrel.UnsupportedModelError as error:
        raise ConfigurationError("nothing here knows this checkpoint's shape") from error
    if not isinstance(found, spandrel.ImageModelDescriptor):
        raise ConfigurationError("the checkpoint needs more than a picture, such as a mask")
    found.model.eval().requires_grad_(requires_grad=False)
    return found


def _import_spandrel() -> Any:
    try:
        import spandrel  # noqa: PLC0415  an extra of its own
    except Exception as error:  # torchvision, which it needs, fails in ways of its own beside another torch
        raise MissingDependencyError(
            "this checkpoint is neither of the compact nor of the dense shape; spandrel may know it: "
            f"`pip install 'mediabroker[checkpoints]'` ({error})"
        ) from error
    finally:
        # torchvision may have routed FFmpeg's log into Python. A decoder's thread that waits for the interpreter's lock
        # in order to log, and the thread that holds it and waits for that decoder to end, would wait for ever.
        av.logging.set_level(None)
    return spandrel


def _luma(tensors: Tensors, scale: int) -> nn.Module:
    layers = sum(name.startswith("body.") and name.endswith(".weight") for name in tensors)
    features, entering = (int(side) for side in tensors["head.weight"].shape[:2])
    return LumaUpscaler(Architecture(features, layers, math.isqrt(entering)), scale)


_MAKERS: Mapping[str, Callable[[Tensors, int], nn.Module]] = {
    LUMA: _luma,
    "compact": lambda tensors, scale: Compact(tensors),  # noqa: ARG005
    "rrdb": lambda tensors, scale: Rrdb(tensors),  # noqa: ARG005
}


def _body_order(tensors: Tensors) -> list[str]:
    names = {name.split(".")[1] for name in tensors if name.startswith("body.") and name.count(".") == 2}
    return sorted((name for name in names if name.isdigit() and f"body.{name}.weight" in tensors), key=int)


def _block_count(tensors: Tensors) -> int:
    return len({name.split(".")[1] for name in tensors if name.startswith("body.")})


def _convolution(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1)


def _leak(values: Tensor) -> Tensor:
    return functional.leaky_relu(values, _SLOPE)
