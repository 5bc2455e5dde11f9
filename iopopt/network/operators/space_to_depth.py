"""Blocks of pixels that become channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from iopopt.network.operators.operator import Operator
from iopopt.network.shapes import NO_WINDOW, Window
from iopopt.network.typical_values import Values


@dataclass(frozen=True)
class SpaceToDepth(Operator):
    """Pixel (y, x) of each block of ``rows.kernel`` x ``columns.kernel`` in channel c becomes channel (y ``columns.kernel`` + x) C + c."""

    kind: ClassVar[str] = "space_to_depth"

    rows: Window = NO_WINDOW
    columns: Window = NO_WINDOW

    def _check(self) -> None:
        blocks = all(window == Window(window.kernel, window.kernel) for window in (self.rows, self.columns))
        self._require(blocks, "space_to_depth takes blocks: its stride must equal its kernel")
        divide = self.in_shape.height % self.rows.kernel == 0 and self.in_shape.width % self.columns.kernel == 0
        self._require(divide, f"blocks of {self.rows.kernel}x{self.columns.kernel} do not divide the input {self.in_shape}")

    @cached_property
    def out_channels(self) -> int:
        return self.in_shape.channels * self.rows.kernel * self.columns.kernel

    @property
    def text(self) -> str:
        return f"space_to_depth {self.rows.kernel}x{self.columns.kernel}"

    def typical(self, inputs: Sequence[Values], rng: np.random.Generator) -> Values:
        return inputs[0]
