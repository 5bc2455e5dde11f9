"""The base class of operators that combine maps element by element."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from iopopt.network.operators.operator import Operator
from iopopt.network.shapes import Shape


@dataclass(frozen=True)
class Join(Operator):
    """Combines maps of one shape, or a map and gates with one element for each channel."""

    channel_by_channel: ClassVar[bool] = True

    more_inputs: tuple[Shape, ...] = field()

    def _check(self) -> None:
        self._require(bool(self.more_inputs), f"this {self.kind} has one input; it joins several")
        gate = Shape(self.in_shape.channels, 1, 1)
        for shape in self.more_inputs:
            self._require(shape in (self.in_shape, gate), f"{self.kind} of {self.in_shape} and {shape}; the second must be {self.in_shape} or {gate}")

    def is_gate(self, slot: int) -> bool:
        return self.in_shapes[slot] != self.in_shape
