"""The appearance of all pictures: one statement of colours, sizes of text, and of what fits into a bar."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from iopopt.network.records import short_text
from iopopt.pictures.figures import figure_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COMPUTING = ("#c6dbef", "#9ecae1", "#6baed6")
TRANSFERS = ("#fdd0a2", "#fdae6b", "#fd8d3c")
"""Shades for unit after unit: blue and orange differ for colour-blind readers too, and black text is readable on all."""

WAITING, NOTE, GRID, CRITICAL = "#eeeeee", "#666666", "#dddddd", "#000000"
WEIGHTS, HELD, DEMAND, LIMIT = "#bdbdbd", "#9ecae1", "#08519c", "#d55e00"

TEXT, SMALL, TINY = 8.0, 7.0, 5.5
"""Points."""

_CHARACTER = 0.62
"""The width of a character as a part of the size of its text, on average and at most."""


def plain_text(text: str) -> dict[str, Any]:
    """The keywords of a text that is written as it is: on one line, and no formula where it holds dollars."""
    return {"s": short_text(text), "parse_math": False}


def milliseconds(seconds: float) -> str:
    """Four figures, or whole milliseconds if that is more."""
    return f"{seconds * 1e3:,.0f} ms" if seconds >= 0.99995 else f"{seconds * 1e3:.4g} ms"


def shade(shades: tuple[str, ...], number: int) -> str:
    """The shade of the unit of that number."""
    return shades[number % len(shades)]


def fits(text: str, size: float, width: float, height: float) -> bool:
    """Whether a line of text of that size, points, fits into a box, points."""
    return len(text) * _CHARACTER * size + 2 <= width and size <= height


def points_of(axes: Axes, *, settled: bool = True) -> tuple[float, float]:
    """The size of Axes, points: once everything that is drawn so far has made room for each other, or about that if it need not be exact."""
    figure = figure_of(axes)
    layout = figure.get_layout_engine()
    if settled and layout is not None:
        layout.execute(figure)
    box = axes.get_window_extent()
    return box.width * 72 / figure.dpi, box.height * 72 / figure.dpi


def clear_frame(axes: Axes) -> None:
    """Leave only the frame's lower line."""
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(labelsize=SMALL)


def legend_above(axes: Axes, *others: Axes) -> None:
    """The legend of all these Axes in one line above the first: bars and areas first, frames and lines last."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    found = {label: handle for on in (axes, *others) for handle, label in zip(*on.get_legend_handles_labels(), strict=True)}
    labels = sorted(found, key=lambda label: (isinstance(found[label], Line2D), isinstance(found[label], Patch)))
    axes.legend(
        [found[label] for label in labels],
        labels,
        loc="lower right",
        bbox_to_anchor=(1, 1),
        ncols=max(1, len(labels)),
        frameon=False,
        fontsize=SMALL,
        borderaxespad=0.2,
        handlelength=1.2,
    )


def note_beside(axes: Axes, height: float, text: str) -> None:
    """Small text to the right of the Axes, at a height in units of their data."""
    axes.text(1.006, height, text, transform=axes.get_yaxis_transform(), ha="left", va="center", fontsize=TINY, color=NOTE, linespacing=1.3)
