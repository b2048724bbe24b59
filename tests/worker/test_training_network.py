"""The network, its optimiser, and the ONNX graphs that stand for it."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from neuron_worker.runtimes.golden import golden_tile  # noqa: E402
from neuron_worker.runtimes.onnx import OnnxRuntime  # noqa: E402
from neuron_worker.runtimes.weights import load_card  # noqa: E402
from neuron_worker.training.model.graph import (  # noqa: E402
    INPUT,
    OUTPUT,
    Int8Layer,
    Layer,
    build_bytes_graph,
    build_deep_graph,
    build_int8_graph,
    for_bytes,
)
from neuron_worker.training.model.network import ARCHITECTURES, Architecture, LumaUpscaler, build_network  # noqa: E402
from neuron_worker.training.model.quantise import quantise  # noqa: E402
from neuron_worker.training.optimiser import Muon, orthogonal  # noqa: E402
from neuron_worker.training.scoring.session import LumaModel, _session  # noqa: E402

SMALL = Architecture(features=8, body_layers=2, block_px=2)
SMALL_WHOLE = Architecture(features=8, body_layers=2, block_px=1)


def lively(architecture: Architecture, scale: int, seed: int = 0) -> LumaUpscaler:
    """A network whose last layer is not zero, so that every layer shows in the output."""
    torch.manual_seed(seed)
    network = LumaUpscaler(architecture, scale)
    torch.nn.init.normal_(network.tail.weight, std=0.02)
    for name, value in network.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(value, std=0.02)
        else:
            value.data = value.data.half().float()  # what the files can hold
    return network.eval()


def layers_of(network: LumaUpscaler) -> list[Layer]:
    convolutions = [network.head, *network.body, network.tail]
    return [Layer(one.weight.detach().numpy(), one.bias.detach().numpy()) for one in convolutions]


def run_torch(network: LumaUpscaler, luma: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return network(torch.from_numpy(luma[None, None].astype(np.float32))).numpy()[0, 0]


@pytest.mark.parametrize("model", ARCHITECTURES)
@pytest.mark.parametrize("scale", [2, 4])
def test_untrained_network_enlarges_by_nearest_neighbour(scale: int, model: str) -> None:
    luma = np.random.default_rng(0).random((6, 8), dtype=np.float32)
    enlarged = run_torch(build_network(model, scale), luma)
    assert np.array_equal(enlarged, luma.repeat(scale, axis=0).repeat(scale, axis=1))


@pytest.mark.parametrize("architecture", [SMALL, SMALL_WHOLE])
@pytest.mark.parametrize("scale", [2, 4])
def test_graphs_compute_what_the_network_computes(scale: int, architecture: Architecture) -> None:
    network = lively(architecture, scale)
    tile = golden_tile(64, 96)[0, 0]
    exact = run_torch(network, tile / 255)
    layers = layers_of(network)
    wanted = np.clip(np.rint(exact * 255), 0, 255)
    assert np.abs(LumaModel(build_bytes_graph(layers, scale))(tile) - wanted).max() <= 1
    deep = _session(build_deep_graph(layers, scale)).run([OUTPUT], {INPUT: (tile[None, None] / 255).astype(np.float32)})
    assert np.abs(deep[0][0, 0] - exact).max() < 1e-5


@pytest.mark.parametrize("architecture", [SMALL, SMALL_WHOLE])
def test_int8_graph_stays_close_to_the_exact_one(architecture: Architecture) -> None:
    layers = layers_of(lively(architecture, 2))
    tile = golden_tile(64, 96)[0, 0]
    exact = LumaModel(build_bytes_graph(layers, 2))(tile).astype(float)
    quantised = quantise(layers, 2, [tile])
    int8 = LumaModel(build_int8_graph(quantised.layers, 2, quantised.steps))(tile)
    assert np.abs(exact - int8).mean() < 1.5


def test_odd_sizes_are_padded_and_cut() -> None:
    model = LumaModel(build_bytes_graph(layers_of(lively(SMALL, 2)), 2))
    assert model(golden_tile(64, 96)[0, 0][:33, :17]).shape == (66, 34)


@pytest.mark.parametrize("architecture", [SMALL, *ARCHITECTURES.values()])
def test_receptive_radius_is_what_the_gradient_sees(architecture: Architecture) -> None:
    network = lively(architecture, 2)
    # Every ReLU must let something through, or the gradient would miss paths that other inputs use.
    for value in network.parameters():
        value.data.abs_()
    luma = torch.rand(1, 1, 80, 80, requires_grad=True)
    network(luma)[0, 0, 80:84, 80:84].sum().backward()
    rows = torch.nonzero(luma.grad[0, 0].sum(dim=1)).ravel()
    reach = max(40 - int(rows.min()), int(rows.max()) - 41)
    assert architecture.receptive_radius_px - 1 <= reach <= architecture.receptive_radius_px


@pytest.mark.parametrize("shape", [(8, 36), (36, 8), (16, 16)])
def test_orthogonal_brings_every_singular_value_near_one(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonal(torch.randn(shape)))
    assert float(values.min()) > 0.3
    assert float(values.max()) < 1.3


def test_muon_fits_a_linear_map_and_its_offset() -> None:
    torch.manual_seed(0)
    model = torch.nn.Conv2d(2, 3, 3, padding=1)
    target = torch.nn.Conv2d(2, 3, 3, padding=1)
    optimiser = Muon(model.parameters())
    inputs = torch.randn(8, 2, 6, 6)
    losses = []
    for step in range(120):
        loss = (model(inputs) - target(inputs).detach()).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step(0.05 * (1 - step / 120))
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.02 * losses[0]


def eight_bit_sums_are_exact() -> bool:
    card = load_card("fast", 2)
    result = OnnxRuntime(card, "int8", 1).upscale(golden_tile(64, 96))
    return hashlib.sha256(result.tobytes()).hexdigest() == card.golden["int8_output_sha256"]


def test_rounding_with_feedback_beats_plain_rounding() -> None:
    if not eight_bit_sums_are_exact():
        pytest.skip("8-bit sums saturate on this processor, which outweighs how weights are rounded")
    layers = layers_of(lively(SMALL, 2, seed=4))
    tile = golden_tile(64, 96)[0, 0]
    exact = LumaModel(build_bytes_graph(layers, 2))(tile).astype(float)
    quantised = quantise(layers, 2, [tile])
    plain = [
        Int8Layer(np.rint(layer.weight / ours.steps[:, None, None, None]).astype(np.int8), ours.steps, ours.bias)
        for layer, ours in zip(for_bytes(layers), quantised.layers, strict=True)
    ]
    errors = [
        np.square(LumaModel(build_int8_graph(each, 2, quantised.steps))(tile) - exact).mean()
        for each in (quantised.layers, plain)
    ]
    assert errors[0] < errors[1]
