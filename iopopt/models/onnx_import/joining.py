"""Concat, Split and Slice along the channels."""

from __future__ import annotations

from itertools import accumulate, pairwise

from iopopt.models.onnx_import.network import Network
from iopopt.models.onnx_import.node import Node
from iopopt.models.onnx_import.values import Tensor, written


def concat(node: Node, network: Network) -> Tensor:
    """The channels of several maps, one after another."""
    tensors = [node.tensor(slot) for slot in range(len(node.inputs))]
    _along_channels(node, network, tensors[0], node.integer("axis", 1))
    for tensor in tensors:
        network.channels(node, tensor)
        if tensor.dims[2:] != tensors[0].dims[2:] or network.shape(tensor)[1:] != network.shape(tensors[0])[1:]:
            node.refuse(f"it joins {written(tensors[0].dims)} and {written(tensor.dims)}; maps of one height and width are expected")
    if len(tensors) == 1:
        return tensors[0]
    made = network.joined(node, "concat", tensors)
    return Tensor(made.operator, (1, network.shape(made).channels, *tensors[0].dims[2:]))


def split(node: Node, network: Network) -> tuple[Tensor | None, ...]:
    """Consecutive ranges of the channels, except those that nothing reads."""
    tensor = node.tensor()
    _along_channels(node, network, tensor, node.integer("axis", 0))
    channels, outputs = network.channels(node, tensor), len(node.proto.output)
    parts = node.figures("split", 1)
    if parts is None:
        parts = _even_parts(node, channels, outputs)
    if len(parts) != outputs or sum(parts) != channels or min(parts) < 1:
        node.reject(f"its parts {parts[:20]} are not {outputs} parts of {channels} channels")
    ranges = pairwise([0, *accumulate(parts)])
    return tuple(_part(node, network, tensor, *bounds) if wanted else None for bounds, wanted in zip(ranges, node.wanted, strict=True))


def slice_channels(node: Node, network: Network) -> Tensor:
    """A range of the channels; other axes must be taken whole."""
    tensor = node.tensor()
    starts, ends = node.figures("starts", 1) or [], node.figures("ends", 2) or []
    axes = node.figures("axes", 3) or list(range(len(starts)))
    steps = (node.whole_numbers(4) if node.has(4) else None) or [1] * len(starts)
    if not len(starts) == len(ends) == len(axes) == len(steps):
        node.reject("its starts, ends, axes and steps differ in number")
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        size = tensor.dims[node.axis(axis, len(tensor.dims))]
        node.one_of("its step", step, (1,))
        first, last, _ = slice(start, end).indices(size)
        if (first, last) == (0, size):
            continue
        if last <= first:
            node.reject(f"it takes [{start}, {end}) of {size}: nothing")
        _along_channels(node, network, tensor, axis)
        network.channels(node, tensor)
        tensor = _part(node, network, tensor, first, last)
    return tensor


def _along_channels(node: Node, network: Network, tensor: Tensor, axis: int) -> None:
    if node.axis(axis, len(tensor.dims)) != 1:
        node.refuse(f"it works along axis {axis} of {written(tensor.dims)}; only the channels (axis 1) are supported")


def _even_parts(node: Node, channels: int, outputs: int) -> list[int]:
    """As many parts as outputs; with ``num_outputs`` the last may be smaller."""
    if not node.integer("num_outputs", 0) and channels % outputs:
        node.reject(f"{channels} channels do not divide into {outputs} equal parts")
    part = -(-channels // outputs)
    return [part] * (outputs - 1) + [channels - part * (outputs - 1)]


def _part(node: Node, network: Network, tensor: Tensor, start: int, stop: int) -> Tensor:
    if (start, stop) == (0, network.shape(tensor).channels):
        return tensor
    made = network.operator(node, tensor, "slice", stop - start, first_channel=start)
    return Tensor(made.operator, (1, stop - start, *tensor.dims[2:]))
