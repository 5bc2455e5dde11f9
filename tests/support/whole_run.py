"""PyTorch's run of a whole network, in double precision and without any partitioning: what every plan's output is compared with.

It is written with ``torch.nn.functional`` over whole tensors and shares no arithmetic with the executor. Importing this module skips the
importing test module where PyTorch, the extra ``run``, is missing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest

from iopopt import Graph, Operator
from iopopt.network.epilogue import Activation, EpilogueStep, Mixing, Normalisation
from iopopt.network.shapes import Window
from iopopt.network.weights import NO_WEIGHTS, OperatorWeights, Weights

torch = pytest.importorskip("torch")
functional = torch.nn.functional

Array = npt.NDArray[np.floating]

WITHIN = 1e-4
"""How far a plan's output may be from the whole run's, relative to its largest element."""


def whole_run(graph: Graph, weights: Weights, inputs: Array) -> Array:
    """The output of the unpartitioned network, shape (OC, H_o, W_o), float64."""
    return whole_tensors(graph, weights, inputs)[graph.output.name]


def whole_tensors(graph: Graph, weights: Weights, inputs: Array) -> dict[str, Array]:
    """Every operator's output, by name."""
    tensors = {"input": torch.tensor(inputs, dtype=torch.float64)[None]}
    for operator in graph.operators:
        mine = weights.get(operator.name, NO_WEIGHTS)
        tensor = _before_epilogue(operator, mine, [tensors[edge.producer] for edge in graph.edges if edge.consumer == operator.name])
        for number, step in enumerate(operator.epilogue):
            tensor = _step(step, mine.steps.get(number, ()), tensor)
        tensors[operator.name] = tensor
    return {name: tensor[0].numpy() for name, tensor in tensors.items()}


def relative_error(outputs: Array, reference: Array) -> float:
    """The largest difference relative to the largest element, or to 0.01 where all are smaller: random weights keep them near 1."""
    assert outputs.shape == reference.shape
    return float(np.abs(outputs - reference).max() / max(0.01, np.abs(reference).max()))


def _before_epilogue(operator: Operator, weights: OperatorWeights, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
    (tensor, *others), rows, columns = inputs, operator.rows, operator.columns
    if operator.kind in ("conv", "fc"):
        return _kernel(operator, weights, tensor)
    if operator.kind == "add":
        return sum(others, tensor)
    if operator.kind == "mul":
        for other in others:
            tensor = tensor * other
        return tensor
    if operator.kind == "concat":
        return torch.cat(list(inputs), 1)
    if operator.kind == "slice":
        return tensor.narrow(1, operator.first_channel, operator.out_channels)
    if operator.kind == "pool":
        return _pool(operator.function, rows, columns, tensor)
    if operator.kind == "upsample":
        factors = (float(rows.upsampling), float(columns.upsampling))
        if operator.function == "nearest":
            return functional.interpolate(tensor, scale_factor=factors, mode="nearest")
        return functional.interpolate(tensor, scale_factor=factors, mode="bilinear", align_corners=False)
    if operator.kind == "space_to_depth":
        pixels = [tensor[:, :, y :: rows.kernel, x :: columns.kernel] for y in range(rows.kernel) for x in range(columns.kernel)]
        return torch.cat([pixel[:, :, : operator.pre_pool_shape.height, : operator.pre_pool_shape.width] for pixel in pixels], 1)
    assert operator.kind == "elementwise"
    return tensor


def _kernel(operator: Operator, weights: OperatorWeights, tensor: torch.Tensor) -> torch.Tensor:
    kernel = torch.tensor(weights.kernel, dtype=torch.float64)
    bias = None if weights.bias is None else torch.tensor(weights.bias, dtype=torch.float64)
    if operator.kind == "fc":
        return functional.linear(tensor.flatten(1), kernel.flatten(1), bias)[:, :, None, None]
    rows, columns = operator.rows, operator.columns
    padded = functional.pad(tensor, (columns.before, columns.after, rows.before, rows.after))
    strides, dilations = (rows.stride, columns.stride), (rows.dilation, columns.dilation)
    return functional.conv2d(padded, kernel, bias, strides, 0, dilations, operator.groups)


def _step(step: EpilogueStep, arrays: Sequence[Array], tensor: torch.Tensor) -> torch.Tensor:
    per_channel = [torch.tensor(part, dtype=torch.float64) for part in arrays]
    if isinstance(step, Activation):
        return _activation(step, per_channel, tensor)
    if isinstance(step, Normalisation):
        scale = torch.ones(tensor.shape[1]) if step.function == "shift" else per_channel[0]
        shift = torch.zeros(tensor.shape[1]) if step.function == "scale" else per_channel[-1]
        return tensor * scale[:, None, None] + shift[:, None, None]
    if isinstance(step, Mixing):
        return _mixing(step, tensor)
    return _pool(step.function, step.rows, step.columns, tensor)


def _activation(step: Activation, per_channel: Sequence[torch.Tensor], tensor: torch.Tensor) -> torch.Tensor:
    first, second = (*step.parameters, 0.0, 0.0)[:2]
    return {
        "relu": lambda: functional.relu(tensor),
        "tanh": lambda: torch.tanh(tensor),
        "sigmoid": lambda: torch.sigmoid(tensor),
        "leaky_relu": lambda: functional.leaky_relu(tensor, first),
        "prelu": lambda: functional.prelu(tensor, per_channel[0]),
        "clip": lambda: functional.hardtanh(tensor, first, second),
        "hard_sigmoid": lambda: torch.minimum(torch.ones(()), torch.relu(first * tensor + second)),
        "hard_swish": lambda: functional.hardswish(tensor),
        "silu": lambda: tensor * torch.sigmoid(tensor),
        "multiply": lambda: tensor * first,
        "add": lambda: tensor + first,
    }[step.function]()


def _mixing(step: Mixing, tensor: torch.Tensor) -> torch.Tensor:
    if step.function == "softmax":
        return functional.softmax(tensor, 1)
    if step.function == "shuffle":
        return functional.channel_shuffle(tensor, int(step.parameters[0]))
    size, alpha, beta, bias = step.parameters
    channels, before, after = tensor.shape[1], (int(size) - 1) // 2, int(size) // 2  # floor and ceil of (size - 1) / 2
    result = torch.empty_like(tensor)
    for c in range(channels):  # ONNX's definition, a channel at a time
        squares = (tensor[:, max(0, c - before) : min(channels, c + after + 1)] ** 2).sum(1)
        result[:, c] = tensor[:, c] / (bias + alpha / size * squares) ** beta
    return result


def _pool(function: str, rows: Window, columns: Window, tensor: torch.Tensor) -> torch.Tensor:
    """Every element under a window, (1, C, H_o, W_o, row, column): the windows one by one, then their largest element or mean."""
    padding = (columns.before, columns.after, rows.before, rows.after)
    windows = _windows(functional.pad(tensor, padding, value=-torch.inf if function == "max" else 0.0), rows, columns)
    if function == "max":
        return windows.amax((-2, -1))
    if function == "average":
        return windows.mean((-2, -1))
    inside = _windows(functional.pad(torch.ones_like(tensor), padding), rows, columns)
    return windows.sum((-2, -1)) / inside.sum((-2, -1)).clamp(min=1)


def _windows(tensor: torch.Tensor, rows: Window, columns: Window) -> torch.Tensor:
    unfolded = tensor.unfold(2, rows.extent, rows.stride)[..., :: rows.dilation]
    return unfolded.unfold(3, columns.extent, columns.stride)[..., :: columns.dilation]
