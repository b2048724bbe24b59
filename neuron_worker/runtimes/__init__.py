"""What can execute the networks on this machine, and the choice among it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import NamedTuple

from mediabroker.errors import ConfigurationError, MissingDependencyError
from neuron_worker.runtimes.protocol import Luma, Runtime
from neuron_worker.runtimes.weights import Card, load_card

__all__ = ["Card", "Choice", "Luma", "Runtime", "choose", "load", "load_card", "survey", "usable_cores"]


class Choice(NamedTuple):
    """A runtime and the form of the weights it shall run; stored in the plan, so that all slices agree."""

    runtime: str
    variant: str


class _Entry(NamedTuple):
    """`package` is what must be installed, `extra` what installs it; the others import that package when called."""

    package: str
    extra: str
    choose_variant: Callable[[Card, bool], str]
    load: Callable[[Card, str, int], Runtime]


def _choose_onnx(card: Card, deep: bool) -> str:
    from neuron_worker.runtimes.onnx import choose_variant  # noqa: PLC0415  loads onnxruntime

    return choose_variant(card, deep=deep)


def _load_onnx(card: Card, variant: str, workers: int) -> Runtime:
    from neuron_worker.runtimes.onnx import OnnxRuntime  # noqa: PLC0415  loads onnxruntime

    return OnnxRuntime(card, variant, workers)


_RUNTIMES: Mapping[str, _Entry] = {
    "onnx": _Entry("onnxruntime", "mediabroker[local]", _choose_onnx, _load_onnx),
}
"""In the order in which `auto` prefers them."""


def survey() -> dict[str, str | None]:
    """Every runtime and why it cannot be used here; None where it can."""
    return {name: _obstacle(entry) for name, entry in _RUNTIMES.items()}


def choose(card: Card, *, runtime: str = "auto", deep: bool = False) -> Choice:
    """The runtime to use on this machine.

    Raises:
        ConfigurationError: no such runtime, or the weights cannot be used.
        MissingDependencyError: it is not installed.
    """
    if runtime != "auto" and runtime not in _RUNTIMES:
        raise ConfigurationError(f"there is no runtime {runtime!r}; here are: auto, {', '.join(_RUNTIMES)}")
    candidates = list(_RUNTIMES) if runtime == "auto" else [runtime]
    usable = [name for name in candidates if _obstacle(_RUNTIMES[name]) is None]
    if not usable:
        raise MissingDependencyError(f"{candidates[0]}: {_obstacle(_RUNTIMES[candidates[0]])}")
    return Choice(usable[0], _RUNTIMES[usable[0]].choose_variant(card, deep))


def load(card: Card, choice: Choice, *, workers: int | None = None) -> Runtime:
    """The chosen runtime, ready to run, for `workers` calls at a time (default: one for each processor).

    Raises:
        ConfigurationError: no such runtime, or the weights cannot be used.
        MissingDependencyError: it is not installed.
    """
    entry = _RUNTIMES.get(choice.runtime)
    if entry is None:
        raise ConfigurationError(f"there is no runtime {choice.runtime!r}; here are: {', '.join(_RUNTIMES)}")
    if obstacle := _obstacle(entry):
        raise MissingDependencyError(f"{choice.runtime}: {obstacle}")
    return entry.load(card, choice.variant, workers or usable_cores())


def usable_cores() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _obstacle(entry: _Entry) -> str | None:
    if find_spec(entry.package) is None:
        return f"{entry.package} is not installed; `pip install '{entry.extra}'` brings it"
    return None
