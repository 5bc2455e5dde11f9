"""Latency reduction of the IOP variants for connection set-up times of 1 to 8 ms, on VGG11, 13, 16 and 19.

The IOP paper publishes a range for each network and does not name the baseline: reductions against OC and against CoEdge are both drawn, and
the published range is a separate band. About half a minute; writes figure_setup_time.csv (one row for each model, set-up time and
method), .md and .png. The setting is that of paper_figs/setting.py.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from paper_figs.appearance import BASELINE_LINES, LOOKS, PAPER_COLOUR, label
from paper_figs.columns import Column, Table, fixed
from paper_figs.command_line import run
from paper_figs.comparison import Comparison, Progress, compare, solver_note
from paper_figs.latency_rows import GAP_COLUMN, LATENCY_COLUMNS, latency_row, marked_latencies, reduction_columns
from paper_figs.published import Range, caveat, iop_paper
from paper_figs.report import Report
from paper_figs.setting import BASELINES, METHODS_COMPARED, SETUP_TIMES_MS, SWEEP_INSTANCES, VARIANTS, Instance, describe
from paper_figs.table_drawing import NOTE_LINE, remark_lines

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STEM = "figure_setup_time"
STEPS = len(SWEEP_INSTANCES) * len(SETUP_TIMES_MS) * len(METHODS_COMPARED)
BASELINE_NAMES = {"oc": "OC", "coedge": "CoEdge"}
PANEL = (4.6, 3.1)
"""Width and height of a panel, inches."""

Sweep = Mapping[Instance, Mapping[float, Comparison]]
"""By instance, then by t_est in milliseconds."""


def sweep_table(sweep: Sweep) -> Table:
    """One row for each model and set-up time."""
    columns = (
        Column("model", "", "model"),
        Column("t_est_ms", "", "t_est, ms", fixed(0)),
        *LATENCY_COLUMNS,
        GAP_COLUMN,
        *itertools.chain.from_iterable(reduction_columns(baseline) for baseline in BASELINES),
    )
    points = [(comparison, t_est_ms) for by_time in sweep.values() for t_est_ms, comparison in by_time.items()]
    rows = tuple(latency_row(comparison) | {"t_est_ms": t_est_ms} for comparison, t_est_ms in points)
    return Table(STEM, columns, rows, tuple(marked_latencies(comparison) for comparison, _ in points))


def published_table(instances: Sequence[Instance]) -> Table:
    """The published range of each model."""
    group = "paper's IOP, 1 to 8 ms, baseline not named: reduction, %"
    columns = (
        Column("model", "", "model"),
        Column("paper_least_percent", group, "paper's least", fixed(2)),
        Column("paper_most_percent", group, "paper's most", fixed(2)),
    )
    rows = tuple({"model": instance.label} | _paper_cells(instance) for instance in instances)
    return Table(f"{STEM}_published", columns, rows, (frozenset(),) * len(rows))


def tidy_frame(sweep: Sweep) -> pd.DataFrame:
    """One row for each model, set-up time and method."""
    import pandas as pd

    rows = [
        _tidy_row(comparison, t_est_ms, method)
        for by_time in sweep.values()
        for t_est_ms, comparison in by_time.items()
        for method in comparison.solutions
    ]
    return pd.DataFrame(rows)


def _tidy_row(comparison: Comparison, t_est_ms: float, method: str) -> dict[str, Any]:
    solution = comparison.solutions[method]
    return {
        "model": comparison.instance.label,
        "t_est_ms": t_est_ms,
        "method": method,
        "latency_s": solution.latency_s,
        "status": solution.status,
        "bound_s": solution.bound_s,
        "gap_percent": None if solution.gap is None else 100 * solution.gap,
        **{f"reduction_vs_{baseline}_percent": comparison.latency_reduction_percent(method, baseline) for baseline in BASELINES},
        **_paper_cells(comparison.instance),
    }


def _paper_cells(instance: Instance) -> dict[str, float]:
    published = iop_paper().sweep[instance.model]
    return {"paper_least_percent": published.least, "paper_most_percent": published.most}


def trend_notes(sweep: Sweep) -> tuple[str, ...]:
    """For each baseline, what the greedy gains on it over all networks and set-up times, and how the gain goes with the set-up time."""
    return tuple(_trend_note(sweep, baseline) for baseline in BASELINES)


def _trend_note(sweep: Sweep, baseline: str) -> str:
    gains = {instance: _gains(by_time, baseline) for instance, by_time in sweep.items()}
    values = [gain for by_time in gains.values() for gain in by_time.values()]
    trends = "; ".join(f"{instance.label} {trend(by_time)}" for instance, by_time in gains.items())
    return f"IOP greedy gains {min(values):.2f} to {max(values):.2f} % over {BASELINE_NAMES[baseline]}, by set-up time: {trends}."


def _gains(by_time: Mapping[float, Comparison], baseline: str) -> dict[float, float]:
    return {time: by_time[time].latency_reduction_percent("greedy", baseline) for time in sorted(by_time)}


def trend(gains: Mapping[float, float]) -> str:
    """Gains in percent by set-up time in ms, in words: where they fall and where they grow, from one turning point to the next."""
    (start, first), *_ = gains.items()
    turns: list[tuple[str, float, float]] = []
    for (_, before), (time, gain) in itertools.pairwise(gains.items()):
        verb = "grows" if gain > before else "falls" if gain < before else "is flat"
        if turns and turns[-1][0] == verb:
            turns.pop()
        turns.append((verb, time, gain))
    return ", ".join([f"{_percent(first)} at {start:g} ms", *(f"{verb} to {_percent(gain)} at {time:g} ms" for verb, time, gain in turns)])


def _percent(gain: float) -> str:
    """Three significant digits at least, so that small changes show."""
    return f"{gain:.2f} %" if abs(gain) >= 1 else f"{gain:.3g} %"


def draw(sweep: Sweep, remarks: tuple[str, ...], title: str) -> Figure:
    """A panel for each model, all on the same axes, with the legend and the remarks below."""
    from matplotlib.figure import Figure

    columns = min(2, len(sweep))
    rows = -(-len(sweep) // columns)
    width = 2 * PANEL[0]
    lines = remark_lines(remarks, width - 0.4)
    head, legend, notes = 0.4, 0.85, NOTE_LINE * len(lines) + 0.3
    height = head + rows * PANEL[1] + legend + notes
    figure = Figure(figsize=(width, height))
    halves = figure.add_gridspec(2, 1, height_ratios=[height - legend - notes, legend + notes])
    upper, lower = figure.add_subfigure(halves[0]), figure.add_subfigure(halves[1])
    grid = upper.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    upper.subplots_adjust(left=0.08, right=0.98, bottom=0.09, top=1 - (head + 0.25) / (height - legend - notes), hspace=0.2, wspace=0.06)
    upper.suptitle(title, weight="bold", size=12, y=1 - 0.15 / (height - legend - notes), va="top")
    for number, (axes, (instance, by_time)) in enumerate(zip(grid.flat, sweep.items(), strict=True)):
        _draw_panel(axes, by_time, iop_paper().sweep[instance.model])
        axes.set_title(instance.label, size=11)
        if number % columns == 0:
            axes.set_ylabel("latency reduction, %")
        if number >= len(sweep) - columns:
            axes.set_xlabel("t_est: time to set up a connection, ms")
    handles = _legend_handles()
    lower.legend(handles=handles, loc="upper center", ncols=3, frameon=False, fontsize=9)
    lower.text(0.2 / width, 1 - legend / (legend + notes), "\n".join(lines), size=8, va="top", linespacing=1.35)
    return figure


def _draw_panel(axes: Axes, by_time: Mapping[float, Comparison], published: Range) -> None:
    axes.axhspan(published.least, published.most, color=PAPER_COLOUR, alpha=0.45, lw=0)
    axes.axhline(0, color="black", lw=0.6)
    times = sorted(by_time)
    for baseline, method in itertools.product(BASELINES, VARIANTS):
        look = LOOKS[method]
        values = [by_time[time].latency_reduction_percent(method, baseline) for time in times]
        axes.plot(
            times,
            values,
            color=look.colour,
            linestyle=BASELINE_LINES[baseline],
            marker=look.marker,
            markersize=look.size,
            markeredgecolor="white",
            markeredgewidth=0.5,
            lw=1.2,
        )
    axes.set_xticks(times)
    axes.grid(visible=True, axis="y", color="#E5E5E5", lw=0.6)
    axes.set_axisbelow(True)


def _legend_handles() -> list[Any]:
    """Methods by colour and marker, baselines by line style, and the published band."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    methods = [
        Line2D([], [], color=LOOKS[method].colour, marker=LOOKS[method].marker, markersize=LOOKS[method].size, lw=1.2, label=label(method))
        for method in VARIANTS
    ]
    baselines = [Line2D([], [], color="black", linestyle=BASELINE_LINES[name], lw=1.2, label=f"against {BASELINE_NAMES[name]}") for name in BASELINES]
    return [*methods, *baselines, Patch(color=PAPER_COLOUR, alpha=0.45, lw=0, label="paper's IOP, 1 to 8 ms, baseline not named")]


def build(
    time_limit_s: float,
    progress: Progress,
    instances: Sequence[Instance] = SWEEP_INSTANCES,
    setup_times_ms: Sequence[float] = SETUP_TIMES_MS,
) -> Report:
    """Solve and report."""
    sweep = {instance: {t_est: compare(instance, time_limit_s, progress, t_est * 1e-3) for t_est in setup_times_ms} for instance in instances}
    comparisons = [comparison for by_time in sweep.values() for comparison in by_time.values()]
    report = Report(
        stem=STEM,
        title="Latency reduction of the IOP variants over the connection set-up time",
        tables=(sweep_table(sweep), published_table(instances)),
        frames={STEM: tidy_frame(sweep)},
        setting=describe(instances, swept=True),
        notes=(
            "A reduction is 100 (1 - method / baseline): positive where the method is faster. Nested markers coincide.",
            *trend_notes(sweep),
            "Fewer connections should make the gain grow with the set-up time; of the paper's sweep only the ranges are known.",
            solver_note(comparisons, time_limit_s),
            caveat(),
        ),
    )
    return report.with_figure(draw(sweep, report.remarks, report.title))


def main(argv: Sequence[str] | None = None) -> int:
    """The command ``python -m paper_figs.figure_setup_time``."""
    return run(STEM, __doc__ or "", build, STEPS, argv)


if __name__ == "__main__":
    sys.exit(main())
