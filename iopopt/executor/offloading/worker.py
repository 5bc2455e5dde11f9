"""One device, or one worker of a server, that does its part of an offloading plan: it computes while messages travel, and waits for what it needs."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from iopopt.errors import ExecutionError
from iopopt.executor.arithmetic import TensorSlice, cut
from iopopt.executor.computing import RowsComputation
from iopopt.executor.offloading.schedule import OffloadMessage, OffloadSchedule, OffloadTask, Part
from iopopt.executor.report import MessageTime, TaskTimes
from iopopt.executor.transport import OverlappingTransport, Receipt
from iopopt.offload.stages import Stages
from iopopt.schedule.regions import Interval, Region


@dataclass(frozen=True)
class Network:
    """A device's network, as one worker knows it.

    Attributes:
        computation: with the weights of the operators that this worker computes.
        inputs: the network's input, if this worker has it.
        held_bytes: of these weights.
    """

    stages: Stages
    computation: RowsComputation
    inputs: TensorSlice | None
    held_bytes: int


@dataclass(frozen=True)
class Passed:
    """A message, the bytes of its tensor, and when it left or arrived, seconds since the run began."""

    message: OffloadMessage
    size_bytes: int
    at_s: float

    @property
    def time(self) -> MessageTime:
        of = self.message
        return MessageTime(of.unit, of.producer, of.what, of.sender, of.receiver, self.size_bytes, self.at_s)


@dataclass(frozen=True)
class OffloadReport:
    """What one worker measured, and the results that it has, by device, with the time at which each was complete."""

    tasks: list[TaskTimes] = field(default_factory=list)
    sent: list[Passed] = field(default_factory=list)
    received: list[Passed] = field(default_factory=list)
    results: dict[int, tuple[Tensor, float]] = field(default_factory=dict)

    @property
    def departures(self) -> Sequence[MessageTime]:
        """Without those that simulated timelines do not have."""
        return [passed.time for passed in self.sent if passed.message.what != "gather"]

    @property
    def arrivals(self) -> Sequence[MessageTime]:
        """Without those that simulated timelines do not have."""
        return [passed.time for passed in self.received if passed.message.what != "gather"]


class OffloadWorker:
    """Does what a schedule has for one worker.

    Args:
        networks: by device.
        dtype: of the elements of tensors.
    """

    def __init__(self, schedule: OffloadSchedule, networks: Mapping[int, Network], transport: OverlappingTransport, dtype: torch.dtype) -> None:
        self._schedule, self._networks, self._transport, self._dtype = schedule, networks, transport, dtype
        self._held: dict[Part, tuple[TensorSlice, float]] = {}
        self._expected: dict[Part, tuple[OffloadMessage, Receipt]] = {}
        self._outgoing: dict[Part, list[OffloadMessage]] = defaultdict(list)
        self._report = OffloadReport()
        self._origin = 0.0

    @torch.inference_mode()
    def run(self) -> OffloadReport:
        """Do every task, in order.

        Raises:
            ExecutionError: if another worker fails, falls silent or computes for too long, or a message does not arrive in time.
        """
        number = self._transport.device
        for message in self._schedule.messages:
            if message.sender == number:
                self._outgoing[message.part].append(message)
        self._origin = self._transport.start().at
        for message in self._schedule.messages:
            if message.receiver == number:
                self._expected[message.part] = message, self._transport.post(message.shape, self._dtype, message.sender)
        for task in self._schedule.tasks:
            if task.worker == number:
                self._do(task)
        self._transport.tell(self._schedule.turns, waiting=False)
        for client, result in enumerate(self._schedule.results):
            if result.worker == number:
                piece, ready_s = self._put_together(result.parts)
                self._report.results[client] = piece.tensor, ready_s
        self._transport.finish()
        return self._report

    def _now(self) -> float:
        return time.perf_counter() - self._origin

    def _do(self, task: OffloadTask) -> None:
        """Take what a task reads, compute, and send what it makes, or keep it."""
        self._transport.tell(task.turn, waiting=True)
        piece, _ = self._put_together(task.reads)
        self._transport.tell(task.turn, waiting=False)
        if task.members:
            begun_s = self._now()
            computed = self._networks[task.makes.client].computation.on_rows(task.members, task.rows, piece).finished
            assert computed is not None  # all channels are there, so that there are no partial sums
            piece = computed
            self._report.tasks.append(TaskTimes(task.unit, "", self._transport.device, begun_s, self._now()))
        stages = self._networks[task.makes.client].stages
        needed = Region(piece.region.channels, task.rows[stages.tensor(task.makes.cut)])
        messages = self._outgoing.pop(task.makes, ())
        for message in messages:
            tensor = cut(piece, needed)
            self._report.sent.append(Passed(message, tensor.nbytes, self._now()))
            self._transport.send(tensor, message.receiver)
        if not messages:
            self._held[task.makes] = piece, self._now()

    def _put_together(self, parts: Sequence[Part]) -> tuple[TensorSlice, float]:
        """One piece of the rows of several, and when the last of them was there.

        Raises:
            ExecutionError: if they do not cover every row once.
        """
        taken = [self._take(part) for part in parts]
        if len(taken) == 1:
            return taken[0]
        pieces = [piece for piece, _ in taken]
        height = self._networks[parts[0].client].stages.shape(parts[0].cut).height
        starts = [piece.region.rows.start for piece in pieces]
        stops = [start + piece.tensor.shape[1] for start, piece in zip(starts, pieces, strict=True)]
        if [*starts, height] != [0, *stops]:
            found = ", ".join(f"[{start}, {stop})" for start, stop in zip(starts, stops, strict=True))
            raise ExecutionError(f"the paths of device {parts[0].client} end with rows {found}; each of {height} rows is due once")
        whole = Region(pieces[0].region.channels, Interval(0, height))
        return TensorSlice(whole, torch.cat([piece.tensor for piece in pieces], 1)), max(there_s for _, there_s in taken)

    def _take(self, part: Part) -> tuple[TensorSlice, float]:
        """What this worker has made or receives of a part, or the input; and when it was there."""
        if part in self._held:
            return self._held.pop(part)
        if part not in self._expected:
            inputs = self._networks[part.client].inputs
            assert inputs is not None  # nothing else is there without having been made or sent
            assert part.cut == 0
            return inputs, 0.0
        message, receipt = self._expected.pop(part)
        tensor = self._transport.take(receipt, message.shape, self._dtype, message.sender, message.turn)
        self._report.received.append(Passed(message, tensor.nbytes, receipt.arrived - self._origin))
        return TensorSlice(message.region, tensor), receipt.arrived - self._origin
