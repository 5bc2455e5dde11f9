"""Speed-up of VGG16 on three Raspberry Pi 4 over one of them, by HALP and others, at link rates of 1 to 1000 Mbit/s.

The HALP paper publishes 1.7 times and its abstract does not say at which rate: the figure shows at which rates the thinnest zone of the host, and the
best shares of the three, give as much. All latencies are without barriers. A quarter of an hour, or 13 times the time limit of method overlap;
writes figure_halp.csv (one row for each rate and curve), .md and .png.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from iopopt import Cluster, Graph, Placement, Plan, Simulator, Solution, halp_plan, load_cluster, load_model, solve
from paper_figs.appearance import LOOKS, PAPER_COLOUR, label
from paper_figs.columns import Column, Table, fixed
from paper_figs.command_line import run
from paper_figs.comparison import Progress
from paper_figs.published import caveat, halp_paper
from paper_figs.report import Report

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STEM = "figure_halp"
MODEL, BOARDS = "vgg16", "pi4-x3"
RATES_MBIT_PER_S = tuple(10 ** (quarter / 4) for quarter in range(13))
STEPS = len(RATES_MBIT_PER_S)
TOP = 3.2
PAPER_KEY = "paper_speed_up"
BOUND = "bound"


class Curve(NamedTuple):
    """The name of a curve, and the method and line by which it is drawn."""

    name: str
    method: str
    line: str


CURVES = {
    "overlap": Curve("any plan (method overlap)", "overlap", "-"),
    "halp_opt": Curve("HALP, best shares", "halp", "-"),
    "halp_min": Curve("HALP, thinnest zone", "halp", ":"),
    "halp_in_order": Curve("HALP without overlap", "halp", "--"),
    "coedge": Curve(label("coedge"), "coedge", "-"),
}
"""By key of the CSV file, in the order of the legend."""

READINGS = ("halp_min", "halp_opt", "halp_in_order")
"""What the published figure may mean."""


class Point(NamedTuple):
    """One rate: seconds of one device alone and by curve, and what no plan takes less than, 0 if nothing is proven."""

    mbit_per_s: float
    alone_s: float
    latency_s: Mapping[str, float]
    bound_s: float

    def speed_up(self, curve: str) -> float:
        """Over one device; of the bound, the most that any plan can gain."""
        seconds = self.bound_s if curve == BOUND else self.latency_s[curve]
        return self.alone_s / seconds if seconds > 0 else math.inf


def load(model: str, mbit_per_s: float) -> tuple[Graph, Cluster]:
    """The network and the Pis, all of whose links have this rate; every Pi has the input."""
    graph = load_model(model)
    boards = load_cluster(BOARDS, graph)
    devices = tuple(dataclasses.replace(device, bandwidth_bytes_per_s=mbit_per_s * 1e6 / 8) for device in boards.devices)
    return graph, dataclasses.replace(boards, devices=devices)


def measure(model: str, mbit_per_s: float, time_limit_s: float, progress: Progress) -> Point:
    """Every curve at one rate; the limit is that of method overlap, which starts from HALP's plan too."""
    graph, cluster = load(model, mbit_per_s)
    clock, in_order = Simulator(graph, cluster), Simulator(graph, cluster, boundary_first=False)
    thin, best = _planned(graph, cluster, "halp", zone="min"), _planned(graph, cluster, "halp", zone="opt")
    rows = _planned(graph, cluster, "coedge").plan
    most = _planned(graph, cluster, "overlap", time_limit_s=time_limit_s, warm_start=best.plan)
    assert rows is not None  # a fixed scheme always has a plan
    alone = Plan.of(graph, [Placement.whole(cluster.sink)] * len(graph))
    point = Point(
        mbit_per_s,
        clock.makespan_s(alone),
        {
            "overlap": most.latency_s,
            "halp_opt": best.latency_s,
            "halp_min": thin.latency_s,
            "halp_in_order": in_order.makespan_s(halp_plan(graph, cluster, refine="layer", overlap=False)),
            "coedge": clock.makespan_s(rows),
        },
        0.0 if most.bound_s is None else most.bound_s,
    )
    progress(f"{mbit_per_s:.3g} Mbit/s: " + ", ".join(f"{curve.name} {point.speed_up(key):.2f}" for key, curve in CURVES.items()))
    return point


def _planned(graph: Graph, cluster: Cluster, method: str, **options: object) -> Solution:
    return solve(graph, cluster, method, **options)


def speed_up_table(points: Sequence[Point]) -> Table:
    """One row for each rate, the published figure in a column of its own."""
    group = "speed-up over one Pi"
    columns = (
        Column("link_mbit_per_s", "", "link, Mbit/s", lambda rate: f"{float(f'{rate:.3g}'):g}"),
        Column("alone_latency_s", "latency, ms", "one Pi", fixed(0, scale=1e3)),
        *(Column(f"{key}_speed_up", group, curve.name, fixed(2)) for key, curve in CURVES.items()),
        Column(f"{BOUND}_speed_up", group, "no plan is above", fixed(2)),
        Column(PAPER_KEY, "", "paper's HALP", fixed(1)),
    )
    rows = tuple(
        {
            "link_mbit_per_s": point.mbit_per_s,
            "alone_latency_s": point.alone_s,
            **{f"{key}_speed_up": point.speed_up(key) for key in (*CURVES, BOUND)},
            PAPER_KEY: halp_paper().speed_up[MODEL],
        }
        for point in points
    )
    return Table(STEM, columns, rows, (frozenset(),) * len(rows))


def tidy_frame(points: Sequence[Point]) -> pd.DataFrame:
    """One row for each rate and curve; of the bound, ``latency_s`` is what no plan takes less than."""
    import pandas as pd

    rows = [
        {
            "link_mbit_per_s": point.mbit_per_s,
            "curve": key,
            "latency_s": point.bound_s if key == BOUND else point.latency_s[key],
            "speed_up": point.speed_up(key),
            PAPER_KEY: halp_paper().speed_up[MODEL],
        }
        for point in points
        for key in (*CURVES, BOUND)
    ]
    return pd.DataFrame(rows)


def crossing(points: Sequence[Point], curve: str, level: float) -> float:
    """The rate at which a curve first rises to a level, between two points on a logarithmic scale; NaN if it does not rise to it."""
    for before, after in itertools.pairwise(points):
        low, high = before.speed_up(curve), after.speed_up(curve)
        if low < level <= high:
            part = (level - low) / (high - low)
            return float(before.mbit_per_s ** (1 - part) * after.mbit_per_s**part)
    return math.nan


def reading_note(points: Sequence[Point]) -> str:
    """At which rate each reading of the published figure fits."""
    level = halp_paper().speed_up[MODEL]
    rates = {CURVES[key].name: crossing(points, key, level) for key in READINGS}
    texts = [f"{name} at about {rate:.2g} Mbit/s" if math.isfinite(rate) else f"{name} nowhere between these rates" for name, rate in rates.items()]
    return f"The published {level:g} times on VGG16 is reached by {', by '.join(texts)} (between two rates, on a logarithmic scale)."


def draw(points: Sequence[Point]) -> Figure:
    """Speed-up over link rate, with the published figure as a line of its own."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 4.6), layout="constrained")
    axes = figure.subplots()
    rates = [point.mbit_per_s for point in points]
    for key, curve in CURVES.items():
        look = LOOKS[curve.method]
        axes.plot(
            rates,
            [point.speed_up(key) for point in points],
            color=look.colour,
            linestyle=curve.line,
            marker=look.marker,
            markersize=look.size,
            markeredgecolor="white",
            markeredgewidth=0.5,
            lw=1.5,
            label=curve.name,
        )
    axes.fill_between(rates, [point.speed_up(BOUND) for point in points], TOP, color="black", alpha=0.12, lw=0, label="no plan (proven)")
    _draw_published(axes, points)
    axes.set(xscale="log", xlim=(rates[0], rates[-1]), ylim=(0, TOP), xlabel="link rate, Mbit/s", ylabel="speed-up over one Raspberry Pi 4")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.grid(visible=True, color="#E5E5E5", lw=0.6)
    axes.set_axisbelow(True)
    axes.legend(loc="lower right", fontsize=9, frameon=False)
    return figure


def _draw_published(axes: Axes, points: Sequence[Point]) -> None:
    """The published speed-up, and where the readings of it reach it."""
    level = halp_paper().speed_up[MODEL]
    axes.axhline(level, color=PAPER_COLOUR, lw=3, zorder=1, label=f"paper's HALP, {level:g} times")
    for key, side in (("halp_opt", "right"), ("halp_min", "left")):
        rate = crossing(points, key, level)
        if math.isfinite(rate):
            axes.vlines(rate, 0, level, color=LOOKS["halp"].colour, linestyle=CURVES[key].line, lw=1)
            axes.annotate(f"{rate:.2g} Mbit/s", (rate, 0), (-4 if side == "right" else 4, 4), textcoords="offset points", size=9, ha=side)


def describe(cluster: Cluster) -> str:
    """One sentence on the Pis and their links."""
    pi, setup_ms = cluster.devices[0], cluster.connection_setup_s * 1e3
    return (
        f"{len(cluster)} Raspberry Pi 4 ({BOARDS}) of {pi.flops_per_s / 1e9:g} GFLOP/s and {pi.memory_bytes / 2**30:g} GiB, each on a full-duplex "
        f"link of that rate, {setup_ms:g} ms to set up a connection; every Pi has the input, and HALP's host needs the output."
    )


def build(time_limit_s: float, progress: Progress, model: str = MODEL, rates: Sequence[float] = RATES_MBIT_PER_S) -> Report:
    """Solve and report."""
    points = [measure(model, rate, time_limit_s, progress) for rate in rates]
    _, cluster = load(model, rates[0])
    report = Report(
        stem=STEM,
        title="Speed-up of VGG16 on three Raspberry Pi 4 over one, by link rate",
        tables=(speed_up_table(points),),
        frames={STEM: tidy_frame(points)},
        setting=(describe(cluster),),
        notes=(
            reading_note(points),
            "All latencies are without barriers (events.md). 'Without overlap' is the best plan of HALP where rows travel only when their operator "
            "is done.",
            f"Method overlap had {time_limit_s:g} s for each rate and started from HALP's best plan, among others.",
            caveat(halp_paper()),
        ),
    )
    return report.with_figure(draw(points))


def main(argv: Sequence[str] | None = None) -> int:
    """The command ``python -m paper_figs.figure_halp``."""
    return run(STEM, __doc__ or "", build, STEPS, argv)


if __name__ == "__main__":
    sys.exit(main())
