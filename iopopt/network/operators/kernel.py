"""The base class of operators with a kernel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from iopopt.network.operators.operator import Operator
from iopopt.network.typical_values import COUNT, Values


@dataclass(frozen=True)
class KernelOperator(Operator):
    """Multiplies the elements under its window by a kernel and sums over rows, columns and the input channels of a group."""

    out_channels: int = field()
    bias: bool = field(default=True, kw_only=True)

    def _check(self) -> None:
        super()._check()
        C, OC, groups = self.in_shape.channels, self.out_channels, self.groups
        self._require(OC > 0 and groups > 0, f"{OC} output channels and {groups} groups must be positive integers")
        divide = C % groups == 0 and OC % groups == 0
        self._require(divide, f"{groups} groups do not divide both {C} input and {OC} output channels")

    @cached_property
    def kernel_shape(self) -> tuple[int, ...]:
        """(OC, C_in / groups, kernel rows, kernel columns)."""
        return self.out_channels, self.in_shape.channels // self.groups, self.rows.kernel, self.columns.kernel

    def typical(self, inputs: Sequence[Values], rng: np.random.Generator) -> Values:
        bias = rng.uniform(-0.5, 0.5, COUNT) if self.bias else 0.0
        return rng.standard_normal(COUNT) + bias
