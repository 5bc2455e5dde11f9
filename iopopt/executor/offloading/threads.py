"""Runs an offloading plan with a thread for each device and each worker that takes part, in this process."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np
import torch

from iopopt.errors import ExecutionError, PlanError
from iopopt.executor.arithmetic import TensorSlice
from iopopt.executor.computing import RowsComputation
from iopopt.executor.job import check_job
from iopopt.executor.mailboxes import ThreadHub, ThreadTransport
from iopopt.executor.offloading.execution import OffloadExecution, gather
from iopopt.executor.offloading.schedule import OffloadSchedule, offload_schedule
from iopopt.executor.offloading.worker import Network, OffloadReport, OffloadWorker
from iopopt.executor.weight_shards import whole_shards
from iopopt.network.weights import Array, Weights
from iopopt.offload.instance import OffloadInstance
from iopopt.offload.plan import OffloadPlan
from iopopt.offload.stages import Stages
from iopopt.offload.timeline import offload_cluster, offload_timeline
from iopopt.schedule.regions import everything

T = TypeVar("T")


def execute_offload(
    instance: OffloadInstance,
    plan: OffloadPlan,
    weights: Weights | Sequence[Weights],
    inputs: Array | Sequence[Array],
    *,
    timeout_s: float = 60.0,
) -> OffloadExecution:
    """Run ``plan`` on workers that share nothing, one thread for each device and each worker that takes part.

    The arguments and errors are those of :func:`iopopt.execute_offload`, which needs no PyTorch to be imported.
    """
    schedule, cluster = offload_schedule(instance, plan), offload_cluster(instance)
    of_weights = _for_each(instance, [weights] if isinstance(weights, Mapping) else weights, "weights")
    of_inputs = _for_each(instance, [inputs] if isinstance(inputs, np.ndarray) else inputs, "inputs")
    for client, mine, given in zip(instance.clients, of_weights, of_inputs, strict=True):
        dtype = check_job(client.graph, cluster, mine, given, timeout_s)
    hub = ThreadHub(schedule.workers, timeout_s)

    def run(number: int) -> tuple[OffloadReport, int]:
        networks = {
            client: _network(instance, schedule, client, number, of_weights[client], of_inputs[client], dtype) for client in range(len(of_inputs))
        }
        report = OffloadWorker(schedule, networks, ThreadTransport(hub, number), dtype).run()
        return report, sum(network.held_bytes for network in networks.values())

    try:
        found = dict(zip(schedule.workers, hub.run(run), strict=True))
        weights_bytes = [found[number][1] if number in found else 0 for number in range(len(cluster))]
        return gather(offload_timeline(instance, plan), [report for report, _ in found.values()], weights_bytes)
    except ExecutionError as error:
        numbers = sorted({int(number) for number in re.findall(r"\bdevice (\d+)", str(error))})
        names = ", ".join(f"device {number} is {cluster.devices[number].name!r}" for number in numbers)
        raise ExecutionError(f"{error} ({names})" if names else str(error)) from error


def _for_each(instance: OffloadInstance, values: Sequence[T], what: str) -> Sequence[T]:
    """One for each device."""
    if len(values) != len(instance.clients):
        raise PlanError(f"{what}: there are {len(values)}; the instance has {len(instance.clients)} devices, and each needs its own")
    return values


def _network(
    instance: OffloadInstance, schedule: OffloadSchedule, client: int, number: int, weights: Weights, inputs: Array, dtype: torch.dtype
) -> Network:
    """A device's network on one worker: with the weights of what that computes, and the input if it has it and begins with it."""
    of, mine = instance.clients[client], [task for task in schedule.tasks if task.worker == number and task.makes.client == client]
    shards = whole_shards(of.graph, {member for task in mine for member in task.members}, weights, dtype)
    has_input = number == client if of.input_at == "device" else number >= len(instance.clients)
    begins = has_input and any(part.cut == 0 for task in mine for part in task.reads)
    held = TensorSlice(everything(of.graph.input_shape), torch.tensor(inputs, dtype=dtype)) if begins else None
    return Network(Stages.of(of.graph), RowsComputation(of.graph, shards), held, sum(shard.nbytes for shard in shards.values()))
