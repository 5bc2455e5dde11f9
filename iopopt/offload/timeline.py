"""Offloading plans as tasks and transfers, and in time: the simulator's account of what the recursion says."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import accumulate

from iopopt.cluster.cluster import MOST_FIGURE, Cluster, Device
from iopopt.offload.instance import OffloadInstance
from iopopt.offload.paths import PathLoad
from iopopt.offload.plan import OffloadPlan
from iopopt.offload.recursion import OffloadPricer, Step
from iopopt.simulation.events import predecessors, run
from iopopt.simulation.tasks import ComputeTask, Network, TransferTask
from iopopt.simulation.timeline import Span, Timeline


def offload_timeline(instance: OffloadInstance, plan: OffloadPlan) -> Timeline:
    """Every task and transfer of a plan in time, simulated. Each device and each worker is a device of the Timeline; ``item`` is the device's number.

    Raises:
        PlanError: if the plan does not belong to the instance.
    """
    pricer = OffloadPricer(instance)
    pricer.validate(plan)
    writer = _Writer(pricer, plan)
    writer.write()
    times = run(writer.tasks, _network(instance))
    spans = tuple(
        Span(
            unit=label.unit,
            what=label.what,
            device=task.sender if isinstance(task, TransferTask) else task.device,
            receiver=task.receiver if isinstance(task, TransferTask) else None,
            start_s=start,
            end_s=end,
            amount=label.amount,
            producer=label.producer,
            after=after,
            item=label.item,
        )
        for task, label, after, start, end in zip(writer.tasks, writer.labels, predecessors(writer.tasks), times.start_s, times.end_s, strict=True)
    )
    outputs = tuple(max((times.end_s[number] for number in numbers), default=0.0) for numbers in writer.outputs)
    return Timeline(cluster=offload_cluster(instance), spans=spans, outputs_s=outputs)


def offload_cluster(instance: OffloadInstance) -> Cluster:
    """The devices, then the workers of each server, as a cluster. Memory is not limited; a worker's link is as fast as the fastest uplink."""
    fastest = max(max(client.uplink.bytes_per_s, client.down.bytes_per_s) for client in instance.clients)
    clients = [Device(client.name, client.flops_per_s, MOST_FIGURE, client.uplink.bytes_per_s) for client in instance.clients]
    workers = [
        Device(server.name if server.workers == 1 else f"{server.name}/{number + 1}", server.flops_per_s, MOST_FIGURE, fastest)
        for server in instance.servers
        for number in range(server.workers)
    ]
    return Cluster((*clients, *workers), bytes_per_element=instance.bytes_per_element)


def first_workers(instance: OffloadInstance) -> tuple[int, ...]:
    """The number in that cluster of the first worker of each server."""
    return tuple(len(instance.clients) + before for before in accumulate((server.workers for server in instance.servers[:-1]), initial=0))


def job_name(instance: OffloadInstance, client: int, path: int | None) -> str:
    """The ``unit`` of the spans of a path, by its place in the order of its device, or of the stages after the fused ones."""
    name = "tail" if path is None else f"path {path + 1}"
    return name if len(instance.clients) == 1 else f"{instance.clients[client].name} {name}"


def _network(instance: OffloadInstance) -> Network:
    """The uplink and the downlink of each device; what servers send and receive is limited by these alone."""
    unlimited = (float("inf"),) * instance.workers
    up, down = tuple(client.uplink.bytes_per_s for client in instance.clients), tuple(client.down.bytes_per_s for client in instance.clients)
    return Network((*up, *unlimited), (*down, *unlimited), 0.0)


@dataclass(frozen=True)
class _Label:
    unit: str
    what: str
    producer: str
    amount: float
    item: int


@dataclass
class _Newest:
    """The newest transfers of a device each way, by number, and what its result waits for."""

    fetches: list[int] = field(default_factory=list)
    upload: int | None = None
    returned: int | None = None
    ends: list[int] = field(default_factory=list)


class _Writer:
    """Writes the tasks of a plan, in the order of its dispatch."""

    def __init__(self, pricer: OffloadPricer, plan: OffloadPlan) -> None:
        self._pricer, self._plan, self._instance = pricer, plan, pricer.instance
        self._first_worker = first_workers(self._instance)
        self.tasks: list[ComputeTask | TransferTask] = []
        self.labels: list[_Label] = []
        self._newest = [_Newest() for _ in plan.clients]
        self._steps = pricer.steps(plan)
        self._tail_workers = {step.client: step.worker for step in self._steps if step.path is None}

    @property
    def outputs(self) -> list[list[int]]:
        """What the result of each device waits for."""
        return [newest.ends for newest in self._newest]

    def write(self) -> None:
        for client in range(len(self._plan.clients)):
            self._fetch(client)
        for step in self._steps:
            if step.path is None:
                self._tail(step)
            else:
                self._path(step, step.path)

    def _fetch(self, client: int) -> None:
        """The inputs of all paths that begin on the device, one after another."""
        fused, newest = self._plan.clients[client].fused, self._newest[client]
        for number, path in enumerate(self._plan.clients[client].paths):
            if self._pricer.job(client, fused, path).fetch_s is not None:
                size = self._bytes(client, number, 0)
                delay = self._instance.clients[client].down.delay_s
                after = tuple(newest.fetches[-1:])
                task = TransferTask(self._first_worker[path.server], client, size, after, delay)
                newest.fetches.append(self._add(task, client, job_name(self._instance, client, number), "input", self._tensor(client, 0), size))

    def _path(self, step: Step, number: int) -> None:
        client, planned, newest = step.client, self._plan.clients[step.client], self._newest[step.client]
        path = planned.paths[number]
        job, load, name = self._pricer.job(client, planned.fused, path), self._load(client, number), job_name(self._instance, client, number)
        waits: tuple[int, ...] = ()
        if path.cut:
            fetched = newest.fetches[sum(other.cut > 0 for other in planned.paths[:number])] if newest.fetches else None
            task = ComputeTask(client, job.device_s, () if fetched is None else (fetched,))
            waits = (self._add(task, client, name, "", "", sum(load.flops[: path.cut])),)
        worker = None if job.server is None or step.worker is None else self._first_worker[job.server] + step.worker
        if job.upload_s is not None:
            receiver = self._first_worker[planned.tail_server] + (self._tail_workers.get(client) or 0) if worker is None else worker
            size, before = self._bytes(client, number, path.cut), () if newest.upload is None else (newest.upload,)
            upload = TransferTask(client, receiver, size, (*waits, *before), self._instance.clients[client].uplink.delay_s)
            newest.upload = self._add(upload, client, name, "upload", self._tensor(client, path.cut), size)
            waits = (newest.upload,)
        if worker is not None:
            waits = (self._add(ComputeTask(worker, job.server_s, waits), client, name, "", "", sum(load.flops[path.cut :])),)
        if job.return_s is not None and worker is not None:
            waits = (self._return(client, worker, name, self._bytes(client, number, planned.fused), waits),)
        newest.ends.extend(waits)

    def _tail(self, step: Step) -> None:
        client, planned, newest = step.client, self._plan.clients[step.client], self._newest[step.client]
        tail, stages = self._pricer.tail(client, planned.fused, planned.tail_server), self._pricer.stages[client]
        assert tail is not None  # otherwise there is no such step
        assert step.worker is not None
        worker, name = self._first_worker[tail.server] + step.worker, job_name(self._instance, client, None)
        flops = tail.server_s * self._instance.servers[tail.server].flops_per_s
        newest.ends = [self._add(ComputeTask(worker, tail.server_s, tuple(newest.ends)), client, name, "", "", flops)]
        if tail.return_s is not None:
            size = self._instance.bytes_per_element * stages.shape(len(stages)).elements
            newest.ends = [self._return(client, worker, name, size, tuple(newest.ends))]

    def _return(self, client: int, worker: int, name: str, size: float, waits: tuple[int, ...]) -> int:
        """A result, after all inputs and the results before it."""
        newest = self._newest[client]
        before = tuple(newest.fetches[-1:]) if newest.returned is None else (newest.returned,)
        task = TransferTask(worker, client, size, (*waits, *before), self._instance.clients[client].down.delay_s)
        newest.returned = self._add(task, client, name, "result", self._tensor(client, len(self._pricer.stages[client])), size)
        return newest.returned

    def _add(self, task: ComputeTask | TransferTask, client: int, unit: str, what: str, producer: str, amount: float) -> int:
        self.tasks.append(task)
        self.labels.append(_Label(unit, what, producer, amount, client))
        return len(self.tasks) - 1

    def _load(self, client: int, number: int) -> PathLoad:
        planned = self._plan.clients[client]
        return self._pricer.load(client, planned.fused, planned.paths[number].start, planned.paths[number].stop)

    def _bytes(self, client: int, number: int, cut: int) -> float:
        return self._instance.bytes_per_element * self._load(client, number).elements[cut]

    def _tensor(self, client: int, cut: int) -> str:
        return self._pricer.stages[client].tensor_name(cut)
