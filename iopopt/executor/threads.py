"""Runs a plan with one thread a device, in this process: for tests and quick checks."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from iopopt.cluster import Cluster, Device, as_cluster
from iopopt.errors import ExecutionError, PlanError, UnsupportedError
from iopopt.evaluation import evaluate
from iopopt.executor.arithmetic import check_runnable, cut
from iopopt.executor.execution import Execution, gather
from iopopt.executor.regions import Region, everything
from iopopt.executor.schedule import Edge, edges
from iopopt.executor.transport import ThreadHub, ThreadTransport
from iopopt.executor.weights import Array, Weights, check_weights
from iopopt.executor.worker import Report, Worker, cut_shards
from iopopt.graph import Graph
from iopopt.plan import Plan

_DTYPES = {4: torch.float32, 8: torch.float64}


def execute(graph: Graph, devices: Cluster | Sequence[Device], plan: Plan, weights: Weights, inputs: Array, *, timeout_s: float = 60.0) -> Execution:
    """Run ``plan`` on workers that share nothing, one thread for each device.

    Args:
        weights: every operator's parameters (:func:`iopopt.executor.weights.random_weights` makes some).
        inputs: the network's input, shape (C, H, W).
        timeout_s: how long a worker waits for a message.

    Raises:
        PlanError: if the plan is not one of this graph and cluster, or the input has another shape.
        GraphError: if the weights do not fit the network.
        UnsupportedError: if the executor has no arithmetic for an operator, or for the cluster's element size (4 and 8 bytes).
        ExecutionError: if a worker fails, or a message does not come in time.
    """
    cluster = as_cluster(devices)
    evaluation = evaluate(graph, cluster, plan)
    dtype = check_job(graph, cluster, weights, inputs)
    placements = [plan[operator.name] for operator in graph.operators]
    schedule = edges(graph, placements, cluster.source, cluster.sink)
    hub = ThreadHub(len(cluster), timeout_s)

    def run(device: int) -> Report:
        try:
            shards = cut_shards(graph, placements, schedule, weights, device, dtype)
            held = initial_input(graph, cluster, schedule[0], inputs, device, dtype)
            return Worker(graph, placements, schedule, shards, ThreadTransport(hub, device)).run(held)
        except BaseException:
            hub.fail()
            raise

    with ThreadPoolExecutor(len(cluster)) as pool:
        futures = [pool.submit(run, device) for device in range(len(cluster))]
    errors = [error for future in futures if (error := future.exception()) is not None]
    if errors:
        # The first cause, not those whom it woke.
        raise next((error for error in errors if not isinstance(error, ExecutionError)), errors[0])
    return gather([future.result() for future in futures], cluster.sink, evaluation)


def check_job(graph: Graph, cluster: Cluster, weights: Weights, inputs: Array) -> torch.dtype:
    """Refuse what cannot be run; returns the type of the tensors' elements.

    Raises:
        PlanError, GraphError, UnsupportedError: as :func:`execute` says.
    """
    if cluster.bytes_per_element not in _DTYPES:
        raise UnsupportedError(f"bytes_per_element is {cluster.bytes_per_element}; the executor runs elements of 4 or 8 bytes (float32, float64)")
    for operator in graph.operators:
        check_runnable(operator)
    check_weights(graph, weights)
    if np.shape(inputs) != tuple(graph.input_shape):
        raise PlanError(f"the input has shape {np.shape(inputs)}; {graph.name} reads {tuple(graph.input_shape)}")
    return _DTYPES[cluster.bytes_per_element]


def initial_input(graph: Graph, cluster: Cluster, first: Edge, inputs: Array, device: int, dtype: torch.dtype) -> tuple[Region, torch.Tensor] | None:
    """What of the input lies on a device: all of it on the source; what each needs where every device has it."""
    full = everything(graph.input_shape)
    if cluster.source is not None:
        return (full, torch.tensor(inputs, dtype=dtype)) if device == cluster.source else None
    region = first.rounds[0].finished.get(device)
    return None if region is None else (region, cut(torch.tensor(inputs, dtype=dtype), region, full))
