"""``iopopt.execute`` and ``iopopt.execute_offload`` without PyTorch at import: the executor is loaded when a plan is run."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from typing import TYPE_CHECKING

from iopopt.cluster.cluster import Cluster, Device
from iopopt.errors import MissingExtraError
from iopopt.network.graph import Graph
from iopopt.plan.plan import Plan

if TYPE_CHECKING:
    from iopopt.executor.execution import Execution
    from iopopt.executor.offloading import OffloadExecution
    from iopopt.network.weights import Array, Weights
    from iopopt.offload.instance import OffloadInstance
    from iopopt.offload.plan import OffloadPlan


INSTALL_TORCH = "pip install torch --index-url https://download.pytorch.org/whl/cpu"
"""How to get the CPU build; the extra ``run`` alone fetches gigabytes of CUDA libraries on Linux."""


def require_torch() -> None:
    """Check that PyTorch is installed.

    Raises:
        MissingExtraError: if it is not; the message says what to install.
    """
    if importlib.util.find_spec("torch") is None:
        raise MissingExtraError(
            f"running plans needs PyTorch: {INSTALL_TORCH} (the CPU build, which is enough; pip install 'iopopt[run]' alone fetches gigabytes "
            "of CUDA libraries on Linux)"
        )


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
    """Run ``plan`` on workers that share nothing, one thread for each device (``iopopt run`` uses processes).

    Args:
        weights: every operator's parameters by name; :func:`iopopt.network.weights.random_weights` makes some.
        inputs: the network's input, shape (C, H, W).
        overlap: whether devices compute while messages travel and wait only for what they need, as :func:`iopopt.simulate` says, instead of
            waiting for each other before every unit; the outputs differ by rounding only. The result then has a measured ``timeline``.
        timeout_s: how long a worker waits for a message. With ``overlap`` the time counts from when the sender has gone on past the unit that makes
            the message, and a worker may spend 20 times as long in one unit.

    Raises:
        MissingExtraError: if PyTorch is not installed.
        PlanError: if the plan does not belong to this graph and cluster, or the input has the wrong shape.
        GraphError: if the weights do not fit the network.
        UnsupportedError: if the executor has no arithmetic for an operator, or for the cluster's element size (4 and 8 bytes).
        ExecutionError: if a worker fails, or a message does not arrive in time.
    """
    require_torch()
    from iopopt.executor.threads import execute as execute_on_threads

    return execute_on_threads(graph, devices, plan, weights, inputs, overlap=overlap, timeout_s=timeout_s)


def execute_offload(
    instance: OffloadInstance,
    plan: OffloadPlan,
    weights: Weights | Sequence[Weights],
    inputs: Array | Sequence[Array],
    *,
    timeout_s: float = 60.0,
) -> OffloadExecution:
    """Run an offloading plan on workers that share nothing, one thread for each device and each worker of a server that takes part.

    A path's rows are really computed, with its halo, and really sent; so is what passes between workers, which the model has for nothing. Each
    worker holds only the weights of the operators that it computes.

    Args:
        weights: as in :func:`execute`; of several devices, those of each.
        inputs: the network's input, shape (C, H, W); of several devices, that of each.
        timeout_s: how long a worker waits for a message, from when the sender has gone on past the job that makes it; a worker may spend 20 times as
            long in one job.

    Raises:
        MissingExtraError: if PyTorch is not installed.
        PlanError: if the plan does not belong to the instance, an input has the wrong shape, or there is not one for each device.
        GraphError: if weights do not fit their network.
        UnsupportedError: if the executor has no arithmetic for an operator, or for the instance's element size (4 and 8 bytes).
        ExecutionError: if a worker fails, or a message does not arrive in time.
    """
    require_torch()
    from iopopt.executor.offloading import execute_offload as execute_on_threads

    return execute_on_threads(instance, plan, weights, inputs, timeout_s=timeout_s)
