"""What can execute the networks on this machine, and the choice among it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import NamedTuple, cast

from mediabroker.errors import ConfigurationError, MissingDependencyError
from neuron_worker.runtimes.availability import Engine, Task
from neuron_worker.runtimes.protocol import Luma, Runtime
from neuron_worker.runtimes.weights import Card, load_card, models_folder

__all__ = [
    "Card",
    "Choice",
    "Finding",
    "Luma",
    "Runtime",
    "choose",
    "load",
    "load_card",
    "models_folder",
    "survey",
    "usable_cores",
]


class Choice(NamedTuple):
    """A runtime and the form of the weights it shall run; stored in the plan, so that all slices agree."""

    runtime: str
    variant: str


class Finding(NamedTuple):
    """What was found of one runtime: versions and devices where it is usable, else why not."""

    usable: bool
    detail: str


class _Entry(NamedTuple):
    """`packages` must be installed, `remedy` says how; `engine` is then the name of an object in `module`."""

    module: str
    engine: str
    packages: tuple[str, ...]
    remedy: str


_INF1 = "docs/howto/inf1.md says where it comes from"
_RUNTIMES: Mapping[str, _Entry] = {
    "neuron": _Entry("neuron", "INF1", ("torch", "torch_neuron"), _INF1),
    "neuronx": _Entry("neuron", "INF2", ("torch", "torch_neuronx"), _INF1),
    "torch": _Entry("torch", "ENGINE", ("torch", "safetensors"), "`pip install 'mediabroker[torch]'` brings it"),
    "openvino": _Entry(
        "openvino", "ENGINE", ("openvino", "onnxruntime"), "`pip install 'mediabroker[openvino]'` brings it"
    ),
    "onnx": _Entry("onnx", "ENGINE", ("onnxruntime",), "`pip install 'mediabroker[local]'` brings it"),
    "standin": _Entry("standin", "ENGINE", ("torch", "safetensors"), "`pip install 'mediabroker[torch]'` brings it"),
}
"""In the order in which `auto` looks for one that offers itself."""


def survey() -> dict[str, Finding]:
    """Every runtime, whether it can be used here, and what it consists of or why it cannot."""
    return {name: _finding(name) for name in _RUNTIMES}


def _finding(name: str) -> Finding:
    if obstacle := _obstacle(name):
        return Finding(False, obstacle)
    try:
        return Finding(True, _engine(name).describe())
    except Exception as error:
        return Finding(False, _broken(error))


def choose(card: Card, *, runtime: str = "auto", deep: bool = False, frame_px: tuple[int, int] | None = None) -> Choice:
    """The runtime to use on this machine.

    Raises:
        ConfigurationError: no such runtime, or it cannot run this model here.
        MissingDependencyError: it is not installed.
    """
    task = Task(card, deep, frame_px)
    if runtime != "auto":
        return Choice(runtime, _usable(runtime).choose_variant(task))
    reasons = []
    for name in _RUNTIMES:
        if obstacle := _obstacle(name):
            reasons.append(f"{name}: {obstacle}")
            continue
        try:
            variant = _engine(name).offer(task)
        except ConfigurationError as error:
            reasons.append(f"{name}: {error}")
            continue
        if variant is not None:
            return Choice(name, variant)
    raise MissingDependencyError(f"nothing here can run {card.model}-x{card.scale}; {'; '.join(reasons)}")


def load(card: Card, choice: Choice, *, workers: int | None = None) -> Runtime:
    """The chosen runtime, ready to run, for `workers` calls at a time (default: one for each processor).

    Raises:
        ConfigurationError: no such runtime, or the weights cannot be used.
        MissingDependencyError: it is not installed.
    """
    return _usable(choice.runtime).load(card, choice.variant, workers or usable_cores())


def usable_cores() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _usable(name: str) -> Engine:
    if name not in _RUNTIMES:
        raise ConfigurationError(f"there is no runtime {name!r}; here are: auto, {', '.join(_RUNTIMES)}")
    if obstacle := _obstacle(name):
        raise MissingDependencyError(f"{name}: {obstacle}")
    return _engine(name)


def _obstacle(name: str) -> str | None:
    entry = _RUNTIMES[name]
    for package in entry.packages:
        if find_spec(package) is None:
            return f"{package} is not installed; {entry.remedy}"
    try:
        return _engine(name).obstacle()
    except Exception as error:  # what is installed and broken must not take the others with it
        return _broken(error)


def _broken(error: Exception) -> str:
    return f"it cannot be imported here: {type(error).__name__}: {error}"


def _engine(name: str) -> Engine:
    # Loaded when asked for: importing this package must import no inference library.
    entry = _RUNTIMES[name]
    return cast("Engine", getattr(import_module(f"{__name__}.{entry.module}"), entry.engine))
