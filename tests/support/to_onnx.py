"""Networks of iopopt as ONNX models, so that onnxruntime can run them as independent truth.

Pools are written with explicit padding, averages as depthwise convolutions, so that nothing hangs on how a runtime reads ``ceil_mode``
or ``count_include_pad``; full connections are convolutions over the whole map.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from iopopt import Graph, Operator
from iopopt.network.epilogue import Activation, EpilogueStep, Mixing, Normalisation
from iopopt.network.operators.operator import INPUT
from iopopt.network.shapes import Shape, Window
from iopopt.network.weights import OperatorWeights, Weights

OPSET = 17
Array = npt.NDArray[Any]
Windows = tuple[Window, Window]


def to_onnx(graph: Graph, weights: Weights) -> onnx.ModelProto:
    """The whole network, for a batch of 1: input "input", the last operator's output (1, C, H, W) as output "output"."""
    writer = _Writer()
    values = {INPUT: INPUT}
    sources = {operator.name: [edge.producer for edge in graph.edges if edge.consumer == operator.name] for operator in graph.operators}
    for operator in graph.operators:
        mine = weights.get(operator.name, OperatorWeights())
        values[operator.name] = writer.operator(operator, mine, [values[source] for source in sources[operator.name]])
    writer.node("Identity", [values[graph.output.name]], output="output")
    return writer.model(graph)


class _Writer:
    """Nodes and initializers so far; every method returns the name of the value that it has made."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def model(self, graph: Graph) -> onnx.ModelProto:
        ends = [
            helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, *shape])
            for name, shape in ((INPUT, graph.input_shape), ("output", graph.output.out_shape))
        ]
        written = helper.make_graph(self._nodes, "network", ends[:1], ends[1:], self._constants)
        return helper.make_model(written, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)

    def node(self, kind: str, inputs: Sequence[str], output: str = "", **attributes: Any) -> str:
        name = output or f"value{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def constant(self, values: Any, dtype: type = np.float32) -> str:
        name = f"constant{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(values, dtype), name))
        return name

    def per_channel(self, values: Any) -> str:
        return self.constant(np.reshape(values, (1, -1, 1, 1)))

    # Operators.

    def operator(self, operator: Operator, weights: OperatorWeights, inputs: Sequence[str]) -> str:
        value = getattr(self, f"_{operator.kind}")(operator, weights, inputs)
        shape = operator.pre_pool_shape
        for number, step in enumerate(operator.epilogue):
            value = self._step(step, value, shape, weights.steps.get(number, ()))
            shape = operator.out_shape if hasattr(step, "rows") else shape
        return str(value)

    def _conv(self, operator: Operator, weights: OperatorWeights, inputs: Sequence[str]) -> str:
        parts = [self.constant(weights.kernel), *([] if weights.bias is None else [self.constant(weights.bias)])]
        windows = operator.rows, operator.columns
        return self.node("Conv", [*inputs, *parts], group=operator.groups, pads=_pads(windows), **_figures(windows))

    _fc = _conv

    def _pool(self, operator: Operator, _: OperatorWeights, inputs: Sequence[str]) -> str:
        return self._pooled(operator.function, (operator.rows, operator.columns), inputs[0], operator.in_shape)

    def _elementwise(self, _: Operator, __: OperatorWeights, inputs: Sequence[str]) -> str:
        return inputs[0]

    def _add(self, _: Operator, __: OperatorWeights, inputs: Sequence[str]) -> str:
        return self._folded("Add", inputs)

    def _mul(self, _: Operator, __: OperatorWeights, inputs: Sequence[str]) -> str:
        return self._folded("Mul", inputs)

    def _folded(self, kind: str, inputs: Sequence[str]) -> str:
        value = inputs[0]
        for other in inputs[1:]:
            value = self.node(kind, [value, other])
        return value

    def _concat(self, _: Operator, __: OperatorWeights, inputs: Sequence[str]) -> str:
        return self.node("Concat", inputs, axis=1)

    def _slice(self, operator: Operator, _: OperatorWeights, inputs: Sequence[str]) -> str:
        bounds = operator.first_channel, operator.first_channel + operator.out_channels, 1
        return self.node("Slice", [inputs[0], *(self.constant([bound], np.int64) for bound in bounds)])

    def _upsample(self, operator: Operator, _: OperatorWeights, inputs: Sequence[str]) -> str:
        scales = self.constant([1, 1, operator.rows.upsampling, operator.columns.upsampling])
        if operator.function == "linear":
            return self.node("Resize", [inputs[0], "", scales], mode="linear", coordinate_transformation_mode="half_pixel")
        return self.node("Resize", [inputs[0], "", scales], mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor")

    def _space_to_depth(self, operator: Operator, _: OperatorWeights, inputs: Sequence[str]) -> str:
        rows, columns, shape = operator.rows.kernel, operator.columns.kernel, operator.in_shape
        if rows == columns:
            return self.node("SpaceToDepth", inputs, blocksize=rows)
        blocks = [1, shape.channels, shape.height // rows, rows, shape.width // columns, columns]
        value = self.node("Reshape", [inputs[0], self.constant(blocks, np.int64)])
        value = self.node("Transpose", [value], perm=[0, 3, 5, 1, 2, 4])
        return self.node("Reshape", [value, self.constant([1, *operator.pre_pool_shape], np.int64)])

    # Steps.

    def _step(self, step: EpilogueStep, value: str, shape: Shape, arrays: Sequence[Any]) -> str:
        if isinstance(step, Activation):
            return self._activation(step, value, arrays)
        if isinstance(step, Normalisation):
            kinds = {"batch": ("Mul", "Add"), "scale": ("Mul",), "shift": ("Add",)}[step.function]
            for kind, array in zip(kinds, arrays, strict=True):
                value = self.node(kind, [value, self.per_channel(array)])
            return value
        if isinstance(step, Mixing):
            return self._mixing(step, value, shape)
        return self._pooled(step.function, (step.rows, step.columns), value, shape)

    def _activation(self, step: Activation, value: str, arrays: Sequence[Any]) -> str:
        plain = {"relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh", "hard_swish": "HardSwish"}
        if step.function in plain:
            return self.node(plain[step.function], [value])
        if step.function == "silu":
            return self.node("Mul", [value, self.node("Sigmoid", [value])])
        if step.function == "prelu":
            return self.node("PRelu", [value, self.constant(np.reshape(arrays[0], (-1, 1, 1)))])
        if step.function == "leaky_relu":
            return self.node("LeakyRelu", [value], alpha=step.parameters[0])
        if step.function == "hard_sigmoid":
            return self.node("HardSigmoid", [value], alpha=step.parameters[0], beta=step.parameters[1])
        kind = {"clip": "Clip", "multiply": "Mul", "add": "Add"}[step.function]
        return self.node(kind, [value, *(self.constant(parameter) for parameter in step.parameters)])

    def _mixing(self, step: Mixing, value: str, shape: Shape) -> str:
        if step.function == "softmax":
            return self.node("Softmax", [value], axis=1)
        if step.function == "lrn":
            size, alpha, beta, bias = step.parameters
            return self.node("LRN", [value], size=int(size), alpha=alpha, beta=beta, bias=bias)
        groups = int(step.parameters[0])
        grouped = self.constant([1, groups, shape.channels // groups, *shape[1:]], np.int64)
        value = self.node("Transpose", [self.node("Reshape", [value, grouped])], perm=[0, 2, 1, 3, 4])
        return self.node("Reshape", [value, self.constant([1, *shape], np.int64)])

    def _pooled(self, function: str, windows: Windows, value: str, shape: Shape) -> str:
        filler = -np.inf if function == "max" else 0.0
        if function == "max":
            kernel = [window.kernel for window in windows]
            return self.node("MaxPool", [self._padded(windows, value, filler)], kernel_shape=kernel, **_figures(windows))
        channels, kernel = shape.channels, (windows[0].kernel, windows[1].kernel)
        ones = self.constant(np.ones((channels, 1, *kernel)))
        total = self.node("Conv", [self._padded(windows, value, filler), ones], group=channels, **_figures(windows))
        if function == "average":
            return self.node("Div", [total, self.constant(kernel[0] * kernel[1])])
        mask = self._padded(windows, self.constant(np.ones((1, 1, *shape[1:]))), filler)
        inside = self.node("Conv", [mask, self.constant(np.ones((1, 1, *kernel)))], **_figures(windows))
        return self.node("Div", [total, self.node("Max", [inside, self.constant(1.0)])])

    def _padded(self, windows: Windows, value: str, filler: float) -> str:
        pads = _pads(windows)
        around = [0, 0, *pads[:2], 0, 0, *pads[2:]]
        return self.node("Pad", [value, self.constant(around, np.int64), self.constant(filler)]) if any(pads) else value


def _pads(windows: Windows) -> list[int]:
    return [*(window.before for window in windows), *(window.after for window in windows)]


def _figures(windows: Windows) -> dict[str, list[int]]:
    return {"strides": [window.stride for window in windows], "dilations": [window.dilation for window in windows]}
