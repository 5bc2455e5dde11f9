"""The output dimensions of nodes that only rename them; the elements keep their order."""

from __future__ import annotations

import math

from iopopt.models.onnx_import.node import Node
from iopopt.models.onnx_import.values import Dims, written


def reshaped(node: Node, dims: Dims, batch: int = 1) -> Dims:
    """Of a Reshape: 0 copies a dimension (unless ``allowzero``), -1 is what remains; a first dimension of ``batch`` counts as 1."""
    target = node.whole_numbers(1)
    if batch > 1 and target[:1] == [batch]:
        target[0] = 1
    if not node.flag("allowzero", 0):
        if any(not size and axis >= len(dims) for axis, size in enumerate(target)):
            node.reject(f"it copies a dimension that {written(dims)} does not have")
        target = [size or dims[axis] for axis, size in enumerate(target)]
    known, elements = math.prod(size for size in target if size != -1), math.prod(dims)
    if min(target, default=1) < -1 or target.count(-1) > 1 or len(target) > 16:
        node.reject(f"the dimensions {target[:20]} are not a shape; at most one may be -1, for what remains")
    if -1 in target:
        fits = known > 0 and elements % known == 0
        target = [(elements // known if fits else 0) if size == -1 else size for size in target]
    if math.prod(target) != elements:
        hint = "if the target contains the batch or the input size, export the model for a batch of 1 and this size"
        node.refuse(f"{written(dims)} ({elements} elements) does not fill {written(tuple(node.whole_numbers(1)))}; {hint}")
    return tuple(target)


def flattened(node: Node, dims: Dims) -> Dims:
    """Of a Flatten: two dimensions, those before the axis and those from it on."""
    axis = node.integer("axis", 1)
    axis = axis if axis == len(dims) else node.axis(axis, len(dims))
    return math.prod(dims[:axis]), math.prod(dims[axis:])


def squeezed(node: Node, dims: Dims) -> Dims:
    """Of a Squeeze: without the axes of size 1, or without the given ones."""
    axes = node.figures("axes", 1)
    gone = {axis for axis, size in enumerate(dims) if size == 1} if axes is None else {node.axis(axis, len(dims)) for axis in axes}
    if any(dims[axis] != 1 for axis in gone):
        node.reject(f"it removes axes {axes} of {written(dims)}, which are not all of size 1")
    return tuple(size for axis, size in enumerate(dims) if axis not in gone)


def unsqueezed(node: Node, dims: Dims) -> Dims:
    """Of an Unsqueeze: with axes of size 1 at the given positions of the result."""
    axes = node.figures("axes", 1) or []
    rank = len(dims) + len(axes)
    new = {node.axis(axis, rank) for axis in axes}
    if len(new) != len(axes) or rank > 16:
        node.reject(f"it adds the axes {axes}; some are given twice or out of range")
    rest = iter(dims)
    return tuple(1 if axis in new else next(rest) for axis in range(rank))
