"""Partial offloading of eight networks by PSOMW, MW and brute force over uplinks, server speeds and workers, and what fused layers gain.

The paper publishes 12.75 times over no fused layers in the mean, and 0.04 % above brute force; its setting is not known. About an hour with ten
seeds of at most ten seconds each; writes table_offloading.csv (one row for each instance), table_offloading_means.csv, table_offloading_shared.csv,
.md and .png (without the rows of the instances).
"""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean, median
from typing import Any

from paper_figs.columns import Column, Table, fixed, small_percent
from paper_figs.command_line import run
from paper_figs.comparison import Progress
from paper_figs.offloading import (
    BOARD,
    DELAY_S,
    EXACT_LIMITS,
    LABELS,
    ROW_STEPS,
    SEEDS,
    SETTINGS,
    SHARED,
    UNEVEN_SEEDS,
    Measured,
    MeasuredShared,
    Setting,
    Shared,
    device_flops_per_s,
    measure,
    measure_shared,
)
from paper_figs.published import caveat, offload_paper
from paper_figs.report import Report
from paper_figs.table_drawing import draw_tables

STEM, MEANS, TOGETHER = "table_offloading", "table_offloading_means", "table_offloading_shared"
STEPS = len(SETTINGS) + len(SHARED)
TIME_LIMIT_S = 10.0

Results = Sequence[tuple[Setting, Measured]]

_MS, _GAIN, _ABOVE = "latency, ms", "best plan, times faster than", "PSOMW above brute force, %"
_PAPER_GAIN, _PAPER_ABOVE = "paper_times_over_no_fused_layers", "paper_percent_above_brute_force"
_ROUNDING = 1e-9

INSTANCE_COLUMNS = (
    Column("model", "", "model"),
    Column("workers", "", "workers", "{:g}".format),
    Column("uplink_mbit", "", "uplink, Mbit/s", "{:g}".format),
    Column("ratio", "", "worker / device", "{:g}".format),
    Column("best_cut_s", _MS, "best cut", fixed(1, 1e3)),
    Column("local_s", _MS, "local", fixed(1, 1e3)),
    Column("remote_s", _MS, "remote", fixed(1, 1e3)),
    Column("mw_s", _MS, "MW", fixed(1, 1e3)),
    Column("psomw_median_s", _MS, "PSOMW, median", fixed(1, 1e3)),
    Column("psomw_worst_s", _MS, "PSOMW, worst", fixed(1, 1e3)),
    Column("exact_s", _MS, "exact", fixed(1, 1e3)),
    Column("exact", "", "by"),
    Column("gap_percent", "", "proven gap, %", small_percent),
    Column("best_cut_gain", _GAIN, "best cut", fixed(2)),
    Column("local_gain", _GAIN, "local", fixed(2)),
    Column("remote_gain", _GAIN, "remote", fixed(2)),
    Column("median_above_bf_percent", _ABOVE, "median", fixed(3)),
    Column("worst_above_bf_percent", _ABOVE, "worst", fixed(3)),
    Column("fused", "best plan", "m", "{:g}".format),
    Column("paths", "best plan", "n", "{:g}".format),
    Column("uneven_percent", "uneven rows", "gain, %", fixed(2)),
)

_MEAN_GAIN, _MOST_GAIN = "mean over instances, times faster than", "at most, times faster than"
MEAN_COLUMNS = (
    Column("method", "", "method"),
    Column("workers", "", "workers"),
    Column("instances", "", "instances", "{:g}".format),
    Column("best_cut_gain", _MEAN_GAIN, "best cut", fixed(2)),
    Column("local_gain", _MEAN_GAIN, "local", fixed(2)),
    Column("remote_gain", _MEAN_GAIN, "remote", fixed(2)),
    Column("most_best_cut_gain", _MOST_GAIN, "best cut", fixed(2)),
    Column("most_local_gain", _MOST_GAIN, "local", fixed(2)),
    Column("most_remote_gain", _MOST_GAIN, "remote", fixed(2)),
    Column("ceiling", "best cut", "ceiling", "{:g}".format),
    Column("bf_instances", "brute force", "ends on", "{:g}".format),
    Column("median_above_bf_percent", "brute force", "median above, %", fixed(3)),
    Column("worst_above_bf_percent", "brute force", "worst above, %", fixed(3)),
    Column("uneven_percent", "uneven rows", "gain, %", fixed(2)),
    Column(_PAPER_GAIN, "", "paper's times", fixed(2)),
    Column(_PAPER_ABOVE, "", "paper's above, %", fixed(2)),
)

SHARED_COLUMNS = (
    Column("models", "", "devices"),
    Column("workers", "", "workers", "{:g}".format),
    Column("objective", "", "objective"),
    Column("best_cut_s", _MS, "best cut", fixed(1, 1e3)),
    Column("mw_s", _MS, "MW", fixed(1, 1e3)),
    Column("psomw_median_s", _MS, "PSOMW, median", fixed(1, 1e3)),
    Column("psomw_worst_s", _MS, "PSOMW, worst", fixed(1, 1e3)),
    Column("cpsat_s", _MS, "CP-SAT", fixed(1, 1e3)),
    Column("gap_percent", "", "proven gap, %", small_percent),
    Column("best_cut_gain", "best plan", "times best cut", fixed(2)),
)


def instance_row(setting: Setting, found: Measured) -> dict[str, Any]:
    """One instance, in seconds, percent and times."""
    middle_s, worst_s = median(found.psomw_s), max(found.psomw_s)
    return {
        **setting._asdict(),
        "model": LABELS[setting.model],
        **{key: getattr(found, key) for key in ("best_cut_s", "local_s", "remote_s", "mw_s", "exact_s", "exact", "bound_s", "gap_percent")},
        "bf_ended": found.bf_ended,
        "psomw_median_s": middle_s,
        "psomw_worst_s": worst_s,
        "psomw_seeds": len(found.psomw_s),
        "psomw_longest_search_s": found.seconds,
        **{f"{key}_gain": getattr(found, f"{key}_s") / found.best_s for key in ("best_cut", "local", "remote")},
        "median_above_bf_percent": found.above_bf_percent(middle_s),
        "worst_above_bf_percent": found.above_bf_percent(worst_s),
        "fused": found.split[0],
        "paths": found.split[1],
        "uneven_s": found.uneven_s,
        "uneven_percent": found.uneven_percent,
        "best_total_s": found.total_s,
    }


def mean_rows(results: Results) -> list[dict[str, Any]]:
    """PSOMW's median and MW over the instances of each number of workers, and over all of them; the published figures beside those over all."""
    groups: dict[str, Results] = {f"{workers}": [] for workers in sorted({setting.workers for setting, _ in results})}
    groups = {name: [item for item in results if str(item[0].workers) == name] for name in groups}
    if len(groups) > 1:
        groups["all"] = results
    last = list(groups)[-1]
    return [
        _mean_row(method, value, name, of_group, paper_gain if name == last else math.nan)
        for method, value, paper_gain in (
            ("PSOMW", lambda found: median(found.psomw_s), offload_paper().psomw_gain),
            ("MW", lambda found: found.mw_s, offload_paper().mw_gain),
        )
        for name, of_group in groups.items()
    ]


def _mean_row(method: str, value: Callable[[Measured], float], workers: str, results: Results, paper_gain: float) -> dict[str, Any]:
    ended = [found for _, found in results if found.bf_ended]
    worst = (lambda found: max(found.psomw_s)) if method == "PSOMW" else value
    gains = {key: [getattr(found, f"{key}_s") / value(found) for _, found in results] for key in ("best_cut", "local", "remote")}
    return {
        "method": method,
        "workers": workers,
        "instances": len(results),
        **{f"{key}_gain": fmean(found) for key, found in gains.items()},
        **{f"most_{key}_gain": max(found) for key, found in gains.items()},
        "ceiling": max(setting.workers for setting, _ in results) + 2,
        "bf_instances": len(ended),
        "median_above_bf_percent": _mean([found.above_bf_percent(value(found)) for found in ended]),
        "worst_above_bf_percent": max((found.above_bf_percent(worst(found)) for found in ended), default=math.nan),
        "uneven_percent": fmean(found.uneven_percent for _, found in results) if method == "PSOMW" else math.nan,
        _PAPER_GAIN: paper_gain,
        _PAPER_ABOVE: offload_paper().above_bf_percent if method == "PSOMW" and not math.isnan(paper_gain) else math.nan,
    }


def _mean(values: Sequence[float]) -> float:
    return fmean(values) if values else math.nan


def shared_row(shared: Shared, found: MeasuredShared) -> dict[str, Any]:
    """One instance of several devices."""
    return {
        **shared._asdict(),
        "models": shared.label,
        **{key: getattr(found, key) for key in ("best_cut_s", "mw_s", "cpsat_s", "bound_s", "gap_percent")},
        "psomw_median_s": median(found.psomw_s),
        "psomw_worst_s": max(found.psomw_s),
        "best_cut_gain": found.best_cut_s / found.best_s,
    }


def ceiling_note(results: Results) -> str:
    """Why 12.75 cannot be a gain over the best cut with one worker, and whether the plans of the table are such that the ceiling holds."""
    above = sum(found.best_cut_s > found.total_s * (1 + _ROUNDING) for _, found in results)
    holds = "in all of these instances" if not above else f"in all but {above} of these {len(results)} instances, by rows that no field reaches"
    gain = offload_paper().psomw_gain
    return (
        "The ceiling: a plan takes at least what the device, the uplink, and all workers evenly, have to do, so with Q workers and a result that "
        "stays on the server its latency is at least 1/(Q + 2) of the sum of the three; and that sum is at least the latency of the best cut "
        f"({holds}). So over the best cut no plan gains more than Q + 2, 3 with one worker: {gain:g} times needs at least {math.ceil(gain - 2)} "
        "workers. Over everything on the device, or everything on the server, alone there is no such ceiling."
    )


def paper_note(results: Results) -> str:
    """What of the table comes near the published mean."""
    means = {
        name: fmean(getattr(found, f"{key}_s") / median(found.psomw_s) for _, found in results)
        for name, key in (("the best cut", "best_cut"), ("local", "local"), ("remote", "remote"))
    }
    texts = ", ".join(f"{value:.2f} over {name}" for name, value in means.items())
    paper = offload_paper()
    return f"PSOMW's median gains {texts} in the mean of all instances; published are {paper.psomw_gain:g}, and {paper.mw_gain:g} for MW."


def build(
    time_limit_s: float,
    progress: Progress,
    settings: Sequence[Setting] = SETTINGS,
    shared: Sequence[Shared] = SHARED,
    seeds: int = SEEDS,
) -> Report:
    """Solve and report."""
    results = [(setting, measure(setting, time_limit_s, progress, seeds)) for setting in settings]
    together = [shared_row(each, measure_shared(each, time_limit_s, progress, seeds)) for each in shared]
    tables = (
        _table(MEANS, MEAN_COLUMNS, mean_rows(results)),
        *([_table(TOGETHER, SHARED_COLUMNS, together)] if together else []),
        _table(STEM, INSTANCE_COLUMNS, [instance_row(*item) for item in results]),
    )
    longest_s = max(found.seconds for _, found in results)
    report = Report(
        stem=STEM,
        title="Partial offloading: what fused layers gain, and how near PSOMW comes to the optimum",
        tables=tables,
        frames={table.stem: table.frame() for table in tables},
        setting=(
            f"A device of {device_flops_per_s() / 1e9:g} GFLOP/s ({BOARD}) with the input; an uplink with {DELAY_S * 1e3:g} ms of delay for each "
            "transfer; a server of equal workers, on which the result stays. Up to 8 paths of even rows.",
        ),
        notes=(
            "Best cut, local and remote have no fused layers: one cut at the best place, everything on the device (the result is sent), everything "
            "on the server. Gains are latencies over that of the plan; their means are arithmetic.",
            f"MW and PSOMW had {time_limit_s:g} s, PSOMW with each of {seeds} seeds (the longest took {longest_s:.1f} s); brute force had "
            f"{EXACT_LIMITS * time_limit_s:g} s, and where it did not end so had CP-SAT. The gap is that of the best plan of all methods.",
            f"Uneven rows: paths may also begin at {ROW_STEPS} even steps; by how much PSOMW (seeds: {min(seeds, UNEVEN_SEEDS)}) is then below the "
            "best plan of even rows by any method, 0 where it found none that is better.",
            "Above brute force: the mean over the instances where it ended of how far PSOMW's median is above it, and the worst seed of all.",
            ceiling_note(results),
            paper_note(results),
            caveat(offload_paper()),
        ),
    )
    return report.with_figure(draw_tables(dataclasses.replace(report, tables=tables[:-1])))


def _table(stem: str, columns: tuple[Column, ...], rows: Sequence[Mapping[str, Any]]) -> Table:
    return Table(stem, columns, tuple(rows), (frozenset(),) * len(rows))


def main(argv: Sequence[str] | None = None) -> int:
    """The command ``python -m paper_figs.table_offloading``."""
    return run(STEM, __doc__ or "", build, STEPS, argv, time_limit_s=TIME_LIMIT_S)


if __name__ == "__main__":
    sys.exit(main())
