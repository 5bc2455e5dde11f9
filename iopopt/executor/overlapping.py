"""One device that runs its part of a plan without barriers: it computes while messages travel, and waits only for what it needs.

It takes its units in order. Of an operator whose neighbours wait for some of its rows it computes these first, sends them, and computes the rest
while they travel. Whatever it makes it sends at once, to every unit that will read it, however late.

Messages travel only once their receiver expects them, and what is expected occupies memory. A device expects what is made before its next turn
but one: a sender may be a whole unit ahead without waiting, and all that a turn needs is expected when the turn before it begins.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch

from iopopt.executor.arithmetic import TensorSlice
from iopopt.executor.assignment import Assignment
from iopopt.executor.computing import Computation, Computed
from iopopt.executor.holdings import Holdings, Received
from iopopt.executor.messages import BEFORE, Message, last_uses, messages
from iopopt.executor.recording import Records
from iopopt.executor.report import MessageTime, Report
from iopopt.executor.transport import OverlappingTransport, Receipt
from iopopt.network.unit import SOURCE
from iopopt.plan.placement import Placement
from iopopt.schedule.boundary import Reader, boundary_rows, without
from iopopt.schedule.region_transfers import RegionRound, UnitInputs, owned_regions
from iopopt.schedule.regions import Interval

_AHEAD = 2
"""A device expects what is made before the turn that is so many of its turns ahead."""


class _Expected(NamedTuple):
    """A message that this device expects."""

    message: Message
    shape: tuple[int, ...]
    receipt: Receipt


class OverlappingWorker:
    """Runs one device's part of a plan without barriers."""

    def __init__(self, assignment: Assignment, transport: OverlappingTransport) -> None:
        self._assignment, self._transport, self._device = assignment, transport, assignment.device
        self._computation, self._holdings, self._records = Computation(assignment), Holdings(assignment), Records(assignment)
        inputs, source = assignment.inputs, assignment.graph.source
        self._names = {unit.members[-1]: unit.name for unit in inputs if unit.members} | {source: SOURCE}
        self._turns = [turn for turn, unit in enumerate(inputs) if self._takes_part(unit)]
        self._last_uses, self._boundaries = last_uses(inputs, source, self._device), _boundaries(assignment)
        in_order = messages(inputs, source)
        self._unexpected = [message for message in reversed(in_order) if message.transfer.receiver == self._device]
        self._expected: dict[tuple[int, int, bool], list[_Expected]] = defaultdict(list)
        self._outgoing: dict[tuple[int, bool], list[Message]] = defaultdict(list)
        for message in in_order:
            if message.transfer.sender == self._device:
                self._outgoing[message.edge.producer, message.completed].append(message)
        self._buffers, self._sums = 0, 0  # bytes of what is expected or has arrived: tensors, and partial sums
        self._origin = 0.0

    @torch.inference_mode()
    def run(self, held: TensorSlice | None) -> Report:
        """Run every unit; ``held`` is the graph's input if this device has it.

        Raises:
            ExecutionError: if another worker fails, falls silent or computes for too long, or a message does not arrive in time.
        """
        inputs, source = self._assignment.inputs, self._assignment.graph.source
        if held is not None:
            self._holdings.own(source, held)
        started = self._transport.start()
        self._origin = started.at
        self._expect(0)
        self._send(source)
        self._holdings.free(self._last_uses.get(BEFORE, ()))
        output: Sequence[TensorSlice] = ()
        for turn, unit in enumerate(inputs):
            output = self._turn(turn, unit)
        elapsed_s = self._now()
        self._transport.tell(len(inputs), waiting=False)
        self._transport.finish()
        return self._records.report(self._transport, elapsed_s, output, started.clock_error_s)

    def _takes_part(self, unit: UnitInputs) -> bool:
        """Whether this device has something to do in a turn: to compute, to complete a tensor, or to have the output."""
        return any(self._device in round_.finished for edge in unit.edges for round_ in edge.rounds)

    def _now(self) -> float:
        return time.perf_counter() - self._origin

    def _turn(self, turn: int, unit: UnitInputs) -> Sequence[TensorSlice]:
        """Complete the tensors that are read here for the first time, fetch the inputs, and compute; returns the inputs."""
        begun = self._now()
        self._expect(turn)
        buffers, sums = self._buffers, self._sums
        self._transport.tell(turn, waiting=True)
        for slot, edge in enumerate(unit.edges):
            for round_ in edge.rounds[:-1]:
                sums = max(sums, self._sums + self._holdings.take(edge, round_, self._arrived(turn, slot, round_)).sum_bytes)
                self._release(turn, slot, round_)
                self._send(edge.producer, completed=True)
        received = [self._arrived(turn, slot, edge.rounds[-1]) for slot, edge in enumerate(unit.edges)]
        ready = self._now()
        self._transport.tell(turn, waiting=False)
        taken = [self._holdings.take(edge, edge.rounds[-1], pieces) for edge, pieces in zip(unit.edges, received, strict=True)]
        sums = max(sums, *(self._sums + sum_bytes for _, sum_bytes in taken))
        inputs = [piece for piece, _ in taken if piece is not None]
        del received, taken  # what has been assembled or added up is no longer needed
        for slot, edge in enumerate(unit.edges):
            self._release(turn, slot, edge.rounds[-1])
        self._holdings.free(self._last_uses.get(turn, ()))
        live = self._holdings.nbytes
        self._records.waited(turn, ready - begun)
        computed = self._compute(unit, turn, inputs, ready) if self._assignment.computes(unit) else None
        sending = self._transport.undelivered_bytes
        self._records.held(turn, inputs, computed, live=live, receive_buffers=buffers, partial_sums=sums, send_buffers=sending)
        return inputs

    def _compute(self, unit: UnitInputs, turn: int, inputs: Sequence[TensorSlice], begun_s: float) -> Computed:
        """This device's task, in one part or in two; what each makes is sent before the next."""
        last, boundary = unit.members[-1], self._boundaries.get(turn)
        if boundary is None:
            computed = self._computation.run(unit.members, inputs)
            self._records.task(turn, "", begun_s, self._now())
            self._holdings.keep(last, computed)
            self._send(last)
        else:
            rows = owned_regions(self._assignment.graph.operators[last], self._assignment.placements[last])[self._device].rows
            parts = self._computation.in_parts(last, inputs, (boundary, without(rows, boundary)))
            computed = next(parts)
            self._records.task(turn, "boundary", begun_s, self._now())
            self._holdings.keep(last, computed)
            self._send(last)
            begun_s = self._now()
            computed = next(parts)
            self._records.task(turn, "interior", begun_s, self._now())
        self._holdings.free([producer for producer in self._last_uses.get(turn, ()) if producer == last])
        return computed

    # Messages.

    def _send(self, producer: int, *, completed: bool = False) -> None:
        """Send all that this device sends of a tensor that it has made or completed."""
        for message in self._outgoing.pop((producer, completed), ()):
            piece = self._holdings.piece(producer, message.transfer.region, partial=message.transfer.partial)
            self._records.departure(self._time_of(message, piece.nbytes, time.perf_counter()))
            self._records.sent(message.turn, piece.nbytes)
            self._transport.send(piece, message.transfer.receiver)

    def _expect(self, turn: int) -> None:
        """Expect everything that is sent before this device's next turn but one."""
        ahead = [later for later in self._turns if later >= turn]
        limit = ahead[_AHEAD] if len(ahead) > _AHEAD else len(self._assignment.inputs)
        while self._unexpected and self._unexpected[-1].sent < limit:
            message = self._unexpected.pop()
            shape = self._holdings.shape(message.edge.producer, message.round, message.transfer)
            receipt = self._transport.post(shape, self._assignment.dtype, message.transfer.sender)
            self._expected[message.turn, message.slot, message.completes].append(_Expected(message, shape, receipt))
            self._count(message, shape)

    def _arrived(self, turn: int, slot: int, round_: RegionRound) -> Received:
        """The messages of a round to this device, when all have arrived."""
        received = []
        for message, shape, receipt in self._expected[turn, slot, round_.kind.is_first_of_two]:
            sender = message.transfer.sender
            tensor = self._transport.take(receipt, shape, self._assignment.dtype, sender, message.sent)
            self._records.arrival(self._time_of(message, tensor.nbytes, receipt.arrived))
            self._records.received(turn, tensor.nbytes)
            received.append((message.transfer, tensor))
        return received

    def _release(self, turn: int, slot: int, round_: RegionRound) -> None:
        """The buffers of a round are free again."""
        for message, shape, _ in self._expected.pop((turn, slot, round_.kind.is_first_of_two), ()):
            self._count(message, shape, -1)

    def _count(self, message: Message, shape: Sequence[int], sign: int = 1) -> None:
        size = sign * self._assignment.dtype.itemsize * torch.Size(shape).numel()
        if message.transfer.partial:
            self._sums += size
        else:
            self._buffers += size

    def _time_of(self, message: Message, size_bytes: int, at: float) -> MessageTime:
        unit, transfer = self._assignment.inputs[message.turn].name, message.transfer
        producer, kind = self._names[message.edge.producer], message.round.kind.value
        return MessageTime(unit, producer, kind, transfer.sender, transfer.receiver, size_bytes, at - self._origin)


def _boundaries(assignment: Assignment) -> Mapping[int, tuple[Interval, ...]]:
    """The boundary rows of this device's share in each turn in which it computes in two parts."""
    readers: dict[int, list[Reader]] = defaultdict(list)
    for unit in assignment.inputs:
        for edge in unit.edges:
            round_ = edge.rounds[-1]
            placement = assignment.placements[unit.members[-1]] if unit.members else Placement.whole(next(iter(round_.finished)))
            readers[edge.producer].append(Reader(placement, round_))
    found = {}
    for turn, unit in enumerate(assignment.inputs):
        if len(unit.members) == 1:  # a block is one piece
            (member,) = unit.members
            boundary = boundary_rows(assignment.placements[member], readers[member])
            if assignment.device in boundary:
                found[turn] = boundary[assignment.device]
    return found
