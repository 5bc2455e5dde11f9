"""Pools that are separate operators."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from iopopt.network.epilogue import PoolFunction, pool_text
from iopopt.network.operators.operator import Operator
from iopopt.network.shapes import NO_WINDOW, Window
from iopopt.network.typical_values import Values, pooled


@dataclass(frozen=True)
class Pooling(Operator):
    """A maximum or an average of each channel under a window."""

    kind: ClassVar[str] = "pool"
    channel_by_channel: ClassVar[bool] = True

    function: PoolFunction
    rows: Window = NO_WINDOW
    columns: Window = NO_WINDOW

    @cached_property
    def fusible(self) -> bool:
        return super().fusible and self.rows.extent < self.in_shape.height

    @property
    def text(self) -> str:
        return f"pool {pool_text(self.function, self.rows, self.columns)}"

    def typical(self, inputs: Sequence[Values], rng: np.random.Generator) -> Values:
        return pooled(inputs[0], self.function, self.rows, self.columns, rng)
