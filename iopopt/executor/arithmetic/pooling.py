"""Pools that are separate operators."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from iopopt.executor.arithmetic.pieces import TensorSlice
from iopopt.executor.arithmetic.windows import pool
from iopopt.network.operators.pool import Pooling
from iopopt.schedule.regions import Region


def pool_alone(operator: Pooling, inputs: Sequence[TensorSlice], region: Region) -> Tensor:
    tensor = inputs[0].tensor[region.channels.within(inputs[0].region.channels)]
    size = operator.in_shape.height, operator.in_shape.width
    return pool(operator.function, operator.rows, operator.columns, size, tensor, inputs[0].region.rows, region.rows)
