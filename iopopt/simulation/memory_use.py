"""What devices hold while a plan runs: the amounts of equation (1), from when they are there until nobody needs them any more.

While its task for a unit runs, a device holds a_ij. Afterwards it holds what it owns of the output, until its last task that reads it starts
(which has it among its inputs) and its last transfer of it has ended. What arrives is held from the start of the transfer until the
receiver's task starts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from iopopt.cost.instance import Instance
from iopopt.cost.memory import share_memory, share_output, unit_memory
from iopopt.cost.streams import open_sums
from iopopt.plan.placement import Placement
from iopopt.schedule.rounds import TransferKind
from iopopt.simulation.events import Times
from iopopt.simulation.held_memory import HeldMemory
from iopopt.simulation.plan_tasks import PlanTasks
from iopopt.simulation.tasks import ComputeTask, TransferTask

_COMPLETING = tuple(kind for kind in TransferKind if kind.completes)


class _Hold(NamedTuple):
    """``device`` holds so many bytes from ``begin_s`` to ``end_s``."""

    device: int
    begin_s: float
    end_s: float
    size_bytes: float


class _Move(NamedTuple):
    """One transfer of a producer's tensor to a unit."""

    producer: int
    step: int
    sender: int
    receiver: int
    start_s: float
    end_s: float
    size_bytes: float
    kind: str

    @property
    def completes(self) -> bool:
        return self.kind in _COMPLETING


class _Item:
    """What happens for one input: when each device computes each unit, all transfers, and when the output is there."""

    def __init__(self, number: int, output_s: float) -> None:
        self.number, self.output_s = number, output_s
        self.computed: dict[tuple[int, int], tuple[float, float]] = {}
        self.moves: list[_Move] = []
        self.sent: dict[tuple[int, int], list[_Move]] = defaultdict(list)  # by producer and sender


def held_memory(instance: Instance, placements: Sequence[Placement], tasks: PlanTasks, times: Times) -> tuple[HeldMemory, ...]:
    """What each device holds over time.

    Args:
        placements: of every unit (:meth:`Instance.placements`).
    """
    e, weights = instance.cluster.bytes_per_element, [0.0] * len(instance.cluster)
    activations: dict[tuple[int, int], float] = {}
    ungathered = [replace(placement, gather=None) for placement in placements]  # what a gather adds to a_ij is there only after the task
    for number, unit in enumerate(instance.placed):
        streamed = placements[number].stream is not None
        for device, demand in unit_memory(instance, placements, number) if streamed else share_memory(unit, ungathered[number], e):
            weights[device] += demand.weights
            activations[number, device] = demand.activations
    events: list[dict[float, float]] = [defaultdict(float, {0.0: held}) for held in weights]
    for item in _items(tasks, times):
        for hold in _holds(instance, placements, item, activations):
            if hold.size_bytes and hold.end_s > hold.begin_s:
                events[hold.device][hold.begin_s] += hold.size_bytes
                events[hold.device][hold.end_s] -= hold.size_bytes
    limits = [device.memory_bytes for device in instance.cluster.devices]
    return tuple(_held(changes, resident, limit) for changes, resident, limit in zip(events, weights, limits, strict=True))


def _held(changes: Mapping[float, float], weights_bytes: float, limit_bytes: float) -> HeldMemory:
    steps, held = sorted(changes.items()), 0.0
    totals = []
    for _, change in steps:
        held += change
        totals.append(max(held, weights_bytes))  # sums of fractions may fall short of it by a rounding error
    return HeldMemory(tuple(time for time, _ in steps), tuple(totals), weights_bytes, limit_bytes)


def _items(tasks: PlanTasks, times: Times) -> list[_Item]:
    items = [_Item(number, times.end_s[output]) for number, output in enumerate(tasks.outputs)]
    for task, label, start_s, end_s in zip(tasks.tasks, tasks.labels, times.start_s, times.end_s, strict=True):
        if label is None:
            continue
        item = items[label.item]
        if isinstance(task, ComputeTask):
            key = label.step, task.device
            item.computed[key] = item.computed[key][0] if key in item.computed else start_s, end_s
        else:
            assert isinstance(task, TransferTask)  # only a milestone has no label
            move = _Move(label.producer, label.step, task.sender, task.receiver, start_s, end_s, task.size_bytes, label.part)
            item.moves.append(move)
            item.sent[move.producer, move.sender].append(move)
    return items


def _holds(instance: Instance, placements: Sequence[Placement], item: _Item, activations: Mapping[tuple[int, int], float]) -> Iterator[_Hold]:
    """Everything that is held for one input."""
    for (number, device), (begin_s, end_s) in item.computed.items():
        yield _Hold(device, begin_s, end_s, activations[number, device])
    complete_s = {key: end_s for key, (_, end_s) in item.computed.items()}  # when a device's part of a producer's tensor is complete
    for move in item.moves:
        if move.completes:
            for key in ((move.producer, move.sender), (move.producer, move.receiver)):
                complete_s[key] = max(complete_s.get(key, 0.0), move.end_s)
    yield from _arrivals(instance, item, complete_s)
    for number in range(len(instance.placed)):
        yield from _outputs(instance, placements, item, number, complete_s)
    yield from _inputs(instance, placements, item)


def _arrivals(instance: Instance, item: _Item, complete_s: Mapping[tuple[int, int], float]) -> Iterator[_Hold]:
    """What is on its way or has arrived: until the receiver's task starts, or the tensor is complete.

    A message of a stream has its place in a_ij as soon as that task starts, or is used before the next one comes; partial sums of a stream are added
    up when they have arrived.
    """
    next_s: dict[tuple[int, int], float] = {}
    for move in sorted(item.moves, key=lambda move: move.start_s, reverse=True):
        key = move.step, move.receiver
        if move.kind == TransferKind.STREAMED_REDUCE_SCATTER:
            until_s = max(move.end_s, item.computed[key][0])
        elif move.completes:
            until_s = complete_s[move.producer, move.receiver]
        else:
            until_s = _read_s(instance, item, *key)
        if move.kind == TransferKind.STREAM:
            until_s, next_s[key] = min(until_s, next_s.get(key, until_s)), move.start_s
        yield _Hold(move.receiver, move.start_s, until_s, move.size_bytes)


def _read_s(instance: Instance, item: _Item, step: int, device: int) -> float:
    """When the task of a participant of a unit starts, or the sink has the output."""
    return item.output_s if step == instance.sink else item.computed[step, device][0]


def _uses(instance: Instance, placements: Sequence[Placement], item: _Item, number: int, device: int) -> list[tuple[float, float]]:
    """From when to when a device needs what it owns of a tensor: while it sends it, and until each unit that reads it starts, or has streamed it."""
    steps, sink = [edge.consumer for edge in instance.network.edges_from[number]], (instance.sink, instance.cluster.sink)
    read = [step for step in steps if (step, device) in item.computed or (step, device) == sink]
    until = [item.computed[step, device][1] if placements[step].streams_input else _read_s(instance, item, step, device) for step in read]
    return [*((read_s, read_s) for read_s in until), *((move.start_s, move.end_s) for move in item.sent[number, device])]


def _outputs(
    instance: Instance, placements: Sequence[Placement], item: _Item, number: int, complete_s: Mapping[tuple[int, int], float]
) -> Iterator[_Hold]:
    """What devices own of a unit's output: until a reduce-scatter or a gather has completed it, the partial sums or rows of each participant."""
    unit, placement, e = instance.units[number], placements[number], instance.cluster.bytes_per_element
    before = replace(placement, reduce=placement.reduce and "direct", gather=None, stream=None)
    for device, size in open_sums(unit, placement, e) if placement.streams_sums else share_output(unit, before, e):
        yield _Hold(device, item.computed[number, device][1], complete_s[number, device], size)
    for device, size in share_output(unit, placement, e):
        begin_s = complete_s[number, device]
        yield _Hold(device, begin_s, max([begin_s, *(end_s for _, end_s in _uses(instance, placements, item, number, device))]), size)


def _inputs(instance: Instance, placements: Sequence[Placement], item: _Item) -> Iterator[_Hold]:
    """The input, on every device that has it: the first from the start, later ones from when they are first read or sent."""
    size = instance.cluster.bytes_per_element * instance.graph.input_shape.elements
    for device in instance.input_holders:
        if uses := _uses(instance, placements, item, instance.source, device):
            begin_s = 0.0 if item.number == 0 else min(start_s for start_s, _ in uses)
            yield _Hold(device, begin_s, max(end_s for _, end_s in uses), size)
