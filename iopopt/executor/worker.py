"""One device: it owns its shards of the weights and of the activations, and receives everything else in messages."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from iopopt.executor.arithmetic import TensorSlice, cut, finish, mix
from iopopt.executor.computing import Computation, Computed
from iopopt.executor.report import LedgerRow, Report, Timing, Traffic
from iopopt.executor.transport import Transport
from iopopt.executor.weight_shards import WeightShard
from iopopt.network.graph import Graph
from iopopt.network.unit import SINK
from iopopt.plan.placement import Placement
from iopopt.schedule.region_transfers import EdgeTransfers, RegionRound, RegionTransfer, UnitInputs
from iopopt.schedule.regions import Region


@dataclass(frozen=True)
class Fetched:
    """The inputs of an operator, and the peak bytes of receive buffers and of partial sums while receiving them."""

    inputs: tuple[TensorSlice, ...]
    receive_buffers: int
    partial_sums: int

    @property
    def nbytes(self) -> int:
        return sum(piece.tensor.nbytes for piece in self.inputs)


class Worker:
    """Runs one device's part of a plan.

    Between units it holds, by producers' numbers, what it owns of the tensors that will still be read, and its partial sums of those
    that will still be reduced.
    """

    def __init__(
        self,
        graph: Graph,
        placements: Sequence[Placement],
        inputs: Sequence[UnitInputs],
        shards: Sequence[WeightShard],
        transport: Transport,
        dtype: torch.dtype,
    ) -> None:
        self._graph, self._placements, self._inputs, self._shards, self._transport = graph, placements, inputs, shards, transport
        self._device = transport.device
        self._computation = Computation(graph, placements, shards, transport.device)
        self._dtype = dtype
        self._owned: dict[int, TensorSlice] = {}
        self._partial: dict[int, Tensor] = {}
        self._ledger: list[LedgerRow] = []
        self._timings: list[Timing] = []
        self._traffic: list[Traffic] = []

    @torch.inference_mode()
    def run(self, held: TensorSlice | None) -> Report:
        """Run every unit; ``held`` is the graph's input if this device has it.

        Raises:
            ExecutionError: if another worker fails or a message does not arrive in time.
        """
        if held is not None:
            self._owned[self._graph.source] = held
        self._transport.barrier()
        started = time.perf_counter()
        for unit in self._inputs[:-1]:
            self._transport.barrier()
            begun = time.perf_counter()
            fetched = self._fetch(unit)
            ended = time.perf_counter()
            self._transport.barrier()
            resumed = time.perf_counter()
            self._compute(unit, fetched)
            del fetched  # before the next unit's inputs arrive
            self._timings.append(Timing(unit.name, self._device, ended - begun, time.perf_counter() - resumed))
        self._transport.barrier()
        begun = time.perf_counter()
        result = self._fetch(self._inputs[-1])
        ended = time.perf_counter()
        self._note(SINK, result)
        self._timings.append(Timing(SINK, self._device, ended - begun, 0.0))
        output = result.inputs[0].tensor if result.inputs else None
        counts = (self._transport.messages, self._transport.wire_bytes)
        return Report(self._device, tuple(self._ledger), tuple(self._timings), tuple(self._traffic), *counts, ended - started, output)

    # Receiving inputs.

    def _fetch(self, inputs_of: UnitInputs) -> Fetched:
        """Run every edge into a unit, one after another, then free tensors that nobody reads later."""
        inputs: list[TensorSlice] = []
        buffers = sums = received_bytes = sent_bytes = 0
        for edge in inputs_of.edges:
            for round_ in edge.rounds:
                sent_bytes += self._send_all(edge, round_)
                received = self._receive_all(edge, round_)
                arrived = sum(tensor.nbytes for _, tensor in received)
                received_bytes += arrived
                if round_.partial:
                    piece, total_bytes = self._add_up(edge, round_, received)
                    sums = max(sums, arrived + total_bytes)
                else:
                    piece, buffers = self._assemble(edge, round_, received), max(buffers, arrived)
                self._take(edge, round_, piece, inputs)
        self._transport.complete_sends()  # a device that only sends is busy as well
        for producer in inputs_of.freed:
            self._owned.pop(producer, None)
            self._partial.pop(producer, None)
        self._traffic.append(Traffic(inputs_of.name, self._device, received_bytes, sent_bytes))
        return Fetched(tuple(inputs), buffers, sums)

    def _take(self, edge: EdgeTransfers, round_: RegionRound, piece: TensorSlice | None, inputs: list[TensorSlice]) -> None:
        """The result of a round: an input, or after a reduce-scatter or a gather what this device owns instead of its partial sums or its share."""
        if piece is not None and round_.mixes:
            piece = TensorSlice(piece.region, mix(self._graph.operators[edge.producer], piece.tensor))
        if round_.completes:
            self._partial.pop(edge.producer, None)
            self._owned.pop(edge.producer, None)
            if piece is not None:
                self._owned[edge.producer] = piece
        elif piece is not None:
            inputs.append(piece)

    def _send_all(self, edge: EdgeTransfers, round_: RegionRound) -> int:
        sent = 0
        for transfer in round_.transfers:
            if transfer.sender == self._device:
                piece = self._piece(edge.producer, transfer.region, partial=transfer.partial)
                self._transport.send(piece, transfer.receiver)
                sent += piece.nbytes
        return sent

    def _piece(self, producer: int, region: Region, *, partial: bool) -> Tensor:
        """A copy of a region of what this device holds: a message never shares memory with its sender."""
        if partial:
            return self._partial[producer][region.channels.start : region.channels.stop, region.rows.start : region.rows.stop].clone()
        return cut(self._owned[producer], region)

    def _receive_all(self, edge: EdgeTransfers, round_: RegionRound) -> list[tuple[RegionTransfer, Tensor]]:
        width = self._width(edge, round_)
        received = []
        for transfer in round_.transfers:
            if transfer.receiver == self._device:
                shape = (len(transfer.region.channels), len(transfer.region.rows), width)
                received.append((transfer, self._transport.receive(shape, self._dtype, transfer.sender)))
        return received

    def _width(self, edge: EdgeTransfers, round_: RegionRound) -> int:
        """The columns of the transferred tensor."""
        unit = self._graph.units[edge.producer]
        return (unit.pre_pool_shape if round_.partial else unit.out_shape).width

    def _assemble(self, edge: EdgeTransfers, round_: RegionRound, received: list[tuple[RegionTransfer, Tensor]]) -> TensorSlice | None:
        """Assemble the region that this device then holds, from its own part and the received ones."""
        region, own = round_.finished.get(self._device), self._owned.get(edge.producer)
        if region is None or (own is not None and own.region == region):
            return None if region is None else own
        whole = torch.zeros(len(region.channels), len(region.rows), self._width(edge, round_), dtype=self._dtype)
        pieces = [(transfer.region, tensor) for transfer, tensor in received]
        if own is not None and (common := own.region.meet(region)):
            pieces.append((common, cut(own, common)))
        for piece, tensor in pieces:
            channels, rows = piece.within(region)
            whole[channels, rows] = tensor
        return TensorSlice(region, whole)

    def _add_up(self, edge: EdgeTransfers, round_: RegionRound, received: list[tuple[RegionTransfer, Tensor]]) -> tuple[TensorSlice | None, int]:
        """Add up partial sums in the order of their devices, and run the epilogue on the sum; also returns the bytes of the sum."""
        region = round_.finished.get(self._device)
        if region is None:
            return None, 0
        operator, shard, sums = self._graph.operators[edge.producer], self._shards[edge.producer], round_.sums[self._device]
        terms = [(transfer.sender, tensor) for transfer, tensor in received]
        if edge.producer in self._partial:
            terms.append((self._device, self._piece(edge.producer, sums, partial=True)))
        total = torch.zeros(len(sums.channels), len(sums.rows), operator.pre_pool_shape.width, dtype=self._dtype)
        for _, tensor in sorted(terms, key=lambda term: term[0]):
            total += tensor
        parameters = shard.parameters.cut(region.channels.within(shard.finishes))
        return TensorSlice(region, finish(operator, parameters, total, sums.rows, region.rows)), total.nbytes

    # Computing.

    def _compute(self, unit: UnitInputs, fetched: Fetched) -> None:
        """This device's part of one unit."""
        last, weights = unit.members[-1], sum(self._shards[member].nbytes for member in unit.members)
        if self._device not in self._placements[last].devices:
            self._note(unit.name, fetched, weights)
            return
        computed = self._computation.run(unit.members, fetched.inputs)
        self._note(unit.name, fetched, weights, computed)
        if computed.partial is not None:
            self._partial[last] = computed.partial
        if computed.finished is not None:
            self._owned[last] = computed.finished

    def _note(self, name: str, fetched: Fetched, weights: int = 0, computed: Computed | None = None) -> None:
        """A row of the ledger."""
        live = sum(piece.tensor.nbytes for piece in self._owned.values()) + sum(tensor.nbytes for tensor in self._partial.values())
        row = LedgerRow(
            name,
            self._device,
            weights=weights,
            inputs=fetched.nbytes if computed is None else computed.inputs,
            outputs=0 if computed is None else computed.outputs,
            live=live,
            pooled=0 if computed is None else computed.pooled,
            receive_buffers=fetched.receive_buffers,
            partial_sums=fetched.partial_sums,
        )
        self._ledger.append(row)
