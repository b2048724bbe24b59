"""The network as ONNX graphs, written node by node so that every runtime meets only operators it fuses.

All three graphs share one body. They differ in how samples come in and go out:

* ``bytes``: uint8 in and out; the division by 255 is part of the first layer's weights, the multiplication of the
  last layer's. Rounding and clipping happen inside.
* ``int8``: the same contract in QDQ form: int8 weights per output channel, uint8 activations. The prediction is
  quantised in steps of exactly one grey level, so adding it to the 8-bit base loses nothing but the final rounding.
* ``deep``: float32 luma in 0..1 in and out, neither rounded nor clipped, for video of more than 8 bits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

__all__ = [
    "BLOCKS",
    "INPUT",
    "OUTPUT",
    "Int8Layer",
    "Layer",
    "build_bytes_graph",
    "build_deep_graph",
    "build_int8_graph",
    "for_bytes",
    "hidden_name",
]

INPUT = "luma"
OUTPUT = "upscaled"
BLOCKS = "blocks"
"""The tensor that enters the first convolution."""

_OPSET = 17
_IR_VERSION = 8
_PREDICTION_ZERO = 128

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Layer:
    """Weight ``(out, in, 3, 3)`` and bias ``(out,)`` of one convolution, float32, for luma in 0..1.

    The floating-point graphs store weights (not biases) as float16; values that float16 holds lose nothing.
    """

    weight: Array
    bias: Array


@dataclass(frozen=True)
class Int8Layer:
    """Weight ``(out, in, 3, 3)`` int8 in units of ``steps`` ``(out,)``, and the float bias, for luma in 0..255."""

    weight: NDArray[np.int8]
    steps: Array
    bias: Array


def hidden_name(index: int) -> str:
    """The tensor that leaves hidden layer ``index`` of a floating-point graph."""
    return f"hidden{index}"


def build_bytes_graph(layers: Sequence[Layer], scale: int) -> onnx.ModelProto:
    """fp32 arithmetic, uint8 ``(N, 1, H, W)`` in, uint8 ``(N, 1, scale*H, scale*W)`` out; H and W even."""
    graph = _Graph(scale, _block_px(layers))
    samples = graph.add("Cast", [INPUT], "samples", to=TensorProto.FLOAT)
    blocks = graph.blocks(samples)
    prediction = graph.float_layers(blocks, for_bytes(layers))
    enlarged = graph.place(prediction, blocks)
    graph.quantise(enlarged, OUTPUT, 1.0, 0)
    return graph.model(TensorProto.UINT8)


def build_deep_graph(layers: Sequence[Layer], scale: int) -> onnx.ModelProto:
    """fp32 arithmetic, float32 luma in 0..1 in and out, neither rounded nor clipped."""
    graph = _Graph(scale, _block_px(layers))
    blocks = graph.blocks(INPUT)
    graph.place(graph.float_layers(blocks, layers), blocks, OUTPUT)
    return graph.model(TensorProto.FLOAT)


def build_int8_graph(layers: Sequence[Int8Layer], scale: int, steps: Sequence[float]) -> onnx.ModelProto:
    """The bytes graph in QDQ int8; ``steps[i]`` is the quantisation step of hidden layer ``i``'s output."""
    graph = _Graph(scale, _block_px(layers))
    samples = graph.add("Cast", [INPUT], "samples", to=TensorProto.FLOAT)
    blocks = graph.fake_quantise(graph.blocks(samples), "blocks8", 1.0, 0)
    hidden, step = blocks, 1.0
    *inner, last = layers
    for index, (layer, next_step) in enumerate(zip(inner, steps, strict=True)):
        # No ReLU: an unsigned type with zero point 0 cuts negative values off by itself.
        convolved = graph.int8_convolution(hidden, layer, f"layer{index}", step)
        hidden, step = graph.fake_quantise(convolved, f"hidden{index}", next_step, 0), next_step
    prediction = graph.int8_convolution(hidden, last, f"layer{len(inner)}", step)
    enlarged = graph.place(graph.fake_quantise(prediction, "prediction8", 1.0, _PREDICTION_ZERO), blocks)
    graph.quantise(enlarged, OUTPUT, 1.0, 0)
    return graph.model(TensorProto.UINT8)


def for_bytes(layers: Sequence[Layer]) -> list[Layer]:
    """The same layers for samples of 0..255: the scaling goes into the first weights and the last layer."""
    first, *inner, last = layers
    scaled_last = Layer(last.weight * 255, last.bias * 255)
    return [Layer((first.weight / 255).astype(np.float32), first.bias), *inner, scaled_last]


def _block_px(layers: Sequence[Layer] | Sequence[Int8Layer]) -> int:
    return math.isqrt(int(layers[0].weight.shape[1]))


class _Graph:
    """Nodes and constants under construction."""

    def __init__(self, scale: int, block_px: int) -> None:
        self._scale = scale
        self._block_px = block_px
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}

    def add(self, operator: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        self._nodes.append(helper.make_node(operator, list(inputs), [output], name=output, **attributes))
        return output

    def constant(self, name: str, value: NDArray[Any]) -> str:
        self._constants[name] = numpy_helper.from_array(value, name)
        return name

    def blocks(self, samples: str) -> str:
        if self._block_px == 1:
            return self.add("Identity", [samples], BLOCKS)
        return self.add("SpaceToDepth", [samples], BLOCKS, blocksize=self._block_px)

    def float_layers(self, blocks: str, layers: Sequence[Layer]) -> str:
        hidden = blocks
        for index, layer in enumerate(layers):
            weight = self._halved(f"layer{index}.weight", layer.weight)
            bias = self.constant(f"layer{index}.bias", layer.bias)
            hidden = self._convolution([hidden, weight, bias], f"layer{index}")
            if index < len(layers) - 1:
                hidden = self.add("Relu", [hidden], hidden_name(index))
        return hidden

    def int8_convolution(self, hidden: str, layer: Int8Layer, name: str, input_step: float) -> str:
        bias_steps = (layer.steps * input_step).astype(np.float32)
        bias = np.rint(layer.bias / bias_steps).astype(np.int32)
        inputs = [
            hidden,
            self._stored(f"{name}.weight", layer.weight, layer.steps),
            self._stored(f"{name}.bias", bias, bias_steps),
        ]
        return self._convolution(inputs, name)

    def quantise(self, value: str, output: str, step: float, zero: int) -> str:
        return self.add("QuantizeLinear", [value, *self._step(step, zero)], output)

    def fake_quantise(self, value: str, output: str, step: float, zero: int) -> str:
        stored = self.quantise(value, f"{output}.stored", step, zero)
        return self.add("DequantizeLinear", [stored, *self._step(step, zero)], output)

    def place(self, prediction: str, blocks: str, output: str = "enlarged") -> str:
        """Add the nearest-neighbour base and bring every sample to its place."""
        scale, block_px = self._scale, self._block_px
        side = block_px * scale
        nearest = [y // scale * block_px + x // scale for y in range(side) for x in range(side)]
        base = self.add("Gather", [blocks, self.constant("nearest", np.array(nearest))], "base", axis=1)
        total = self.add("Add", [prediction, base], "total")
        return self.add("DepthToSpace", [total], output, blocksize=side, mode="CRD")

    def model(self, sample_type: int) -> onnx.ModelProto:
        source = helper.make_tensor_value_info(INPUT, sample_type, ["frames", 1, "height", "width"])
        target = helper.make_tensor_value_info(OUTPUT, sample_type, ["frames", 1, "out_height", "out_width"])
        graph = helper.make_graph(self._nodes, "luma_upscaler", [source], [target], list(self._constants.values()))
        opset = helper.make_opsetid("", _OPSET)
        model = helper.make_model(graph, opset_imports=[opset], ir_version=_IR_VERSION, producer_name="mediabroker")
        onnx.checker.check_model(model, full_check=True)
        return model

    def _convolution(self, inputs: Sequence[str], output: str) -> str:
        return self.add("Conv", inputs, output, kernel_shape=[3, 3], pads=[1, 1, 1, 1])

    def _halved(self, name: str, value: Array) -> str:
        # Half the size in the file; runtimes widen it once, when they load the graph. The arithmetic stays fp32.
        stored = self.constant(f"{name}.stored", value.astype(np.float16))
        return self.add("Cast", [stored], name, to=TensorProto.FLOAT)

    def _stored(self, name: str, value: NDArray[Any], steps: Array) -> str:
        zeros = self.constant(f"{name}.zero", np.zeros(steps.shape, value.dtype))
        inputs = [self.constant(f"{name}.stored", value), self.constant(f"{name}.step", steps), zeros]
        return self.add("DequantizeLinear", inputs, name, axis=0)

    def _step(self, step: float, zero: int) -> tuple[str, str]:
        return (
            self.constant(f"step.{step!r}", np.array(step, dtype=np.float32)),
            self.constant(f"zero.{zero}", np.array(zero, dtype=np.uint8)),
        )
