"""Concatenations of channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import numpy as np

from iopopt.network.operators.operator import Operator
from iopopt.network.shapes import Shape
from iopopt.network.typical_values import COUNT, Values


@dataclass(frozen=True)
class Concat(Operator):
    """The channels of several maps of one height and width, one map after another."""

    kind: ClassVar[str] = "concat"

    more_inputs: tuple[Shape, ...] = field()

    def _check(self) -> None:
        self._require(bool(self.more_inputs), "this concat has one input; it joins several")
        for shape in self.more_inputs:
            self._require(shape[1:] == self.in_shape[1:], f"a concat joins maps of one height and width; found {self.in_shape} and {shape}")

    @cached_property
    def out_channels(self) -> int:
        return sum(shape.channels for shape in self.in_shapes)

    def typical(self, inputs: Sequence[Values], rng: np.random.Generator) -> Values:
        channels = np.array([shape.channels for shape in self.in_shapes])
        return np.stack(inputs)[rng.choice(len(inputs), COUNT, p=channels / channels.sum()), np.arange(COUNT)]
