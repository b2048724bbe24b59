"""Which runtime is taken, who is asked in which order, and what a person is told about it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mediabroker.errors import ConfigurationError, MissingDependencyError
from neuron_worker import runtimes
from neuron_worker.runtimes import Choice, choose, load_card, survey
from neuron_worker.runtimes.availability import Task
from neuron_worker.runtimes.weights import LUMA

CARD = load_card("fast", 2)
HEAVY = ("torch", "torch_neuron", "onnxruntime", "openvino", "av", "numpy")


class Candidate:
    """A runtime that says what it is told to say."""

    def __init__(self, offer: str | Exception | None = None, obstacle: str | None = None) -> None:
        self._offer, self._obstacle = offer, obstacle

    def obstacle(self) -> str | None:
        return self._obstacle

    def describe(self) -> str:
        return "for tests"

    def choose_variant(self, task: Task) -> str:
        return "forced"

    def offer(self, task: Task) -> str | None:
        if isinstance(self._offer, Exception):
            raise self._offer
        return self._offer

    def load(self, *_: Any) -> Any:
        raise NotImplementedError


@pytest.fixture
def fleet(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Replaces all runtimes by the given ones; those that are not named are not installed."""

    def replace(**candidates: Candidate) -> None:
        monkeypatch.setattr(runtimes, "find_spec", lambda package: object())
        monkeypatch.setattr(
            runtimes, "_engine", lambda name: candidates.get(name, Candidate(obstacle=f"{name} is not installed"))
        )

    return replace


def test_first_that_offers_itself_is_taken(fleet: Callable[..., None]) -> None:
    fleet(neuron=Candidate(None), openvino=Candidate("bf16"), onnx=Candidate("int8"))
    assert choose(CARD) == Choice("openvino", "bf16")
    fleet(neuron=Candidate("360x640b1"), openvino=Candidate("bf16"))
    assert choose(CARD) == Choice("neuron", "360x640b1")


def test_one_that_cannot_run_the_task_is_passed_over(fleet: Callable[..., None]) -> None:
    fleet(neuron=Candidate(ConfigurationError("nothing is compiled")), onnx=Candidate("fp32"))
    assert choose(CARD) == Choice("onnx", "fp32")


def test_forced_one_is_taken_though_it_would_not_offer_itself(fleet: Callable[..., None]) -> None:
    fleet(torch=Candidate(None), onnx=Candidate("int8"))
    assert choose(CARD, runtime="torch") == Choice("torch", "forced")


def test_forced_one_that_cannot_be_used_is_an_error_and_no_other_is_taken(fleet: Callable[..., None]) -> None:
    fleet(neuron=Candidate(obstacle="no Neuron device"), onnx=Candidate("int8"))
    with pytest.raises(MissingDependencyError, match="no Neuron device"):
        choose(CARD, runtime="neuron")


def test_when_nothing_can_run_it_every_reason_is_told(fleet: Callable[..., None]) -> None:
    fleet(torch=Candidate(ConfigurationError("no such weights")))
    with pytest.raises(MissingDependencyError) as caught:
        choose(CARD)
    for words in ("torch: no such weights", "onnx is not installed", "neuron is not installed"):
        assert words in str(caught.value)


def test_unknown_runtime_lists_those_that_are_there() -> None:
    with pytest.raises(ConfigurationError, match="auto, neuron"):
        choose(CARD, runtime="abacus")


def test_importing_the_runtimes_loads_no_inference_library() -> None:
    program = f"import sys, neuron_worker.commands; print([each for each in {HEAVY!r} if each in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


def test_table_has_a_line_for_every_runtime_and_json_the_same() -> None:
    command = [sys.executable, "-m", "neuron_worker", "runtimes"]
    table = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.splitlines()
    told = json.loads(
        subprocess.run([*command, "--json"], capture_output=True, text=True, timeout=60, check=True).stdout
    )
    assert [line.split()[0] for line in table] == list(told) == list(survey())
    for line, (name, entry) in zip(table, told.items(), strict=True):
        assert line.split()[:2] == [name, "yes" if entry["usable"] else "no"]
        assert entry["detail"] in line


def test_models_of_the_user_are_found_beside_the_shipped_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDIABROKER_MODELS_DIR", str(tmp_path))
    card = {
        "files": {"mine-x2.safetensors": "0"},
        "architecture": {"kind": "compact", "features": 64, "receptive_radius_px": 18},
    }
    (tmp_path / "mine-x2.json").write_text(json.dumps(card))
    found = load_card("mine", 2)
    assert (found.kind, found.channels, found.folder) == ("compact", 3, tmp_path)
    assert (CARD.kind, CARD.channels) == (LUMA, 1)
    with pytest.raises(ConfigurationError, match="fast-x2, fast-x4, mine-x2"):
        load_card("yours", 2)
