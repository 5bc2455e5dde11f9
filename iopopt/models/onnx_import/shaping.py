"""Nodes that rename dimensions, and the transposition that shuffles channels."""

from __future__ import annotations

import numpy as np

from iopopt.models.onnx_import.dimensions import flattened, reshaped, squeezed, unsqueezed
from iopopt.models.onnx_import.network import Network
from iopopt.models.onnx_import.node import Node
from iopopt.models.onnx_import.values import MOST_ELEMENTS, Constant, Tensor, written
from iopopt.network.epilogue import Mixing
from iopopt.network.shapes import Window


def reshape(node: Node, network: Network) -> Tensor:
    """A batch in the target shape becomes 1."""
    return Tensor(node.tensor().operator, reshaped(node, node.tensor().dims, network.batch))


def flatten(node: Node, network: Network) -> Tensor:
    return Tensor(node.tensor().operator, flattened(node, node.tensor().dims))


def squeeze(node: Node, network: Network) -> Tensor:
    return Tensor(node.tensor().operator, squeezed(node, node.tensor().dims))


def unsqueeze(node: Node, network: Network) -> Tensor:
    return Tensor(node.tensor().operator, unsqueezed(node, node.tensor().dims))


def transpose(node: Node, network: Network) -> Tensor:
    """Axes of size 1 may move freely; a shuffle exchanges the two parts of the channels."""
    tensor = node.tensor()
    dims = tensor.dims
    order = node.integers("perm", range(len(dims))[::-1])
    if sorted(order) != list(range(len(dims))):
        node.reject(f"perm {order[:20]} is not a permutation of the {len(dims)} axes")
    result = tuple(dims[axis] for axis in order)
    real = [axis for axis in order if dims[axis] > 1]
    if real == sorted(real):
        return Tensor(tensor.operator, result)
    groups, others, *behind = sorted(real)
    if real != [others, groups, *behind] or dims[groups] * dims[others] != network.shape(tensor).channels:
        node.refuse(
            f"perm {order} moves the elements of {written(dims)}; only the shuffle of channels (Reshape to 1 x groups x others x H x W, perm "
            "[0, 2, 1, 3, 4], Reshape) is supported. Convert a channels-last model to NCHW"
        )
    made = network.step(node, tensor, Mixing("shuffle", (float(dims[groups]),)))
    return Tensor(made.operator, result)


def pad(node: Node, network: Network) -> Tensor:
    """Zeros around a map, which become padding of the convolution that reads it."""
    tensor = network.map(node)
    node.one_of("mode", node.text("mode", "constant"), ("constant",))
    value = float(node.parameters(2).reshape(-1)[0]) if node.has(2) else node.number("value", 0.0)
    node.one_of("its value", value, (0.0,))
    axes, pads = node.whole_numbers(3) if node.has(3) else [0, 1, 2, 3], node.figures("pads", 1) or []
    if len(pads) != 2 * len(axes):
        node.reject(f"it has {len(pads)} figures of padding for {len(axes)} axes")
    around = {node.axis(axis, 4): (pads[number], pads[number + len(axes)]) for number, axis in enumerate(axes)}
    (top, bottom), (left, right) = around.get(2, (0, 0)), around.get(3, (0, 0))
    if any(map(any, (around.get(0, ()), around.get(1, ())))) or min(top, bottom, left, right) < 0 or max(pads) > MOST_ELEMENTS:
        node.refuse(f"pads is {pads}; only rows and columns can be padded, and padding cannot be negative")
    batch, channels, height, width = tensor.dims
    return Tensor(tensor.operator, (batch, channels, height + top + bottom, width + left + right), (top, left, bottom, right))


def shape(node: Node, network: Network) -> Constant:
    """The dimensions as a constant."""
    return np.array(node.tensor().dims, np.int64)[node.integer("start", 0) : node.attribute("end", None)]


def size(node: Node, network: Network) -> Constant:
    """The number of elements as a constant."""
    return np.array(np.prod(node.tensor().dims, dtype=np.int64))


def space_to_depth(node: Node, network: Network) -> Tensor:
    """Blocks of pixels become channels."""
    tensor, block = network.map(node), node.integer("blocksize", 0)
    figures = network.shape(tensor)
    if block < 1 or figures.height % block or figures.width % block:
        node.reject(f"blocks of {block} do not divide the map {figures}")
    window = Window(block, block)
    return network.operator(node, tensor, "space_to_depth", figures.channels * block**2, rows=window, columns=window)
