"""What a picture shows, read back from its Axes."""

from __future__ import annotations

from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.container import BarContainer
from matplotlib.patches import Rectangle


class Box(NamedTuple):
    """A bar: from left to right, from top to bottom in data coordinates, and its colour."""

    left: float
    right: float
    top: float
    bottom: float
    colour: str


def box_of(bar: Rectangle) -> Box:
    x, y = bar.get_xy()
    return Box(x, x + bar.get_width(), y, y + bar.get_height(), to_hex(bar.get_facecolor()))


def bars(axes: Axes, label: str) -> list[Box]:
    """The bars with this entry in the legend, in the order in which they were drawn."""
    return [
        box_of(bar) for container in axes.containers if isinstance(container, BarContainer) and container.get_label() == label for bar in container
    ]


def bar_labels(axes: Axes) -> list[str]:
    """The entries of bars in the legend, in the order in which they were drawn."""
    return [str(container.get_label()) for container in axes.containers]


def legend(axes: Axes) -> list[str]:
    """The entries of the legend."""
    found = axes.get_legend()
    return [] if found is None else [text.get_text() for text in found.get_texts()]


def texts(axes: Axes) -> list[str]:
    """Everything written on the Axes but titles, ticks and the legend."""
    return [text.get_text() for text in axes.texts]
