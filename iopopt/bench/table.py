"""The table at the end of a benchmark."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from rich.table import Table
from rich.text import Text

from iopopt.bench.instance import Instance
from iopopt.bench.run import Run, best_latency_s
from iopopt.methods import METHODS
from iopopt.methods.solution import Solution

_NONE = "-"
_HEADINGS = (
    "latency\nms",
    "gap to\nbest",
    "proven\ngap",
    "times\nCoEdge",
    "times\nsingle",
    "peak memory\nMB per device",
    "connec-\ntions",
    "moved\nkB",
    "time\ns",
)


def instance_table(runs: Sequence[Run]) -> Table:
    """All methods on one instance; a method with several seeds shows its median, and its worst below it."""
    instance, best = runs[0].instance, best_latency_s(runs)
    # Text, because names come from files and may look like markup.
    table = Table(title=Text(_title(instance)), title_justify="left", caption=Text(_caption(instance)), caption_justify="left")
    table.add_column("method", no_wrap=True)
    for heading in _HEADINGS:
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("status")
    for method in dict.fromkeys(run.method for run in runs):
        for label, run in _representatives([run for run in runs if run.method == method]):
            table.add_row(label, *_cells(run, best))
    return table


def _representatives(runs: Sequence[Run]) -> list[tuple[str, Run]]:
    """The one run, or the median and the worst of several seeds."""
    label = METHODS[runs[0].method].label
    if len(runs) == 1:
        return [(label, runs[0])]
    ordered = sorted(runs, key=lambda run: run.solution.latency_s)
    median = ordered[(len(ordered) - 1) // 2]
    return [(f"{label}, median of {len(runs)}", median), (f"{label}, worst of {len(runs)}", ordered[-1])]


def _cells(run: Run, best_s: float) -> list[str]:
    solution, instance, evaluation = run.solution, run.instance, run.solution.evaluation
    fits = solution.status in ("optimal", "feasible")
    latency = solution.latency_s if solution.plan else None
    return [
        _text(latency, _milliseconds),
        _text(solution.latency_s / best_s - 1 if fits else None, lambda value: f"{value:.2%}"),
        _text(solution.gap, lambda value: f"{value:.3%}"),
        _text(instance.coedge_s / latency if latency else None, lambda value: f"{value:.3f}"),
        _text(instance.single_s / latency if latency else None, lambda value: f"{value:.3f}"),
        _NONE if evaluation is None else "/".join(f"{demand / 1e6:.3g}" for demand in evaluation.memory_bytes),
        _NONE if evaluation is None else f"{evaluation.connections}",
        _NONE if evaluation is None else f"{evaluation.transferred_bytes / 1e3:,.0f}",
        f"{solution.build_s + solution.solve_s:.2f}",
        _status(solution),
    ]


def _status(solution: Solution) -> str:
    """The status, and what stopped a search early."""
    cut_short = solution.termination in ("time_limit", "interrupted")
    return solution.status.replace("_", " ") + (f" ({solution.termination.replace('_', ' ')})" if cut_short else "")


def _milliseconds(seconds: float) -> str:
    """Four digits, and never an exponent."""
    value = seconds * 1e3
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


def _text(value: float | None, shape: Callable[[float], str]) -> str:
    return _NONE if value is None or not math.isfinite(value) else shape(value)


def _title(instance: Instance) -> str:
    graph, cluster = instance.graph, instance.cluster
    source = "every device has the input" if cluster.source is None else f"input at {cluster.devices[cluster.source].name}"
    size = f"{len(graph)} operators, {_millions(graph.macs)} million MACs, {_millions(graph.parameters)} million parameters"
    links = f"t_est {cluster.connection_setup_s * 1e3:g} ms, {source}, output to {cluster.devices[cluster.sink].name}"
    return f"{instance.model} on {instance.cluster_name}: {size}; {len(cluster)} devices, {links}"


def _millions(count: int) -> str:
    return f"{count / 1e6:,.0f}" if count >= 1e9 else f"{count / 1e6:.4g}"


def _caption(instance: Instance) -> str:
    devices = "; ".join(
        f"{device.name} {device.flops_per_s / 1e9:.4g} GFLOP/s, {device.memory_bytes / 1e6:.4g} MB, {device.bandwidth_bytes_per_s / 1e6:.4g} MB/s"
        for device in instance.cluster.devices
    )
    return f"Devices: {devices}."
