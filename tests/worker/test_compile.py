"""Graphs for fixed tiles: the whole way of an accelerator, with the stand-in that keeps its documented rules."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from types import ModuleType
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="compiling needs the torch extra; `make test-torch` runs these")
pytest.importorskip("safetensors", reason="compiling needs the torch extra; `make test-torch` runs these")

from torch import nn  # noqa: E402

from mediabroker.errors import ConfigurationError, MissingDependencyError  # noqa: E402
from mediabroker.results import VideoResult  # noqa: E402
from neuron_worker.compiling import Order, compile_model, parse_tile  # noqa: E402
from neuron_worker.runtimes import Choice, artefacts, choose, load, load_card, survey  # noqa: E402
from neuron_worker.runtimes.compiled import CompiledRuntime  # noqa: E402
from neuron_worker.runtimes.golden import golden_tile  # noqa: E402
from neuron_worker.runtimes.lazytorch import torchscript  # noqa: E402
from neuron_worker.runtimes.neuron import TorchNeuron, TorchNeuronX, core_count  # noqa: E402
from neuron_worker.runtimes.protocol import Luma  # noqa: E402
from neuron_worker.runtimes.standin import StandIn, undocumented_operators  # noqa: E402
from neuron_worker.runtimes.tilenetwork import TileNetwork  # noqa: E402
from neuron_worker.runtimes.torch import TorchRuntime, read_network  # noqa: E402
from tests import clips  # noqa: E402
from tests.worker.looking import frame_digests, lumas  # noqa: E402

TILE = (64, 96)
TOLERANCE = 1
"""Grey levels: 32-bit arithmetic in another order, then rounded."""


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's models folder of this test."""
    monkeypatch.setenv("MEDIABROKER_MODELS_DIR", str(tmp_path / "models"))
    return tmp_path / "models"


@pytest.fixture(scope="module")
def graphs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder with graphs for both scales, made once."""
    folder = tmp_path_factory.mktemp("models")
    for scale in (2, 4):
        compile_model(Order("fast", scale, TILE, 3), "standin", folder / "compiled")
    return folder


@pytest.fixture
def compiled(graphs: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], CompiledRuntime]:
    """Loads the graph of a scale."""
    monkeypatch.setenv("MEDIABROKER_MODELS_DIR", str(graphs))

    def build(scale: int) -> CompiledRuntime:
        card = load_card("fast", scale)
        runtime = load(card, choose(card, runtime="standin"))
        assert isinstance(runtime, CompiledRuntime)
        return runtime

    return build


def untiled(luma: Luma, scale: int) -> Luma:
    return TorchRuntime(load_card("fast", scale), "cpu-fp32", 1, tile_px=4096).upscale(luma)


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("size", [(64, 96), (66, 98), (130, 250), (64, 300), (226, 96)])
def test_tiled_result_equals_the_untiled_one_on_every_pixel(
    size: tuple[int, int], scale: int, compiled: Callable[[int], CompiledRuntime]
) -> None:
    luma = np.concatenate([golden_tile(*size), 255 - golden_tile(*size)])
    result = compiled(scale).upscale(luma)
    assert result.dtype == np.uint8
    assert result.shape == (2, 1, size[0] * scale, size[1] * scale)
    assert np.abs(result.astype(int) - untiled(luma, scale)).max() <= TOLERANCE


@pytest.mark.parametrize("size", [(2, 2), (40, 40), (40, 200), (130, 50)])
def test_frame_smaller_than_the_tile_is_continued_by_its_edges(
    size: tuple[int, int], compiled: Callable[[int], CompiledRuntime]
) -> None:
    luma = golden_tile(*size)
    missing = [(0, max(0, side - length)) for side, length in zip(TILE, size, strict=True)]
    wanted = untiled(np.pad(luma, ((0, 0), (0, 0), *missing), mode="edge"), 2)[:, :, : 2 * size[0], : 2 * size[1]]
    result = compiled(2).upscale(luma)
    assert result.shape == wanted.shape
    assert np.abs(result.astype(int) - wanted).max() <= TOLERANCE


@pytest.mark.parametrize("make", [clips.make_clip, clips.make_odd])
def test_video_of_any_size_through_compiled_tiles_equals_the_untiled_network(
    make: Callable[..., Path], graphs: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, upscale: Any
) -> None:
    monkeypatch.setenv("MEDIABROKER_MODELS_DIR", str(graphs))
    source = make(tmp_path / "in.mp4", width=131, height=97, pix_fmt="yuv444p")
    result: VideoResult = upscale(source, tmp_path / "tiles.mp4", runtime="standin", encoder={"crf": 0})
    upscale(source, tmp_path / "whole.mp4", runtime="torch", encoder={"crf": 0}, work_dir=tmp_path / "whole")
    assert result.frame_count == len(frame_digests(source))
    for tiled, whole in zip(lumas(tmp_path / "tiles.mp4"), lumas(tmp_path / "whole.mp4"), strict=True):
        assert np.abs(tiled.astype(int) - whole).max() <= TOLERANCE


def test_same_input_gives_the_same_bytes_from_every_core(compiled: Callable[[int], CompiledRuntime]) -> None:
    runtime = compiled(2)
    with ThreadPoolExecutor(runtime.workers) as pool:
        results = list(pool.map(runtime.upscale, [golden_tile(66, 98)] * 12))
    assert all(np.array_equal(results[0], each) for each in results)


def test_all_cores_are_busy_and_each_runs_one_batch_at_a_time() -> None:
    cores, running, most = 3, [0] * 3, [0] * 3
    together = Barrier(cores, timeout=20)

    def make_graph(core: int) -> Callable[[Luma], Luma]:
        def graph(tiles: Luma) -> Luma:
            running[core] += 1
            most[core] = max(most[core], running[core])
            together.wait()  # passes only when every core is inside at the same time
            running[core] -= 1
            return np.zeros((*tiles.shape[:2], 2 * tiles.shape[2], 2 * tiles.shape[3]), np.float32)

        return graph

    card = load_card("fast", 2)
    manifest = artefacts.Manifest(
        model="fast",
        scale=2,
        weights_sha256="",
        toolchain="test",
        toolchain_version="1",
        tile_height_px=64,
        tile_width_px=96,
        batch=2,
    )
    runtime = CompiledRuntime("test", card, manifest, [make_graph(core) for core in range(cores)])
    luma = golden_tile(64, 96)
    with ThreadPoolExecutor(runtime.workers) as pool:
        results = list(pool.map(runtime.upscale, [luma] * (4 * cores)))
    assert most == [1] * cores
    assert np.array_equal(results[0], luma.repeat(2, 2).repeat(2, 3))


def test_graph_is_found_only_for_its_weights_and_its_toolchain(graphs: Path) -> None:
    card, version, folder = load_card("fast", 2), StandIn().version(), graphs / "compiled"
    assert [each.variant for each in artefacts.find(card, "standin", version, folder)] == ["64x96b3"]
    assert not artefacts.find(card, "standin", "another version", folder)
    assert not artefacts.find(card, "torch-neuron", version, folder)
    other = load_card("fast", 4)
    changed = {**other.files, "fast-x4.safetensors": "0" * 64}
    assert artefacts.find(other, "standin", version, folder)
    assert not artefacts.find(type(other)(**{**other.__dict__, "files": changed}), "standin", version, folder), (
        "other weights"
    )


def test_changed_graph_is_never_loaded(models: Path) -> None:
    path, manifest = compile_model(Order("fast", 2, (34, 34)), "standin")
    graph = path.with_name(f"{manifest.stem}.pt")
    graph.write_bytes(graph.read_bytes() + b"!")
    card = load_card("fast", 2)
    with pytest.raises(ConfigurationError, match="manifest"):
        load(card, choose(card, runtime="standin"))


def test_graph_that_computes_something_else_is_refused(models: Path) -> None:
    path, manifest = compile_model(Order("fast", 2, (34, 34)), "standin")
    network, _ = read_network(load_card("fast", 2))
    wrong = TileNetwork(network)
    wrong.tail.weight.mul_(0.5)
    content = StandIn().trace(wrong, torch.zeros(1, 1, 34, 34))
    artefacts.store(manifest, content, path.parent)
    with pytest.raises(ConfigurationError, match="something else"):
        load(load_card("fast", 2), Choice("standin", manifest.variant))


def test_shape_with_the_least_work_for_the_frame_is_chosen(models: Path) -> None:
    for tile in ((34, 34), (64, 96), (128, 160)):
        compile_model(Order("fast", 2, tile), "standin")
    card = load_card("fast", 2)
    assert choose(card, runtime="standin", frame_px=(128, 160)).variant == "128x160b1"
    assert choose(card, runtime="standin", frame_px=(63, 95)).variant == "64x96b1"
    assert choose(card, runtime="standin", frame_px=(30, 20)).variant == "34x34b1"


def test_without_a_graph_the_command_that_makes_one_is_told(models: Path) -> None:
    with pytest.raises(ConfigurationError, match="neuron_worker compile"):
        choose(load_card("fast", 2), runtime="standin")


def test_deep_video_is_refused_by_eight_bit_arithmetic(graphs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDIABROKER_MODELS_DIR", str(graphs))
    with pytest.raises(ConfigurationError, match="8 significant bits"):
        choose(load_card("fast", 2), runtime="standin", deep=True)


def test_auto_never_takes_the_stand_in(graphs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDIABROKER_MODELS_DIR", str(graphs))
    assert choose(load_card("fast", 2)).runtime != "standin"


@pytest.mark.parametrize(
    ("tile", "batch"), [((28, 96), 1), ((65, 96), 1), ((64, 5000), 1), ((64, 96), 0), ((64, 96), 65)]
)
def test_impossible_order_is_refused(tile: tuple[int, int], batch: int) -> None:
    with pytest.raises(ConfigurationError):
        compile_model(Order("fast", 2, tile, batch), "standin")


@pytest.mark.parametrize("text", ["640", "x", "64x", "axb", "-2x4", "²x64", f"{'9' * 5000}x64"])
def test_tile_that_cannot_be_read_is_refused(text: str) -> None:
    assert parse_tile("360x640") == (360, 640)
    with pytest.raises(ConfigurationError):
        parse_tile(text)


def test_compile_command_writes_graph_and_manifest(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "neuron_worker", "compile", "--scale", "2", "--tile", "34x40"]
    done = subprocess.run(
        [*command, "--batch", "2", "--toolchain", "standin", "--out", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    event = json.loads(done.stdout)
    manifest = artefacts.Manifest.model_validate_json(Path(event["manifest"]).read_text())
    assert (manifest.key, manifest.batch, manifest.variant) == (event["key"], 2, "34x40b2")
    assert (tmp_path / f"{manifest.stem}.pt").is_file()
    assert manifest.key[:16] in event["manifest"]


@pytest.mark.parametrize("model", ["fast", "quality"])
@pytest.mark.parametrize("scale", [2, 4])
def test_tile_network_adds_to_the_nearest_enlargement_what_the_network_adds(scale: int, model: str) -> None:
    network, _ = read_network(load_card(model, scale))
    luma = torch.rand(1, 1, 40, 52)
    base = nn.functional.interpolate(luma, scale_factor=float(scale), mode="nearest")
    assert torch.allclose(TileNetwork(network)(luma) + base, network(luma), atol=1e-5)


def _as_bfloat16(network: nn.Module) -> nn.Module:
    """With weights and activations rounded, and sums in full: how processors add up half precision is their own."""
    for parameter in network.parameters():
        parameter.data = parameter.data.bfloat16().float()
    for layer in network.modules():
        layer.register_forward_hook(lambda module, given, made: made.bfloat16().float())
    return network


@pytest.mark.parametrize("scale", [2, 4])
def test_bfloat16_costs_less_than_the_tolerance_for_accelerators(scale: int) -> None:
    network, _ = read_network(load_card("fast", scale))
    tile = torch.from_numpy(golden_tile(*TILE)).float() / 255
    exact = TileNetwork(network)(tile)
    coarse = _as_bfloat16(TileNetwork(network))(tile.bfloat16().float())
    difference = (exact - coarse).abs() * 255
    largest, mean = TorchNeuron.card_tolerance
    assert float(difference.max()) < largest / 2
    assert float(difference.mean()) < mean / 2


class _Unshuffled(nn.Module):
    def forward(self, luma: Any) -> Any:
        return nn.functional.pixel_shuffle(nn.functional.pixel_unshuffle(luma, 2), 4)


class _Bicubic(nn.Module):
    def forward(self, luma: Any) -> Any:
        return nn.functional.interpolate(luma, size=(8, 8), mode="bicubic")


@pytest.mark.parametrize(("network", "name"), [(_Unshuffled(), "pixel_unshuffle"), (_Bicubic(), "upsample_bicubic2d")])
def test_stand_in_refuses_operators_that_are_not_documented(network: nn.Module, name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"aten::{name}"):
        StandIn().trace(network, torch.zeros(1, 4, 4, 4) if name == "pixel_unshuffle" else torch.zeros(1, 1, 4, 4))


@pytest.mark.parametrize("model", ["fast", "quality"])
def test_our_networks_use_documented_operators_only(model: str) -> None:
    for scale in (2, 4):
        network, _ = read_network(load_card(model, scale))
        with torchscript() as jit:
            traced = jit.trace(TileNetwork(network), torch.zeros(2, 1, 34, 40))
        assert undocumented_operators(traced) == []


@pytest.mark.parametrize("shape", [(1, 1, 34, 36), (2, 1, 34, 34), (1, 1, 36, 34)])
def test_stand_in_takes_no_shape_but_its_own(shape: tuple[int, ...]) -> None:
    network, _ = read_network(load_card("fast", 2))
    chain = StandIn()
    graph = chain.load(chain.trace(TileNetwork(network), torch.zeros(1, 1, 34, 34)))
    assert graph(np.zeros((1, 1, 34, 34), np.float32)).shape == (1, 1, 68, 68)
    with pytest.raises(ValueError, match="takes float32"):
        graph(np.zeros(shape, np.float32))


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Puts a `torch_neuron` with the given source in place of a vendor's."""

    def write(source: str) -> None:
        (tmp_path / "site" / "torch_neuron").mkdir(parents=True)
        (tmp_path / "site" / "torch_neuron" / "__init__.py").write_text(source)
        monkeypatch.syspath_prepend(str(tmp_path / "site"))
        sys.modules.pop("torch_neuron", None)

    yield write
    sys.modules.pop("torch_neuron", None)


def test_placeholder_of_the_package_index_is_explained(package: Callable[[str], None]) -> None:
    package('raise ImportError("WRONG PACKAGE. Please install the package from the vendor\'s repository")')
    found = survey()["neuron"]
    assert not found.usable
    assert "placeholder" in found.detail
    with pytest.raises(MissingDependencyError, match="placeholder"):
        compile_model(Order("fast", 2, TILE), "torch-neuron")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("raise ImportError('Invalid dependency version torch==2.13')", "Invalid dependency"),
        ("raise RuntimeError('Unable to determine Neuron Driver version')", "Driver"),
        ("__version__ = '1.0'", "not the vendor's"),
        ("__version__ = '1.13.1.2.11.6.0'\ntrace = None", "no Neuron device"),
    ],
)
def test_vendor_package_that_cannot_be_used_says_why(source: str, words: str, package: Callable[[str], None]) -> None:
    package(source)
    assert words in survey()["neuron"].detail


CONTRACT = """
import subprocess, torch
__version__ = "1.13.1.2.11.6.0"
def trace(func, example_inputs, *, fallback, compiler_timeout):
    assert fallback is False and compiler_timeout > 0 and not func.training
    if example_inputs.shape[2] == 36:
        raise AttributeError("aten::unknown")
    if example_inputs.shape[2] == 38:
        raise subprocess.TimeoutExpired("neuron-cc", compiler_timeout)
    return torch.jit.trace(func, example_inputs)
"""


def test_inf1_adapter_calls_what_the_vendor_documents(package: Callable[[str], None], models: Path) -> None:
    package(CONTRACT)
    path, manifest = compile_model(Order("fast", 2, (34, 34)), "torch-neuron")
    assert manifest.toolchain_version == "1.13.1.2.11.6.0"
    graph = TorchNeuron().load(path.with_name(f"{manifest.stem}.pt").read_bytes())
    assert graph(np.zeros((1, 1, 34, 34), np.float32)).shape == (1, 1, 68, 68)
    for height, words in ((36, "operator"), (38, "longer")):
        with pytest.raises(ConfigurationError, match=words):
            compile_model(Order("fast", 2, (height, 34)), "torch-neuron")


def test_file_that_the_device_does_not_take_is_told(package: Callable[[str], None]) -> None:
    package(CONTRACT)
    with pytest.raises(ConfigurationError, match="device"):
        TorchNeuron().load(b"no graph")


def test_inf2_adapter_has_the_same_shape(monkeypatch: pytest.MonkeyPatch, models: Path) -> None:
    vendor = ModuleType("torch_neuronx")
    vendor.__dict__.update(__version__="2.1", trace=torch.jit.trace)
    monkeypatch.setitem(sys.modules, "torch_neuronx", vendor)
    path, manifest = compile_model(Order("fast", 2, (34, 34)), "torch-neuronx")
    graph = TorchNeuronX().load(path.with_name(f"{manifest.stem}.pt").read_bytes())
    assert graph(np.zeros((1, 1, 34, 34), np.float32)).shape == (1, 1, 68, 68)


def test_cores_are_those_that_the_runtime_grants(tmp_path: Path) -> None:
    for name in ("neuron0", "neuron1", "neuron_core"):
        (tmp_path / name).touch()
    assert core_count({}, tmp_path, 4) == 8
    assert core_count({"NEURON_RT_NUM_CORES": "3"}, tmp_path, 4) == 3
    assert core_count({"NEURON_RT_VISIBLE_CORES": "0-2,5"}, tmp_path, 4) == 4
    for name, words in (("NUM_CORES", "many"), ("NUM_CORES", "0"), ("VISIBLE_CORES", "3-1")):
        with pytest.raises(ConfigurationError, match=f"NEURON_RT_{name}={words} grants no cores"):
            core_count({f"NEURON_RT_{name}": words}, tmp_path, 4)
