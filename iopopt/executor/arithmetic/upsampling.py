"""Repetition of rows and columns, and interpolation between them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from iopopt.executor.arithmetic.pieces import TensorSlice
from iopopt.network.operators.upsample import Upsample
from iopopt.schedule.regions import Interval, Region


def upsample(operator: Upsample, inputs: Sequence[TensorSlice], region: Region) -> Tensor:
    (held, tensor), (_, height, width) = inputs[0], operator.in_shape
    tensor = tensor[region.channels.within(held.channels)]
    along = _nearest if operator.function == "nearest" else _linear
    tensor = along(tensor, 1, operator.rows.upsampling, region.rows, held.rows, height)
    return along(tensor, 2, operator.columns.upsampling, Interval(0, operator.pre_pool_shape.width), Interval(0, width), width)


def _nearest(tensor: Tensor, axis: int, times: int, wanted: Interval, held: Interval, _: int) -> Tensor:
    """Each position ``times`` times, along one axis."""
    places = torch.arange(wanted.start, wanted.stop) // times
    return tensor.index_select(axis, places - held.start)


def _linear(tensor: Tensor, axis: int, times: int, wanted: Interval, held: Interval, size: int) -> Tensor:
    """Output i is at (i + 1/2) / times - 1/2, between two positions; outside the map, the edge value is repeated."""
    doubled = 2 * torch.arange(wanted.start, wanted.stop) + 1 - times
    below = torch.div(doubled, 2 * times, rounding_mode="floor")
    shape = [1, 1, 1]
    shape[axis] = -1
    weight = ((doubled - below * 2 * times).to(tensor.dtype) / (2 * times)).reshape(shape)
    lower, upper = (tensor.index_select(axis, places.clamp(0, size - 1) - held.start) for places in (below, below + 1))
    return lower * (1 - weight) + upper * weight
