"""Compares the dimensions found at import with those of onnx's own shape inference."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import helper, numpy_helper

from iopopt.errors import FileFormatError
from iopopt.models.onnx_import.file import OnnxFile
from iopopt.models.onnx_import.inputs import InputMap
from iopopt.models.onnx_import.node import Node, where
from iopopt.models.onnx_import.values import Constant, Dims, Tensor, Value, written
from iopopt.models.onnx_import.windows import windows
from iopopt.network.builder import ceiled
from iopopt.network.records import short_repr

_MOST_KEPT = 1024
"""Constants of more elements are parameters, of which only the dimensions count."""

_MOST_BYTES = 2**14
"""A node with larger attributes holds such a constant."""

_LONGEST_LIST, _MOST_LISTED = 8192, 2**20
"""The most list elements that inference may follow, for one node and for all: it does so one by one, even if it knows only the length."""

_CANNOT_INFER = (onnx.shape_inference.InferenceError, onnx.checker.ValidationError, DecodeError, RuntimeError, ValueError, MemoryError)
"""The errors that onnx raises, in C++ or Python, if its inference fails."""

_WITHOUT_LISTS = ("BatchNormalization", "ConstantOfShape", "Conv", "Gemm", "MatMul")
"""Types of which it reads only the dimensions."""


def compare(file: OnnxFile, entering: InputMap, nodes: Sequence[onnx.NodeProto], values: Mapping[str, Value], dims: Mapping[str, Dims]) -> int:
    """The number of values that have the dimensions that onnx infers; those that it cannot infer are not compared.

    Args:
        nodes: the nodes that the output needs, in order; all have been translated.
        values: the values of their outputs.
        dims: the dimensions of tensors, including those that no remaining node computes.

    Raises:
        FileFormatError: if the dimensions of a value differ; the message names it, and the node that computes it.
    """
    known = dict(dims) | {name: value.dims if isinstance(value, Tensor) else value.shape for name, value in values.items()}
    found = _inferred(_Skeleton(file, entering, nodes, values, known))
    compared = 0
    for node in nodes:
        for name in node.output:
            if name not in found or name not in known:
                continue
            if found[name] != known[name]:
                raise FileFormatError(
                    f"{where(file.path, node)}: its output {short_repr(name)} has the dimensions {written(known[name])} as imported, but "
                    f"{written(found[name])} by the shape inference of onnx {onnx.__version__}; one of the two misreads the node. Replace the node, "
                    "simplify the model (onnxsim), or try another version of onnx"
                )
            compared += 1
    return compared


def _inferred(skeleton: _Skeleton) -> dict[str, Dims]:
    """The dimensions that onnx finds completely; none if its inference fails, because it is only a second opinion."""
    if skeleton.is_long():
        return {}
    try:
        graph = onnx.shape_inference.infer_shapes(skeleton.model(), check_type=False, strict_mode=False, data_prop=True).graph
    except _CANNOT_INFER:
        return {}
    return {value.name: dims for value in graph.value_info if (dims := _full_dims(value)) is not None}


def _full_dims(value: onnx.ValueInfoProto) -> Dims | None:
    kind = value.type.tensor_type
    if not kind.HasField("shape") or not all(dim.HasField("dim_value") for dim in kind.shape.dim):
        return None
    return tuple(dim.dim_value for dim in kind.shape.dim)


class _Skeleton:
    """A small model with the same dimensions as the file's: without large constants, and without the dimensions that the file states.

    Nodes that compute large constants, and pools that versions of onnx disagree about, are left out; their outputs become inputs.
    """

    def __init__(
        self, file: OnnxFile, entering: InputMap, nodes: Sequence[onnx.NodeProto], values: Mapping[str, Value], known: Mapping[str, Dims]
    ) -> None:
        self._file, self._entering, self._nodes, self._values, self._known = file, entering, nodes, values, known
        self._kind = file.inputs[entering.name].type.tensor_type.elem_type
        self._constants: dict[str, Constant] = {}

        self._kept = [node for node in nodes if not self._is_left_out(node)]

    def is_long(self) -> bool:
        """Whether inference would be slow because it follows too many list elements."""
        return sum(map(self._listed, self._kept)) > _MOST_LISTED

    def model(self) -> onnx.ModelProto:
        """The skeleton as a separate model."""
        nodes = [self._copied(node) for node in self._kept]
        inputs = list(self._inputs(nodes))
        constants = [numpy_helper.from_array(array, name) for name, array in self._constants.items()]
        graph = helper.make_graph(nodes, "skeleton", inputs, [], constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", self._file.opset)], ir_version=min(8, onnx.IR_VERSION))

    def _is_left_out(self, node: onnx.NodeProto) -> bool:
        if sum(attribute.ByteSize() for attribute in node.attribute) > _MOST_BYTES or self._listed(node) > _LONGEST_LIST:
            return True
        if node.op_type in ("MaxPool", "AveragePool") and self._is_disputed(node):
            return True
        made = (self._values.get(name) for name in node.output)
        return node.op_type != "ConstantOfShape" and any(isinstance(value, np.ndarray) and value.size > _MOST_KEPT for value in made)

    def _listed(self, node: onnx.NodeProto) -> int:
        """How many list elements inference may follow for a node."""
        if node.op_type in _WITHOUT_LISTS:
            return 0
        lists = (self._dims(name) for name in (*node.input, *node.output))
        return sum(dims[0] for dims in lists if len(dims) == 1)

    def _is_disputed(self, proto: onnx.NodeProto) -> bool:
        """Whether the last window of a pool starts after the end of the map; PyTorch, onnxruntime and new versions of onnx drop it."""
        node = Node(proto, self._file.path, self._file.opset, (), ())
        sizes = self._known[proto.input[0]][2:]
        if not node.flag("ceil_mode", 0):
            return False
        pair = windows(node, node.integers("kernel_shape"), sizes)
        overhangs = (-(size + window.before + window.after - window.extent) % window.stride for window, size in zip(pair, sizes, strict=True))
        dropped = (overhang and ceiled(window, size) == window for overhang, window, size in zip(overhangs, pair, sizes, strict=True))
        return node.text("auto_pad", "NOTSET") != "NOTSET" or any(dropped)

    def _copied(self, node: onnx.NodeProto) -> onnx.NodeProto:
        inputs = list(node.input)
        if node.op_type == "Reshape" and self._entering.batch > 1 and isinstance(self._value(inputs[0]), Tensor):
            inputs[1] = self._for_a_batch_of_1(inputs[1])
        copy = onnx.NodeProto(op_type=node.op_type, input=inputs, output=node.output)
        copy.attribute.extend(node.attribute)
        return copy

    def _for_a_batch_of_1(self, name: str) -> str:
        """The name of a Reshape's target, or of a copy for a batch of 1 if the target contains the batch."""
        target = self._value(name)
        if not isinstance(target, np.ndarray) or target.reshape(-1)[:1].tolist() != [self._entering.batch]:
            return name
        other = f"{name} for a batch of 1"
        self._constants[other] = np.array([1, *target.reshape(-1)[1:]], np.int64)
        return other

    def _inputs(self, nodes: Sequence[onnx.NodeProto]) -> Iterator[onnx.ValueInfoProto]:
        """The inputs of the skeleton; small constants become initializers instead."""
        made = {name for node in nodes for name in node.output} | set(self._constants)
        for name in dict.fromkeys(name for node in nodes for name in node.input if name and name not in made):
            value = self._value(name)
            if not isinstance(value, np.ndarray):
                yield helper.make_tensor_value_info(name, self._kind, self._known[name])
            elif value.size > _MOST_KEPT:
                yield helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
            else:
                self._constants[name] = value

    def _dims(self, name: str) -> Dims:
        value = self._value(name)
        return value.shape if isinstance(value, np.ndarray) else self._known.get(name, ())

    def _value(self, name: str) -> Value | None:
        if name in self._values or name not in self._file.initializers:
            return self._values.get(name)
        return self._file.initializers[name]
