"""Conv."""

from __future__ import annotations

import dataclasses

from iopopt.models.onnx_import.network import Network
from iopopt.models.onnx_import.node import Node
from iopopt.models.onnx_import.values import Tensor, written
from iopopt.models.onnx_import.windows import windows
from iopopt.network.shapes import Window


def conv(node: Node, network: Network) -> Tensor:
    """A convolution, grouped or not; the kernel must be known."""
    kernel = node.parameters(1)
    if kernel.ndim != 4:
        node.refuse(f"its kernel has dimensions {written(kernel.shape)}; only 2-D convolutions (four dimensions) are supported")
    tensor, groups = network.map(node), node.integer("group", 1)
    shape = network.shape(tensor)
    rows_columns = kernel.shape[2:]
    if tuple(node.integers("kernel_shape", rows_columns)) != rows_columns:
        node.reject(f"kernel_shape is {node.integers('kernel_shape')}, but its kernel has dimensions {written(kernel.shape)}")
    if groups < 1 or kernel.shape[1] * groups != shape.channels or kernel.shape[0] % groups or not kernel.shape[0]:
        node.reject(f"a kernel of {written(kernel.shape)} in {groups} groups does not fit the {shape.channels} channels that it reads")
    bias = node.vector(2, kernel.shape[0]) if node.has(2) else None
    rows, columns = _padded(windows(node, rows_columns, node.tensor().dims[2:]), node.tensor().padding)
    return network.multiplied(node, tensor, "conv", kernel, bias, rows=rows, columns=columns, groups=groups)


def _padded(pair: tuple[Window, Window], padding: tuple[int, int, int, int]) -> tuple[Window, Window]:
    """The window including the zeros of a Pad before the convolution, outside the convolution's own padding."""
    rows, columns = (
        dataclasses.replace(window, before=window.before + padding[axis], after=window.after + padding[axis + 2]) for axis, window in enumerate(pair)
    )
    return rows, columns
