"""The network during the import: operators, and the parameters of each."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from iopopt.errors import GraphError, UnsupportedError
from iopopt.models.onnx_import.node import Node
from iopopt.models.onnx_import.values import MOST_ELEMENTS, Tensor, too_large, written
from iopopt.network.builder import GraphBuilder
from iopopt.network.epilogue import Activation, EpilogueStep, Mixing, Normalisation, Pool
from iopopt.network.graph import Graph
from iopopt.network.operators.kernel import KernelOperator
from iopopt.network.operators.operator import INPUT, Operator
from iopopt.network.shapes import Shape
from iopopt.network.weights import OperatorWeights

Parameters = npt.NDArray[np.float32]

_LONGEST_EPILOGUE = 64
"""The most steps of an epilogue; further steps start a new operator. No real network has more, and adding a step checks all of them."""


class Network:
    """Parsers add operators and steps for their nodes; each method returns the output tensor.

    Args:
        input_shape: the input map.
        node_names: the names of the nodes; operators have the same name if it is unique.
        batch: of the file; the network has a batch of 1.
    """

    def __init__(self, name: str, input_shape: Shape, node_names: Counter[str], batch: int) -> None:
        self._net, self.batch = GraphBuilder(name, input_shape), batch
        self._node_names = node_names
        self._names = {INPUT, ""}
        self._kernels: dict[str, tuple[Parameters, Parameters | None]] = {}
        self._steps: dict[str, dict[int, tuple[Parameters, ...]]] = {}

    # Tensors.

    def shape(self, tensor: Tensor) -> Shape:
        """The map of a tensor."""
        return self._net.at(tensor.operator).shape

    def map(self, node: Node) -> Tensor:
        """The input of a node that needs a whole map, (1, C, H, W); a convolution also takes one with zeros around it."""
        tensor = self.unpadded(node.tensor())
        shape = self.shape(tensor)
        if tensor.dims != (1, *shape):
            node.refuse(
                f"it reads {written(tensor.dims)}, a rearrangement of the map {shape}; the four dimensions of a map with a batch of 1 are expected "
                "(1-D and 3-D networks, other layouts and batches are not supported)"
            )
        return tensor

    def unpadded(self, tensor: Tensor) -> Tensor:
        """The tensor without the zeros around it."""
        return Tensor(tensor.operator, (1, *self.shape(tensor))) if any(tensor.padding) else tensor

    def has_channels(self, tensor: Tensor) -> bool:
        """Whether axis 1 holds the channels: (1, C), (1, C, H, W) or (1, C, H W)."""
        C, dims = self.shape(tensor).channels, tensor.dims
        return len(dims) >= 2 and dims[0] == 1 and dims[1] == C

    def channels(self, node: Node, tensor: Tensor) -> int:
        """The channels of a tensor that has them in axis 1."""
        if not self.has_channels(tensor):
            node.refuse(f"it works on channels, but in {written(tensor.dims)} axis 1 does not hold those of the map {self.shape(tensor)}")
        return self.shape(tensor).channels

    def freeze(self, tensor: Tensor) -> None:
        """The tensor has several readers: later steps become separate operators."""
        _ = self._net.at(tensor.operator).tip

    # Growth.

    def operator(self, node: Node, tensor: Tensor, kind: str, out_channels: int, **figures: Any) -> Tensor:
        """An operator with one input."""
        self._net.at(tensor.operator).operator(kind, out_channels, name=self._free_name(node), **figures)
        return self._current_tensor(node)

    def multiplied(self, node: Node, tensor: Tensor, kind: str, kernel: Parameters, bias: Parameters | None, **figures: Any) -> Tensor:
        """A ``conv`` or ``fc`` with its parameters; kernel: (OC, C / groups, rows, columns)."""
        made = self.operator(node, tensor, kind, kernel.shape[0], bias=bias is not None, **figures)
        self._kernels[made.operator] = kernel, bias
        return made

    def joined(self, node: Node, kind: str, tensors: Sequence[Tensor]) -> Tensor:
        """An ``add``, ``mul`` or ``concat``."""
        getattr(self._net, kind)(*(tensor.operator for tensor in tensors), name=self._free_name(node))
        return self._current_tensor(node)

    def step(self, node: Node, tensor: Tensor, step: EpilogueStep, *arrays: Parameters) -> Tensor:
        """A step in the epilogue of the tensor's operator, or as a separate operator; ``arrays`` have one number for each channel."""
        if isinstance(step, (Activation, Mixing)) and not all(map(math.isfinite, step.parameters)):
            node.refuse(f"{step.function} with parameters {step.parameters}; they must be finite")
        before = self._net.at(tensor.operator).at_hand
        if before is not None and len(before.epilogue) >= _LONGEST_EPILOGUE:
            self.freeze(tensor)
        self._net.at(tensor.operator).step(step, name=self._free_name(node))
        made = self._current_tensor(node)
        if arrays:
            self._steps.setdefault(made.operator, {})[len(self._current.epilogue) - 1] = arrays
        return made if isinstance(step, Pool) else Tensor(made.operator, tensor.dims)

    @property
    def _current(self) -> Operator:
        operator = self._net.at_hand
        assert operator is not None  # an operator has just been added
        return operator

    def _current_tensor(self, node: Node) -> Tensor:
        operator = self._current
        self._names.add(operator.name)
        shape = operator.out_shape
        if too_large(shape):
            raise UnsupportedError(
                f"{node.where}: its output {shape} has more than {MOST_ELEMENTS} elements; no device could hold it. Are its attributes right, and "
                "the size of the input?"
            )
        return Tensor(operator.name, (1, *shape))

    def _free_name(self, node: Node) -> str:
        """The node's name if it is unique, otherwise its output's."""
        return next(name for name in self._candidates(node) if name not in self._names)

    def _candidates(self, node: Node) -> Iterator[str]:
        if self._node_names[node.proto.name] == 1:
            yield str(node.proto.name)
        outputs = [str(name) for name in node.proto.output if name]
        yield from outputs
        yield from (f"{outputs[0]}_{number}" for number in range(2, len(self._names) + 3))

    # The end.

    def finished(self) -> tuple[Graph, dict[str, OperatorWeights]]:
        """The network and its parameters. A shift directly after a kernel without a bias becomes its bias."""
        graph, operators = self._net.build(), []
        for operator in graph.operators:
            if isinstance(operator, KernelOperator) and not operator.bias and operator.epilogue[:1] == (Normalisation("shift"),):
                operators.append(self._with_bias(operator))
            else:
                operators.append(operator)
        graph = dataclasses.replace(graph, operators=tuple(operators))
        return graph, {operator.name: self._weights(operator.name) for operator in operators}

    def _with_bias(self, operator: KernelOperator) -> Operator:
        steps, name = self._steps[operator.name], operator.name
        self._kernels[name] = self._kernels[name][0], steps[0][0]
        self._steps[name] = {number - 1: arrays for number, arrays in steps.items() if number}
        return dataclasses.replace(operator, bias=True, epilogue=operator.epilogue[1:])

    def _weights(self, name: str) -> OperatorWeights:
        kernel, bias = self._kernels.get(name, (None, None))
        return OperatorWeights(kernel, bias, self._steps.get(name, {}))

    def dangling(self) -> bool:
        """Whether nothing reads some operator: only its dimensions were needed."""
        try:
            self._net.build()
        except GraphError:
            return True
        return False
