"""Nodes whose inputs are all constants are computed at import: mostly arithmetic on shapes that exporters leave in the file."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx

from iopopt.errors import IopoptError
from iopopt.models.onnx_import.constants import array_of
from iopopt.models.onnx_import.dimensions import flattened, reshaped, squeezed, unsqueezed
from iopopt.models.onnx_import.node import SIMPLIFY, Node
from iopopt.models.onnx_import.values import Constant, too_large, written

_MOST_COMPUTED = 2**28

Folder = Callable[[Node, Sequence[Constant]], Constant]


def folded(node: Node) -> tuple[Constant, ...]:
    """The outputs of a node with only constant inputs.

    Raises:
        UnsupportedError: if its type is not among :data:`FOLDERS`.
        FileFormatError: if the inputs do not fit the operator.
    """
    if node.type not in FOLDERS:
        node.refuse(f"all its inputs are constants, and {node.type} is not computed at import; {SIMPLIFY}")
    inputs = [value for value in node.inputs if isinstance(value, np.ndarray)]
    try:
        with np.errstate(all="ignore"):
            return (np.asarray(FOLDERS[node.type](node, inputs)),)
    except IopoptError:
        raise
    except (ValueError, IndexError, TypeError, OverflowError, MemoryError, KeyError) as error:
        node.reject(f"its constant inputs do not fit the operator ({error})")


def _constant(node: Node, _: Sequence[Constant]) -> Constant:
    if len(node.proto.attribute) != 1:
        node.reject(f"a constant has one attribute, found {len(node.proto.attribute)}")
    name = node.proto.attribute[0].name
    node.one_of("its attribute", name, ("value", "value_float", "value_floats", "value_int", "value_ints"))
    value = node.attribute(name, None)
    if name == "value":
        return array_of(value, node.file, node.where)
    return np.asarray(value, np.float32 if "float" in name else np.int64)


def _constant_of_shape(node: Node, inputs: Sequence[Constant]) -> Constant:
    """One element, broadcast to the dimensions as a view that takes no memory."""
    dims = tuple(node.whole_numbers(0)) if inputs[0].size else ()
    if any(size < 0 for size in dims) or too_large(dims) or len(dims) > 16:
        node.reject(f"dimensions {written(dims)[:80]} are negative, or too many elements for any tensor")
    value = node.attribute("value", None)
    element = np.zeros(1, np.float32) if value is None else array_of(value, node.file, node.where)
    if element.size != 1:
        node.reject(f"its value has {element.size} elements; one is expected")
    return np.broadcast_to(element.reshape(()), dims)


def _elementwise(function: Callable[..., Any]) -> Folder:
    """A function of constants that broadcast; the result has the type of the first unless it is boolean."""

    def fold(node: Node, inputs: Sequence[Constant]) -> Constant:
        _check_size(node, math.prod(np.broadcast_shapes(*(value.shape for value in inputs))))
        result = np.asarray(function(*inputs))
        return result if result.dtype == np.bool_ or node.type == "Where" else result.astype(inputs[0].dtype, copy=False)

    return fold


def _check_size(node: Node, elements: int) -> None:
    if elements > _MOST_COMPUTED:
        node.refuse(f"the constant that it computes has {elements:.3g} elements; at most {_MOST_COMPUTED:.3g} are supported")


def _divide(left: Constant, right: Constant) -> Constant:
    """Integers are divided towards zero."""
    if np.issubdtype(left.dtype, np.integer):
        if not right.all():
            raise ValueError("division by zero")
        return np.asarray(np.sign(left) * np.sign(right) * (np.abs(left) // np.abs(right)))
    return np.asarray(left / right)


def _cast(node: Node, inputs: Sequence[Constant]) -> Constant:
    kind = onnx.helper.tensor_dtype_to_np_dtype(node.integer("to", 0))
    _check_size(node, 0 if inputs[0].dtype == kind else inputs[0].size)
    return inputs[0].astype(kind, copy=False)


def _gather(node: Node, inputs: Sequence[Constant]) -> Constant:
    data, indices = inputs
    axis = node.axis(node.integer("axis", 0), data.ndim)
    _check_size(node, indices.size * data.size // max(1, data.shape[axis]))
    return np.take(data, indices.astype(np.int64), axis)


def _concat(node: Node, inputs: Sequence[Constant]) -> Constant:
    _check_size(node, sum(value.size for value in inputs))
    return np.concatenate(inputs, node.axis(node.integer("axis", 0), inputs[0].ndim))


def _slice(node: Node, inputs: Sequence[Constant]) -> Constant:
    data = inputs[0]
    starts, ends = node.figures("starts", 1) or [], node.figures("ends", 2) or []
    axes = node.figures("axes", 3) or list(range(len(starts)))
    steps = (node.whole_numbers(4) if node.has(4) else []) or [1] * len(starts)
    index = [slice(None)] * data.ndim
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        # Counted from the front, the end before the first element is None: -1 would mean the last.
        index[node.axis(axis, data.ndim)] = slice(start, None if step < 0 and end < -data.shape[node.axis(axis, data.ndim)] else end, step)
    return data[tuple(index)]


def _transpose(node: Node, inputs: Sequence[Constant]) -> Constant:
    return np.transpose(inputs[0], node.integers("perm") or None)


def _range(node: Node, inputs: Sequence[Constant]) -> Constant:
    start, stop, step = (value.reshape(()).item() for value in inputs)
    if not step:
        raise ValueError("a step of zero")
    _check_size(node, max(0, math.ceil((stop - start) / step)))
    return np.arange(start, stop, step, dtype=inputs[0].dtype)


def _expand(node: Node, inputs: Sequence[Constant]) -> Constant:
    dims = np.broadcast_shapes(inputs[0].shape, tuple(node.whole_numbers(1)))
    if too_large(dims):
        node.reject(f"dimensions {written(dims)[:80]} are too many elements for any tensor")
    return np.broadcast_to(inputs[0], dims)


def _product(node: Node, inputs: Sequence[Constant]) -> Constant:
    axes = node.figures("axes", 1)
    return np.asarray(np.prod(inputs[0], axis=tuple(axes) if axes else None, keepdims=node.flag("keepdims", 1), dtype=inputs[0].dtype))


FOLDERS: Mapping[str, Folder] = {
    "Abs": _elementwise(np.abs),
    "Add": _elementwise(np.add),
    "Cast": _cast,
    "Ceil": _elementwise(np.ceil),
    "Concat": _concat,
    "Constant": _constant,
    "ConstantOfShape": _constant_of_shape,
    "Div": _elementwise(_divide),
    "Equal": _elementwise(np.equal),
    "Exp": _elementwise(np.exp),
    "Expand": _expand,
    "Flatten": lambda node, inputs: inputs[0].reshape(flattened(node, inputs[0].shape)),
    "Floor": _elementwise(np.floor),
    "Gather": _gather,
    "Identity": lambda _, inputs: inputs[0],
    "Mul": _elementwise(np.multiply),
    "Neg": _elementwise(np.negative),
    "Pow": _elementwise(np.power),
    "Range": _range,
    "Reciprocal": _elementwise(np.reciprocal),
    "ReduceProd": _product,
    "Reshape": lambda node, inputs: inputs[0].reshape(reshaped(node, inputs[0].shape)),
    "Shape": lambda node, inputs: np.array(inputs[0].shape, np.int64)[node.integer("start", 0) : node.attribute("end", None)],
    "Size": lambda node, inputs: np.array(inputs[0].size, np.int64),
    "Slice": _slice,
    "Sqrt": _elementwise(np.sqrt),
    "Squeeze": lambda node, inputs: inputs[0].reshape(squeezed(node, inputs[0].shape)),
    "Sub": _elementwise(np.subtract),
    "Transpose": _transpose,
    "Unsqueeze": lambda node, inputs: inputs[0].reshape(unsqueezed(node, inputs[0].shape)),
    "Where": _elementwise(lambda condition, left, right: np.where(condition, left, right)),
}
"""How each type of node with only constant inputs is computed."""
