"""Who computes and sends what in an offloading plan; every worker derives the same, so that no message needs a header."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from iopopt.offload.instance import OffloadInstance
from iopopt.offload.paths import path_rows
from iopopt.offload.plan import OffloadPlan, Path
from iopopt.offload.recursion import OffloadPricer, Step
from iopopt.offload.stages import Stages
from iopopt.offload.timeline import first_workers, job_name
from iopopt.schedule.regions import Interval, Region, everything

BEFORE = -1
"""The turn in which servers send devices their inputs."""

TransferWhat = Literal["input", "upload", "gather", "result"]
"""``gather`` is what passes between workers, which the model has for nothing."""


class Part(NamedTuple):
    """The rows that a path needs of the tensor after ``cut`` stages; all rows of it if ``path``, a place in the order of its device, is None."""

    client: int
    path: int | None
    cut: int


@dataclass(frozen=True)
class OffloadTask:
    """What a worker does in one of its turns: it makes a part of others by some operators, or of none, and sends it on.

    Attributes:
        turn: the place in the plan's dispatch, or :data:`BEFORE`.
        worker: by number; devices come first, then the workers of each server, as in :func:`iopopt.offload.timeline.offload_cluster`.
        unit: its name.
        reads: one part, or those of all paths, which are put together.
        rows: of the output of each operator, and of the tensor that they read.
    """

    turn: int
    worker: int
    unit: str
    reads: tuple[Part, ...]
    makes: Part
    members: range
    rows: Mapping[int, Interval]


@dataclass(frozen=True)
class OffloadMessage:
    """A part that goes from one worker to another, in the turn of its sender in which that has it.

    Attributes:
        unit: the name of the path, or of the stages after the fused ones.
        producer: the name of the tensor.
        region: of the tensor, with ``width`` columns.
    """

    part: Part
    what: TransferWhat
    turn: int
    sender: int
    receiver: int
    unit: str
    producer: str
    region: Region
    width: int

    @property
    def shape(self) -> tuple[int, int, int]:
        return len(self.region.channels), len(self.region.rows), self.width


class Ending(NamedTuple):
    """Where the result of a device is, and of which parts it is put together."""

    worker: int
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class OffloadSchedule:
    """A plan as its workers know it.

    Attributes:
        turns: how many there are, those before the first not counted.
        tasks, messages: in the order in which each worker does, sends and receives its own.
        results: of each device.
    """

    turns: int
    tasks: tuple[OffloadTask, ...]
    messages: tuple[OffloadMessage, ...]
    results: tuple[Ending, ...]

    @property
    def workers(self) -> Sequence[int]:
        """Those who have something to do."""
        senders_and_receivers = {end for message in self.messages for end in (message.sender, message.receiver)}
        return sorted(senders_and_receivers | {task.worker for task in self.tasks} | {result.worker for result in self.results})


def offload_schedule(instance: OffloadInstance, plan: OffloadPlan) -> OffloadSchedule:
    """The schedule of a plan.

    Raises:
        PlanError: if the plan does not belong to the instance.
    """
    pricer = OffloadPricer(instance)
    pricer.validate(plan)
    steps = pricer.steps(plan)
    writer = _Writer(instance, pricer.stages, plan, steps)
    return OffloadSchedule(len(steps), tuple(writer.tasks), tuple(writer.messages), tuple(map(writer.result, range(len(plan.clients)))))


class _Writer:
    """Writes inputs first, then the jobs in the order of their dispatch."""

    def __init__(self, instance: OffloadInstance, stages: Sequence[Stages], plan: OffloadPlan, steps: Sequence[Step]) -> None:
        self._instance, self._stages, self._plan, self._first_worker = instance, stages, plan, first_workers(instance)
        self._rows = [[_rows(of, planned.fused, path) for path in planned.paths] for of, planned in zip(stages, plan.clients, strict=True)]
        self._tail_workers = {step.client: self._worker(plan.clients[step.client].tail_server, step) for step in steps if step.path is None}
        self.tasks: list[OffloadTask] = []
        self.messages: list[OffloadMessage] = []
        for client, planned in enumerate(plan.clients):
            for number, path in enumerate(planned.paths):
                if path.cut and instance.clients[client].input_at == "server":
                    self._fetch(client, number, path)
        for turn, step in enumerate(steps):
            if step.path is None:
                self._tail(turn, step.client)
            else:
                self._path(turn, step, step.path)

    def result(self, client: int) -> Ending:
        """Where the result of a device is."""
        stages, planned, at_device = self._stages[client], self._plan.clients[client], self._instance.clients[client].result_at == "device"
        if planned.fused == len(stages):
            return Ending(self._home(client), self._ends(client))
        return Ending(client if at_device else self._tail_workers[client], (Part(client, None, len(stages)),))

    def _home(self, client: int) -> int:
        """Who puts the paths of a device together: the worker that goes on from there, or whoever needs the result."""
        if client in self._tail_workers:
            return self._tail_workers[client]
        return client if self._instance.clients[client].result_at == "device" else self._first_worker[self._plan.clients[client].tail_server]

    def _ends(self, client: int) -> tuple[Part, ...]:
        """What the paths of a device end with, from the first row to the last."""
        planned = self._plan.clients[client]
        in_order = sorted(range(len(planned.paths)), key=lambda number: planned.paths[number].start)
        return tuple(Part(client, number, planned.fused) for number in in_order)

    def _worker(self, server: int, step: Step) -> int:
        assert step.worker is not None  # a server takes this job
        return self._first_worker[server] + step.worker

    def _fetch(self, client: int, number: int, path: Path) -> None:
        """The input rows of a path that begins on the device."""
        sender, part = self._first_worker[path.server], Part(client, number, 0)
        self._task(BEFORE, sender, part, part)
        self._message(part, "input", BEFORE, sender, client)

    def _path(self, turn: int, step: Step, number: int) -> None:
        client, planned = step.client, self._plan.clients[step.client]
        path, home = planned.paths[number], self._home(client)
        begin, cut, end = (Part(client, number, stage) for stage in (0, path.cut, planned.fused))
        if path.cut or self._instance.clients[client].input_at == "device":
            self._task(turn, client, begin, cut)
            taker = home if path.cut == planned.fused else self._worker(path.server, step)
            if taker != client:
                self._message(cut, "upload", turn, client, taker)
        if path.cut < planned.fused:
            worker = self._worker(path.server, step)
            self._task(turn, worker, cut, end)
            if home != worker:
                self._message(end, "result" if home == client else "gather", turn, worker, home)

    def _tail(self, turn: int, client: int) -> None:
        """The stages after the fused ones, of all paths put together."""
        stages, planned, worker = self._stages[client], self._plan.clients[client], self._tail_workers[client]
        end = Part(client, None, len(stages))
        self._task(turn, worker, Part(client, None, planned.fused), end, self._ends(client))
        if self._instance.clients[client].result_at == "device":
            self._message(end, "result", turn, worker, client)

    def _task(self, turn: int, worker: int, begin: Part, end: Part, reads: Sequence[Part] = ()) -> None:
        """The stages between two cuts; of none, a part is only sent on."""
        runs = self._stages[end.client].runs[begin.cut : end.cut]
        members = range(runs[0].start, runs[-1].stop) if runs else range(0)
        unit = job_name(self._instance, end.client, end.path)
        self.tasks.append(OffloadTask(turn, worker, unit, tuple(reads) or (begin,), end, members, self._rows_of(end)))

    def _message(self, part: Part, what: TransferWhat, turn: int, sender: int, receiver: int) -> None:
        stages, unit = self._stages[part.client], job_name(self._instance, part.client, part.path)
        shape, name = stages.shape(part.cut), stages.tensor_name(part.cut)
        region = Region(everything(shape).channels, self._rows_of(part)[stages.tensor(part.cut)])
        self.messages.append(OffloadMessage(part, what, turn, sender, receiver, unit, name, region, shape.width))

    def _rows_of(self, part: Part) -> Mapping[int, Interval]:
        return _all_rows(self._stages[part.client]) if part.path is None else self._rows[part.client][part.path]


def _rows(stages: Stages, fused: int, path: Path) -> Mapping[int, Interval]:
    """The rows of each tensor that a path needs; a path of all rows is the whole network up to there."""
    rows = Interval(path.start, path.stop)
    return _all_rows(stages) if len(rows) == stages.shape(fused).height else path_rows(stages, fused, rows)


def _all_rows(stages: Stages) -> Mapping[int, Interval]:
    """Every row of every tensor."""
    graph = stages.graph
    heights = {graph.source: graph.input_shape.height} | {member: operator.out_shape.height for member, operator in enumerate(graph.operators)}
    return {tensor: Interval(0, height) for tensor, height in heights.items()}
