"""Upsampling by whole factors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import ClassVar, Literal

import numpy as np

from iopopt.network.epilogue import NO_POOL
from iopopt.network.operators.operator import Operator
from iopopt.network.shapes import NO_WINDOW, Window
from iopopt.network.typical_values import Values


@dataclass(frozen=True)
class Upsample(Operator):
    """Repeats each row u times (``nearest``) or interpolates between its neighbours (``linear``), u = ``rows.upsampling``; same for columns.

    Output i is at position (i + 1/2) / u - 1/2 of the input, so ``linear`` has a window of 3.
    """

    kind: ClassVar[str] = "upsample"
    channel_by_channel: ClassVar[bool] = True

    function: Literal["nearest", "linear"]
    rows: Window = NO_WINDOW
    columns: Window = NO_WINDOW

    def _check(self) -> None:
        kernel = 3 if self.function == "linear" else 1
        fits = all(window == Window(kernel, 1, kernel // 2, kernel // 2, 1, window.upsampling) for window in (self.rows, self.columns))
        self._require(fits, f"an upsampling by {self.function} has windows of kernel {kernel}, padding {kernel // 2} and stride 1")
        self._require(self.pool is NO_POOL, "a pool after an upsampling must be a separate operator")

    @property
    def text(self) -> str:
        return f"upsample {self.function} {self.rows.upsampling}x{self.columns.upsampling}"

    @cached_property
    def fusible(self) -> bool:
        return False

    @cached_property
    def K(self) -> int | Fraction:
        """k - 1 + 1/u: only the u outputs of one block together read whole rows."""
        return super().K if self.rows.upsampling == 1 else self.rows.extent - 1 + self.S

    @cached_property
    def S(self) -> int | Fraction:
        """1/u."""
        return super().S if self.rows.upsampling == 1 else Fraction(1, self.rows.upsampling)

    def typical(self, inputs: Sequence[Values], rng: np.random.Generator) -> Values:
        return inputs[0]
