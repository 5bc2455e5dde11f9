"""Operators on slices of tensors, with PyTorch. Tensors have the axes (channel, row, column)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from iopopt.errors import UnsupportedError
from iopopt.executor.regions import Interval, Region, conv_rows
from iopopt.operators import Activation, Normalisation, Operator, Pool, Window

_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"relu": functional.relu, "tanh": torch.tanh, "sigmoid": torch.sigmoid}


@dataclass(frozen=True)
class Finish:
    """The parameters that turn summed-up kernels into finished channels: bias and normalisation, for an interval of channels."""

    bias: Tensor | None
    scale: Tensor | None
    shift: Tensor | None


def convolve(operator: Operator, kernel: Tensor, tensor: Tensor, held: Interval, rows: Interval, groups: int) -> Tensor:
    """The kernel (already cut) on ``tensor``, which holds the input rows ``held``: the rows ``rows`` before the pool.

    Rows of padding are added only where the input ends. Bias, normalisation, activation and pool come after.
    """
    if not rows or 0 in kernel.shape[:2]:
        return tensor.new_zeros(kernel.shape[0], len(rows), operator.conv_shape.width)
    if operator.kind == "fc":  # a kernel as large as its map is a matrix product, which is many times faster than a convolution
        return functional.linear(tensor.reshape(1, -1), kernel.reshape(len(kernel), -1)).reshape(-1, 1, 1)
    window = operator.rows
    first, last = rows.start * window.stride - window.before, (rows.stop - 1) * window.stride - window.before + window.extent
    inside = Interval(max(0, first), min(operator.in_shape.height, last))
    padded = _pad(tensor[:, inside.within(held)], Interval(first, last), inside, operator.columns, 0.0)
    dilation = (operator.rows.dilation, operator.columns.dilation)
    out = functional.conv2d(padded[None], kernel, None, (window.stride, operator.columns.stride), 0, dilation, groups)[0]
    return out[:, : len(rows), : operator.conv_shape.width]


def finish(operator: Operator, parameters: Finish, tensor: Tensor, held: Interval, rows: Interval) -> Tensor:
    """Bias and epilogue on ``tensor``, which holds the rows ``held`` before the pool: the output rows ``rows``."""
    if parameters.bias is not None:
        tensor = tensor + parameters.bias[:, None, None]
    for step in operator.epilogue:
        if isinstance(step, Activation):
            tensor = _activation(operator, step)(tensor)
        elif isinstance(step, Normalisation):
            assert parameters.scale is not None
            assert parameters.shift is not None
            tensor = tensor * parameters.scale[:, None, None] + parameters.shift[:, None, None]
        else:
            tensor = _pool(operator, step, tensor, held, rows)
    return tensor


def check_runnable(operator: Operator) -> None:
    """Refuse what the executor has no arithmetic for.

    Raises:
        UnsupportedError: naming the operator and the step.
    """
    if sum(isinstance(step, Normalisation) for step in operator.epilogue) > 1:
        raise UnsupportedError(f"operator {operator.name!r}: an epilogue with two normalisations cannot be run")
    for step in operator.epilogue:
        if isinstance(step, Activation):
            _activation(operator, step)
        elif isinstance(step, Normalisation) and step.function != "batch":
            raise UnsupportedError(f"operator {operator.name!r}: normalisation {step.function!r} cannot be run; known is batch")
        elif isinstance(step, Pool) and step.function == "average" and max(step.rows.dilation, step.columns.dilation) > 1:
            raise UnsupportedError(f"operator {operator.name!r}: an average pool with dilation cannot be run")


def _activation(operator: Operator, step: Activation) -> Callable[[Tensor], Tensor]:
    if step.function not in _ACTIVATIONS:
        raise UnsupportedError(f"operator {operator.name!r}: activation {step.function!r} cannot be run; known are {', '.join(_ACTIVATIONS)}")
    return _ACTIVATIONS[step.function]


def _pool(operator: Operator, step: Pool, tensor: Tensor, held: Interval, rows: Interval) -> Tensor:
    """Max over what lies inside the tensor; average over the whole window, in which padding counts as 0."""
    if not rows or not tensor.shape[0]:
        return tensor.new_zeros(tensor.shape[0], len(rows), operator.out_shape.width)
    window, inside = step.rows, conv_rows(operator, rows)
    first, last = rows.start * window.stride - window.before, (rows.stop - 1) * window.stride - window.before + window.extent
    filler = -torch.inf if step.function == "max" else 0.0
    padded = _pad(tensor[:, inside.within(held)], Interval(first, last), inside, step.columns, filler)
    kernel, stride = (window.kernel, step.columns.kernel), (window.stride, step.columns.stride)
    dilation = (window.dilation, step.columns.dilation)
    if step.function == "max":
        pooled = functional.max_pool2d(padded[None], kernel, stride, 0, dilation)
    else:
        pooled = functional.avg_pool2d(padded[None], kernel, stride)
    return pooled[0][:, : len(rows), : operator.out_shape.width]


def _pad(tensor: Tensor, rows: Interval, inside: Interval, columns: Window, filler: float) -> Tensor:
    """``tensor`` holds the rows ``inside`` the map; padded to ``rows``, which may reach beyond it or lie beyond it altogether."""
    above, below = (inside.start - rows.start, rows.stop - inside.stop) if inside else (len(rows), 0)
    return functional.pad(tensor, (columns.before, columns.after, above, below), value=filler)


def cut(tensor: Tensor, region: Region, held: Region) -> Tensor:
    """The region of a tensor that holds ``held``, as a copy of its own."""
    channels, rows = region.within(held)
    return tensor[channels, rows].clone(memory_format=torch.contiguous_format)
