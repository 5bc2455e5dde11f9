"""Gemm and MatMul: fully connected operators over the whole map, with or without a flatten before them."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from iopopt.models.onnx_import.network import Network
from iopopt.models.onnx_import.node import Node
from iopopt.models.onnx_import.values import Dims, Tensor, written


def gemm(node: Node, network: Network) -> Tensor:
    """alpha A B + beta C with constant B and C; alpha and beta are multiplied into the parameters."""
    tensor = node.tensor(0)
    if len(tensor.dims) != 2:
        node.reject(f"it multiplies {written(tensor.dims)}; two dimensions are expected")
    matrix = _matrix(node)
    matrix = matrix if node.flag("transB", 0) else matrix.T
    dims = tensor.dims[::-1] if node.flag("transA", 0) else tensor.dims
    alpha, beta = node.number("alpha", 1.0), node.number("beta", 1.0)
    matrix = matrix if alpha == 1 else matrix * np.float32(alpha)
    bias = _bias(node, len(matrix)) * np.float32(beta) if node.has(2) else None
    return _fully_connected(node, network, tensor, dims, matrix, bias)


def matmul(node: Node, network: Network) -> Tensor:
    """A B with constant B."""
    tensor = node.tensor(0)
    return _fully_connected(node, network, tensor, tensor.dims, _matrix(node).T, None)


def _matrix(node: Node) -> npt.NDArray[np.float32]:
    matrix = node.parameters(1)
    if matrix.ndim != 2:
        node.refuse(f"its second operand has dimensions {written(matrix.shape)}; a constant matrix is supported")
    return matrix


def _bias(node: Node, outputs: int) -> npt.NDArray[np.float32]:
    bias = node.parameters(2)
    if bias.shape not in ((outputs,), (1, outputs), (), (1,), (1, 1)):
        node.reject(f"its third operand has dimensions {written(bias.shape)}, which do not fit {outputs} outputs")
    return np.broadcast_to(bias.reshape(-1), (outputs,))


def _fully_connected(
    node: Node, network: Network, tensor: Tensor, dims: Dims, matrix: npt.NDArray[np.float32], bias: npt.NDArray[np.float32] | None
) -> Tensor:
    """``matrix`` has the shape (outputs, inputs); the inputs are the elements of the map, in its order."""
    shape = network.shape(tensor)
    if math.prod(dims[:-1]) != 1:
        node.refuse(
            f"it multiplies the last axis of {written(dims)}; one vector, the whole map flattened, is supported (use a 1x1 convolution instead)"
        )
    if matrix.shape[1] != shape.elements:
        hint = "does the input size differ from the one that the model was exported for?"
        node.reject(f"it has weights for {matrix.shape[1]} inputs, but the map before it is {shape}, {shape.elements} elements; {hint}")
    if not len(matrix):
        node.reject("it has no outputs")
    kernel, outputs = matrix.reshape(len(matrix), *shape), (*dims[:-1], len(matrix))
    made = network.multiplied(node, tensor, "fc", kernel, bias)
    return Tensor(made.operator, outputs)
