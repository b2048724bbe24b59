"""The OpenVINO runtime: the same results as onnxruntime, and taken only where it is faster."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

pytest.importorskip("openvino", reason="openvino is an extra; `make test-torch` runs these")

from mediabroker.errors import ConfigurationError
from neuron_worker.runtimes import Choice, choose, load, load_card
from neuron_worker.runtimes import openvino as runtime
from neuron_worker.runtimes.golden import differs_from_golden, golden_tile
from neuron_worker.runtimes.openvino import OpenVinoRuntime


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("variant", ["fp32", "int8", "deep"])
def test_openvino_gives_what_onnxruntime_gives(variant: str, scale: int) -> None:
    card, luma = load_card("fast", scale), golden_tile(66, 98)
    if variant == "deep":
        luma = luma.astype(np.float32) / 255
    ours = load(card, Choice("openvino", variant), workers=1).upscale(luma)
    theirs = load(card, Choice("onnx", "deep" if variant == "deep" else "fp32"), workers=1).upscale(luma)
    assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
    if variant == "deep":
        assert np.abs(ours - theirs).max() < 1e-3
    elif variant == "fp32":
        assert np.abs(ours.astype(int) - theirs).max() <= 1
    else:
        assert differs_from_golden(theirs, ours, card.golden) is None


def test_frames_larger_than_a_tile_have_no_seams(monkeypatch: pytest.MonkeyPatch) -> None:
    card, luma = load_card("fast", 2), golden_tile(150, 230)
    whole = OpenVinoRuntime(card, "fp32", 1).upscale(luma)
    monkeypatch.setattr(runtime, "_TILE_PX", 64)
    tiled = OpenVinoRuntime(card, "fp32", 1).upscale(luma)
    assert np.abs(whole.astype(int) - tiled).max() <= 1


def test_many_threads_share_one_runtime_and_get_equal_results() -> None:
    shared = load(load_card("fast", 2), Choice("openvino", "int8"), workers=3)
    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(shared.upscale, [golden_tile(64, 96)] * 9))
    assert all(np.array_equal(results[0], each) for each in results)


@pytest.mark.parametrize(("turns_s", "taken"), [((1.0, 2.0), "openvino"), ((0.8, 1.0), "onnx"), ((2.0, 1.0), "onnx")])
def test_auto_takes_it_only_where_it_wins_the_race(
    turns_s: tuple[float, float], taken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "best_turns_s", lambda *racers: turns_s[: len(racers)])
    assert choose(load_card("fast", 2)).runtime == taken


def test_deep_video_stays_with_onnxruntime_unless_asked_otherwise() -> None:
    card = load_card("fast", 2)
    assert choose(card, deep=True) == Choice("onnx", "deep")
    assert choose(card, runtime="openvino", deep=True) == Choice("openvino", "deep")


def test_variant_that_miscalculates_is_never_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    run = OpenVinoRuntime._run
    wrong = {"int8", "bf16"}

    def broken(self: OpenVinoRuntime, luma: Any) -> Any:
        return run(self, luma) // (2 if self.variant in wrong else 1)

    monkeypatch.setattr(OpenVinoRuntime, "_run", broken)
    assert choose(load_card("fast", 2), runtime="openvino").variant == "fp32"
    wrong.add("fp32")
    with pytest.raises(ConfigurationError, match="something else"):
        choose(load_card("fast", 2), runtime="openvino")


def test_signals_are_survived_when_another_thread_lets_the_last_network_go() -> None:
    program = """
import signal, sys, threading
from neuron_worker.runtimes import Choice, load, load_card
from neuron_worker.runtimes.golden import golden_tile
told = []
signal.signal(signal.SIGTERM, lambda *_: told.append(1))
held = [load(load_card("fast", 2), Choice("openvino", "fp32"), workers=1)]
held[0].upscale(golden_tile(64, 96))
other = threading.Thread(target=held.clear)
other.start()
other.join()
signal.raise_signal(signal.SIGTERM)
sys.exit(len(told) - 1)
"""
    assert subprocess.run([sys.executable, "-c", program], timeout=60, check=False).returncode == 0
