"""The input of a network and its shape."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import onnx

from iopopt.errors import FileFormatError, GraphError, UnsupportedError
from iopopt.models.onnx_import.file import OnnxFile
from iopopt.models.onnx_import.values import Dims, too_large
from iopopt.network.records import is_integer, short_repr
from iopopt.network.shapes import Shape

_FLOATS = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE, onnx.TensorProto.BFLOAT16)

_HOW = "input_shape=(C, H, W), or --input-shape CxHxW on the command line"


class InputMap(NamedTuple):
    """The input: its name, its map, its dimensions with a batch of 1, and the batch of the file (1 if it is open)."""

    name: str
    shape: Shape
    dims: Dims
    batch: int


def input_map(file: OnnxFile, nodes: Sequence[onnx.NodeProto], input_shape: Sequence[int] | None) -> InputMap:
    """The input that ``nodes`` read, with ``input_shape`` if it is given.

    Raises:
        UnsupportedError: if there is not exactly one, or it is not a float map.
        FileFormatError: if sizes are open and not given, or not valid.
        GraphError: if ``input_shape`` is not a shape, or has other channels.
    """
    value = _only_input(file, nodes)
    kind = value.type.tensor_type
    where = f"{file.path}: input {short_repr(value.name)}"
    if not value.type.HasField("tensor_type") or kind.elem_type not in _FLOATS:
        found = onnx.TensorProto.DataType.Name(kind.elem_type) if kind.elem_type in onnx.TensorProto.DataType.values() else "no known type"
        raise UnsupportedError(f"{where} holds {found}; a map of floating-point numbers is expected. Leave casts and decoding outside the model")
    declared = [_size(dim, where, axis) for axis, dim in enumerate(kind.shape.dim)] if kind.HasField("shape") else [None] * 4
    if len(declared) not in (2, 4):
        raise UnsupportedError(
            f"{where} has {len(declared)} dimensions; (batch, channels, height, width) or (batch, features) are expected: "
            "1-D and 3-D convolutions are not supported"
        )
    sizes = [*declared[1:], 1, 1][:3]
    if input_shape is not None:
        sizes = _given(where, sizes, input_shape, len(declared))
    if None in sizes:
        shown_sizes = "x".join("?" if size is None else str(size) for size in sizes)
        raise FileFormatError(f"{where} leaves sizes open ({shown_sizes}); give them: {_HOW}")
    shape = Shape(*(size for size in sizes if size is not None))
    if too_large(shape):
        raise FileFormatError(f"{where} has the map {shape}: too many elements for any network; give other sizes: {_HOW}")
    batch = kind.shape.dim[0].dim_value if kind.shape.dim else 1
    return InputMap(value.name, shape, (1, *shape[: len(declared) - 1]), max(1, batch))


def _only_input(file: OnnxFile, nodes: Sequence[onnx.NodeProto]) -> onnx.ValueInfoProto:
    """The one input that is read; inputs that nothing needs do not count."""
    read = {name for node in nodes for name in node.input}
    names = [name for name in file.inputs if name in read]
    if not names:
        raise UnsupportedError(f"{file.path}: its output {short_repr(file.output)} is not computed from any input; there is nothing to split")
    if len(names) > 1:
        listed = f"{', '.join(map(short_repr, names[:8]))}{', ...' if len(names) > 8 else ''}"
        raise UnsupportedError(
            f"{file.path}: its graph has {len(names)} inputs ({listed}), but one map is "
            "expected; turn the others into initializers, or cut out the part after one of them: "
            f"onnx.utils.extract_model(source, target, [{names[0]!r}], [{file.output!r}])"
        )
    return file.inputs[names[0]]


def _size(dim: onnx.TensorShapeProto.Dimension, where: str, axis: int) -> int | None:
    """A dimension, or None if it is open; that of the batch does not matter."""
    if not dim.HasField("dim_value") or not axis:
        return None
    if dim.dim_value < 1:
        raise FileFormatError(f"{where}: dimension {axis} is {dim.dim_value}; it must be positive, or a name if it is open")
    return int(dim.dim_value)


def _given(where: str, declared: Sequence[int | None], given: Sequence[int], rank: int) -> list[int | None]:
    """The sizes given by the caller; the channels must be those of the file."""
    if len(given) != 3 or not all(is_integer(size) and size > 0 for size in given):
        raise GraphError(f"{where}: input_shape is {short_repr(given)}; three positive integers (channels, height, width) are expected")
    if declared[0] not in (None, given[0]):
        raise GraphError(f"{where} has {declared[0]} channels, but input_shape {tuple(given)} has {given[0]}")
    if rank == 2 and tuple(given[1:]) != (1, 1):
        raise GraphError(f"{where} is a list of features; input_shape must be (features, 1, 1), not {tuple(given)}")
    return list(given)
