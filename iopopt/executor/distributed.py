"""Workers that are processes, on one machine or several, over ``torch.distributed`` (gloo): rank j is device j."""

from __future__ import annotations

import dataclasses
import datetime
import json
import os
from collections.abc import Callable
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from iopopt.cluster.cluster import Cluster
from iopopt.errors import ExecutionError
from iopopt.executor.execution import Execution, gather
from iopopt.executor.job import as_execution_error, check_job, initial_input
from iopopt.executor.report import LedgerRow, Report, Timing, Traffic
from iopopt.executor.weight_shards import cut_shards
from iopopt.executor.worker import Worker
from iopopt.network.graph import Graph
from iopopt.network.weights import Array, Weights
from iopopt.plan.plan import Plan, validate_plan
from iopopt.schedule.region_transfers import unit_inputs

T = TypeVar("T")

_BARRIER_TIMEOUTS = 20


class GlooTransport:
    """One rank's end of a process group; sent tensors are held until they are delivered."""

    def __init__(self, timeout_s: float) -> None:
        self.device, self.messages, self.wire_bytes = dist.get_rank(), 0, 0
        self._timeout = datetime.timedelta(seconds=timeout_s)
        self._under_way: list[tuple[dist.Work, Tensor]] = []

    def send(self, tensor: Tensor, target: int) -> None:
        self.messages += 1
        self.wire_bytes += tensor.nbytes
        work = self._guarded(f"send to device {target}", lambda: dist.isend(tensor, target))
        assert work is not None  # this rank is a member of the group
        self._under_way.append((work, tensor))

    def receive(self, shape: tuple[int, ...], dtype: torch.dtype, source: int) -> Tensor:
        tensor = torch.empty(shape, dtype=dtype)
        self._guarded(f"receive from device {source}", lambda: dist.recv(tensor, source))
        return tensor

    def complete_sends(self) -> None:
        for work, _ in self._under_way:
            self._guarded("finish sending", lambda work=work: work.wait(self._timeout))  # type: ignore[misc]
        self._under_way.clear()

    def barrier(self) -> None:
        # A longer limit than for a message: a neighbour may compute for a long time, and one that dies closes its connections.
        self._guarded("wait for the others", lambda: dist.monitored_barrier(timeout=_BARRIER_TIMEOUTS * self._timeout))

    def _guarded(self, what: str, act: Callable[[], T]) -> T:
        try:
            return act()
        except RuntimeError as error:
            raise ExecutionError(f"device {self.device} could not {what}: {str(error).splitlines()[0]}") from error


def join(cluster: Cluster, timeout_s: float) -> int:
    """Join the process group that the environment describes; returns this process's device.

    Raises:
        ExecutionError: if the size of the group differs from that of the cluster, or the group does not form in time.
    """
    world = int(os.environ["WORLD_SIZE"])
    if world != len(cluster):
        raise ExecutionError(f"{world} processes were started for a cluster of {len(cluster)} devices; start one for each")
    try:
        dist.init_process_group("gloo", timeout=datetime.timedelta(seconds=timeout_s))
    except (RuntimeError, ValueError) as error:
        raise ExecutionError(f"the process group could not form: {str(error).splitlines()[0]}") from error
    return int(dist.get_rank())


def leave() -> None:
    """Leave the process group."""
    dist.destroy_process_group()


class RankJob:
    """This rank's part of a plan, ready to run any number of times; it holds only its shards of the weights.

    Raises:
        PlanError, GraphError, UnsupportedError: as in :func:`iopopt.executor.threads.execute`.
    """

    def __init__(self, graph: Graph, cluster: Cluster, plan: Plan, weights: Weights, inputs: Array, *, timeout_s: float) -> None:
        validate_plan(graph, cluster, plan)
        self._dtype = check_job(graph, cluster, weights, inputs, timeout_s)
        self._graph, self._cluster, self._plan = graph, cluster, plan
        self._placements = [plan[operator.name] for operator in graph.operators]
        self._inputs = unit_inputs(graph, self._placements, cluster.source, cluster.sink, plan.spans(graph))
        self._timeout_s, self._device = timeout_s, dist.get_rank()
        self._shards = cut_shards(graph, self._placements, self._inputs, weights, self._device, self._dtype)
        self._held = initial_input(graph, cluster, inputs, self._device, self._dtype)

    def run(self) -> Execution | None:
        """Run once; returns the Execution on the sink, None elsewhere.

        Raises:
            ExecutionError: if another rank fails, or a message does not arrive in time.
        """
        worker = Worker(self._graph, self._placements, self._inputs, self._shards, GlooTransport(self._timeout_s), self._dtype)
        try:
            report = worker.run(self._held)
        except Exception as error:
            raise as_execution_error(error, self._device) from error
        reports = _collected(report, self._cluster.sink)
        return None if reports is None else gather(self._graph, self._cluster, self._plan, reports)


def execute_rank(graph: Graph, cluster: Cluster, plan: Plan, weights: Weights, inputs: Array, *, timeout_s: float) -> Execution | None:
    """Run this rank's part of ``plan`` once, after the group is joined; returns the Execution on the sink, None elsewhere.

    Raises:
        PlanError, GraphError, UnsupportedError, ExecutionError: as in :class:`RankJob`.
    """
    return RankJob(graph, cluster, plan, weights, inputs, timeout_s=timeout_s).run()


def _collected(report: Report, sink: int) -> list[Report] | None:
    """All reports, on the sink; they are sent as JSON, and the sink's own output is not copied."""
    record = json.dumps(dataclasses.asdict(dataclasses.replace(report, output=None)))
    records: list[str] | None = [""] * dist.get_world_size() if report.device == sink else None
    dist.gather_object(record, records, dst=sink)
    if records is None:
        return None
    reports = [_report_from(json.loads(text)) for text in records]
    return [dataclasses.replace(other, output=report.output) if other.device == sink else other for other in reports]


def _report_from(record: dict[str, object]) -> Report:
    kinds = {"ledger": LedgerRow, "timings": Timing, "traffic": Traffic}
    rows = {key: tuple(kind(**row) for row in record[key]) for key, kind in kinds.items()}  # type: ignore[attr-defined]
    return Report(**{**record, **rows})  # type: ignore[arg-type]
