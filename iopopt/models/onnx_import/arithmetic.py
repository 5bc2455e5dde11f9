"""Add, Sub, Mul, Div and Sum: with a constant they are steps, with two or more tensors they are operators."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from iopopt.models.onnx_import.network import Network
from iopopt.models.onnx_import.node import Node
from iopopt.models.onnx_import.values import Tensor, written
from iopopt.network.epilogue import Activation, Normalisation

Kind = Literal["add", "mul"]


def add(node: Node, network: Network) -> Tensor:
    """Add, or Sum of any number of operands."""
    return _combined(node, network, "add")


def mul(node: Node, network: Network) -> Tensor:
    return _combined(node, network, "mul")


def sub(node: Node, network: Network) -> Tensor:
    """x - c is x + (-c), c - x is -x + c."""
    if isinstance(node.inputs[0], Tensor):
        return _with_constant(node, network, node.tensor(0), -_second_constant(node), "add")
    constant = node.parameters(0)
    return _with_constant(node, network, network.step(node, node.tensor(1), Activation("multiply", (-1.0,))), constant, "add")


def div(node: Node, network: Network) -> Tensor:
    """x / c is x times 1/c."""
    if not isinstance(node.inputs[0], Tensor):
        node.refuse("it divides a constant by a tensor; only a constant second operand is supported")
    constant = _second_constant(node).astype(np.float64)
    if not constant.all():
        node.refuse("it divides by a constant that holds zeros")
    return _with_constant(node, network, node.tensor(0), (1.0 / constant).astype(np.float32), "mul")


def _second_constant(node: Node) -> npt.NDArray[np.float32]:
    if isinstance(node.inputs[1], Tensor):
        node.refuse("both its operands are computed by the network; only a constant second operand is supported (Add and Mul take two tensors)")
    return node.parameters(1)


def _combined(node: Node, network: Network, kind: Kind) -> Tensor:
    slots = range(len(node.inputs))
    tensors = [value for value in node.inputs if isinstance(value, Tensor)]
    constants = [node.parameters(slot) for slot in slots if not isinstance(node.inputs[slot], Tensor)]
    if len(tensors) == 1:
        tensor = tensors[0]
        for constant in constants:
            tensor = _with_constant(node, network, tensor, constant, kind)
        return tensor
    if constants:
        node.refuse(f"it combines {len(tensors)} tensors and {len(constants)} constants at once; use a separate node for each")
    return _joined(node, network, kind, tensors)


def _with_constant(node: Node, network: Network, tensor: Tensor, constant: npt.NDArray[np.float32], kind: Kind) -> Tensor:
    """A step: one number for all elements, or one for each channel."""
    shape = constant.shape
    while shape and shape[0] == 1 and len(shape) > len(tensor.dims):
        shape = shape[1:]
    channels = network.shape(tensor).channels
    if constant.size == 1 and (not constant.ndim or channels > 1):
        value = float(constant.reshape(()))
        made = network.step(node, tensor, Activation("add" if kind == "add" else "multiply", (value,)))
        return Tensor(made.operator, np.broadcast_shapes(tensor.dims, constant.shape))
    padded = (1,) * (len(tensor.dims) - len(shape)) + shape
    per_channel = network.has_channels(tensor) and padded == (1, channels, *(1 for _ in tensor.dims[2:]))
    if not per_channel and constant.size != 1:
        node.refuse(
            f"it combines {written(tensor.dims)} with a constant of dimensions {written(constant.shape)}; one number, or one for each channel "
            f"({'x'.join(['1', str(channels), *('1' for _ in tensor.dims[2:])])}), is supported"
        )
    step = Normalisation("shift" if kind == "add" else "scale")
    made = network.step(node, tensor, step, constant.reshape(-1))
    return Tensor(made.operator, np.broadcast_shapes(tensor.dims, constant.shape))


def _joined(node: Node, network: Network, kind: Kind, tensors: Sequence[Tensor]) -> Tensor:
    """An operator with several tensors: those of the full map first, then gates with one element for each channel."""
    tensors = sorted(tensors, key=lambda tensor: network.shape(tensor).elements, reverse=True)
    full, dims = network.shape(tensors[0]), tensors[0].dims
    for tensor in tensors[1:]:
        shape = network.shape(tensor)
        is_gate = shape == (full.channels, 1, 1) and tensor.dims == (1, *shape) and dims == (1, *full)
        if not is_gate and (shape, tensor.dims) != (full, dims):
            node.refuse(
                f"it combines {written(dims)} and {written(tensor.dims)}; tensors of the same dimensions, or a map and a gate with one element "
                f"for each channel ({written((1, full.channels, 1, 1))}), are supported"
            )
    if kind == "add" and len({tensor.operator for tensor in tensors}) == 1:  # x + x is 2 x
        return network.step(node, tensors[0], Activation("multiply", (float(len(tensors)),)))
    made = network.joined(node, kind, tensors)
    return Tensor(made.operator, dims)
