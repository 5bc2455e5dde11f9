"""Feature maps, the windows that slide over them, and the dimensions by which operators are split."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from iopopt.errors import GraphError
from iopopt.network.records import is_integer, short_repr

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

    ``upsampling`` is for upsampling operators only: each position of the window gives that many outputs.
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
        """How many outputs the window gives over ``size`` rows; 0 or less if it does not fit."""
        return ((size + self.before + self.after - self.extent) // self.stride + 1) * self.upsampling


NO_WINDOW = Window()
"""Each output reads the one input at the same position."""


def window_text(rows: Window, columns: Window) -> str:
    """The kernel, and stride and dilation unless they are 1: ``3x3/2``, ``1x7``, ``3x3 dilated 2``."""
    stride = f"/{_both(rows.stride, columns.stride)}" if (rows.stride, columns.stride) != (1, 1) else ""
    dilation = f" dilated {_both(rows.dilation, columns.dilation)}" if (rows.dilation, columns.dilation) != (1, 1) else ""
    return f"{rows.kernel}x{columns.kernel}{stride}{dilation}"


def _both(rows: int, columns: int) -> str:
    return str(rows) if rows == columns else f"{rows}x{columns}"
