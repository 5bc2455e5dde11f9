"""Memory against latency: the points of a front, and the region below the staircase of proven bounds, where no plan lies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iopopt.methods.pareto import ParetoFront
from iopopt.network.records import short_text
from iopopt.pictures.appearance import DEMAND, GRID, LIMIT, NOTE, SMALL, TEXT, WAITING
from iopopt.pictures.figures import new_column

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDTH_INCHES, _HEIGHT_INCHES = 6.4, 3.8
_ROOM = 0.06
"""What is left free beside the outermost points, as a part of their distance."""


def draw_pareto(front: ParetoFront, axes: Axes | None = None) -> Axes:
    """Draw a front: memory as a percentage of the limits to the right, latency in ms upwards; no plan of its space lies in the shaded region.

    Args:
        axes: where to draw; a new figure by default.

    Raises:
        MissingExtraError: if matplotlib is missing.
        ValueError: if the front has no point.
    """
    if not front.points:
        raise ValueError("a front without points cannot be drawn")
    if axes is None:
        (axes,) = new_column([_HEIGHT_INCHES], _WIDTH_INCHES)
    points = front.points
    shares, latencies = [100 * point.share for point in points], [1e3 * point.latency_s for point in points]
    left, right = _around(min(100 * front.least_share, shares[0]), shares[-1])
    edges, heights = _staircase(front, left / 100, right / 100)
    xs, ys = [100 * edge for edge in edges], [1e3 * height for height in heights]
    low, top = _around(min([*ys, *latencies]), max(latencies))
    axes.fill_between([left, 100 * front.least_share], low, top + (top - low), color=WAITING, linewidth=0, label="no plan (proven)")
    axes.fill_between(xs, low, ys, step="post", color=WAITING, linewidth=0)
    axes.step(xs, ys, where="post", color=LIMIT, linewidth=1.2, label="proven bound")
    axes.vlines(100 * front.least_share, ys[0], top + (top - low), color=LIMIT, linewidth=1.2)
    axes.step([*shares, right], [*latencies, latencies[-1]], where="post", color=DEMAND, linewidth=0.8, linestyle=":")
    axes.plot(shares, latencies, "o", color=DEMAND, markersize=4.5, label="plan", zorder=3)
    axes.set_xlim(left, right)
    axes.set_ylim(low, top)
    axes.set_xlabel("largest memory of a device, % of its limit", fontsize=TEXT)
    axes.set_ylabel("latency, ms", fontsize=TEXT)
    axes.set_title(f"{short_text(front.model, 30)}: memory against latency", fontsize=TEXT, loc="left", parse_math=False)
    axes.tick_params(labelsize=SMALL)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color=GRID, linewidth=0.5)
    axes.set_axisbelow(True)
    axes.legend(loc="upper right", fontsize=SMALL, frameon=False, labelcolor=NOTE)
    return axes


def _around(least: float, most: float) -> tuple[float, float]:
    """The ends of an axis that shows both figures."""
    room = _ROOM * (most - least) or 0.05 * most or 1.0
    return max(0.0, least - room), most + 2 * room


def _staircase(front: ParetoFront, left: float, right: float) -> tuple[list[float], list[float]]:
    """Where the bound changes from the least share to the right end, and the bound from there on, seconds; repeated at the end."""
    edges = [front.least_share, *(step.cap for step in front.steps if front.least_share < step.cap < right)]
    heights = [front.staircase(_beyond(edge)) or 0.0 for edge in edges]
    return [*edges, right], [*heights, heights[-1]]


def _beyond(edge: float) -> float:
    """Just beyond a cap, where its bound no longer holds."""
    return edge * (1 + 1e-12)
