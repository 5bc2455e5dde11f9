"""Operators that copy elements unchanged: all, some, or in another order."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from iopopt.executor.arithmetic.pieces import TensorSlice, cut, view
from iopopt.network.operators.concat import Concat
from iopopt.network.operators.elementwise import Elementwise
from iopopt.network.operators.slice import Slice
from iopopt.network.operators.space_to_depth import SpaceToDepth
from iopopt.schedule.regions import Interval, Region


def same(_: Elementwise, inputs: Sequence[TensorSlice], region: Region) -> Tensor:
    return cut(inputs[0], region)


def concatenate(operator: Concat, inputs: Sequence[TensorSlice], region: Region) -> Tensor:
    parts, start = [], 0
    for piece, shape in zip(inputs, operator.in_shapes, strict=True):
        channels = Interval(0, shape.channels).meet(region.channels.shifted(-start))
        parts.append(view(piece, Region(channels, region.rows)))
        start += shape.channels
    return torch.cat(parts)


def slice_channels(operator: Slice, inputs: Sequence[TensorSlice], region: Region) -> Tensor:
    return cut(inputs[0], Region(region.channels.shifted(operator.first_channel), region.rows))


def space_to_depth(operator: SpaceToDepth, inputs: Sequence[TensorSlice], region: Region) -> Tensor:
    block, across = operator.rows.kernel, operator.columns.kernel
    rows, width = Interval(region.rows.start * block, region.rows.stop * block), operator.pre_pool_shape.width
    tensor = view(inputs[0], Region(Interval(0, operator.in_shape.channels), rows))[:, :, : width * across]
    blocks = tensor.reshape(len(tensor), len(region.rows), block, width, across).permute(2, 4, 0, 1, 3)
    return blocks.reshape(operator.out_channels, len(region.rows), width)[region.channels.start : region.channels.stop].clone()
