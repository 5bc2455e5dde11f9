"""Sums and products of maps, and of a map and gates."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import torch
from torch import Tensor

from iopopt.executor.arithmetic.pieces import TensorSlice, view
from iopopt.network.operators.join import Join
from iopopt.schedule.regions import Region


def add(operator: Join, inputs: Sequence[TensorSlice], region: Region) -> Tensor:
    return reduce(torch.add, _terms(operator, inputs, region))


def multiply(operator: Join, inputs: Sequence[TensorSlice], region: Region) -> Tensor:
    return reduce(torch.mul, _terms(operator, inputs, region))


def _terms(operator: Join, inputs: Sequence[TensorSlice], region: Region) -> list[Tensor]:
    """The part of each input that ``region`` needs; a gate is broadcast."""
    return [view(piece, Region(region.channels, piece.region.rows) if operator.is_gate(slot) else region) for slot, piece in enumerate(inputs)]
