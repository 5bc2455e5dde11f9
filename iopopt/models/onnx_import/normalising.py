"""BatchNormalization, LRN and Softmax."""

from __future__ import annotations

import math

import numpy as np

from iopopt.models.onnx_import.network import Network
from iopopt.models.onnx_import.node import Node
from iopopt.models.onnx_import.values import Tensor, written
from iopopt.network.epilogue import Mixing, Normalisation

_PER_POSITION = 13
"""From this operator set on, a softmax runs over one axis; before, over all axes from the given one on."""


def batch_normalisation(node: Node, network: Network) -> Tensor:
    """gamma (x - mean) / sqrt(variance + epsilon) + beta, as one scale and one shift for each channel."""
    node.one_of("training_mode", node.integer("training_mode", 0), (0,))
    node.one_of("spatial", node.integer("spatial", 1), (1,))
    node.no_further_outputs("one of its outputs for training")
    tensor = node.tensor()
    channels = network.channels(node, tensor)
    gamma, beta, mean, variance = (node.vector(slot, channels).astype(np.float64) for slot in range(1, 5))
    spread = variance + node.number("epsilon", 1e-5)
    if not (spread > 0).all():
        node.refuse("a variance plus epsilon is not positive, so the result would not be a number")
    scale = gamma / np.sqrt(spread)
    shift = beta - mean * scale
    return network.step(node, tensor, Normalisation("batch"), scale.astype(np.float32), shift.astype(np.float32))


def local_response_normalisation(node: Node, network: Network) -> Tensor:
    """Over neighbouring channels."""
    size = node.integer("size", 0)
    if size < 1:
        node.reject(f"size is {size}; it must be positive")
    network.channels(node, node.tensor())
    figures = float(size), node.number("alpha", 1e-4), node.number("beta", 0.75), node.number("bias", 1.0)
    return network.step(node, node.tensor(), Mixing("lrn", figures))


def softmax(node: Node, network: Network) -> Tensor:
    """Over the channels of each position."""
    tensor = node.tensor()
    dims, shape = tensor.dims, network.shape(tensor)
    newer = node.opset >= _PER_POSITION
    axis = node.axis(node.integer("axis", -1 if newer else 1), len(dims))
    together, behind = (dims[axis], math.prod(dims[axis + 1 :])) if newer else (math.prod(dims[axis:]), 1)
    if (together, behind) != (shape.channels, shape.height * shape.width):
        over = f"axis {axis}" if newer else f"all axes from {axis} on"
        node.refuse(f"it runs over {over} of {written(dims)}; only the channels (axis 1) of the map {shape} are supported")
    return network.step(node, tensor, Mixing("softmax"))
