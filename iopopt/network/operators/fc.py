"""Fully connected operators."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from iopopt.network.operators.kernel import KernelOperator
from iopopt.network.shapes import Window


@dataclass(frozen=True)
class FullyConnected(KernelOperator):
    """A convolution whose kernel is its whole input map: one output row.

    After a flatten its input channels are still the channels of the feature map, so that an IC split of it can match an OC split before it.
    """

    kind: ClassVar[str] = "fc"

    @cached_property
    def fusible(self) -> bool:
        return False

    @cached_property
    def rows(self) -> Window:
        return Window(self.in_shape.height)

    @cached_property
    def columns(self) -> Window:
        return Window(self.in_shape.width)
