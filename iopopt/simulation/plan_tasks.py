"""A schedule as a task graph: which task waits for which transfer, with and without barriers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from iopopt.cluster.cluster import Cluster
from iopopt.schedule.rounds import EdgeRounds, Schedule, Step
from iopopt.simulation.tasks import ComputeTask, Milestone, Task, TransferTask


class Label(NamedTuple):
    """What a task is.

    Attributes:
        step: the unit that it computes, or the one that a transfer is for.
        producer: the unit whose tensor is computed or sent.
        part: ``"boundary"`` or ``"interior"``, of a streamed unit ``"own"`` or ``"message"``, or ``""`` for a task in one piece; of a transfer
            its kind.
        amount: FLOPs or bytes.
        item: the number of the input, of several in flight.
    """

    step: int
    producer: int
    part: str
    amount: float
    item: int


@dataclass
class PlanTasks:
    """The tasks of a plan.

    Attributes:
        tasks: in an order that suits every device.
        labels: what each is; None for a milestone. Empty where nobody asked for them.
        outputs: for each input, the milestone at which the sink has the whole output.
    """

    tasks: list[Task] = field(default_factory=list)
    labels: list[Label | None] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)

    def add(self, task: Task, label: Label | None = None) -> int:
        """Append a task; returns its number."""
        self.tasks.append(task)
        self.labels.append(label)
        return len(self.tasks) - 1


class _Parts(NamedTuple):
    """The tasks of one device for one unit: the one that makes its boundary rows, and the one that ends it; the same if it is one piece."""

    boundary: int
    last: int


def plan_tasks(schedule: Schedule, cluster: Cluster, *, boundary_first: bool, barriers: bool, inputs: int, labelled: bool = True) -> PlanTasks:
    """The task graph of a schedule.

    Args:
        boundary_first: compute rows that others need before the rest.
        barriers: all devices wait for each other before every round and before every unit, as in equation (6).
        inputs: how many inputs are in flight; each device takes them one after another.
        labelled: whether to say what each task is; without barriers, searches that price thousands of plans do not need it.
    """
    found = PlanTasks()
    writer = (_WriterWithBarriers if barriers else _Writer)(schedule, cluster, found, boundary_first, labelled or barriers)
    for item in range(inputs):
        writer.write(item)
    return found


class _Writer:
    """Writes the tasks of one input after another."""

    def __init__(self, schedule: Schedule, cluster: Cluster, found: PlanTasks, boundary_first: bool, labelled: bool) -> None:
        self._labelled = labelled
        self._steps, self._cluster, self._found, self._boundary_first = schedule.steps, cluster, found, boundary_first
        self._parts: list[dict[int, _Parts]] = [{} for _ in schedule.steps]
        self._newest: dict[tuple[int, int, int, int, int], int] = {}  # by edge, round, sender and receiver, the transfer of the input before
        self._pending: dict[int, list[int]] = defaultdict(list)
        self._completed: dict[int, dict[int, list[int]]]  # by producer and device, the first round of this input that the device receives

    def write(self, item: int) -> None:
        """Write all steps of one input."""
        arrived: dict[int, list[int]] = {}
        self._completed = {}
        for number, step in enumerate(self._steps):
            arrived = defaultdict(list)
            for slot, edge in enumerate(step.edges):
                self._fetch(number, slot, edge, arrived, item)
            waits = {device: (*arrived[device], *self._pending.pop(device, ())) for device in step.tasks}
            if not step.pieces:
                self._compute(number, step, waits, item)
            elif step.scatter:
                self._stream_sums(number, step, waits, item)
            else:
                self._stream_input(number, step, waits, item)
        sink = self._cluster.sink
        own = [self._parts[-2][sink].last] if sink in self._parts[-2] else []
        self._found.outputs.append(self._found.add(Milestone((*arrived[sink], *self._pending[sink], *own))))

    def _fetch(self, number: int, slot: int, edge: EdgeRounds, arrived: dict[int, list[int]], item: int) -> None:
        """The transfers of one edge; a device that completes its part of a tensor first sends it, and goes on computing, only then."""
        tasks, labels, labelled, producer = self._found.tasks, self._found.labels, self._labelled, edge.producer
        made = self._parts[producer] if producer < len(self._steps) else None
        completed = self._completed.get(producer)
        for turn, round_ in enumerate(edge.rounds):
            if round_.kinds[0].is_streamed:
                continue  # while the unit computes
            (kind,), received = round_.kinds, defaultdict[int, list[int]](list) if round_.kinds[0].is_first_of_two else arrived
            for sender, receiver, size in round_.transfers:
                after = () if made is None or sender not in made else (made[sender].boundary,)  # it may be the source, or only gather
                key = number, slot, turn, sender, receiver
                if key in self._newest:
                    after = (*after, self._newest[key])
                self._newest[key] = len(tasks)
                if completed and sender in completed:
                    after = (*after, *completed[sender])
                received[receiver].append(len(tasks))
                tasks.append(TransferTask(sender, receiver, size, after))
                if labelled:
                    labels.append(Label(number, producer, kind, size, item))
            if kind.is_first_of_two:
                completed = self._completed[producer] = received
                for device, transfers in received.items():
                    self._pending[device].extend(transfers)

    def _stream_input(self, number: int, step: Step, waits: Mapping[int, tuple[int, ...]], item: int) -> None:
        """The tasks of a unit whose input arrives in messages: its own channels, then each message; the next one comes when that task has ended."""
        free = {device: (parts.last,) for device, parts in self._parts[number].items()}  # a buffer is, after the last message of the input before
        last = {device: self._task(number, device, "own", step.pieces[device][0], waits[device], item) for device in step.tasks}
        left = {device: iter(pieces[1:]) for device, pieces in step.pieces.items()}
        for edge in step.edges:
            completed = self._completed.get(edge.producer, {})
            made = self._parts[edge.producer] if edge.producer < len(self._steps) else {}
            for round_ in edge.rounds:
                if not round_.kinds[0].is_streamed:
                    continue
                for sender, receiver, size in round_.transfers:
                    made_by = (made[sender].last,) if sender in made else ()  # it may be the source, or only gather
                    after = (*made_by, *completed.get(sender, ()), *free.get(receiver, ()))
                    label = Label(number, edge.producer, round_.kinds[0], size, item)
                    message = self._found.add(TransferTask(sender, receiver, size, after), label)
                    last[receiver] = self._task(number, receiver, "message", next(left[receiver]), (message,), item)
                    free[receiver] = (last[receiver],)
        self._parts[number] = {device: _Parts(task, task) for device, task in last.items()}

    def _stream_sums(self, number: int, step: Step, waits: Mapping[int, tuple[int, ...]], item: int) -> None:
        """The tasks of a unit that sends partial sums in messages: one for each, when the one before has left, and then its own slice."""
        free, received = dict(waits), defaultdict[int, list[int]](list)
        left = {device: iter(pieces) for device, pieces in step.pieces.items()}
        for round_ in step.scatter:
            for sender, receiver, size in round_.transfers:
                task = self._task(number, sender, "message", next(left[sender]), free[sender], item)
                label = Label(number, number, round_.kinds[0], size, item)
                message = self._found.add(TransferTask(sender, receiver, size, (task,)), label)
                received[receiver].append(message)
                free[sender] = (message,)
        own = {device: self._task(number, device, "own", next(left[device]), free[device], item) for device in step.tasks}
        self._parts[number] = {device: _Parts(task, task) for device, task in own.items()}
        self._completed[number] = received
        for device, transfers in received.items():
            self._pending[device].extend(transfers)

    def _task(self, number: int, device: int, what: str, part: float, after: tuple[int, ...], item: int) -> int:
        """One of the tasks of a streamed unit, that part of all its work."""
        work = self._steps[number].tasks[device]
        seconds = self._cluster.devices[device].compute_s(*work)
        return self._found.add(ComputeTask(device, seconds * part, after), Label(number, number, what, work.flops * part, item))

    def _compute(self, number: int, step: Step, waits: Mapping[int, tuple[int, ...]], item: int) -> None:
        """The tasks of every participant: in two parts where its boundary rows come first."""
        tasks, labels, labelled = self._found.tasks, self._found.labels, self._labelled
        devices, parts = self._cluster.devices, self._parts[number]
        for device, work in step.tasks.items():
            seconds, first = devices[device].compute_s(*work), len(tasks)
            part = step.boundary.get(device) if self._boundary_first else None
            if part is None:
                tasks.append(ComputeTask(device, seconds, waits[device]))
                if labelled:
                    labels.append(Label(number, number, "", work.flops, item))
                parts[device] = _Parts(first, first)
            else:
                for name, of in ("boundary", part), ("interior", 1 - part):
                    tasks.append(ComputeTask(device, seconds * of, waits[device]))
                    if labelled:
                        labels.append(Label(number, number, name, work.flops * of, item))
                parts[device] = _Parts(first, first + 1)


class _WriterWithBarriers(_Writer):
    """Writes the same tasks and transfers, each round and each unit after everything before it."""

    _gate = 0  # the last barrier

    def write(self, item: int) -> None:
        for number, step in enumerate(self._steps):
            for turn in step.turns:
                after = self._barrier()
                for producer, round_ in turn:
                    for sender, receiver, size in round_.transfers:
                        self._found.add(TransferTask(sender, receiver, size, after), Label(number, producer, round_.kinds[0], size, item))
            self._compute(number, step, dict.fromkeys(step.tasks, self._barrier()), item)
            for round_ in step.scatter:
                after = self._barrier()
                for sender, receiver, size in round_.transfers:
                    self._found.add(TransferTask(sender, receiver, size, after), Label(number, number, round_.kinds[0], size, item))
        self._found.outputs.extend(self._barrier())

    def _barrier(self) -> tuple[int, ...]:
        """What waits for everything so far."""
        self._gate = self._found.add(Milestone(tuple(range(self._gate, len(self._found.tasks)))))
        return (self._gate,)
