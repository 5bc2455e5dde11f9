"""Slices of channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from iopopt.network.operators.operator import Operator
from iopopt.network.typical_values import Values


@dataclass(frozen=True)
class Slice(Operator):
    """The channels [first_channel, first_channel + out_channels) of a map."""

    kind: ClassVar[str] = "slice"

    out_channels: int = field()
    first_channel: int = 0

    def _check(self) -> None:
        C, OC, first = self.in_shape.channels, self.out_channels, self.first_channel
        self._require(OC > 0, f"{OC} output channels must be a positive integer")
        self._require(0 <= first <= C - OC, f"{OC} channels starting at {first} are outside the {C} of the input")

    @property
    def text(self) -> str:
        return f"slice from {self.first_channel}"

    def read_channels(self, slot: int = 0) -> range:
        return range(self.first_channel, self.first_channel + self.out_channels)

    def typical(self, inputs: Sequence[Values], rng: np.random.Generator) -> Values:
        return inputs[0]
