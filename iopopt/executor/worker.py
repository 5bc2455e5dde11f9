"""One device that runs its part of a plan as equation (6) counts it: all devices wait for each other before every unit, and before it computes."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
from torch import Tensor

from iopopt.executor.arithmetic import TensorSlice
from iopopt.executor.assignment import Assignment
from iopopt.executor.computing import Computation
from iopopt.executor.holdings import Holdings
from iopopt.executor.recording import Records
from iopopt.executor.report import Report
from iopopt.executor.streams import Streamed, Streams
from iopopt.executor.transport import Expected, Transport
from iopopt.schedule.region_transfers import EdgeTransfers, RegionRound, RegionTransfer, UnitInputs


@dataclass(frozen=True)
class Fetched:
    """The inputs of a unit, and the peak bytes of receive buffers and of partial sums while receiving them."""

    inputs: tuple[TensorSlice, ...]
    receive_buffers: int
    partial_sums: int


class Worker:
    """Runs one device's part of a plan: it owns its shards of weights and activations, and receives everything else in messages."""

    def __init__(self, assignment: Assignment, transport: Transport) -> None:
        self._assignment, self._transport, self._device = assignment, transport, assignment.device
        self._computation, self._holdings, self._records = Computation(assignment), Holdings(assignment), Records(assignment)
        self._streams = Streams(assignment, transport, self._computation, self._holdings, self._records)

    @torch.inference_mode()
    def run(self, held: TensorSlice | None) -> Report:
        """Run every unit; ``held`` is the graph's input if this device has it.

        Raises:
            ExecutionError: if another worker fails or a message does not arrive in time.
        """
        if held is not None:
            self._holdings.own(self._assignment.graph.source, held)
        *units, sink = self._assignment.inputs
        self._transport.barrier()
        started = time.perf_counter()
        for turn, unit in enumerate(units):
            self._transport.barrier()
            fetched = self._fetch(unit, turn)
            self._transport.barrier()
            self._compute(unit, turn, fetched, started)
            del fetched  # before the next unit's inputs arrive
        self._transport.barrier()
        output = self._fetch(sink, len(units))
        elapsed_s = time.perf_counter() - started
        self._compute(sink, len(units), output, started)
        return self._records.report(self._transport, elapsed_s, output.inputs)

    def _fetch(self, unit: UnitInputs, turn: int) -> Fetched:
        """Run every edge into a unit, one after another, then free tensors that nobody reads later."""
        begun = time.perf_counter()
        inputs: list[TensorSlice] = []
        buffers = sums = 0
        for edge in unit.edges:
            for round_ in edge.rounds:
                if round_.kind.is_streamed:
                    continue  # while the unit computes
                self._send_all(turn, edge, round_)
                received = self._receive_all(edge, round_)
                arrived = sum(tensor.nbytes for _, tensor in received)
                self._records.received(turn, arrived)
                piece, sum_bytes = self._holdings.take(edge, round_, received)
                if piece is not None:
                    inputs.append(piece)
                if round_.partial:
                    sums = max(sums, arrived + sum_bytes)
                else:
                    buffers = max(buffers, arrived)
        self._transport.complete_sends()  # a device that only sends is busy as well
        if not self._assignment.streams_input(unit):
            self._holdings.free(unit.freed)
        self._records.waited(turn, time.perf_counter() - begun)
        return Fetched(tuple(inputs), buffers, sums)

    def _send_all(self, turn: int, edge: EdgeTransfers, round_: RegionRound) -> None:
        for transfer in round_.transfers:
            if transfer.sender == self._device:
                piece = self._holdings.piece(edge.producer, transfer.region, partial=transfer.partial)
                self._transport.send(piece, transfer.receiver)
                self._records.sent(turn, piece.nbytes)

    def _receive_all(self, edge: EdgeTransfers, round_: RegionRound) -> list[tuple[RegionTransfer, Tensor]]:
        """The messages of a round, all expected at once: a message travels only once it is expected, and (8) lets all of a round share the links."""
        mine = [transfer for transfer in round_.transfers if transfer.receiver == self._device]
        expected = [Expected(self._holdings.shape(edge.producer, round_, transfer), transfer.sender) for transfer in mine]
        return list(zip(mine, self._transport.receive(expected, self._assignment.dtype), strict=True))

    def _compute(self, unit: UnitInputs, turn: int, fetched: Fetched, origin: float) -> None:
        """This device's part of one unit."""
        begun, made = time.perf_counter(), Streamed()
        if unit.scatter or self._assignment.streams_input(unit):
            made = self._streams.run(unit, turn, fetched.inputs, origin)
        elif self._assignment.computes(unit):
            made.computed = self._computation.run(unit.members, fetched.inputs)
            self._records.task(turn, "", begun - origin, time.perf_counter() - origin)
        self._records.held(
            turn,
            fetched.inputs,
            made.computed,
            live=self._holdings.nbytes,
            receive_buffers=fetched.receive_buffers,
            partial_sums=max(fetched.partial_sums, made.partial_sums),
            send_buffers=made.send_buffers,
        )
        self._holdings.free(unit.freed)  # what was streamed was needed until now
        if made.computed is not None:
            self._holdings.keep(unit.members[-1], made.computed)
