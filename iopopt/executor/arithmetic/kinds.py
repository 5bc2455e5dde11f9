"""The arithmetic of each kind of operator, before its epilogue."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor

from iopopt.errors import UnsupportedError
from iopopt.executor.arithmetic.epilogue import check_epilogue
from iopopt.executor.arithmetic.joining import add, multiply
from iopopt.executor.arithmetic.kernels import convolution, product
from iopopt.executor.arithmetic.pieces import TensorSlice
from iopopt.executor.arithmetic.pooling import pool_alone
from iopopt.executor.arithmetic.rearranging import concatenate, same, slice_channels, space_to_depth
from iopopt.executor.arithmetic.upsampling import upsample
from iopopt.network.operators.operator import Operator
from iopopt.schedule.regions import Interval, Region

_WITH_KERNEL: Mapping[str, Callable[[Any, Tensor, Tensor, Interval, Interval, int], Tensor]] = {
    "conv": convolution,
    "fc": product,
}

_WITHOUT_KERNEL: Mapping[str, Callable[[Any, Sequence[TensorSlice], Region], Tensor]] = {
    "pool": pool_alone,
    "elementwise": same,
    "add": add,
    "mul": multiply,
    "concat": concatenate,
    "slice": slice_channels,
    "upsample": upsample,
    "space_to_depth": space_to_depth,
}


def convolve(operator: Operator, kernel: Tensor, tensor: Tensor, held: Interval, rows: Interval, groups: int) -> Tensor:
    """The pre-pool rows ``rows`` of the kernel (already cut) on ``tensor``, which holds the input rows ``held``.

    Bias and epilogue come after.
    """
    if not rows or 0 in kernel.shape[:2]:
        return tensor.new_zeros(kernel.shape[0], len(rows), operator.pre_pool_shape.width)
    return _WITH_KERNEL[operator.kind](operator, kernel, tensor, held, rows, groups)


def without_kernel(operator: Operator, inputs: Sequence[TensorSlice], region: Region) -> Tensor:
    """``region`` of the output of an operator without a kernel, before its epilogue, from the held slices ``inputs``."""
    if not region:
        return inputs[0].tensor.new_zeros(len(region.channels), len(region.rows), operator.pre_pool_shape.width)
    return _WITHOUT_KERNEL[operator.kind](operator, inputs, region)


def check_runnable(operator: Operator) -> None:
    """Refuse what the executor has no arithmetic for.

    Raises:
        UnsupportedError: naming the operator, and its kind or the step.
    """
    known = _WITH_KERNEL if operator.has_kernel else _WITHOUT_KERNEL
    if operator.kind not in known:
        raise UnsupportedError(f"operator {operator.name!r}: kind {operator.kind!r} cannot be run; known are {', '.join(known)}")
    check_epilogue(operator)
