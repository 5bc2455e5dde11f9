"""Input sizes of the zoo's networks."""

from __future__ import annotations

from collections.abc import Callable

from iopopt.errors import GraphError
from iopopt.network.builder import GraphBuilder
from iopopt.network.graph import Graph
from iopopt.network.records import is_integer, short_repr

InputSize = int | tuple[int, int]
"""Height and width of the input; one integer stands for both."""


def build_at_size(name: str, channels: int, input_size: InputSize, layers: Callable[[GraphBuilder], GraphBuilder]) -> Graph:
    """The network that ``layers`` builds, for one input size.

    Raises:
        GraphError: if the input is too small (the message names the smallest side that every layer fits) or is not a size.
    """
    height, width = _sides(name, input_size)
    try:
        return layers(GraphBuilder(name, (channels, height, width))).build()
    except GraphError as error:
        least = _smallest_side(lambda side: layers(GraphBuilder(name, (channels, side, side))).build())
        if min(height, width) >= least:
            raise
        raise GraphError(f"{name}: an input of {height}x{width} is too small; the smallest admissible is {least}x{least}") from error


def _sides(name: str, input_size: InputSize) -> tuple[int, int]:
    sides = input_size if isinstance(input_size, tuple) else (input_size, input_size)
    if len(sides) != 2 or not all(is_integer(side) for side in sides):
        raise GraphError(f"{name}: input_size is {short_repr(input_size)}; it must be an integer or a pair of integers (height, width)")
    return sides[0], sides[1]


def _smallest_side(build: Callable[[int], Graph]) -> int:
    """The smallest side that ``build`` accepts; it accepts every larger one, so bisection finds it."""

    def fits(side: int) -> bool:
        try:
            build(side)
        except GraphError:
            return False
        return True

    high = 1
    while not fits(high):
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if fits(middle) else (middle, high)
    return high
