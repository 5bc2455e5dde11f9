"""Where the time of runs with barriers goes that equation (6) does not predict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from rich.table import Table

from iopopt.executor.execution import Execution
from iopopt.network.graph import Graph
from iopopt.network.operators.fc import FullyConnected

PARTS = {
    "first": "first operator: its slowest device by (7), beyond (7)",
    "dense": "fully connected operators, likewise",
    "others": "all other operators, likewise",
    "stragglers": "waiting for a device that (7) does not expect to be the slowest",
    "communication": "transfers, beyond (8)",
    "barriers": "barriers, and what lies between computation and transfers",
}
"""The parts of measured minus predicted time; they add up to it."""


def times_of(graph: Graph, execution: Execution) -> dict[str, float]:
    """Seconds of one run with barriers: predicted, measured, and each part of the difference."""
    found = dict.fromkeys(PARTS, 0.0)
    measured = {(timing.operator, timing.device): timing for timing in execution.timings}
    dense = {operator.name for operator in graph.operators if isinstance(operator, FullyConnected)}
    devices, spent = range(len(execution.evaluation.device_names)), 0.0
    for number, cost in enumerate(execution.evaluation.operators):
        expected = max(devices, key=lambda j: cost.device_compute_s[j])
        computed = [measured[cost.name, j].compute_s for j in devices]
        part = "first" if number == 0 else "dense" if cost.name in dense else "others"
        found[part] += computed[expected] - cost.compute_s
        found["stragglers"] += max(computed) - computed[expected]
        spent += max(computed)
    for name in dict.fromkeys(timing.operator for timing in execution.timings):
        seconds = max(measured[name, j].communication_s for j in devices if (name, j) in measured)
        found["communication"] += seconds
        spent += seconds
    found["communication"] -= execution.evaluation.communication_s
    found["barriers"] = execution.elapsed_s - spent
    return {"predicted": execution.evaluation.latency_s, "measured": execution.elapsed_s, **found}


def account_frame(records: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """A row for each part: the mean over runs, as a part of the measured time."""
    frame = pd.DataFrame([record["account"] for record in records])
    parts = frame[["predicted", *PARTS]].div(frame["measured"], axis=0).mean()
    return pd.DataFrame({"part": ["equation (6)", *PARTS.values()], "of measured": parts.to_numpy()})


def account_table(frame: pd.DataFrame) -> Table:
    """The same for a terminal."""
    table = Table(title="Where the time with barriers goes, mean over all runs", title_justify="left")
    table.add_column("part")
    table.add_column("of measured", justify="right")
    for _, row in frame.iterrows():
        table.add_row(row["part"], f"{row['of measured']:+.1%}")
    return table
