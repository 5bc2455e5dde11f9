"""PyTorch's run of a whole network, in double precision and without any partitioning: what every plan's output is compared with.

Importing this module skips the importing test module where PyTorch, the extra ``run``, is missing.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from iopopt import Graph, Operator
from iopopt.executor.weights import OperatorWeights, Weights
from iopopt.operators import Activation, EpilogueStep, Normalisation

torch = pytest.importorskip("torch")
functional = torch.nn.functional

Array = npt.NDArray[np.floating]

WITHIN = 1e-4
"""How far a plan's output may be from the whole run's, relative to its largest element."""


def whole_run(graph: Graph, weights: Weights, inputs: Array) -> Array:
    """The output of the unpartitioned network, shape (OC, H_o, W_o), float64."""
    tensor = torch.tensor(inputs, dtype=torch.float64)[None]
    for operator in graph.operators:
        tensor = _kernel(operator, weights[operator.name], tensor)
        for step in operator.epilogue:
            tensor = _step(step, weights[operator.name], tensor)
    return tensor[0].numpy()


def relative_error(outputs: Array, reference: Array) -> float:
    """The largest difference relative to the largest element, or to 0.01 where all are smaller: random weights keep them near 1."""
    assert outputs.shape == reference.shape
    return float(np.abs(outputs - reference).max() / max(0.01, np.abs(reference).max()))


def _kernel(operator: Operator, weights: OperatorWeights, tensor: torch.Tensor) -> torch.Tensor:
    kernel = torch.tensor(weights.kernel, dtype=torch.float64)
    bias = None if weights.bias is None else torch.tensor(weights.bias, dtype=torch.float64)
    if operator.kind == "fc":
        return functional.linear(tensor.flatten(1), kernel.flatten(1), bias)[:, :, None, None]
    rows, columns = operator.rows, operator.columns
    padded = functional.pad(tensor, (columns.before, columns.after, rows.before, rows.after))
    strides, dilations = (rows.stride, columns.stride), (rows.dilation, columns.dilation)
    return functional.conv2d(padded, kernel, bias, strides, 0, dilations, operator.groups)


def _step(step: EpilogueStep, weights: OperatorWeights, tensor: torch.Tensor) -> torch.Tensor:
    if isinstance(step, Activation):
        return {"relu": torch.relu, "tanh": torch.tanh, "sigmoid": torch.sigmoid}[step.function](tensor)
    if isinstance(step, Normalisation):
        scale, shift = (torch.tensor(part, dtype=torch.float64)[None, :, None, None] for part in (weights.scale, weights.shift))
        return tensor * scale + shift
    rows, columns = step.rows, step.columns
    filler = -torch.inf if step.function == "max" else 0.0
    padded = functional.pad(tensor, (columns.before, columns.after, rows.before, rows.after), value=filler)
    # Every element under a window, (1, C, H_o, W_o, row, column): the windows one by one, then their largest element or mean.
    windows = _windows(_windows(padded, 2, rows.extent, rows.stride, rows.dilation), 3, columns.extent, columns.stride, columns.dilation)
    return windows.amax((-2, -1)) if step.function == "max" else windows.mean((-2, -1))


def _windows(tensor: torch.Tensor, axis: int, extent: int, stride: int, dilation: int) -> torch.Tensor:
    return tensor.unfold(axis, extent, stride)[..., ::dilation]
