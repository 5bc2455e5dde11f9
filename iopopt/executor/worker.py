"""One device: it owns its shards of the weights and of the activations, and receives everything else in messages."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from iopopt.executor.arithmetic import EpilogueParameters, TensorSlice, convolve, cut, finish, mix, without_kernel
from iopopt.executor.transport import Transport
from iopopt.network.graph import Graph
from iopopt.network.unit import SINK
from iopopt.network.weights import NO_WEIGHTS, Weights
from iopopt.plan.placement import Placement
from iopopt.schedule.region_transfers import (
    EdgeTransfers,
    OperatorInputs,
    RegionRound,
    RegionTransfer,
    computed_region,
    needed_regions,
    owned_regions,
)
from iopopt.schedule.regions import Interval, Region


@dataclass(frozen=True)
class LedgerRow:
    """What a worker held for one operator, bytes of real buffers.

    ``weights``, ``inputs``, ``outputs`` (before the pool) and ``live`` are what equation (1) counts, except that epilogue parameters count as
    weights, and biases are on the devices that finish the sum of an IC operator. ``live`` are live tensors and partial sums; one that this
    operator also reads is among its inputs as well, as in equation (1). ``pooled`` outputs (everything that the epilogue makes),
    ``receive_buffers`` and ``partial_sums`` (received ones, and the sum) are not counted by equation (1). The row of the sink holds the
    network's output as its input.
    """

    operator: str
    device: int
    weights: int = 0
    inputs: int = 0
    outputs: int = 0
    live: int = 0
    pooled: int = 0
    receive_buffers: int = 0
    partial_sums: int = 0


@dataclass(frozen=True)
class Timing:
    """Seconds that a worker spent on one operator: receiving its inputs, and computing."""

    operator: str
    device: int
    communication_s: float
    compute_s: float


@dataclass(frozen=True)
class Traffic:
    """Payload that a worker received and sent on all edges into one operator (or the sink), bytes of real tensors."""

    edge: str
    device: int
    received_bytes: int
    sent_bytes: int


@dataclass(frozen=True)
class Report:
    """The report of one worker; only the sink's has an ``output``."""

    device: int
    ledger: tuple[LedgerRow, ...]
    timings: tuple[Timing, ...]
    traffic: tuple[Traffic, ...]
    messages: int
    wire_bytes: int
    elapsed_s: float
    output: Tensor | None


@dataclass(frozen=True)
class WeightShard:
    """A device's part of one operator: its kernel, and the parameters of bias and epilogue for the channels that it finishes.

    ``finishes`` are these channels: its own, or those whose partial sums it adds up for any consumer.
    """

    kernel: Tensor | None
    parameters: EpilogueParameters
    finishes: Interval

    @property
    def nbytes(self) -> int:
        return self.parameters.nbytes + (0 if self.kernel is None else self.kernel.nbytes)


def cut_shards(
    graph: Graph, placements: Sequence[Placement], operator_inputs: Sequence[OperatorInputs], weights: Weights, device: int, dtype: torch.dtype
) -> list[WeightShard]:
    """The shards of one device, as copies: the rest of the weights is not held."""
    shards = []
    for i, (operator, placement) in enumerate(zip(graph.operators, placements, strict=True)):
        mine, kernel = weights.get(operator.name, NO_WEIGHTS), None
        if mine.kernel is not None and device in placement.devices:
            kernel = _copy(np.asarray(mine.kernel)[_kernel_slices(placement, device)], dtype)
        channels = _finished_channels(graph, placements, operator_inputs, i, device)
        own = slice(channels.start, channels.stop)
        bias = None if mine.bias is None else _copy(np.asarray(mine.bias)[own], dtype)
        steps = {number: tuple(_copy(np.asarray(part)[own], dtype) for part in parts) for number, parts in mine.steps.items()}
        shards.append(WeightShard(kernel, EpilogueParameters(bias, steps), channels))
    return shards


def _copy(array: npt.ArrayLike, dtype: torch.dtype) -> Tensor:
    """A tensor that shares no memory with the array."""
    return torch.tensor(np.asarray(array), dtype=dtype)


def _kernel_slices(placement: Placement, device: int) -> tuple[slice, slice]:
    (shard,) = (shard for shard in placement.shards if shard.device == device)
    part = slice(shard.start, shard.stop)
    return (part if placement.dim == "OC" else slice(None)), (part if placement.dim == "IC" else slice(None))


def _finished_channels(graph: Graph, placements: Sequence[Placement], operator_inputs: Sequence[OperatorInputs], i: int, device: int) -> Interval:
    """The channels of operator ``i`` that the device finishes: its own, or all between the first and the last that it adds up."""
    if placements[i].dim != "IC":
        regions = [owned_regions(graph.operators[i], placements[i]).get(device)]
    else:
        edges = [edge for inputs_of in operator_inputs for edge in inputs_of.edges if edge.producer == i]
        regions = [round_.finished.get(device) for edge in edges for round_ in edge.rounds if round_.partial]
    channels = [region.channels for region in regions if region is not None and region.channels]
    return Interval(min((part.start for part in channels), default=0), max((part.stop for part in channels), default=0))


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

    Between operators it holds, by producers' numbers, what it owns of the tensors that will still be read, and its partial sums of those
    that will still be reduced.
    """

    def __init__(
        self,
        graph: Graph,
        placements: Sequence[Placement],
        operator_inputs: Sequence[OperatorInputs],
        shards: Sequence[WeightShard],
        transport: Transport,
        dtype: torch.dtype,
    ) -> None:
        self._graph, self._placements, self._inputs, self._shards, self._transport = graph, placements, operator_inputs, shards, transport
        self._device = transport.device
        self._dtype = dtype
        self._owned: dict[int, TensorSlice] = {}
        self._partial: dict[int, Tensor] = {}
        self._ledger: list[LedgerRow] = []
        self._timings: list[Timing] = []
        self._traffic: list[Traffic] = []

    @torch.inference_mode()
    def run(self, held: TensorSlice | None) -> Report:
        """Run every operator; ``held`` is the graph's input if this device has it.

        Raises:
            ExecutionError: if another worker fails or a message does not arrive in time.
        """
        if held is not None:
            self._owned[self._graph.source] = held
        self._transport.barrier()
        started = time.perf_counter()
        for i, operator in enumerate(self._graph.operators):
            self._transport.barrier()
            begun = time.perf_counter()
            fetched = self._fetch(self._inputs[i])
            ended = time.perf_counter()
            self._transport.barrier()
            resumed = time.perf_counter()
            self._compute(i, fetched)
            del fetched  # before the next operator's inputs arrive
            self._timings.append(Timing(operator.name, self._device, ended - begun, time.perf_counter() - resumed))
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

    def _fetch(self, inputs_of: OperatorInputs) -> Fetched:
        """Run every edge into an operator, one after another, then free tensors that nobody reads later."""
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
        """The result of a round: an input, or after a reduce-scatter what this device owns instead of partial sums."""
        if piece is not None and round_.mixes:
            piece = TensorSlice(piece.region, mix(self._graph.operators[edge.producer], piece.tensor))
        if round_.completes:
            self._partial.pop(edge.producer, None)
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

    def _compute(self, i: int, fetched: Fetched) -> None:
        """This device's part of one operator."""
        operator, placement = self._graph.operators[i], self._placements[i]
        if self._device not in placement.devices:
            self._note(operator.name, fetched, self._shards[i])
            return
        region = computed_region(operator, placement, self._device)
        before_pool = self._before_pool(i, fetched, region)
        if placement.dim == "IC":
            self._note(operator.name, fetched, self._shards[i], before_pool)
            self._partial[i] = before_pool
            return
        mine = owned_regions(operator, placement)[self._device]
        after_pool = finish(operator, self._shards[i].parameters, before_pool, region.rows, mine.rows)
        if operator.mixes_channels and placement.dim != "OC":  # otherwise the devices that all-gather the channels do it
            after_pool = mix(operator, after_pool)
        self._note(operator.name, fetched, self._shards[i], before_pool, after_pool)
        self._owned[i] = TensorSlice(mine, after_pool)

    def _before_pool(self, i: int, fetched: Fetched, region: Region) -> Tensor:
        operator, kernel = self._graph.operators[i], self._shards[i].kernel
        if kernel is None:
            return without_kernel(operator, fetched.inputs, region)
        ((held, tensor),) = fetched.inputs
        groups = max(1, operator.groups * kernel.shape[0] // operator.out_channels)
        channels = needed_regions(operator, self._placements[i])[self._device].channels.within(held.channels)
        return convolve(operator, kernel, tensor[channels], held.rows, region.rows, groups)

    def _note(
        self, name: str, fetched: Fetched, shard: WeightShard | None = None, before_pool: Tensor | None = None, after_pool: Tensor | None = None
    ) -> None:
        """A row of the ledger; without an epilogue there is no further buffer."""
        live = sum(piece.tensor.nbytes for piece in self._owned.values()) + sum(tensor.nbytes for tensor in self._partial.values())
        row = LedgerRow(
            name,
            self._device,
            weights=0 if shard is None else shard.nbytes,
            inputs=fetched.nbytes,
            outputs=0 if before_pool is None else before_pool.nbytes,
            live=live,
            pooled=0 if after_pool is None or after_pool is before_pool else after_pool.nbytes,
            receive_buffers=fetched.receive_buffers,
            partial_sums=fetched.partial_sums,
        )
        self._ledger.append(row)
