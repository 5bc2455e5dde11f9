"""Kernels, already cut to a device's channels, on the rows that it holds. Bias and epilogue come after."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from iopopt.executor.arithmetic.windows import of_both, pad, under
from iopopt.network.operators.operator import Operator
from iopopt.schedule.regions import Interval


def convolution(operator: Operator, kernel: Tensor, tensor: Tensor, held: Interval, rows: Interval, groups: int) -> Tensor:
    """The pre-pool rows ``rows``; rows of padding are added only where the input ends."""
    span, inside = under(operator.rows, rows, operator.in_shape.height)
    padded = pad(tensor[:, inside.within(held)], span, inside, operator.columns, 0.0)
    strides, dilations = of_both("stride", operator.rows, operator.columns), of_both("dilation", operator.rows, operator.columns)
    out = functional.conv2d(padded[None], kernel, None, strides, 0, dilations, groups)[0]
    return out[:, : len(rows), : operator.pre_pool_shape.width]


def product(_: Operator, kernel: Tensor, tensor: Tensor, held: Interval, rows: Interval, groups: int) -> Tensor:
    """A kernel as large as its map is a matrix product, which is many times faster than a convolution."""
    return functional.linear(tensor.reshape(1, -1), kernel.reshape(len(kernel), -1)).reshape(-1, 1, 1)
