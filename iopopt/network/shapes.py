"""Shapes of feature maps, sliding windows, and the dimensions by which an operator can be split."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from iopopt.errors import GraphError
from iopopt.records import is_integer, short_repr

Dim = Literal["H", "OC", "IC"]
"""The three dimensions of equation (2): rows, output channels, input channels."""


class Shape(NamedTuple):
    """A feature map: channels, height, width."""

    channels: int
    height: int
    width: int

    @property
    def elements(self) -> int:
        return self.channels * self.height * self.width

    def __str__(self) -> str:
        return f"{self.channels}x{self.height}x{self.width}"


@dataclass(frozen=True)
class Window:
    """A sliding window along one axis: ``before`` and ``after`` are the padding above (left) and below (right).

    ``upsampling`` is for upsampling operators alone: each position of the window gives that many outputs.
    """

    kernel: int = 1
    stride: int = 1
    before: int = 0
    after: int = 0
    dilation: int = 1
    upsampling: int = 1

    def __post_init__(self) -> None:
        for name, least in (("kernel", 1), ("stride", 1), ("before", 0), ("after", 0), ("dilation", 1), ("upsampling", 1)):
            value = getattr(self, name)
            if not is_integer(value) or value < least:
                raise GraphError(f"window: {name} is {short_repr(value)}; it must be an integer of at least {least}")

    @property
    def extent(self) -> int:
        """The rows under the dilated kernel."""
        return (self.kernel - 1) * self.dilation + 1

    def output_size(self, size: int) -> int:
        """How many outputs the window gives over ``size`` rows; 0 or less where it does not fit."""
        return ((size + self.before + self.after - self.extent) // self.stride + 1) * self.upsampling
