"""From an ONNX file to a network: one pass over its nodes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx

from iopopt.errors import GraphError, UnsupportedError
from iopopt.models.onnx_import.file import OnnxFile, read_file
from iopopt.models.onnx_import.folding import FOLDERS, folded
from iopopt.models.onnx_import.inference import compare
from iopopt.models.onnx_import.inputs import InputMap, input_map
from iopopt.models.onnx_import.network import Network
from iopopt.models.onnx_import.node import Node
from iopopt.models.onnx_import.order import SHAPE_READERS, Order
from iopopt.models.onnx_import.products import passed_on, products
from iopopt.models.onnx_import.registry import PARSERS
from iopopt.models.onnx_import.values import Dims, Tensor, Value
from iopopt.network.graph import Graph
from iopopt.network.operators.operator import INPUT
from iopopt.network.records import short_repr
from iopopt.network.weights import OperatorWeights

_DEFAULT_DOMAINS = ("", "ai.onnx")
_READ_PADDED = ("Conv", *SHAPE_READERS)
_QUANTISED = ("QLinear", "Quantize", "Dequantize", "DynamicQuantize", "ConvInteger", "MatMulInteger")


def read_onnx(path: str, input_shape: Sequence[int] | None = None) -> tuple[Graph, dict[str, OperatorWeights]]:
    """The network of an ONNX file, for a batch of 1, and its parameters.

    Args:
        input_shape: (C, H, W) of the input; required if the file leaves sizes open.

    Raises:
        FileFormatError: if the file cannot be read, or contradicts itself.
        UnsupportedError: if it has an operation that a network here cannot represent; the message names the node.
        GraphError: if the input is too small for the network, or has the wrong number of channels.
    """
    file = read_file(path)
    known = dict[str, Dims]()
    entering = input_map(file, Order(file, known).nodes, input_shape)
    translation = Translation(file, entering, known)
    if translation.network.dangling():  # nodes of which only the dimensions count: now these are known
        translation = Translation(file, entering, translation.dims)
    compare(file, entering, translation.nodes, translation.values, translation.dims)
    return translation.network.finished()


class Translation:
    """One pass over the nodes that the output needs.

    Attributes:
        nodes: those that the output needs, in order.
        network: the network so far.
        values: the values of the input and of the outputs of the nodes.
        dims: the dimensions of every tensor.
    """

    def __init__(self, file: OnnxFile, entering: InputMap, known_dims: Mapping[str, Dims]) -> None:
        order = Order(file, known_dims)
        self._file, self._readers, self.nodes = file, order.readers, order.nodes
        self._context = _checker_context(file)
        found = products(file, order.nodes, order.readers)
        self._between = {name for product in found for name in product.between}
        self._activations = {product.output: product.activation for product in found}
        self._readers.subtract(product.source for product in found)  # the activation reads it only once
        self.network = Network(Path(file.path).stem, entering.shape, Counter(node.name for node in order.nodes), entering.batch)
        self.values: dict[str, Value] = {entering.name: Tensor(INPUT, entering.dims)}
        self.dims = dict(known_dims) | {entering.name: entering.dims}
        for proto in self.nodes:
            self._translate(proto)
        self._check_output()

    def _translate(self, proto: onnx.NodeProto) -> None:
        """Determine the values of the outputs of a node."""
        wanted = tuple(bool(name) and (self._readers[name] > 0 or name == self._file.output) for name in proto.output)
        self._check_type(proto)
        if proto.op_type in SHAPE_READERS and proto.input and proto.input[0] in self.dims:
            inputs: tuple[Value | None, ...] = (Tensor("", self.dims[proto.input[0]]),)  # its operator does not matter
        else:
            inputs = tuple(self._value(name) if name else None for name in proto.input)
        node = Node(proto, self._file.path, self._file.opset, inputs, wanted)
        try:
            onnx.checker.check_node(proto, self._context)
        except (onnx.checker.ValidationError, UnicodeDecodeError) as error:  # the latter if it quotes bytes that are not text
            node.reject(" ".join(str(error).split("\n\n")[0].split())[:300])
        self._define(node, self._outputs(node))

    def _outputs(self, node: Node) -> Sequence[Value | None]:
        if any(isinstance(value, Tensor) for value in node.inputs):
            if node.type not in PARSERS:
                node.refuse(_advice(node.type))
            if node.type not in _READ_PADDED and any(isinstance(value, Tensor) and any(value.padding) for value in node.inputs):
                node.refuse(f"it reads the output of a Pad; a Pad is supported only before a convolution, not before a {node.type}")
            output = node.proto.output[0] if node.proto.output else ""
            if output in self._between:
                return (passed_on(node),)
            if output in self._activations:
                return (self.network.step(node, passed_on(node), self._activations[output]),)
            try:
                with np.errstate(all="ignore"):  # numbers too large for 32 bits become infinite, as in any runtime
                    made = PARSERS[node.type](node, self.network)
            except GraphError as error:
                raise GraphError(f"{node.where}: {error}") from None
            return made if isinstance(made, tuple) else (made,)
        return folded(node)

    def _define(self, node: Node, outputs: Sequence[Value | None]) -> None:
        for name, value in zip(node.proto.output, outputs, strict=False):
            if name and value is not None:
                self.values[name] = value
            if isinstance(value, Tensor):
                self.dims[name] = value.dims
                if self._readers[name] > 1:
                    self.network.freeze(value)

    def _value(self, name: str) -> Value:
        if name not in self.values and name in self._file.initializers:
            return self._file.initializers[name]
        if name not in self.values:
            raise UnsupportedError(
                f"{self._file.path}: {short_repr(name)} is an output that its node does not compute here; export the model for inference"
            )
        return self.values[name]

    def _check_type(self, proto: onnx.NodeProto) -> None:
        """Refuse a type that no parser reads, before any other check of the node."""
        node = Node(proto, self._file.path, self._file.opset, (), ())
        if proto.domain not in _DEFAULT_DOMAINS:
            local = any(function.domain == proto.domain and function.name == proto.op_type for function in self._file.model.functions)
            hint = "inline the functions of the model with onnx.inliner.inline_local_functions" if local else "export it with standard operators"
            node.refuse(f"it belongs to the domain {short_repr(proto.domain)}, and only standard ONNX operators are supported; {hint}")
        if proto.op_type not in PARSERS and proto.op_type not in FOLDERS:
            node.refuse(_advice(proto.op_type))

    def _check_output(self) -> None:
        value, where = self.values.get(self._file.output), f"{self._file.path}: its output {short_repr(self._file.output)}"
        if not isinstance(value, Tensor) or value.operator == INPUT:
            raise UnsupportedError(f"{where} does not depend on its input, or is the input; there is nothing to split")
        if any(value.padding):
            raise UnsupportedError(f"{where} is the output of a Pad; only a Pad before a convolution is supported")


def _advice(kind: str) -> str:
    """Why there is no parser for a type of node, and what to do."""
    if kind.startswith(_QUANTISED):
        return f"{kind} belongs to a quantised model; import the float model (bytes_per_element of the cluster defines the width of numbers)"
    hint = "replace it by other operators, simplify the model (onnxsim), or cut out the part before it with onnx.utils.extract_model"
    if kind in FOLDERS:
        return f"{kind} is supported on constants only, and this node reads a computed tensor; {hint}"
    return f"the operator {kind} is not supported; {hint}"


def _checker_context(file: OnnxFile) -> onnx.checker.C.CheckerContext:
    """What the checker needs to know of the file to check one node."""
    context = onnx.checker.C.CheckerContext()
    context.ir_version = min(max(file.model.ir_version, 3), onnx.IR_VERSION)
    context.opset_imports = {"": file.opset, "ai.onnx": file.opset}
    return context
