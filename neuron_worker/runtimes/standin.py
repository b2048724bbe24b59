"""A stand-in for an accelerator's compiler: torch's own tracing on the processor, under the accelerator's rules.

It refuses operators that are not on the published list of torch-neuron, and its graphs refuse every shape but their
own. It is no compiler and no measure of speed: it lets everything around one run where there is none.
"""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mediabroker.errors import ConfigurationError
from neuron_worker.runtimes.availability import Engine
from neuron_worker.runtimes.compiled import CompiledEngine
from neuron_worker.runtimes.lazytorch import import_torch, torchscript
from neuron_worker.runtimes.toolchain import Graph, Toolchain

__all__ = ["DOCUMENTED_OPERATORS", "ENGINE", "StandIn", "undocumented_operators"]

_NAMES = """
    Int ScalarImplicit _convolution _convolution_mode abs adaptive_avg_pool2d add add_ addmm arange avg_pool2d
    baddbmm batch_norm bmm cat ceil chunk clamp clamp_max clamp_min clip clone constant_pad_nd contiguous cos detach
    div dropout einsum empty empty_like eq exp expand expand_as flatten flip floor floor_divide full full_like ge gelu
    group_norm gt hardsigmoid hardswish hardtanh hardtanh_ index_select instance_norm layer_norm le leaky_relu linear
    log log2 log_softmax lt masked_fill matmul max max_pool2d mean min mm mul ne neg ones ones_like permute
    pixel_shuffle pow prelu reciprocal reflection_pad2d relu relu_ remainder repeat reshape roll rsqrt rsub select
    sigmoid silu sin size slice softmax softplus split split_with_sizes sqrt squeeze stack sub sum t tanh tensordot
    threshold to transpose true_divide type_as unsqueeze upsample_bilinear2d upsample_nearest2d view where zeros
    zeros_like
"""
DOCUMENTED_OPERATORS = frozenset(_NAMES.split())
"""`aten::` operators that networks for pictures may need and torch-neuron compiles. Source: AWS Neuron documentation,
"PyTorch Neuron (torch-neuron) Supported operators", releases 1.0.552 to 2.9.1 (28 August 2023), added up. Not on it,
among others: `pixel_unshuffle`, `upsample_bicubic2d`, `replication_pad2d`, `grid_sampler`."""
_SHAPE = "shape.json"


class StandIn:
    """Implements the toolchain protocol with `torch.jit.trace`."""

    name = "standin"
    card_tolerance = (1, 0.05)

    def obstacle(self) -> str | None:
        return None

    def device_obstacle(self) -> str | None:
        return None

    def version(self) -> str:
        torch = import_torch()

        return f"torch-{torch.__version__}"

    def cores(self) -> int:
        from neuron_worker.runtimes import usable_cores  # noqa: PLC0415  that module loads this one by name

        return usable_cores()

    def trace(self, network: Any, example: Any) -> bytes:
        content = io.BytesIO()
        with torchscript() as jit:
            traced = jit.trace(network, example)
            if missing := undocumented_operators(traced):
                raise ConfigurationError(f"torch-neuron's documentation lists no {', '.join(missing)}")
            jit.save(traced, content, _extra_files={_SHAPE: json.dumps(list(example.shape))})
        return content.getvalue()

    def load(self, content: bytes) -> Graph:
        torch = import_torch()
        held = {_SHAPE: ""}
        with torchscript() as jit:
            module = jit.load(io.BytesIO(content), map_location="cpu", _extra_files=held)
        shape = tuple(json.loads(held[_SHAPE]))
        torch.set_num_threads(1)  # each copy plays one core

        def run(tiles: NDArray[Any]) -> NDArray[Any]:
            if tiles.shape != shape or tiles.dtype != np.float32:
                raise ValueError(f"the graph takes float32 {shape}, not {tiles.dtype} {tiles.shape}")
            with torch.inference_mode():
                result: NDArray[Any] = module(torch.from_numpy(np.ascontiguousarray(tiles))).numpy()
            return result

        return run


def undocumented_operators(traced: Any) -> list[str]:
    """The `aten::` operators of a traced module that the published list lacks, sorted."""
    kinds = {node.kind() for node in traced.inlined_graph.nodes()}
    used = {kind.removeprefix("aten::") for kind in kinds if kind.startswith("aten::")}
    return [f"aten::{name}" for name in sorted(used - DOCUMENTED_OPERATORS)]


_STAND_IN: Toolchain = StandIn()
ENGINE: Engine = CompiledEngine("standin", _STAND_IN, automatic=False)
