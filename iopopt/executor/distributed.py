"""Workers that are processes, on one machine or several, over ``torch.distributed`` (gloo): rank j is device j."""

from __future__ import annotations

import dataclasses
import datetime
import json
import os

import torch.distributed as dist

from iopopt.cluster.cluster import Cluster
from iopopt.errors import ExecutionError
from iopopt.executor.assignment import Assignment
from iopopt.executor.execution import Execution, gather
from iopopt.executor.gloo import GlooTransport, OverlappingGlooTransport
from iopopt.executor.heartbeat import Store
from iopopt.executor.job import as_execution_error, check_job, check_overlap, initial_input
from iopopt.executor.overlapping import OverlappingWorker
from iopopt.executor.report import LedgerRow, MessageTime, Report, TaskTimes, Timing, Traffic
from iopopt.executor.weight_shards import cut_shards
from iopopt.executor.worker import Worker
from iopopt.network.graph import Graph
from iopopt.network.weights import Array, Weights
from iopopt.plan.plan import Plan, validate_plan
from iopopt.schedule.region_transfers import unit_inputs


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

    Args:
        overlap, timeout_s: as in :func:`iopopt.execute`.

    Raises:
        PlanError, GraphError, UnsupportedError: as in :func:`iopopt.execute`.
    """

    def __init__(
        self, graph: Graph, cluster: Cluster, plan: Plan, weights: Weights, inputs: Array, *, overlap: bool = False, timeout_s: float
    ) -> None:
        validate_plan(graph, cluster, plan)
        dtype = check_job(graph, cluster, weights, inputs, timeout_s)
        if overlap:
            check_overlap(plan)
        self._graph, self._cluster, self._plan = graph, cluster, plan
        self._overlap, self._timeout_s, self._device = overlap, timeout_s, dist.get_rank()
        placements = [plan[operator.name] for operator in graph.operators]
        inputs_of = unit_inputs(graph, placements, cluster.source, cluster.sink, plan.spans(graph))
        shards = cut_shards(graph, placements, inputs_of, weights, self._device, dtype)
        self._assignment = Assignment(graph, placements, inputs_of, shards, self._device, dtype)
        self._held = initial_input(graph, cluster, inputs, self._device, dtype)

    def run(self) -> Execution | None:
        """Run once; returns the Execution on the sink, None elsewhere.

        Raises:
            ExecutionError: if another rank fails, or a message does not arrive in time.
        """
        try:
            report = self._run()
        except Exception as error:
            raise as_execution_error(error, self._device) from error
        reports = _collected(report, self._cluster.sink, self._timeout_s)
        return None if reports is None else gather(self._graph, self._cluster, self._plan, reports, overlap=self._overlap)

    def _run(self) -> Report:
        if not self._overlap:
            return Worker(self._assignment, GlooTransport(self._timeout_s)).run(self._held)
        transport = OverlappingGlooTransport(self._timeout_s, self._cluster.sink, _meeting_point())
        try:
            return OverlappingWorker(self._assignment, transport).run(self._held)
        finally:
            transport.close()


def execute_rank(
    graph: Graph, cluster: Cluster, plan: Plan, weights: Weights, inputs: Array, *, overlap: bool = False, timeout_s: float
) -> Execution | None:
    """Run this rank's part of ``plan`` once, after the group is joined; returns the Execution on the sink, None elsewhere.

    Raises:
        PlanError, GraphError, UnsupportedError, ExecutionError: as in :class:`RankJob`.
    """
    return RankJob(graph, cluster, plan, weights, inputs, overlap=overlap, timeout_s=timeout_s).run()


def _meeting_point() -> Store:
    """The store at which the group met, which torch.distributed has no public name for."""
    return dist.distributed_c10d._get_default_store()


def _collected(report: Report, sink: int, timeout_s: float) -> list[Report] | None:
    """All reports, on the sink; they pass through the store as JSON, so that nobody waits but the sink, which keeps its own as it is.

    Raises:
        ExecutionError: if the report of another rank does not arrive in time.
    """
    store = _meeting_point()
    if report.device != sink:
        store.set(_report_key(report.device), json.dumps(dataclasses.asdict(report)))
        return None
    reports = []
    for other in range(dist.get_world_size()):
        if other == sink:
            reports.append(report)
            continue
        try:
            store.wait([_report_key(other)], datetime.timedelta(seconds=timeout_s))
            reports.append(_report_from(json.loads(store.get(_report_key(other)))))
            store.delete_key(_report_key(other))  # the next run has another
        except RuntimeError as error:
            raise ExecutionError(f"device {sink} waited {timeout_s:g} s for the report of device {other}: {str(error).splitlines()[0]}") from error
    return reports


def _report_key(device: int) -> str:
    return f"report of device {device}"


def _report_from(record: dict[str, object]) -> Report:
    kinds = {"ledger": LedgerRow, "timings": Timing, "traffic": Traffic, "tasks": TaskTimes, "departures": MessageTime, "arrivals": MessageTime}
    rows = {key: tuple(kind(**row) for row in record[key]) for key, kind in kinds.items()}  # type: ignore[attr-defined]
    return Report(**{**record, **rows})  # type: ignore[arg-type]
