"""AWS Inferentia: the only module that sees `torch_neuron` (Inf1) and `torch_neuronx` (Inf2, Trn).

Neither toolchain could be run where this was written: the calls follow the vendor's documentation, everything around
them is tested with the stand-in, and a graph that computes something else than its network is refused when loaded.

Sources: AWS Neuron documentation, "PyTorch Neuron trace Python API", "PyTorch Neuron Core Placement" (each load goes to
the least used core of the process) and "NeuronX Runtime configuration" (environment variables).
"""

from __future__ import annotations

import io
import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mediabroker.errors import ConfigurationError
from neuron_worker.runtimes.availability import Engine
from neuron_worker.runtimes.compiled import CompiledEngine
from neuron_worker.runtimes.lazytorch import import_torch, torchscript
from neuron_worker.runtimes.toolchain import Graph, Toolchain

__all__ = ["INF1", "INF2", "TorchNeuron", "TorchNeuronX", "core_count"]

_DEVICES = Path("/dev")
_COMPILE_LIMIT_S = 3600
_BF16_TOLERANCE = (6, 0.5)
"""Grey levels, over twice what bfloat16 weights and activations cost on the test tile in an emulation on a CPU."""


class TorchNeuron:
    """Inf1: four cores a chip, `neuron-cc`, whole graph or nothing."""

    name = "torch-neuron"
    card_tolerance = _BF16_TOLERANCE
    _cores_per_chip = 4

    def obstacle(self) -> str | None:
        """Also tells the placeholder of the public package index from the real package."""
        try:
            package = _torch_neuron()
        except ImportError as error:
            if "WRONG PACKAGE" in str(error).upper():
                return (
                    "the torch-neuron that is installed is the placeholder of the public package index, which holds no "
                    "code; the real one comes from the vendor's own index (docs/howto/inf1.md)"
                )
            return f"torch_neuron cannot be imported ({error}); docs/howto/inf1.md says where it comes from"
        except Exception as error:  # the vendor's module checks versions and drivers while it is loaded
            return f"torch_neuron cannot be imported: {error}"
        return None if hasattr(package, "trace") else "torch_neuron has no `trace`: not the vendor's package"

    def device_obstacle(self) -> str | None:
        return _no_device()

    def version(self) -> str:
        return str(_torch_neuron().__version__)

    def cores(self) -> int:
        return core_count(os.environ, _DEVICES, self._cores_per_chip)

    def trace(self, network: Any, example: Any) -> bytes:
        try:
            with torchscript():
                # No part may silently stay on the processor: what cannot be compiled is an error.
                traced = _torch_neuron().trace(network, example, fallback=False, compiler_timeout=_COMPILE_LIMIT_S)
        except AttributeError as error:
            raise ConfigurationError(f"neuron-cc does not know an operator of the network: {error}") from error
        except subprocess.TimeoutExpired as error:
            raise ConfigurationError(f"neuron-cc took longer than {_COMPILE_LIMIT_S} s") from error
        return _saved(traced)

    def load(self, content: bytes) -> Graph:
        _torch_neuron()  # registers the operators that the file consists of
        return _loaded(content)


class TorchNeuronX:
    """Inf2 and Trn: two cores a chip, `neuronx-cc`."""

    name = "torch-neuronx"
    card_tolerance = _BF16_TOLERANCE
    _cores_per_chip = 2

    def obstacle(self) -> str | None:
        try:
            _torch_neuronx()
        except Exception as error:
            return f"torch_neuronx cannot be imported: {error}"
        return None

    def device_obstacle(self) -> str | None:
        return _no_device()

    def version(self) -> str:
        return str(_torch_neuronx().__version__)

    def cores(self) -> int:
        return core_count(os.environ, _DEVICES, self._cores_per_chip)

    def trace(self, network: Any, example: Any) -> bytes:
        try:
            with torchscript():
                traced = _torch_neuronx().trace(network, example)
        except (RuntimeError, subprocess.SubprocessError) as error:
            raise ConfigurationError(f"neuronx-cc refuses the network: {error}") from error
        return _saved(traced)

    def load(self, content: bytes) -> Graph:
        _torch_neuronx()
        return _loaded(content)


def core_count(environment: Mapping[str, str], devices: Path, cores_per_chip: int) -> int:
    """The cores of this process: what the runtime's variables grant, else all of the machine's chips.

    Raises:
        ConfigurationError: a variable holds something else than cores.
    """
    count, visible = environment.get("NEURON_RT_NUM_CORES"), environment.get("NEURON_RT_VISIBLE_CORES")
    if not count and not visible:
        return cores_per_chip * len(_chips(devices))
    try:
        granted = int(count) if count else sum(len(_cores(span)) for span in (visible or "").split(","))
    except ValueError:
        granted = 0
    if granted < 1:
        held = f"NEURON_RT_NUM_CORES={count}" if count else f"NEURON_RT_VISIBLE_CORES={visible}"
        raise ConfigurationError(f"{held} grants no cores; it takes a number, or spans such as 0-3")
    return granted


def _cores(span: str) -> range:
    first, _, last = span.partition("-")
    return range(int(first), int(last or first) + 1)


def _chips(devices: Path) -> list[Path]:
    return [path for path in devices.glob("neuron*") if re.fullmatch(r"neuron\d+", path.name)]


def _no_device() -> str | None:
    return None if _chips(_DEVICES) else "no Neuron device on this machine (/dev/neuron0); it can compile, not run"


def _torch_neuron() -> Any:
    import torch_neuron  # noqa: PLC0415  the vendor's, in the worker's image only

    return torch_neuron


def _torch_neuronx() -> Any:
    import torch_neuronx  # noqa: PLC0415  the vendor's, in the worker's image only

    return torch_neuronx


def _saved(traced: Any) -> bytes:
    content = io.BytesIO()
    with torchscript() as jit:
        jit.save(traced, content)
    return content.getvalue()


def _loaded(content: bytes) -> Graph:
    torch = import_torch()
    try:
        with torchscript() as jit:
            module = jit.load(io.BytesIO(content))
    except RuntimeError as error:
        raise ConfigurationError(f"the device does not take the graph: {error}") from error

    def run(tiles: NDArray[Any]) -> NDArray[Any]:
        with torch.no_grad():
            result: NDArray[Any] = module(torch.from_numpy(np.ascontiguousarray(tiles))).numpy()
        return result

    return run


_INF1: Toolchain = TorchNeuron()
_INF2: Toolchain = TorchNeuronX()
INF1: Engine = CompiledEngine("neuron", _INF1, automatic=True)
INF2: Engine = CompiledEngine("neuronx", _INF2, automatic=True)
