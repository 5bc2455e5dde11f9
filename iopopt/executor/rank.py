"""One of the processes of ``iopopt run``; the sink's prints and writes the measurements."""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import threading
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from rich.console import Console
from rich.table import Table

from iopopt.cluster.cluster import Cluster, Device
from iopopt.commands.command_line import print_warning
from iopopt.cost.evaluation import Evaluation
from iopopt.executor.calibration import calibrate, describe_fit, doubts, write_cluster
from iopopt.executor.distributed import RankJob, join, leave
from iopopt.executor.execution import Execution
from iopopt.executor.measurements import median_progress, median_timings, write_files
from iopopt.executor.threads import execute
from iopopt.models import brings_weights, load_weights
from iopopt.network.graph import Graph
from iopopt.network.weights import Array, Weights, random_input, random_weights
from iopopt.plan.placement import Placement
from iopopt.plan.plan import Plan
from iopopt.processes import end_with_parent
from iopopt.simulation.simulate import simulate


def run_rank(graph: Graph, cluster: Cluster, plan: Plan, options: argparse.Namespace) -> int:
    """Join the others, run ``--repeat`` times, and report on the sink."""
    if _started_by_a_pipe():
        threading.Thread(target=end_with_parent, daemon=True).start()
    torch.set_num_threads(1)
    weights, inputs = weights_of(graph, options), random_input(graph, options.seed)
    device = join(cluster, options.timeout)
    try:
        job = RankJob(graph, cluster, plan, weights, inputs, overlap=options.overlap, timeout_s=options.timeout)
        runs = [job.run() for _ in range(1 + options.repeat)]
    finally:
        leave()
    measured = [run for run in runs[1:] if run is not None]  # the first run warms up
    if device == cluster.sink:
        _report(graph, cluster, plan, weights, inputs, measured, options)
    return 0


def weights_of(graph: Graph, options: argparse.Namespace) -> Weights:
    """The file's weights if it has any, otherwise random ones."""
    if brings_weights(options.model):
        return load_weights(options.model, input_shape=options.input_shape)
    return random_weights(graph, options.seed)


def _started_by_a_pipe() -> bool:
    """Whether standard input is the starting process's pipe, which ends with it; a terminal and torchrun keep theirs open."""
    return sys.stdin is not None and not sys.stdin.isatty() and "TORCHELASTIC_RUN_ID" not in os.environ


def _report(
    graph: Graph, cluster: Cluster, plan: Plan, weights: Weights, inputs: Array, runs: Sequence[Execution], options: argparse.Namespace
) -> None:
    """Print the table, and write the requested files."""
    run = runs[-1]
    console = Console(width=None if sys.stdout.isatty() else 120)
    latency = statistics.median(run.elapsed_s for run in runs)
    measured = f"measured {latency * 1e3:.4g} ms (median of {len(runs)})."
    simulated = simulate(graph, cluster, plan) if options.overlap else None
    if simulated is not None:
        console.print(progress_table(median_progress(simulated, [run.timeline for run in runs if run.timeline is not None]), run.evaluation))
        console.print(f"Latency: simulated without barriers {simulated.makespan_s * 1e3:.4g} ms, {measured}", highlight=False)
        error_s = max(run.clock_error_s for run in runs)
        console.print(f"The devices' clocks agree within {error_s * 1e3:.2g} ms: half the quickest round trip to the sink.", highlight=False)
    else:
        console.print(timing_table(median_timings(runs), run.evaluation))
        console.print(f"Latency: predicted {run.evaluation.latency_s * 1e3:.4g} ms, {measured}", highlight=False)
    console.print(
        f"Payload: {run.transferred_bytes:,} bytes in {run.messages} messages, {run.evaluation.transferred_bytes:,.0f} predicted "
        f"over {run.connections} logical connections.",
        highlight=False,
    )
    error = whole_error(graph, weights, inputs, run)
    console.print(
        f"Compared with the unpartitioned network: largest error {error:.2g} of the largest output.",
        highlight=False,
    )
    if options.output is not None:
        write_files(runs, options.output, simulated)
    if options.calibrate is not None:
        fit = calibrate(graph, cluster, [(plan, run) for run in runs])
        write_cluster(fit, options.calibrate)
        console.print(describe_fit(fit), highlight=False, soft_wrap=True)
        for doubt in doubts(fit):
            print_warning(doubt)


def whole_error(graph: Graph, weights: Weights, inputs: Array, run: Execution) -> float:
    """The largest difference from a run of the unpartitioned network, relative to its largest output."""
    plan = Plan.of(graph, [Placement.whole(0)] * len(graph))
    whole = execute(graph, [Device("one", 1.0, 1e15, 1.0)], plan, weights, inputs).outputs
    return float(np.abs(run.outputs - whole).max() / np.abs(whole).max())


def timing_table(timings: pd.DataFrame, evaluation: Evaluation) -> Table:
    """Predicted and measured milliseconds, computation and communication in separate columns."""
    headings = "compute\npredicted", "compute\nmeasured", "communication\npredicted", "communication\nmeasured"
    columns = "predicted_compute_s", "compute_s", "predicted_communication_s", "communication_s"
    return _table("Predicted and measured, ms", dict(zip(columns, headings, strict=True)), timings, evaluation)


def progress_table(progress: pd.DataFrame, evaluation: Evaluation) -> Table:
    """Simulated and measured milliseconds: how long the slowest device computed, and when the last one was done."""
    headings = "compute\nsimulated", "compute\nmeasured", "done at\nsimulated", "done at\nmeasured"
    columns = "simulated_compute_s", "compute_s", "simulated_end_s", "end_s"
    return _table("Simulated without barriers and measured, ms", dict(zip(columns, headings, strict=True)), progress, evaluation)


def _table(title: str, columns: Mapping[str, str], frame: pd.DataFrame, evaluation: Evaluation) -> Table:
    """A row for each unit, its placement, and columns of seconds as milliseconds."""
    table = Table(title=title, title_justify="left")
    table.add_column("operator")
    table.add_column("placement")
    for heading in columns.values():
        table.add_column(heading, justify="right")
    placements = {cost.name: str(cost.placement) for cost in evaluation.operators}
    for _, row in frame.iterrows():
        table.add_row(row["operator"], placements.get(row["operator"], ""), *(f"{row[column] * 1e3:.3f}" for column in columns))
    return table
