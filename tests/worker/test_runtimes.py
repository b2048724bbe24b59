"""Weights that are what their card says, a choice that can be trusted, and one protocol."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from mediabroker.errors import ConfigurationError, MissingDependencyError
from neuron_worker import runtimes
from neuron_worker.runtimes import Choice, choose, load, load_card, survey
from neuron_worker.runtimes import onnx as onnx_runtime
from neuron_worker.runtimes.golden import differs_from_golden, golden_tile
from neuron_worker.runtimes.onnx import OnnxRuntime, choose_variant
from neuron_worker.runtimes.weights import WEIGHTS


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A copy of the shipped weights, to be damaged."""
    return Path(shutil.copytree(WEIGHTS, tmp_path / "weights"))


def test_shipped_weights_are_the_ones_their_cards_name() -> None:
    for path in WEIGHTS.glob("*-x[24].json"):
        model, scale = path.stem.rsplit("-x", 1)
        load_card(model, int(scale)).verify()


@pytest.mark.parametrize("harm", ["missing", "changed"])
def test_damaged_weights_are_never_loaded(harm: str, copied: Path) -> None:
    path = copied / "fast-x2.onnx"
    if harm == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-1] + b"!")
    card = load_card("fast", 2, copied)
    with pytest.raises(ConfigurationError):
        card.verify()
    with pytest.raises(ConfigurationError):
        load(card, Choice("onnx", "fp32"))


def test_damaged_card_is_told(copied: Path) -> None:
    (copied / "fast-x2.json").write_text("{")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_card("fast", 2, copied)


@pytest.mark.parametrize("field", ["features", "receptive_radius_px"])
def test_card_with_impossible_numbers_is_told(field: str, copied: Path) -> None:
    path = copied / "fast-x2.json"
    card = json.loads(path.read_text())
    card["architecture"][field] = -1 if field == "receptive_radius_px" else 0
    path.write_text(json.dumps(card))
    with pytest.raises(ConfigurationError, match=r"features and a receptive radius"):
        load_card("fast", 2, copied)


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"no network", "can be run here"), ((WEIGHTS / "fast-x4.onnx").read_bytes(), "at scale 2 it is 32 pixels")],
    ids=["unreadable", "other-scale"],
)
def test_file_that_is_no_network_of_the_cards_scale_is_refused(content: bytes, words: str, copied: Path) -> None:
    (copied / "fast-x2.onnx").write_bytes(content)
    path = copied / "fast-x2.json"
    card = json.loads(path.read_text())
    card["files"]["fast-x2.onnx"] = hashlib.sha256(content).hexdigest()
    path.write_text(json.dumps(card))
    with pytest.raises(ConfigurationError, match=words):
        load(load_card("fast", 2, copied), Choice("onnx", "fp32"))


def test_unknown_model_lists_those_that_are_there() -> None:
    with pytest.raises(ConfigurationError, match="fast-x2"):
        load_card("marvellous", 2)


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize(("variant", "kind"), [("fp32", np.uint8), ("int8", np.uint8), ("deep", np.float32)])
def test_upscale_keeps_the_type_and_multiplies_the_sides(scale: int, variant: str, kind: type) -> None:
    luma: runtimes.Luma = np.stack([golden_tile(34, 50)[0]] * 3).astype(kind)
    if kind is np.float32:
        luma /= 255
    result = load(load_card("fast", scale), Choice("onnx", variant), workers=1).upscale(luma)
    assert result.shape == (3, 1, 34 * scale, 50 * scale)
    assert result.dtype == kind
    assert abs(float(result.mean()) - float(luma.mean())) < 0.02 * float(luma.max())


def test_deep_and_plain_networks_agree_to_a_grey_level() -> None:
    card, luma = load_card("fast", 2), golden_tile(64, 96)
    plain = OnnxRuntime(card, "fp32", 1).upscale(luma)
    deep = OnnxRuntime(card, "deep", 1).upscale(luma.astype(np.float32) / 255)
    assert np.abs(np.clip(deep * 255, 0, 255) - plain).max() <= 1


def test_many_threads_share_one_runtime_and_get_equal_results() -> None:
    runtime = load(load_card("fast", 2), Choice("onnx", "int8"), workers=4)
    luma = golden_tile(64, 96)
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(runtime.upscale, [luma] * 12))
    assert all(np.array_equal(results[0], each) for each in results)


def test_int8_that_miscalculates_is_not_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    card, run = load_card("fast", 2), OnnxRuntime._run
    monkeypatch.setattr(OnnxRuntime, "_run", lambda self, luma: run(self, luma) // (2 if self.variant == "int8" else 1))
    monkeypatch.setattr(onnx_runtime, "_faster", lambda candidate, other: True)
    assert choose_variant(card, deep=False) == "fp32"


@pytest.mark.parametrize(("faster", "variant"), [(True, "int8"), (False, "fp32")])
def test_int8_is_chosen_only_where_it_is_faster(faster: bool, variant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_runtime, "_faster", lambda candidate, other: faster)
    assert choose_variant(load_card("fast", 2), deep=False) == variant


def test_deep_video_gets_the_deep_network() -> None:
    assert choose(load_card("fast", 2), deep=True) == Choice("onnx", "deep")


def test_golden_tile_tells_a_small_deviation_from_a_fault() -> None:
    golden = {"int8_max_difference": 3, "int8_mean_difference": 0.5}
    exact = golden_tile(64, 96)
    near, far = exact.copy(), exact.copy()
    near[..., ::4] ^= 1
    far[..., 5, 5] ^= 128
    assert differs_from_golden(exact, near, golden) is None
    assert differs_from_golden(exact, far, golden) is not None


def test_golden_tile_is_the_one_of_the_card() -> None:
    golden = json.loads((WEIGHTS / "fast-x2.json").read_text())["golden"]
    tile = golden_tile(golden["height_px"], golden["width_px"])
    assert hashlib.sha256(tile.tobytes()).hexdigest() == golden["input_sha256"]


def test_memory_that_runs_out_makes_tiles_smaller_and_the_result_equal(monkeypatch: pytest.MonkeyPatch) -> None:
    card, luma, run = load_card("fast", 2), golden_tile(400, 600), OnnxRuntime._run
    wanted = OnnxRuntime(card, "int8", 1).upscale(luma)

    def tight(self: OnnxRuntime, piece: runtimes.Luma) -> runtimes.Luma:
        if piece.size > 200 * 200:
            raise MemoryError
        return run(self, piece)

    monkeypatch.setattr(OnnxRuntime, "_run", tight)
    assert np.array_equal(OnnxRuntime(card, "int8", 1).upscale(luma), wanted)


def test_memory_that_is_too_small_for_the_smallest_tile_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(self: OnnxRuntime, piece: runtimes.Luma) -> runtimes.Luma:
        raise MemoryError("none left")

    monkeypatch.setattr(OnnxRuntime, "_run", never)
    with pytest.raises(MemoryError):
        OnnxRuntime(load_card("fast", 2), "int8", 1).upscale(golden_tile(400, 600))


def test_a_package_that_is_installed_and_broken_leaves_the_others_usable(tmp_path: Path) -> None:
    for name in ("openvino", "torch"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise ImportError('libtbb.so.12 is missing')")
    (tmp_path / "safetensors").mkdir()
    (tmp_path / "safetensors" / "__init__.py").write_text("")
    command = [sys.executable, "-m", "neuron_worker", "runtimes", "--json"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    out = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True).stdout
    found = json.loads(out)
    assert found["onnx"]["usable"]
    for name in ("openvino", "torch"):
        assert not found[name]["usable"]
        assert "libtbb.so.12 is missing" in found[name]["detail"]


def test_survey_says_what_is_missing_and_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert survey()["onnx"].usable
    monkeypatch.setattr(runtimes, "find_spec", lambda package: None)
    assert not survey()["onnx"].usable
    assert "pip install" in survey()["onnx"].detail
    with pytest.raises(MissingDependencyError, match="pip install"):
        choose(load_card("fast", 2))
