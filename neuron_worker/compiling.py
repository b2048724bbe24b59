"""Compiling networks for accelerators: once for each model, tile and batch, on any machine with the compiler."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from mediabroker.errors import ConfigurationError, MissingDependencyError
from neuron_worker.runtimes import Card, load_card, models_folder
from neuron_worker.runtimes.artefacts import Manifest, store, weights_digest
from neuron_worker.runtimes.toolchain import Toolchain
from neuron_worker.runtimes.weights import LUMA

__all__ = ["TOOLCHAINS", "Order", "compile_model", "parse_tile"]

TOOLCHAINS = ("torch-neuron", "torch-neuronx", "standin")
_LARGEST_SIDE_PX = 4096
_TILE = re.compile(r"([0-9]{1,6})x([0-9]{1,6})")


class Order(NamedTuple):
    """What to compile. The tile's sides are in pixels of the source; `batch` tiles are computed at a time."""

    model: str
    scale: int
    tile_px: tuple[int, int]
    batch: int = 1


def compile_model(order: Order, toolchain: str = "torch-neuron", folder: Path | None = None) -> tuple[Path, Manifest]:
    """Compile and store; the manifest and where it lies. `folder` is where the runtimes look, if not named.

    Raises:
        ConfigurationError: the order makes no sense, or the compiler refuses it.
        MissingDependencyError: the compiler is not installed.
    """
    card = load_card(order.model, order.scale)
    _check(order, card)
    chain = _toolchain(toolchain)
    if obstacle := chain.obstacle():
        raise MissingDependencyError(f"{toolchain}: {obstacle}")
    manifest = Manifest(
        model=card.model,
        scale=card.scale,
        weights_sha256=weights_digest(card),
        toolchain=chain.name,
        toolchain_version=chain.version(),
        tile_height_px=order.tile_px[0],
        tile_width_px=order.tile_px[1],
        batch=order.batch,
    )
    path = store(manifest, _trace(chain, card, order), folder or models_folder() / "compiled")
    return path, manifest


def parse_tile(text: str) -> tuple[int, int]:
    """`HxW`, such as `360x640`, as height and width.

    Raises:
        ConfigurationError: it is something else.
    """
    found = _TILE.fullmatch(text.lower())
    if found is None:
        raise ConfigurationError(f"a tile is HEIGHTxWIDTH in pixels, such as 360x640, not {text!r}")
    return int(found[1]), int(found[2])


def _check(order: Order, card: Card) -> None:
    if card.kind != LUMA:
        raise ConfigurationError(f"{order.model} is a {card.kind} network; only this project's networks are compiled")
    least = 2 * (card.radius_px + card.radius_px % 2) + 2
    for side in order.tile_px:
        if side % 2 or not least <= side <= _LARGEST_SIDE_PX:
            raise ConfigurationError(
                f"a tile of {order.tile_px[0]}x{order.tile_px[1]}: sides are even and from {least} (twice the "
                f"network's radius and a pixel block) to {_LARGEST_SIDE_PX}"
            )
    if not 1 <= order.batch <= 64:
        raise ConfigurationError(f"a batch of {order.batch} tiles: from 1 to 64 are possible")


def _trace(chain: Toolchain, card: Card, order: Order) -> bytes:
    import torch  # noqa: PLC0415  an extra

    from neuron_worker.runtimes.tilenetwork import TileNetwork  # noqa: PLC0415
    from neuron_worker.runtimes.torch import read_network  # noqa: PLC0415
    from neuron_worker.training.model.network import LumaUpscaler  # noqa: PLC0415

    network, _ = read_network(card)
    if not isinstance(network, LumaUpscaler):
        raise ConfigurationError(f"{card.model} is no network of this project")
    height, width = order.tile_px
    return chain.trace(TileNetwork(network), torch.zeros(order.batch, 1, height, width))


def _toolchain(name: str) -> Toolchain:
    if name == "standin":
        from neuron_worker.runtimes.standin import StandIn  # noqa: PLC0415

        return StandIn()
    from neuron_worker.runtimes.neuron import TorchNeuron, TorchNeuronX  # noqa: PLC0415

    chains = {chain.name: chain for chain in (TorchNeuron(), TorchNeuronX())}
    if name not in chains:
        raise ConfigurationError(f"there is no toolchain {name!r}; here are: {', '.join(TOOLCHAINS)}")
    return chains[name]
