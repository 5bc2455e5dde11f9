"""The picture: where the latency of one device goes, idea by idea."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from benchmarks.ideas.gains import latencies_of, tier_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_STEPS = (
    ("blocks", "left with everything", "#4D4D4D"),
    ("two_phase", "fused blocks", "#0072B2"),
    ("pairs", "two-phase reduces", "#009E73"),
    ("rows_oc", "interleaved pairs", "#E69F00"),
    ("better", "rows and output channels together", "#D55E00"),
    ("single", "the better of rows only and output channels only", "#DDDDDD"),
)
"""Up to the latency of each space, what takes it away, and its colour; the palette of Okabe and Ito, which colour-blind readers can distinguish."""

_MARKS = (("oc", "output channels only", "v"), ("rows", "rows only", "^"), ("by_speed", "everything, at shares by speed", "D"))
_BAR, _HEAD, _FOOT, _WIDTH = 0.27, 0.75, 1.15, 10.0
"""Heights of a bar, of the title and the axis of a panel, and of the legend; the width of the picture; inches."""


def draw(rows: pd.DataFrame) -> Figure:
    """A panel for each tier and a bar for each instance: the latency of one device is 100, and each idea takes a part of it away."""
    from matplotlib.figure import Figure

    latencies = latencies_of(rows).dropna()
    percent = latencies.div(latencies["single"], axis=0) * 100
    percent["better"] = percent[["oc", "rows"]].min(axis=1)
    tiers = [tier_of(cluster) for _, cluster in percent.index]
    panels = [percent[[tier == other for other in tiers]] for tier in dict.fromkeys(tiers)]
    columns = min(2, len(panels))
    depth = -(-len(panels) // columns)
    bars = max(map(len, panels))
    height = depth * (_HEAD + _BAR * bars) + _FOOT
    figure = Figure(figsize=(_WIDTH, height))
    grid = figure.subplots(depth, columns, sharex=True, squeeze=False)
    figure.subplots_adjust(left=0.15, right=0.98, top=1 - 0.6 / height, bottom=_FOOT / height, hspace=0.36, wspace=0.38)
    figure.suptitle("What each idea takes away from the latency of the best single device", weight="bold", size=12, y=1 - 0.12 / height, va="top")
    for axes, panel in zip(grid.flat, panels, strict=False):
        _draw_panel(axes, panel)
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    handles, labels = grid.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=3, frameon=False, fontsize=9)
    return figure


def _draw_panel(axes: Axes, panel: pd.DataFrame) -> None:
    places = range(len(panel))
    left = pd.Series(0.0, panel.index)
    for space, label, colour in _STEPS:
        axes.barh(places, panel[space] - left, left=left, height=0.72, color=colour, label=label)
        left = panel[space]
    for space, label, marker in _MARKS:
        axes.plot(panel[space], places, marker, color="white", markeredgecolor="black", markersize=5, label=label, clip_on=False, zorder=3)
    axes.set_yticks(places, [f"{model} x{cluster.rpartition('-x')[2]}" for model, cluster in panel.index], size=8)
    axes.invert_yaxis()
    axes.set_xlim(0, 100)
    axes.tick_params(labelbottom=True)
    axes.set_xlabel("latency, % of the best single device", size=9)
    axes.set_title(tier_of(str(panel.index[0][1])), size=11)
