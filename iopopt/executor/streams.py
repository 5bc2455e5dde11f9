"""One device's part of a streamed unit: what others have or need is there one message at a time.

All devices wait for each other before every message, so that nobody runs ahead and fills the memory of another.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from iopopt.executor.arithmetic import TensorSlice
from iopopt.executor.assignment import Assignment
from iopopt.executor.computing import Computation, Computed
from iopopt.executor.holdings import Holdings
from iopopt.executor.recording import Records
from iopopt.executor.transport import Expected, Transport
from iopopt.schedule.region_transfers import RegionRound, RegionTransfer, UnitInputs, even_slices
from iopopt.schedule.regions import Interval
from iopopt.schedule.streams import parts


@dataclass
class Streamed:
    """What a unit has made on this device, None if it takes no part, and the largest tensors beside that: bytes of partial sums, and of messages that
    are sent."""

    computed: Computed | None = None
    partial_sums: int = 0
    send_buffers: int = 0


class Streams:
    """Runs one device's part of the streamed units of a plan."""

    def __init__(self, assignment: Assignment, transport: Transport, computation: Computation, holdings: Holdings, records: Records) -> None:
        self._assignment, self._transport, self._device = assignment, transport, assignment.device
        self._computation, self._holdings, self._records = computation, holdings, records
        self._origin = 0.0

    def run(self, unit: UnitInputs, turn: int, inputs: Sequence[TensorSlice], origin: float) -> Streamed:
        """Compute a streamed unit while its messages pass; ``inputs`` are there already if it streams partial sums."""
        self._origin = origin
        return self._with_streamed_sums(unit, turn, inputs) if unit.scatter else self._with_streamed_input(unit, turn)

    def _with_streamed_input(self, unit: UnitInputs, turn: int) -> Streamed:
        """Add up what the channels of each message contribute to the device's own output channels, its own input channels first."""
        ((edge,), (member,)), result = (unit.edges, unit.members), Streamed()
        takes_part, buffer = self._assignment.computes(unit), 0
        total: Tensor | None = None
        if takes_part:
            begun, own = time.perf_counter(), self._holdings.owned(edge.producer)
            total = self._computation.of_input(member, own) if own is not None else self._computation.zeros(member)
            self._noted(turn, "own", begun)
        for round_ in edge.rounds:
            if not round_.kind.is_streamed:
                continue
            begun = time.perf_counter()
            for transfer in self._sent_by_me(round_):
                piece = self._holdings.piece(edge.producer, transfer.region, partial=False)
                result.send_buffers = max(result.send_buffers, piece.nbytes)
                self._send(turn, transfer, piece)
                del piece
            for transfer in self._received_by_me(round_):
                message = self._receive(turn, transfer, self._holdings.shape(edge.producer, round_, transfer))
                self._records.waited(turn, time.perf_counter() - begun)
                begun = time.perf_counter()
                part = self._computation.of_input(member, TensorSlice(transfer.region, message))
                assert total is not None  # only participants receive
                total += part
                buffer, result.partial_sums = max(buffer, message.nbytes), max(result.partial_sums, part.nbytes)
                self._noted(turn, "message", begun)
                del message, part
                begun = time.perf_counter()
            self._end_round(turn, begun)
        if total is not None:
            result.computed = self._computation.finished(member, total, buffer, total.nbytes)
        return result

    def _with_streamed_sums(self, unit: UnitInputs, turn: int, inputs: Sequence[TensorSlice]) -> Streamed:
        """Compute partial sums of the slices of others, message by message, and then of the device's own slice, to which others add theirs."""
        (member,), result = unit.members, Streamed()
        if not self._assignment.computes(unit):
            for _ in unit.scatter:
                self._end_round(turn, time.perf_counter())
            return result
        placement = self._assignment.placements[member]
        assert placement.stream is not None  # or there would be no messages
        mine = even_slices(self._assignment.graph.operators[member], placement.devices)[self._device]
        total, buffer = self._computation.zeros(member, mine.channels), 0
        for round_ in unit.scatter:
            begun = time.perf_counter()
            for transfer in self._sent_by_me(round_):
                part = self._computation.of_sums(member, inputs, transfer.region.channels)
                buffer = max(buffer, part.nbytes)
                self._noted(turn, "message", begun)
                begun = time.perf_counter()
                self._send(turn, transfer, part)
                del part
            for transfer in self._received_by_me(round_):
                message = self._receive(turn, transfer, (len(transfer.region.channels), *total.shape[1:]))
                result.partial_sums = max(result.partial_sums, message.nbytes)
                _add(total, mine.channels, transfer.region.channels, message)
                del message
            self._end_round(turn, begun)
        begun = time.perf_counter()
        for region in parts(mine, placement.stream):
            part = self._computation.of_sums(member, inputs, region.channels)
            buffer = max(buffer, part.nbytes)
            _add(total, mine.channels, region.channels, part)
            del part
        held = sum(piece.tensor.nbytes for piece in inputs)
        result.computed = self._computation.finished(member, total, held, total.nbytes + buffer, mine)
        self._noted(turn, "own", begun)
        return result

    def _sent_by_me(self, round_: RegionRound) -> list[RegionTransfer]:
        return [transfer for transfer in round_.transfers if transfer.sender == self._device]

    def _received_by_me(self, round_: RegionRound) -> list[RegionTransfer]:
        return [transfer for transfer in round_.transfers if transfer.receiver == self._device]

    def _send(self, turn: int, transfer: RegionTransfer, piece: Tensor) -> None:
        self._transport.send(piece, transfer.receiver)
        self._records.sent(turn, piece.nbytes)

    def _receive(self, turn: int, transfer: RegionTransfer, shape: tuple[int, ...]) -> Tensor:
        (message,) = self._transport.receive([Expected(shape, transfer.sender)], self._assignment.dtype)
        self._records.received(turn, message.nbytes)
        return message

    def _end_round(self, turn: int, begun: float) -> None:
        """Nobody goes on before all messages of the round have arrived and have been used."""
        self._transport.complete_sends()
        self._transport.barrier()
        self._records.waited(turn, time.perf_counter() - begun)

    def _noted(self, turn: int, part: str, begun: float) -> None:
        self._records.task(turn, part, begun - self._origin, time.perf_counter() - self._origin)


def _add(total: Tensor, held: Interval, channels: Interval, sums: Tensor) -> None:
    total[channels.within(held)] += sums
