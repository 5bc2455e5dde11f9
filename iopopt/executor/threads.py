"""Runs a plan with one thread for each device, in this process: for tests and quick checks."""

from __future__ import annotations

from collections.abc import Sequence

from iopopt.cluster.cluster import Cluster, Device
from iopopt.cost.instance import Instance
from iopopt.executor.assignment import Assignment
from iopopt.executor.execution import Execution, gather
from iopopt.executor.job import check_job, check_overlap, initial_input
from iopopt.executor.mailboxes import ThreadHub, ThreadTransport
from iopopt.executor.overlapping import OverlappingWorker
from iopopt.executor.report import Report
from iopopt.executor.weight_shards import cut_shards
from iopopt.executor.worker import Worker
from iopopt.network.graph import Graph
from iopopt.network.weights import Array, Weights
from iopopt.plan.plan import Plan, validate_plan
from iopopt.schedule.region_transfers import unit_inputs


def execute(
    graph: Graph,
    devices: Cluster | Sequence[Device],
    plan: Plan,
    weights: Weights,
    inputs: Array,
    *,
    overlap: bool = False,
    timeout_s: float = 60.0,
) -> Execution:
    """Run ``plan`` on workers that share nothing, one thread for each device.

    The arguments and errors are those of :func:`iopopt.execute`, which needs no PyTorch to be imported.
    """
    cluster = Instance.of(graph, devices).cluster
    validate_plan(graph, cluster, plan)
    dtype = check_job(graph, cluster, weights, inputs, timeout_s)
    if overlap:
        check_overlap(plan)
    placements = [plan[operator.name] for operator in graph.operators]
    inputs_of = unit_inputs(graph, placements, cluster.source, cluster.sink, plan.spans(graph))
    hub = ThreadHub(range(len(cluster)), timeout_s)

    def run(device: int) -> Report:
        shards = cut_shards(graph, placements, inputs_of, weights, device, dtype)
        held = initial_input(graph, cluster, inputs, device, dtype)
        assignment, transport = Assignment(graph, placements, inputs_of, shards, device, dtype), ThreadTransport(hub, device)
        return (OverlappingWorker if overlap else Worker)(assignment, transport).run(held)

    return gather(graph, cluster, plan, hub.run(run), overlap=overlap)
