"""Checks of a run before any worker starts: weights, input, element size, and which devices have the input."""

from __future__ import annotations

import numpy as np
import torch

from iopopt.cluster.cluster import Cluster
from iopopt.errors import ExecutionError, IopoptError, PlanError, UnsupportedError
from iopopt.executor.arithmetic import TensorSlice, check_runnable
from iopopt.network.graph import Graph
from iopopt.network.weights import Array, Weights, check_weights
from iopopt.plan.plan import Plan
from iopopt.schedule.regions import everything

_DTYPES = {4: torch.float32, 8: torch.float64}


def check_job(graph: Graph, cluster: Cluster, weights: Weights, inputs: Array, timeout_s: float) -> torch.dtype:
    """Refuse what cannot be run; returns the type of the tensors' elements.

    Raises:
        PlanError, GraphError, UnsupportedError: as in :func:`iopopt.executor.threads.execute`.
    """
    if cluster.bytes_per_element not in _DTYPES:
        raise UnsupportedError(f"bytes_per_element is {cluster.bytes_per_element}; the executor runs elements of 4 or 8 bytes (float32, float64)")
    if not 0 < timeout_s < float("inf"):
        raise UnsupportedError(f"timeout_s is {timeout_s}; it must be a positive finite number of seconds")
    for operator in graph.operators:
        check_runnable(operator)
    check_weights(graph, weights)
    if np.shape(inputs) != tuple(graph.input_shape):
        raise PlanError(f"the input has shape {np.shape(inputs)}; {graph.name} reads {tuple(graph.input_shape)}")
    return _DTYPES[cluster.bytes_per_element]


def check_overlap(plan: Plan) -> None:
    """Refuse a plan that cannot be run without barriers.

    Raises:
        UnsupportedError: naming the operator that is streamed.
    """
    for name, placement in plan.items():
        if placement.stream is not None:
            raise UnsupportedError(f"operator {name!r} is {placement}; streams run with barriers only: leave out overlap, or the stream")


def initial_input(graph: Graph, cluster: Cluster, inputs: Array, device: int, dtype: torch.dtype) -> TensorSlice | None:
    """The input, on the source, or on every device if all have it; None elsewhere."""
    if cluster.source not in (None, device):
        return None
    return TensorSlice(everything(graph.input_shape), torch.tensor(inputs, dtype=dtype))


def as_execution_error(error: BaseException, device: int) -> BaseException:
    """An error of this package, or an interrupt, unchanged; any other error as a worker's failure."""
    if isinstance(error, IopoptError) or not isinstance(error, Exception):
        return error
    wrapped = ExecutionError(f"device {device} failed: {type(error).__name__}: {error}")
    wrapped.__cause__ = error
    return wrapped
