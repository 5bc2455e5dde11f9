"""Energy over the deadline on CoEdge's kind of cluster: four Raspberry Pi 3B+, a Jetson TX2 and a PC.

AlexNet and MobileNet-V1, which the CoEdge paper ran too, and VGG16: each device alone, CoEdge's rows by capability, its linear program, and the
exact program's least energy with its proven bound; over Gigabit Ethernet and Wi-Fi; once with the energy of computing and communicating alone, as
CoEdge counts it, and once with the idle power of all six devices. The paper publishes a range of reductions, which stands in columns of its own.
About ten minutes; writes figure_energy.csv (one row for each point), .md and .png.
"""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from iopopt import Cluster, Device, Evaluation, Graph, Placement, Plan, Solution, evaluate, load_cluster, load_model, solve
from iopopt.plan.team import Team
from paper_figs.appearance import LOOKS, label
from paper_figs.columns import Column, Table, fixed, small_percent
from paper_figs.command_line import run
from paper_figs.comparison import Progress, reduction_percent
from paper_figs.published import caveat, coedge_paper
from paper_figs.report import Report
from paper_figs.setting import Instance
from paper_figs.table_drawing import NOTE_LINE, remark_lines

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STEM = "figure_energy"
BOARDS = "pi3-x4+tx2+server"
LINKS = {"ethernet-1000": "Gigabit Ethernet", "wifi": "Wi-Fi"}
"""Short names of links."""

PI_PORT_BYTES_PER_S = 2.8e7
"""The port of a Raspberry Pi 3B+ sits behind USB 2.0 and stays near 224 Mbit/s (iopopt/cluster/boards.yaml)."""

MODELS = {"AlexNet": "alexnet", "MobileNet-V1": "mobilenet_v1", "VGG16": "vgg16"}
"""Two of the paper's networks, and one that is so large that rows pay."""

INSTANCES = tuple(Instance(name, model, f"{BOARDS}@{link}") for link in LINKS for name, model in MODELS.items())
DEADLINES = (1.0, 1.02, 1.05, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.8, 2.0, 2.25, 2.5, 3.0)
"""As multiples of the least latency by the exact program."""

BOARD_NAMES = {"pi3": "Raspberry Pi", "tx2": "Jetson TX2", "server": "PC"}
"""Short names by the first word of a device's name."""

ACCOUNTS = {"work": "without idle power", "all": "with idle power"}
"""Which energy counts."""

STEPS = len(INSTANCES) * len(ACCOUNTS) * (len(DEADLINES) + 1)
PANEL = (4.0, 2.2)
"""Width and height of a panel, inches."""

WIDTHS = {"coedge_lp": 3.0, "milp": 1.2}
"""Of lines, points: where they coincide, the thin one lies on the thick one."""

NAME_OFFSETS: dict[str, tuple[tuple[float, float], Literal["left", "right"]]] = {
    "Raspberry Pi": ((2, -11), "left"),
    "Jetson TX2": ((5, -9), "left"),
    "PC": ((5, 4), "left"),
}
"""Where the names of points stand, points from the point, and on which side of them they end."""

NAME_COLOUR = "#555555"


class Exact(NamedTuple):
    """The least energy that was found for a deadline, its proven bound, joules, and its latency, seconds."""

    energy_j: float
    bound_j: float
    latency_s: float

    @property
    def gap_percent(self) -> float:
        """100 (energy - bound) / energy; NaN without a plan."""
        return 100 * (self.energy_j - self.bound_j) / self.energy_j if math.isfinite(self.energy_j) else math.nan


class Point(NamedTuple):
    """What meets one deadline, seconds."""

    deadline_s: float
    coedge_lp: Solution
    exact: Exact


@dataclasses.dataclass(frozen=True)
class Panel:
    """One network and one account.

    Attributes:
        fastest_s: what no plan of the exact program takes less than, seconds.
        alone: the price of each kind of device alone, by its short name.
        coedge: that of rows by capability.
        points: by rising deadline; one of them is the latency of rows by capability.
    """

    instance: Instance
    account: str
    fastest_s: float
    alone: Mapping[str, Evaluation]
    coedge: Evaluation
    points: tuple[Point, ...]

    @property
    def at_same_latency(self) -> Point:
        """The point whose deadline is the latency of rows by capability."""
        return next(point for point in self.points if point.deadline_s == self.coedge.latency_s)


def load(instance: Instance, account: str) -> tuple[Graph, Cluster]:
    """The network and the boards; the first has the input and needs the output."""
    graph = load_model(instance.model)
    cluster = load_cluster(instance.cluster, graph)
    return graph, dataclasses.replace(cluster, source=0, sink=0, devices=tuple(_device(device, account) for device in cluster.devices))


def _device(device: Device, account: str) -> Device:
    most = PI_PORT_BYTES_PER_S if device.name.startswith("pi3") else math.inf
    idle_watts = 0.0 if account == "work" else device.idle_watts
    return dataclasses.replace(device, bandwidth_bytes_per_s=min(device.bandwidth_bytes_per_s, most), idle_watts=idle_watts)


def joules(price: Evaluation) -> float:
    """The energy of a plan on devices that have powers."""
    assert price.energy_j is not None
    return price.energy_j


def panel(instance: Instance, account: str, deadlines: Sequence[float], time_limit_s: float, progress: Progress) -> Panel:
    """Solve everything of one network and one account; the limit is that of each MILP."""
    graph, cluster = load(instance, account)
    whole = {board(device.name): Plan.of(graph, [Placement.whole(j)] * len(graph)) for j, device in reversed(list(enumerate(cluster.devices)))}
    coedge = solve(graph, cluster, "coedge").evaluation
    assert coedge is not None  # a fixed scheme always has a plan
    quick = solve(graph, cluster, "coedge_lp")
    fastest = [solve(graph, cluster, "milp", team=team, time_limit_s=time_limit_s) for team in _teams([quick])]
    deadlines_s = sorted({multiple * min(solution.latency_s for solution in fastest) for multiple in deadlines} | {coedge.latency_s})
    frugal = {deadline_s: solve(graph, cluster, "coedge_lp", objective="energy", deadline_s=deadline_s) for deadline_s in deadlines_s}
    teams = _teams([quick, *frugal.values()])
    exact: dict[float, Exact] = {}
    for deadline_s in reversed(deadlines_s):
        later = next(reversed(exact.values()), None)
        exact[deadline_s] = _exact(graph, cluster, teams, deadline_s, time_limit_s, later)
        found, least = frugal[deadline_s], exact[deadline_s]
        where = f"{instance.label}, {link(instance)}, {ACCOUNTS[account]}, {deadline_s * 1e3:.4g} ms"
        progress(f"{where}: {label('coedge_lp')} {found.value:.4g} J, MILP {least.energy_j:.4g} J")
    return Panel(
        instance,
        account,
        min(solution.bound_s or 0.0 for solution in fastest),
        {name: evaluate(graph, cluster, plan) for name, plan in whole.items()},
        coedge,
        tuple(Point(deadline_s, frugal[deadline_s], exact[deadline_s]) for deadline_s in deadlines_s),
    )


def link(instance: Instance) -> str:
    """The short name of the links."""
    return LINKS[instance.cluster.partition("@")[2]]


def board(name: str) -> str:
    """The short name of a device."""
    return BOARD_NAMES[name.partition("-")[0]]


def _team(plan: Plan | None) -> tuple[int, ...] | None:
    """The devices over which a plan of CoEdge splits; None if it splits nothing."""
    return next((placement.devices for placement in (plan or {}).values() if not placement.is_whole), None)


def _teams(solutions: Sequence[Solution]) -> tuple[Team, ...]:
    """All devices, and the teams over which plans of CoEdge split."""
    return ("all", *sorted({team for solution in solutions if (team := _team(solution.plan)) is not None}))


def _exact(graph: Graph, cluster: Cluster, teams: Sequence[Team], deadline_s: float, time_limit_s: float, later: Exact | None) -> Exact:
    """The least energy over the plans of these teams.

    What is optimal for a later deadline, and meets this one, is optimal for this one too.
    """
    if later is not None and later.latency_s <= deadline_s and later.gap_percent < 0.01:
        return later
    found = [solve(graph, cluster, "milp", objective="energy", deadline_s=deadline_s, time_limit_s=time_limit_s, team=team) for team in teams]
    best = min(found, key=lambda solution: solution.value)
    return Exact(best.value, min(_bound(solution) for solution in found), best.latency_s)


def _bound(solution: Solution) -> float:
    """The proven bound; infinite where no plan exists, 0 where nothing is proven."""
    return math.inf if solution.status == "infeasible" else solution.bound or 0.0


def summary(panels: Sequence[Panel]) -> Table:
    """One row for each panel: what is saved over rows by capability, at their latency or less."""
    saved, paper = "energy at its latency or less, J", "paper's CoEdge: reduction, %"
    columns = (
        Column("model", "", "model"),
        Column("link", "", "link"),
        Column("account", "", "energy", lambda account: ACCOUNTS[account]),
        Column("coedge_latency_s", "by capability", "ms", fixed(1, scale=1e3)),
        Column("coedge_energy_j", "by capability", "J", fixed(3)),
        Column("alone_energy_j", saved, "one device", fixed(3)),
        Column("coedge_lp_energy_j", saved, label("coedge_lp"), fixed(3)),
        Column("milp_energy_j", saved, label("milp"), fixed(3)),
        Column("milp_gap_percent", saved, "gap, %", small_percent),
        Column("coedge_lp_reduction_percent", "reduction, %", label("coedge_lp"), fixed(1)),
        Column("milp_reduction_percent", "reduction, %", label("milp"), fixed(1)),
        Column("paper_least_percent", paper, "paper's least", fixed(1)),
        Column("paper_most_percent", paper, "paper's most", fixed(1)),
    )
    return Table(STEM, columns, tuple(map(_summary_row, panels)), (frozenset(),) * len(panels))


def _summary_row(of: Panel) -> dict[str, Any]:
    point, energy_j, published = of.at_same_latency, joules(of.coedge), coedge_paper().energy_reduction
    return {
        **_key(of),
        "coedge_latency_s": of.coedge.latency_s,
        "coedge_energy_j": energy_j,
        "alone_energy_j": min((joules(price) for price in of.alone.values() if price.latency_s <= of.coedge.latency_s), default=math.nan),
        "coedge_lp_energy_j": point.coedge_lp.value,
        "milp_energy_j": point.exact.energy_j,
        "milp_gap_percent": point.exact.gap_percent,
        "coedge_lp_reduction_percent": reduction_percent(point.coedge_lp.value, energy_j),
        "milp_reduction_percent": reduction_percent(point.exact.energy_j, energy_j),
        "paper_least_percent": published.least,
        "paper_most_percent": published.most,
    }


def tidy_frame(panels: Sequence[Panel]) -> pd.DataFrame:
    """One row for each point of a panel; fixed plans have no deadline, and only the MILP has a bound."""
    import pandas as pd

    published = coedge_paper().energy_reduction
    paper = {"paper_least_percent": published.least, "paper_most_percent": published.most}
    return pd.DataFrame([{**_key(of), **row, **paper} for of in panels for row in _tidy_rows(of)])


def _key(of: Panel) -> dict[str, str]:
    return {"model": of.instance.label, "link": link(of.instance), "account": of.account}


def _tidy_rows(of: Panel) -> Iterator[dict[str, Any]]:
    for curve, price in ({f"alone: {name}": price for name, price in of.alone.items()} | {"coedge": of.coedge}).items():
        yield {"curve": curve, "deadline_s": None, "latency_s": price.latency_s, "energy_j": joules(price), "bound_j": None}
    for deadline_s, found, exact in of.points:
        yield {"curve": "coedge_lp", "deadline_s": deadline_s, "latency_s": found.latency_s, "energy_j": found.value, "bound_j": None}
        yield {"curve": "milp", "deadline_s": deadline_s, "latency_s": exact.latency_s, "energy_j": exact.energy_j, "bound_j": exact.bound_j}


def alone_note(panels: Sequence[Panel]) -> str:
    """How often CoEdge's linear program leaves the work to one device."""
    plans = [point.coedge_lp.plan for of in panels for point in of.points if point.coedge_lp.plan is not None]
    alone = sum(_team(plan) is None for plan in plans)
    missed = sum(point.coedge_lp.plan is None and math.isfinite(point.exact.energy_j) for of in panels for point in of.points)
    return (
        f"CoEdge's linear program leaves everything to one device at {alone} of the {len(plans)} deadlines that it meets, and misses {missed} that "
        "the MILP meets: it has one vector of rows for all operators, so it cannot let one device run the first ones and another the rest."
    )


def draw(panels: Sequence[Panel], remarks: tuple[str, ...], title: str) -> Figure:
    """A column for each network, a row for each account, with the legend and the remarks below."""
    from matplotlib.figure import Figure

    models = list(dict.fromkeys(of.instance.label for of in panels))
    rows = list(dict.fromkeys((link(of.instance), of.account) for of in panels))
    width, head, legend = max(2, len(models)) * PANEL[0], 0.5, 0.75
    lines = remark_lines(remarks, width - 0.4)
    below = legend + NOTE_LINE * len(lines) + 0.3
    above = head + len(rows) * PANEL[1]
    figure = Figure(figsize=(width, above + below))
    halves = figure.add_gridspec(2, 1, height_ratios=[above, below])
    upper, lower = figure.add_subfigure(halves[0]), figure.add_subfigure(halves[1])
    grid = upper.subplots(len(rows), len(models), squeeze=False)
    upper.subplots_adjust(left=0.95 / width, right=1 - 0.15 / width, bottom=0.5 / above, top=1 - (head + 0.3) / above, hspace=0.24, wspace=0.18)
    upper.suptitle(title, weight="bold", size=12, y=1 - 0.15 / above, va="top")
    for of in panels:
        row, column = rows.index((link(of.instance), of.account)), models.index(of.instance.label)
        axes = grid[row][column]
        _draw_panel(axes, of)
        if row == 0:
            axes.set_title(of.instance.label, size=11)
        if row == len(rows) - 1:
            axes.set_xlabel("deadline, or latency of a point, ms")
        if column == 0:
            axes.set_ylabel(f"{link(of.instance)}\nJ {ACCOUNTS[of.account]}", size=9)
    lower.legend(handles=_legend_handles(), loc="upper center", ncols=3, frameon=False, fontsize=9)
    lower.text(0.2 / width, 1 - legend / below, "\n".join(lines), size=8, va="top", linespacing=1.35)
    return figure


def _draw_panel(axes: Axes, of: Panel) -> None:
    """Curves over the deadline; of a device that is slower than all deadlines only its figures, on the right."""
    deadlines = [point.deadline_s * 1e3 for point in of.points]
    left, right = 0.9 * of.fastest_s * 1e3, 1.05 * deadlines[-1]
    axes.axvspan(left, of.fastest_s * 1e3, color="black", alpha=0.12, lw=0)
    curves = {"coedge_lp": [point.coedge_lp.value for point in of.points], "milp": [point.exact.energy_j for point in of.points]}
    for key, values in curves.items():
        shown = [value if math.isfinite(value) else math.nan for value in values]
        axes.step([*deadlines, right], [*shown, shown[-1]], where="post", color=LOOKS[key].colour, lw=WIDTHS[key])
        axes.plot(deadlines, shown, **_marker(key))
    bounds = [point.exact.bound_j for point in of.points]
    axes.step([*deadlines, right], [*bounds, bounds[-1]], where="post", color=LOOKS["milp"].colour, linestyle=":", lw=1.0)
    axes.plot([of.coedge.latency_s * 1e3], [joules(of.coedge)], **_marker("coedge"))
    points = {name: (price.latency_s * 1e3, joules(price)) for name, price in of.alone.items()}
    inside = {name: at for name, at in points.items() if at[0] <= right}
    for name, at in inside.items():
        axes.plot(*[[value] for value in at], **{**_marker("single"), "zorder": 4})
        offset, side = NAME_OFFSETS[name]
        axes.annotate(name, at, offset, textcoords="offset points", ha=side, size=8, color=NAME_COLOUR)
    beyond = [f"{name}: {ms:.4g} ms, {energy_j:.3g} J \N{RIGHTWARDS ARROW}" for name, (ms, energy_j) in points.items() if name not in inside]
    axes.text(0.98, 0.95, "\n".join(beyond), transform=axes.transAxes, ha="right", va="top", size=8, color=NAME_COLOUR)
    axes.set(xlim=(left, right), ylim=(0, 1.2 * max(joules(of.coedge), *(energy_j for _, energy_j in inside.values()))))
    axes.grid(visible=True, color="#E5E5E5", lw=0.6)
    axes.set_axisbelow(True)


def _marker(key: str) -> dict[str, Any]:
    look = LOOKS[key]
    edge = {} if look.marker == "x" else {"markeredgecolor": "white", "markeredgewidth": 0.5}
    return {"color": look.colour, "linestyle": "", "marker": look.marker, "markersize": look.size, **edge}


def _legend_handles() -> list[Any]:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    return [
        Line2D([], [], lw=WIDTHS["milp"], **{**_marker("milp"), "linestyle": "-"}, label="least energy (MILP)"),
        Line2D([], [], color=LOOKS["milp"].colour, linestyle=":", lw=1.0, label="proven bound"),
        Patch(color="black", alpha=0.08, lw=0, label="no plan of the MILP is as fast (proven)"),
        Line2D([], [], lw=WIDTHS["coedge_lp"], **{**_marker("coedge_lp"), "linestyle": "-"}, label="CoEdge's linear program"),
        Line2D([], [], **_marker("coedge"), label="CoEdge, rows by capability"),
        Line2D([], [], **_marker("single"), label="one device alone"),
    ]


def describe(instances: Sequence[Instance]) -> tuple[str, ...]:
    """A sentence on the boards and their powers, and one on each kind of link."""
    clusters = {instance.cluster: load(instance, "all")[1] for instance in instances}
    kinds = {board(device.name): device for cluster in clusters.values() for device in cluster.devices}
    boards = "; ".join(
        f"{name} of {device.flops_per_s / 1e9:.3g} GFLOP/s, {device.idle_watts:g} W idle, {device.compute_watts:g} W more when computing, "
        f"{device.transmit_watts:g} and {device.receive_watts:g} W when sending and receiving"
        for name, device in kinds.items()
    )
    sources = "iopopt/cluster/boards.yaml has the source of every figure; most powers are assumed"
    return (f"{boards}. {sources}.", *(_links(name, cluster) for name, cluster in clusters.items()))


def _links(name: str, cluster: Cluster) -> str:
    rates = {board(device.name): device.bandwidth_bytes_per_s / 1e6 for device in cluster.devices}
    links = ", ".join(f"{rate:.4g} MB/s ({kind})" for kind, rate in rates.items())
    first, setup_ms = board(cluster.devices[0].name), cluster.connection_setup_s * 1e3
    return f"{name}: links of {links}, {setup_ms:g} ms to set up a connection; the first {first} has the input and needs the output."


def build(time_limit_s: float, progress: Progress, instances: Sequence[Instance] = INSTANCES, deadlines: Sequence[float] = DEADLINES) -> Report:
    """Solve and report."""
    panels = [panel(instance, account, deadlines, time_limit_s, progress) for instance in instances for account in ACCOUNTS]
    report = Report(
        stem=STEM,
        title="Energy over the deadline: four Raspberry Pis, a Jetson TX2 and a PC",
        tables=(summary(panels),),
        frames={STEM: tidy_frame(panels)},
        setting=describe(instances),
        notes=(
            "Without idle power, the energy is what devices draw in addition while they compute, send and receive, as CoEdge counts it; with it, all "
            "devices idle until the output is there, whether they take part or not. A reduction is 100 (1 - energy / energy by capability).",
            alone_note(panels),
            f"MILP: at most {time_limit_s:g} s for each deadline; its bound is proven over every plan that leaves an operator whole on one device or "
            "splits it over all devices, or over those of a plan of CoEdge's linear program here; other sets of devices were not searched. What is "
            "shaded is proven in the same way, with the devices of the linear program's fastest plan.",
            caveat(coedge_paper()),
        ),
    )
    return report.with_figure(draw(panels, report.remarks, report.title))


def main(argv: Sequence[str] | None = None) -> int:
    """The command ``python -m paper_figs.figure_energy``."""
    return run(STEM, __doc__ or "", build, STEPS, argv)


if __name__ == "__main__":
    sys.exit(main())
