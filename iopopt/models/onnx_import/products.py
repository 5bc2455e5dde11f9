"""Activations that exporters write as a tensor times a function of the same tensor: x sigmoid(x), and x times a hard sigmoid of x."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import onnx

from iopopt.models.onnx_import.file import OnnxFile
from iopopt.models.onnx_import.folding import folded
from iopopt.models.onnx_import.node import Node
from iopopt.models.onnx_import.order import SHAPE_READERS
from iopopt.models.onnx_import.values import Tensor
from iopopt.network.epilogue import Activation

_SIXTH = Activation("multiply", (1 / 6,))
_RELU6 = Activation("add", (3.0,)), Activation("clip", (0.0, 6.0))
_GATES: Mapping[tuple[Activation, ...], str] = {
    (Activation("sigmoid"),): "silu",
    (Activation("hard_sigmoid", (1 / 6, 0.5)),): "hard_swish",
    (*_RELU6, _SIXTH): "hard_swish",
}
_LONGEST_GATE = max(map(len, _GATES))


class Product(NamedTuple):
    """Several nodes that form one activation: the tensor that they read, the values in between, the output of the last node."""

    source: str
    between: tuple[str, ...]
    output: str
    activation: Activation


def products(file: OnnxFile, nodes: Sequence[onnx.NodeProto], readers: Counter[str]) -> list[Product]:
    """All of them; nothing else reads the values in between."""
    search = _Search(file, nodes, readers)
    found = (search.product(node) for node in nodes if node.op_type == "Mul")
    return [product for product in found if product is not None]


def passed_on(node: Node) -> Tensor:
    """The tensor that a node reads, with the dimensions that the node gives it."""
    tensor = next(value for value in node.inputs if isinstance(value, Tensor))
    given = (value for value in node.inputs if value is not None)
    return Tensor(tensor.operator, np.broadcast_shapes(*(value.dims if isinstance(value, Tensor) else value.shape for value in given)))


class _Search:
    def __init__(self, file: OnnxFile, nodes: Sequence[onnx.NodeProto], readers: Counter[str]) -> None:
        self._file, self._counts = file, readers
        self._makers = {name: node for node in nodes for name in node.output}
        self._readers = {name: node for node in nodes if node.op_type not in SHAPE_READERS for name in node.input}

    def product(self, node: onnx.NodeProto) -> Product | None:
        """The activation that ends in a Mul, or in the division directly after it."""
        if len(node.input) != 2 or len(node.output) != 1:
            return None
        made = node.output[0]
        for source, gate in (node.input, node.input[::-1]):
            names, steps = self._gate(source, gate)
            for pattern, function in _GATES.items():
                if _close(steps, pattern):
                    return Product(source, tuple(names), made, Activation(function))
            if _close(steps, _RELU6) and self._is_private(made) and (behind := self._readers[made]).output:
                follows = self._step(behind)
                if follows is not None and _close((follows[1],), (_SIXTH,)):
                    return Product(source, (*names, made), behind.output[0], Activation("hard_swish"))
        return None

    def _gate(self, source: str, gate: str) -> tuple[list[str], list[Activation]]:
        """The values between ``source`` and ``gate``, each with the function that computes it; empty if no supported chain connects them."""
        names, steps, name = list[str](), list[Activation](), gate
        while name != source:
            step = self._step(self._makers[name]) if name in self._makers and self._is_private(name) else None
            if step is None or len(steps) == _LONGEST_GATE:
                return [], []
            names, steps, name = [name, *names], [step[1], *steps], step[0]
        return names, steps

    def _is_private(self, name: str) -> bool:
        """Whether only one node reads a value."""
        return self._counts[name] == 1 and name != self._file.output

    def _step(self, proto: onnx.NodeProto) -> tuple[str, Activation] | None:
        """The tensor that a node reads, and its function of each element; None if it is not one of those above."""
        node = Node(proto, self._file.path, self._file.opset, (), ())
        first = next(iter(proto.input), "")
        if node.type == "Sigmoid":
            return first, Activation("sigmoid")
        if node.type == "HardSigmoid":
            return first, Activation("hard_sigmoid", (node.number("alpha", 0.2), node.number("beta", 0.5)))
        numbers = [self._number(name) for name in proto.input]
        if node.type == "Clip":
            least, most = node.attribute("min", None), node.attribute("max", None)
            bounds = numbers[1:3] if len(numbers) > 2 else [least, most]
            return (first, Activation("clip", (float(bounds[0]), float(bounds[1])))) if None not in bounds else None  # type: ignore[arg-type]
        if node.type not in ("Add", "Mul", "Div") or len(numbers) != 2:
            return None
        if numbers[1] is None and node.type != "Div":
            first, numbers = proto.input[1], numbers[::-1]
        number = numbers[1]
        if number is None or (node.type == "Div" and not number):
            return None
        return first, Activation("add" if node.type == "Add" else "multiply", (1 / number if node.type == "Div" else number,))

    def _number(self, name: str) -> float | None:
        """A constant of one element."""
        if name in self._makers and self._makers[name].op_type == "Constant":
            constant = folded(Node(self._makers[name], self._file.path, self._file.opset, (), ()))[0]
        elif name in self._file.initializers:
            constant = self._file.initializers[name]
        else:
            return None
        return float(constant.reshape(())) if constant.size == 1 else None


def _close(steps: Sequence[Activation], pattern: Sequence[Activation]) -> bool:
    """Whether functions match a pattern, within the precision of 32-bit numbers."""
    figures = [number for step in steps for number in step.parameters], [number for step in pattern for number in step.parameters]
    if [step.function for step in steps] != [step.function for step in pattern]:
        return False
    return all(math.isclose(number, expected, rel_tol=1e-6) for number, expected in zip(*figures, strict=True))
