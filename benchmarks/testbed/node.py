"""The process of one device: joins the others once, then reads orders, a line of JSON each, and answers ``done``.

``{"load": NAME, "input_size": N}`` builds a network and its random weights; ``{"run": [PLAN, ...], "cluster": RECORD, "repeat": N,
"overlap": [BOOL, ...], "calibrate": BOOL, "output": PATH}`` runs plans, with barriers, without or both in turn, and the sink writes the measurements.
The process ends when its standard input ends.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import queue
import sys
import threading
from itertools import product
from pathlib import Path
from typing import Any

import torch

from benchmarks.testbed.account import times_of
from iopopt.cluster.cluster import Cluster
from iopopt.executor.calibration import calibrate
from iopopt.executor.distributed import execute_rank, join, leave
from iopopt.executor.execution import Execution
from iopopt.models import load_model
from iopopt.network.graph import Graph
from iopopt.network.weights import Array, Weights, random_input, random_weights
from iopopt.plan.plan import Plan


@dataclasses.dataclass(frozen=True)
class Network:
    """A network, its weights and an input."""

    graph: Graph
    weights: Weights
    inputs: Array


def main() -> None:
    """Execute orders until the input ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--timeout", type=float, default=120.0, help="time limit for one message, seconds")
    timeout_s = parser.parse_args().timeout
    orders: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(orders,), daemon=True).start()
    torch.set_num_threads(1)
    # oneDNN takes twenty times as long as a plain product for a fully connected operator of 7x7 maps, which the executor runs as a convolution.
    torch.backends.mkldnn.enabled = False  # type: ignore[assignment]
    networks: dict[str, Network] = {}
    join(_placeholder_cluster(int(os.environ["WORLD_SIZE"])), timeout_s)
    try:
        while True:
            print("done", flush=True)
            _execute(json.loads(orders.get()), networks, timeout_s)
    finally:
        leave()


def _listen(orders: queue.SimpleQueue[str]) -> None:
    """Pass on the lines of standard input, which ends with the starting process; this process then ends as well, even while it waits."""
    for line in sys.stdin:
        orders.put(line)
    os._exit(0)


def _placeholder_cluster(devices: int) -> Cluster:
    """A cluster for joining, of which only the size matters."""
    from benchmarks.testbed.layout import Node, nominal_cluster

    return nominal_cluster((Node(1.0, 1e6),) * devices)


def _execute(order: dict[str, Any], networks: dict[str, Network], timeout_s: float) -> None:
    if "load" in order:
        graph = load_model(order["load"], input_size=order["input_size"])
        networks.clear()  # one at a time in memory
        networks[""] = Network(graph, random_weights(graph), random_input(graph))
        return
    _run(order, networks[""], timeout_s)


def _run(order: dict[str, Any], network: Network, timeout_s: float) -> None:
    """Run every plan once to warm up and then as often as ordered; plans take turns, so that noise of the machine affects all of them."""
    cluster = Cluster.from_dict(order["cluster"])
    plans = [Plan.from_dict(record) for record in order["run"]]
    runs: list[tuple[int, Execution]] = []
    overlaps: list[bool] = []
    for round_ in range(1 + order["repeat"]):
        for (number, plan), overlap in product(enumerate(plans), order["overlap"]):
            execution = execute_rank(network.graph, cluster, plan, network.weights, network.inputs, overlap=overlap, timeout_s=timeout_s)
            if execution is not None and round_ > 0:
                runs.append((number, execution))
                overlaps.append(overlap)
    if runs:
        _write(order, network.graph, cluster, plans, runs, overlaps)


def _write(order: dict[str, Any], graph: Graph, cluster: Cluster, plans: list[Plan], runs: list[tuple[int, Execution]], overlaps: list[bool]) -> None:
    found = zip(runs, overlaps, strict=True)
    record: dict[str, Any] = {"runs": [_run_record(graph, number, execution, overlap) for (number, execution), overlap in found]}
    if order["calibrate"]:
        fit = calibrate(graph, cluster, [(plans[number], execution) for number, execution in runs])
        record["fit"] = dataclasses.asdict(fit) | {"cluster": fit.cluster.to_dict()}
    Path(order["output"]).write_text(json.dumps(record), encoding="utf-8")


def _run_record(graph: Graph, number: int, execution: Execution, overlap: bool) -> dict[str, Any]:
    """One run: which plan, its seconds, and with barriers measured and predicted seconds of each operator (slowest device) and their account."""
    record = {"plan": number, "overlap": overlap, "elapsed_s": execution.elapsed_s}
    if overlap:
        return record
    return record | {"operators": execution.timing_frame().to_dict("records"), "account": times_of(graph, execution)}


if __name__ == "__main__":
    main()
