"""The function that reads each type of node; a new type is one function and one line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from iopopt.models.onnx_import import activations, arithmetic, convolution, dense, joining, normalising, pooling, resizing, shaping
from iopopt.models.onnx_import.network import Network
from iopopt.models.onnx_import.node import Node
from iopopt.models.onnx_import.values import Value

Parser = Callable[[Node, Network], Value | tuple[Value | None, ...]]

PARSERS: Mapping[str, Parser] = {
    "Add": arithmetic.add,
    "AveragePool": pooling.average_pool,
    "BatchNormalization": normalising.batch_normalisation,
    "Cast": activations.cast,
    "Clip": activations.clip,
    "Concat": joining.concat,
    "Conv": convolution.conv,
    "Div": arithmetic.div,
    "Dropout": activations.nothing,
    "Flatten": shaping.flatten,
    "Gemm": dense.gemm,
    "GlobalAveragePool": pooling.global_average_pool,
    "GlobalMaxPool": pooling.global_max_pool,
    "HardSigmoid": activations.hard_sigmoid,
    "HardSwish": activations.hard_swish,
    "Identity": activations.nothing,
    "LRN": normalising.local_response_normalisation,
    "LeakyRelu": activations.leaky_relu,
    "MatMul": dense.matmul,
    "MaxPool": pooling.max_pool,
    "Mul": arithmetic.mul,
    "Pad": shaping.pad,
    "PRelu": activations.prelu,
    "ReduceMean": pooling.reduce_mean,
    "Relu": activations.relu,
    "Reshape": shaping.reshape,
    "Resize": resizing.resize,
    "Shape": shaping.shape,
    "Sigmoid": activations.sigmoid,
    "Size": shaping.size,
    "Slice": joining.slice_channels,
    "Softmax": normalising.softmax,
    "SpaceToDepth": shaping.space_to_depth,
    "Split": joining.split,
    "Squeeze": shaping.squeeze,
    "Sub": arithmetic.sub,
    "Sum": arithmetic.add,
    "Swish": activations.swish,
    "Tanh": activations.tanh,
    "Transpose": shaping.transpose,
    "Unsqueeze": shaping.unsqueeze,
    "Upsample": resizing.resize,
}
"""Every type of node that is supported on tensors computed by the network."""
