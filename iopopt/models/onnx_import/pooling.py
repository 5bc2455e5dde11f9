"""MaxPool, AveragePool, their global forms, and ReduceMean over rows and columns."""

from __future__ import annotations

import math

from iopopt.models.onnx_import.network import Network
from iopopt.models.onnx_import.node import Node
from iopopt.models.onnx_import.values import Dims, Tensor, written
from iopopt.models.onnx_import.windows import ceiled_windows, windows
from iopopt.network.epilogue import Pool, PoolFunction
from iopopt.network.shapes import Window


def max_pool(node: Node, network: Network) -> Tensor:
    """The maximum under the window."""
    node.no_further_outputs("its second output (Indices)")
    node.one_of("storage_order", node.integer("storage_order", 0), (0,))
    tensor = network.map(node)
    plain = _pool_windows(node, network, tensor)
    return network.step(node, tensor, Pool("max", *ceiled_windows(node, plain, network.shape(tensor)[1:])))


def average_pool(node: Node, network: Network) -> Tensor:
    """The average under the window; one over the whole map is a separate operator, like a global one."""
    tensor = network.map(node)
    shape = network.shape(tensor)
    plain = _pool_windows(node, network, tensor)
    if max(window.dilation for window in plain) > 1:
        node.refuse("an average pool with dilations is not supported; replace it by a depthwise convolution")
    full = ceiled_windows(node, plain, shape[1:])
    function = _average(node, plain, full)
    if (plain[0].kernel, plain[1].kernel) == shape[1:] and not _padded(full):
        return whole_map(node, network, tensor, function)
    return network.step(node, tensor, Pool(function, *full))


def _pool_windows(node: Node, network: Network, tensor: Tensor) -> tuple[Window, Window]:
    plain = windows(node, node.integers("kernel_shape"), network.shape(tensor)[1:])
    if any(max(window.before, window.after) >= window.extent for window in plain):
        node.refuse(f"pads is {node.integers('pads')}, at least as large as the window: some windows would contain only padding")
    return plain


def _padded(pair: tuple[Window, Window]) -> bool:
    return any(window.before or window.after for window in pair)


def _average(node: Node, plain: tuple[Window, Window], full: tuple[Window, Window]) -> PoolFunction:
    """The average function: explicit padding counts if the node says so, elements past the edge never do."""
    if not _padded(plain):
        return "average" if plain == full else "average_inside"
    if not node.flag("count_include_pad", 0):
        return "average_inside"
    if plain != full:
        node.refuse(
            "ceil_mode with count_include_pad: the last window counts its padding but not elements past the edge; export with ceil_mode=0 or "
            "count_include_pad=0"
        )
    return "average"


def global_average_pool(node: Node, network: Network) -> Tensor:
    """The average of each channel."""
    return whole_map(node, network, network.map(node), "average")


def global_max_pool(node: Node, network: Network) -> Tensor:
    """The maximum of each channel."""
    return whole_map(node, network, network.map(node), "max")


def reduce_mean(node: Node, network: Network) -> Tensor:
    """The average of each channel, if the reduced axes are the rows and columns."""
    tensor = node.tensor(0)
    dims, shape, listed = tensor.dims, network.shape(tensor), node.figures("axes", 1)
    if not listed and node.flag("noop_with_empty_axes", 0):
        return tensor
    axes = {node.axis(axis, len(dims)) for axis in listed} if listed else set(range(len(dims)))
    if not axes or not _are_rows_and_columns(axes, dims, shape.channels):
        node.refuse(f"it averages the axes {sorted(axes)} of {written(dims)}; the average over all rows and columns is supported")
    made = whole_map(node, network, tensor, "average")
    if node.flag("keepdims", 1):
        return Tensor(made.operator, tuple(1 if axis in axes else size for axis, size in enumerate(dims)))
    return Tensor(made.operator, tuple(size for axis, size in enumerate(dims) if axis not in axes))


def _are_rows_and_columns(axes: set[int], dims: Dims, channels: int) -> bool:
    """Whether the axes are the last of all (of size 1 or not), and those before them hold the channels."""
    before, behind = dims[: min(axes)], set(range(min(axes), len(dims)))
    return math.prod(before) == channels and all(dims[axis] == 1 for axis in behind - axes)


def whole_map(node: Node, network: Network, tensor: Tensor, function: PoolFunction) -> Tensor:
    """A pool whose window is the map: a separate operator, because in an epilogue it would leave its convolution only one row to split."""
    shape = network.shape(tensor)
    if (shape.height, shape.width) == (1, 1):
        return tensor
    rows, columns = (Window(size, size) for size in shape[1:])
    return network.operator(node, tensor, "pool", shape.channels, rows=rows, columns=columns, function=function)
