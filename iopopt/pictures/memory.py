"""Memory over time: what each device holds, beside its limit and what equation (1) demands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from iopopt.errors import UnsupportedError
from iopopt.network.records import short_text
from iopopt.pictures.appearance import DEMAND, GRID, HELD, LIMIT, SMALL, WEIGHTS, legend_above, note_beside
from iopopt.pictures.figures import new_column
from iopopt.pictures.timeline import end_s, set_time_axis
from iopopt.simulation.held_memory import HeldMemory
from iopopt.simulation.timeline import Timeline

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_PANEL_INCHES, _LEGEND_INCHES, _AXIS_INCHES = 0.8, 0.15, 0.3
_MS, _MB = 1e3, 1e6
_ROOM = 1.15
"""How high a panel is, as a multiple of what it shows; a limit above it is written beside it."""

_MOSTLY_WEIGHTS = 0.75
"""The part of a panel beyond which weights are cut off below, so that the rest is not squeezed."""


def draw_memory(
    timeline: Timeline, axes: Sequence[Axes] | None = None, *, demands_bytes: Sequence[float] | None = None, until_s: float | None = None
) -> list[Axes]:
    """Draw what each device holds over time, MB, one device below the other, weights shaded; figures stand beside the panels.

    A panel that would be little but weights does not begin at 0.

    Args:
        axes: where to draw each device; a new figure by default.
        demands_bytes: equation (1)'s demand of each device (:attr:`Evaluation.memory_bytes`), drawn as a line.
        until_s: the end of the time axis; the end of the timeline by default.

    Raises:
        UnsupportedError: if the timeline does not say what devices hold.
        MissingExtraError: if matplotlib is missing.
    """
    if not timeline.memory:
        raise UnsupportedError(f"this {timeline.origin} timeline does not say what devices hold; simulate() gives one that does")
    axes = new_column(memory_heights(timeline)) if axes is None else axes
    demands = [None] * len(timeline.memory) if demands_bytes is None else demands_bytes
    for device, held, demand, on in zip(timeline.cluster.devices, timeline.memory, demands, axes, strict=True):
        set_time_axis(on, until_s or end_s(timeline))
        _draw_device(on, held, demand, end_s(timeline))
        on.set_ylabel(f"{short_text(device.name, 16)}\nMB", fontsize=SMALL, parse_math=False)
    legend_above(*axes)
    return list(axes)


def memory_heights(timeline: Timeline) -> list[float]:
    """The height that the panel of each device needs, inches; the first has the legend, the last the axis."""
    heights = [_PANEL_INCHES] * len(timeline.cluster)
    heights[0] += _LEGEND_INCHES
    heights[-1] += _AXIS_INCHES
    return heights


def _draw_device(axes: Axes, held: HeldMemory, demand_bytes: float | None, until_s: float) -> None:
    """The panel of one device."""
    times = [time * _MS for time in (*held.times_s, max(until_s, held.times_s[-1]))]
    sizes = [size / _MB for size in (*held.held_bytes, held.held_bytes[-1])]
    weights, limit, most = held.weights_bytes / _MB, held.limit_bytes / _MB, max(held.peak_bytes, demand_bytes or 0.0) / _MB
    axes.fill_between(times, weights, sizes, step="post", color=HELD, linewidth=0, label="activations")
    axes.fill_between(times, 0, weights, color=WEIGHTS, linewidth=0, label="weights")
    if demand_bytes is not None:
        axes.axhline(demand_bytes / _MB, color=DEMAND, linewidth=1.1, linestyle="--", label="demand of equation (1)")
    shown = most
    if limit <= _ROOM * most:
        axes.axhline(limit, color=LIMIT, linewidth=1.3, label="limit of the device")
        shown = max(most, limit)
    lowest = min(weights, limit)
    bottom = lowest - (shown - lowest) / 2 if lowest > _MOSTLY_WEIGHTS * shown else 0.0
    axes.set_ylim(bottom, bottom + _ROOM * (shown - bottom) or 1.0)
    figures = {"weights": weights, "peak": held.peak_bytes / _MB, "limit": limit}
    note_beside(axes, sum(axes.get_ylim()) / 2, "\n".join(f"{name} {size:.4g}" for name, size in figures.items()))
    axes.spines["left"].set_visible(True)
    axes.locator_params(axis="y", nbins=3)
    axes.ticklabel_format(axis="y", style="plain", useOffset=False)
    axes.grid(axis="y", color=GRID, linewidth=0.5)
