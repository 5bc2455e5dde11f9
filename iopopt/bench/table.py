"""The table at the end of a benchmark."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean

from rich.table import Table
from rich.text import Text

from iopopt.bench.instance import Instance
from iopopt.bench.run import Run, best_latency_s
from iopopt.cluster.cluster import Device
from iopopt.commands.tables import NONE, either, finite_text, four_digits, median_and_worst, ms_text
from iopopt.cost.energy import has_power
from iopopt.methods.solution import Solution
from iopopt.plan.team import space_name

_HEADINGS = (
    "latency\nms",
    "events\nms",
    "gap to\nbest",
    "proven\ngap",
    "times\nCoEdge",
    "times\nsingle",
    "perfect\nsplit",
    "peak memory\nMB per device",
    "connec-\ntions",
    "moved\nkB",
    "time\ns",
)

_ENERGY, _ENERGY_AT = "energy\nJ", 2
"""The column of energies and its place; there is none where no device has a power."""


def instance_table(runs: Sequence[Run]) -> Table:
    """All methods on one instance; a method with several seeds shows its median, and its worst below it."""
    instance, best = runs[0].instance, best_latency_s(runs)
    # Text, because names come from files and may look like markup.
    table = Table(title=Text(_title(instance)), title_justify="left", caption=Text(_caption(instance)), caption_justify="left")
    table.add_column("method", no_wrap=True)
    for heading in (*_HEADINGS[:_ENERGY_AT], *([_ENERGY] if has_power(instance.cluster) else []), *_HEADINGS[_ENERGY_AT:]):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("space", no_wrap=True)
    table.add_column("status")
    for method in dict.fromkeys(run.method for run in runs):
        of_method = [run for run in runs if run.method == method]
        for label, shown in median_and_worst(of_method[0].label, of_method, lambda run: run.latency_s):
            table.add_row(Text(label), *_cells(shown, best))
    return table


def _cells(runs: Sequence[Run], best_s: float) -> list[str | Text]:
    """The figures of a run, or the means of those of two."""
    instance, evaluations = runs[0].instance, [run.solution.evaluation for run in runs]
    latency = fmean(run.latency_s for run in runs)
    fits = all(run.fits for run in runs)
    memory = zip(*(evaluation.memory_bytes for evaluation in evaluations if evaluation), strict=True)
    joules = fmean(_energy_j(run.solution) for run in runs)
    return [
        finite_text(latency, ms_text),
        finite_text(fmean(run.events_s for run in runs), ms_text),
        *([finite_text(joules, lambda value: f"{value:.4g}")] if has_power(instance.cluster) else []),
        finite_text(latency / best_s - 1 if fits else math.nan, lambda value: f"{value:.2%}"),
        finite_text(fmean(_proven_gap(run.solution) for run in runs), lambda value: f"{value:.3%}") + _of_which(runs[0].solution),
        finite_text(instance.coedge_s / latency if latency else math.nan, lambda value: f"{value:.3f}"),
        finite_text(instance.single_s / latency if latency else math.nan, lambda value: f"{value:.3f}"),
        finite_text(instance.perfect_s / latency if latency else math.nan, lambda value: f"{value:.0%}"),
        NONE if None in evaluations else "/".join(f"{fmean(demands) / 1e6:.3g}" for demands in memory),
        finite_text(fmean(evaluation.connections if evaluation else math.nan for evaluation in evaluations), lambda value: f"{value:,.4g}"),
        finite_text(
            fmean(evaluation.transferred_bytes if evaluation else math.nan for evaluation in evaluations), lambda value: f"{value / 1e3:,.0f}"
        ),
        f"{fmean(run.solution.build_s + run.solution.solve_s for run in runs):.2f}",
        Text(either(_space(run) for run in runs)),
        either(_status(run.solution) for run in runs),
    ]


def _energy_j(solution: Solution) -> float:
    energy_j = None if solution.evaluation is None else solution.evaluation.energy_j
    return math.nan if energy_j is None else energy_j


def _of_which(solution: Solution) -> str:
    """The unit of what a gap is of, where that is not the latency."""
    return "" if solution.objective == "latency" or solution.gap is None else f" {solution.unit}"


def _proven_gap(solution: Solution) -> float:
    """The gap by the clock of equation (6), of the method's objective; nan if there is none."""
    return math.nan if solution.gap is None or solution.timing != "bulk-synchronous" else solution.gap


def _space(run: Run) -> str:
    """The space for which bound and status hold, in short."""
    every = space_name("all", run.instance.cluster)
    return run.solution.space.replace(every, "all devices").removeprefix("team=")


def _status(solution: Solution) -> str:
    """The status, and what stopped a search early."""
    cut_short = solution.termination in ("time_limit", "interrupted")
    return solution.status.replace("_", " ") + (f" ({solution.termination.replace('_', ' ')})" if cut_short else "")


def _title(instance: Instance) -> str:
    graph, cluster = instance.graph, instance.cluster
    source = "every device has the input" if cluster.source is None else f"input at {cluster.devices[cluster.source].name}"
    size = f"{len(graph)} operators, {four_digits(graph.macs / 1e6)} million MACs, {four_digits(graph.parameters / 1e6)} million parameters"
    links = f"t_est {cluster.connection_setup_s * 1e3:g} ms, {source}, output to {cluster.devices[cluster.sink].name}"
    return f"{instance.model} on {instance.cluster_name}: {size}; {len(cluster)} devices, {links}"


def _device(device: Device) -> str:
    memory = f"{device.memory_bytes / 1e6:.4g} MB"
    if device.memory_bytes_per_s is not None:
        memory += f" at {device.memory_bytes_per_s / 1e9:.4g} GB/s"
    return f"{device.name} {device.flops_per_s / 1e9:.4g} GFLOP/s, {memory}, {device.bandwidth_bytes_per_s / 1e6:.4g} MB/s"


def _caption(instance: Instance) -> str:
    devices = "; ".join(map(_device, instance.cluster.devices))
    single, perfect = (ms_text(seconds) for seconds in (instance.single_s, instance.perfect_s))
    return f"Devices: {devices}. Best single device: {single} ms; perfect split: {perfect} ms."
