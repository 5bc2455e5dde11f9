"""Elementwise functions of one tensor."""

from __future__ import annotations

import numpy as np
import onnx

from iopopt.models.onnx_import.network import Network
from iopopt.models.onnx_import.node import Node
from iopopt.models.onnx_import.values import Tensor, written
from iopopt.network.epilogue import Activation

_LARGEST = float(np.finfo(np.float32).max)
_FLOATS = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE, onnx.TensorProto.BFLOAT16)


def relu(node: Node, network: Network) -> Tensor:
    return network.step(node, node.tensor(), Activation("relu"))


def sigmoid(node: Node, network: Network) -> Tensor:
    return network.step(node, node.tensor(), Activation("sigmoid"))


def tanh(node: Node, network: Network) -> Tensor:
    return network.step(node, node.tensor(), Activation("tanh"))


def hard_swish(node: Node, network: Network) -> Tensor:
    return network.step(node, node.tensor(), Activation("hard_swish"))


def swish(node: Node, network: Network) -> Tensor:
    """x sigmoid(alpha x); with alpha = 1 it is ``silu``."""
    node.one_of("alpha", node.number("alpha", 1.0), (1.0,))
    return network.step(node, node.tensor(), Activation("silu"))


def leaky_relu(node: Node, network: Network) -> Tensor:
    return network.step(node, node.tensor(), Activation("leaky_relu", (node.number("alpha", 0.01),)))


def hard_sigmoid(node: Node, network: Network) -> Tensor:
    return network.step(node, node.tensor(), Activation("hard_sigmoid", (node.number("alpha", 0.2), node.number("beta", 0.5))))


def prelu(node: Node, network: Network) -> Tensor:
    """A slope for each channel; with one slope for all it is a leaky relu."""
    tensor, slope = node.tensor(), node.parameters(1)
    channels = network.channels(node, tensor)
    if slope.size == 1 and channels > 1:
        return network.step(node, tensor, Activation("leaky_relu", (float(slope.reshape(())),)))
    padded = (1,) * (len(tensor.dims) - slope.ndim) + slope.shape
    if padded != (1, channels, *(1 for _ in tensor.dims[2:])):
        node.refuse(
            f"its slopes have dimensions {written(slope.shape)} for {written(tensor.dims)}; one for each channel, or one for all, is supported"
        )
    return network.step(node, tensor, Activation("prelu"), slope.reshape(-1))


def clip(node: Node, network: Network) -> Tensor:
    """Two bounds, attributes in old operator sets and constant inputs in new ones; with a lower bound of 0 only, it is a relu."""
    least, most = _bound(node, "min", 1, -_LARGEST), _bound(node, "max", 2, _LARGEST)
    if (least, most) == (0.0, _LARGEST):
        return network.step(node, node.tensor(), Activation("relu"))
    return network.step(node, node.tensor(), Activation("clip", (least, most)))


def _bound(node: Node, name: str, slot: int, default: float) -> float:
    bound = node.attribute(name, default)
    if node.has(slot):
        constant = node.parameters(slot)
        if constant.size != 1:
            node.reject(f"its bound {name} has {constant.size} elements; one is expected")
        bound = constant.reshape(()).item()
    if np.isnan(bound):
        node.reject(f"its bound {name} is not a number")
    return float(np.clip(bound, -_LARGEST, _LARGEST))


def cast(node: Node, network: Network) -> Tensor:
    """Between widths of floating-point numbers: ignored, because the cluster defines the width."""
    if node.integer("to", 0) not in _FLOATS:
        node.refuse(f"it casts a tensor to data type {node.integer('to', 0)}; supported: {', '.join(map(onnx.TensorProto.DataType.Name, _FLOATS))}")
    return node.tensor()


def nothing(node: Node, network: Network) -> Tensor:
    """Identity, and Dropout, which does nothing after training."""
    node.no_further_outputs("its second output (the mask)")
    if node.has(2) and bool(node.constant(2).any()):
        node.refuse("training_mode is true; export the model for inference")
    return node.tensor()
