"""One-thread onnxruntime sessions for graphs that are still in memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from neuron_worker.training.material.images import Bytes
from neuron_worker.training.model.graph import INPUT, OUTPUT

__all__ = ["LumaModel", "hidden_activations"]


class LumaModel:
    """A bytes or int8 graph as a function from one luma plane to the enlarged one."""

    def __init__(self, model: onnx.ModelProto | bytes) -> None:
        self._session = _session(model)

    def __call__(self, low: Bytes) -> Bytes:
        """``(H, W)`` uint8 to ``(scale*H, scale*W)`` uint8; odd sides are padded by repeating the edge."""
        height, width = low.shape
        padded = np.pad(low, ((0, height % 2), (0, width % 2)), mode="edge")
        (enlarged,) = self._session.run([OUTPUT], {INPUT: padded[None, None]})
        plane: Bytes = enlarged[0, 0]
        scale = plane.shape[0] // padded.shape[0]
        return plane[: height * scale, : width * scale]


def hidden_activations(model: onnx.ModelProto, names: Sequence[str], low: Bytes) -> list[NDArray[np.float32]]:
    """What the named inner tensors of a floating-point graph hold for one luma plane of even sides."""
    opened = onnx.ModelProto()
    opened.CopyFrom(model)
    for name in names:
        opened.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    found: list[NDArray[np.float32]] = _session(opened).run(list(names), {INPUT: low[None, None]})
    return found


def _session(model: onnx.ModelProto | bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    content = model if isinstance(model, bytes) else model.SerializeToString()
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
