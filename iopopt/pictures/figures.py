"""Figures: made without pyplot, so that nothing global changes, and saved the same way everywhere."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from iopopt.errors import FileFormatError, MissingExtraError
from iopopt.network.records import short_repr

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = (".png", ".pdf", ".svg")
"""The suffixes of the files that figures are saved to."""

WIDTH = 11.0
"""Inches; a page across."""

_DPI = 150


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of this size, inches, whose parts make room for each other.

    Raises:
        MissingExtraError: if matplotlib is missing.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise MissingExtraError("the figure needs matplotlib: pip install 'iopopt[figures]'")
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def new_column(heights: Sequence[float], width: float = WIDTH) -> list[Axes]:
    """The Axes of a new figure, one below the other with one horizontal axis, of these heights, inches.

    Raises:
        MissingExtraError: if matplotlib is missing.
    """
    figure = new_figure(width, sum(heights))
    grid = figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=list(heights))
    return list(grid[:, 0])


def figure_of(axes: Axes) -> Figure:
    """The figure that Axes stand in, whole even if they stand in a part of it."""
    return axes.figure.figure


def check_format(path: Path) -> None:
    """Refuse a file name that no figure can be saved under.

    Raises:
        FileFormatError: if its suffix is none of :data:`FORMATS`; the message names them.
    """
    if path.suffix.lower() not in FORMATS:
        raise FileFormatError(f"{path}: suffix {short_repr(path.suffix)} is unknown; known are {', '.join(FORMATS)}")


def save_figure(figure: Figure, path: str | Path) -> None:
    """Write a figure; the same figure always gives the same file.

    Raises:
        FileFormatError: if the suffix is none of :data:`FORMATS`, or the file cannot be written.
    """
    path = Path(path)
    check_format(path)
    import matplotlib

    dates = {".pdf": {"CreationDate": None}, ".svg": {"Date": None}}.get(path.suffix.lower(), {})
    try:
        with matplotlib.rc_context({"pdf.fonttype": 42, "svg.hashsalt": "iopopt"}):  # TrueType, which publishers ask for
            figure.savefig(path, dpi=_DPI, metadata=dates)
    except (OSError, ValueError) as error:
        raise FileFormatError(f"{str(path)!r}: cannot be written ({getattr(error, 'strerror', None) or error})") from None
