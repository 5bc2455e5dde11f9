"""Runs a plan with one thread for each device, in this process: for tests and quick checks."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from iopopt.cluster.cluster import Cluster, Device
from iopopt.cost.instance import Instance
from iopopt.executor.execution import Execution, gather
from iopopt.executor.job import as_execution_error, check_job, initial_input
from iopopt.executor.report import Report
from iopopt.executor.transport import ThreadHub, ThreadTransport
from iopopt.executor.weight_shards import cut_shards
from iopopt.executor.worker import Worker
from iopopt.network.graph import Graph
from iopopt.network.weights import Array, Weights
from iopopt.plan.plan import Plan, validate_plan
from iopopt.schedule.region_transfers import unit_inputs


def execute(graph: Graph, devices: Cluster | Sequence[Device], plan: Plan, weights: Weights, inputs: Array, *, timeout_s: float = 60.0) -> Execution:
    """Run ``plan`` on workers that share nothing, one thread for each device.

    Args:
        weights: every operator's parameters (:func:`iopopt.network.weights.random_weights` makes some).
        inputs: the network's input, shape (C, H, W).
        timeout_s: how long a worker waits for a message.

    Raises:
        PlanError: if the plan does not belong to this graph and cluster, or the input has the wrong shape.
        GraphError: if the weights do not fit the network.
        UnsupportedError: if the executor has no arithmetic for an operator, or for the cluster's element size (4 and 8 bytes).
        ExecutionError: if a worker fails, or a message does not arrive in time.
    """
    cluster = Instance.of(graph, devices).cluster
    validate_plan(graph, cluster, plan)
    dtype = check_job(graph, cluster, weights, inputs, timeout_s)
    placements = [plan[operator.name] for operator in graph.operators]
    inputs_of = unit_inputs(graph, placements, cluster.source, cluster.sink, plan.spans(graph))
    hub = ThreadHub(len(cluster), timeout_s)

    def run(device: int) -> Report:
        try:
            shards = cut_shards(graph, placements, inputs_of, weights, device, dtype)
            held = initial_input(graph, cluster, inputs, device, dtype)
            return Worker(graph, placements, inputs_of, shards, ThreadTransport(hub, device), dtype).run(held)
        except BaseException as error:
            hub.fail(as_execution_error(error, device))
            raise

    with ThreadPoolExecutor(len(cluster)) as pool:
        futures = [pool.submit(run, device) for device in range(len(cluster))]
    if hub.cause is not None:
        raise hub.cause
    return gather(graph, cluster, plan, [future.result() for future in futures])
