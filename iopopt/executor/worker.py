"""One device: it owns its shards of the weights and of the activations, and gets everything else by messages."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from iopopt.evaluation import SINK
from iopopt.executor.arithmetic import Finish, convolve, cut, finish
from iopopt.executor.regions import Interval, Region, conv_rows, everything, needed_regions, owned_regions
from iopopt.executor.schedule import Edge, Round, Transfer
from iopopt.executor.transport import Transport
from iopopt.executor.weights import Weights
from iopopt.graph import Graph
from iopopt.operators import Operator
from iopopt.plan import Placement


@dataclass(frozen=True)
class LedgerRow:
    """What a worker held for one operator, bytes of real buffers.

    ``weights``, ``inputs`` and ``outputs`` (before the pool) are what equation (1) counts, but that normalisation parameters are among
    the weights, and that biases lie with those who finish the sum of an IC operator; ``pooled`` outputs, ``receive_buffers`` and
    ``partial_sums`` (received ones, and the sum) it leaves out. The row of the sink's edge holds the network's output as its input.
    """

    operator: str
    device: int
    weights: int = 0
    inputs: int = 0
    outputs: int = 0
    pooled: int = 0
    receive_buffers: int = 0
    partial_sums: int = 0


@dataclass(frozen=True)
class Timing:
    """Seconds that a worker spent on one operator: getting its input, and computing."""

    operator: str
    device: int
    communication_s: float
    compute_s: float


@dataclass(frozen=True)
class Traffic:
    """Payload that a worker received and sent on one edge, bytes of real tensors."""

    edge: str
    device: int
    received_bytes: int
    sent_bytes: int


@dataclass(frozen=True)
class Report:
    """What one worker has to say at the end; ``output`` is there on the sink only."""

    device: int
    ledger: tuple[LedgerRow, ...]
    timings: tuple[Timing, ...]
    traffic: tuple[Traffic, ...]
    messages: int
    wire_bytes: int
    elapsed_s: float
    output: Tensor | None


@dataclass(frozen=True)
class Shard:
    """A device's part of one operator: the kernel it computes with, and the parameters to finish what it will finish.

    ``finishes`` are the channels whose bias and normalisation it has: its own, or those whose partial sums it adds up.
    """

    kernel: Tensor | None
    parameters: Finish
    finishes: Interval

    @property
    def nbytes(self) -> int:
        parts = (self.kernel, self.parameters.bias, self.parameters.scale, self.parameters.shift)
        return sum(part.nbytes for part in parts if part is not None)


def cut_shards(
    graph: Graph, placements: Sequence[Placement], edges: Sequence[Edge], weights: Weights, device: int, dtype: torch.dtype
) -> list[Shard]:
    """The shards of one device, as copies: nothing else of the weights stays with it."""
    shards = []
    for i, (operator, placement) in enumerate(zip(graph.operators, placements, strict=True)):
        mine = weights[operator.name]
        kernel = _copy(np.asarray(mine.kernel)[_kernel_slices(placement, device)], dtype) if device in placement.devices else None
        channels = _finished_channels(operator, placement, edges[i + 1], device)
        own = slice(channels.start, channels.stop)
        parts = (None if part is None else _copy(np.asarray(part)[own], dtype) for part in (mine.bias, mine.scale, mine.shift))
        shards.append(Shard(kernel, Finish(*parts), channels))
    return shards


def _copy(array: npt.ArrayLike, dtype: torch.dtype) -> Tensor:
    """A tensor that shares no memory with the array."""
    return torch.tensor(np.asarray(array), dtype=dtype)


def _kernel_slices(placement: Placement, device: int) -> tuple[slice, slice]:
    (shard,) = (shard for shard in placement.shards if shard.device == device)
    part = slice(shard.start, shard.stop)
    return (part if placement.dim == "OC" else slice(None)), (part if placement.dim == "IC" else slice(None))


def _finished_channels(operator: Operator, placement: Placement, following: Edge, device: int) -> Interval:
    if placement.dim != "IC":
        owned = owned_regions(operator, placement).get(device)
        return Interval(0, 0) if owned is None else owned.channels
    (adding,) = (round_ for round_ in following.rounds if round_.partial)
    finished = adding.finished.get(device)
    return Interval(0, 0) if finished is None else finished.channels


class Worker:
    """Runs one device's part of a plan."""

    def __init__(
        self,
        graph: Graph,
        placements: Sequence[Placement],
        edges: Sequence[Edge],
        shards: Sequence[Shard],
        transport: Transport,
        dtype: torch.dtype,
    ) -> None:
        self._graph, self._placements, self._edges, self._shards, self._transport = graph, placements, edges, shards, transport
        self._device = transport.device
        self._dtype = dtype
        self._held: tuple[Region, Tensor] | None = None
        self._partial: Tensor | None = None
        self._ledger: list[LedgerRow] = []
        self._timings: list[Timing] = []
        self._traffic: list[Traffic] = []

    @torch.inference_mode()
    def run(self, held: tuple[Region, Tensor] | None) -> Report:
        """Run every operator; ``held`` is the part of the input that lies on this device.

        Raises:
            ExecutionError: if another worker fails or a message does not come in time.
        """
        self._held = held
        self._transport.barrier()
        started = time.perf_counter()
        for i, operator in enumerate(self._graph.operators):
            self._transport.barrier()
            begun = time.perf_counter()
            buffers = self._cross(self._edges[i], i - 1)
            fetched = time.perf_counter()
            self._transport.barrier()
            resumed = time.perf_counter()
            self._compute(i, operator, buffers)
            self._timings.append(Timing(operator.name, self._device, fetched - begun, time.perf_counter() - resumed))
        self._transport.barrier()
        begun = time.perf_counter()
        receive_buffers, partial_sums = self._cross(self._edges[-1], len(self._graph) - 1)
        ended = time.perf_counter()
        output_bytes = 0 if self._held is None else self._held[1].nbytes
        self._ledger.append(LedgerRow(SINK, self._device, inputs=output_bytes, receive_buffers=receive_buffers, partial_sums=partial_sums))
        self._timings.append(Timing(self._edges[-1].name, self._device, ended - begun, 0.0))
        output = None if self._held is None else self._held[1]
        counts = (self._transport.messages, self._transport.wire_bytes)
        return Report(self._device, tuple(self._ledger), tuple(self._timings), tuple(self._traffic), *counts, ended - started, output)

    def _cross(self, edge: Edge, producer: int) -> tuple[int, int]:
        """Every round of an edge; returns the bytes of receive buffers and of partial sums that were held at once, at most."""
        buffers = sums = received_bytes = sent_bytes = 0
        for round_ in edge.rounds:
            sent_bytes += self._send_all(round_)
            received = self._receive_all(round_, edge)
            arrived = sum(tensor.nbytes for _, tensor in received)
            received_bytes += arrived
            if round_.partial:
                sums = max(sums, arrived + self._add_up(round_, received, producer))
            else:
                buffers = max(buffers, arrived)
                self._assemble(round_, received, self._width(round_, edge))
            self._partial = None
        self._transport.complete_sends()  # a device that only sends is busy, too
        self._traffic.append(Traffic(edge.name, self._device, received_bytes, sent_bytes))
        return buffers, sums

    def _send_all(self, round_: Round) -> int:
        sent = 0
        for transfer in round_.transfers:
            if transfer.source == self._device:
                piece = self._piece(transfer.region, partial=transfer.partial)
                self._transport.send(piece, transfer.target)
                sent += piece.nbytes
        return sent

    def _piece(self, region: Region, *, partial: bool) -> Tensor:
        """A copy of a region of what this device holds: a message never shares memory with its sender."""
        if partial:
            assert self._partial is not None  # the schedule lets only owners of partial sums send them
            return self._partial[region.channels.start : region.channels.stop, region.rows.start : region.rows.stop].clone()
        assert self._held is not None  # the schedule lets only owners send
        return cut(self._held[1], region, self._held[0])

    def _receive_all(self, round_: Round, edge: Edge) -> list[tuple[Transfer, Tensor]]:
        width = self._width(round_, edge)
        received = []
        for transfer in round_.transfers:
            if transfer.target == self._device:
                shape = (len(transfer.region.channels), len(transfer.region.rows), width)
                received.append((transfer, self._transport.receive(shape, self._dtype, transfer.source)))
        return received

    def _width(self, round_: Round, edge: Edge) -> int:
        """The columns of what is handed over."""
        if edge.producer is None:
            return self._graph.input_shape.width
        return edge.producer.conv_shape.width if round_.partial else edge.producer.out_shape.width

    def _assemble(self, round_: Round, received: list[tuple[Transfer, Tensor]], width: int) -> None:
        """Put together the region that this device then holds, from its own and what has come."""
        region, held = round_.finished.get(self._device), self._held
        if region is None or (held is not None and held[0] == region):
            self._held = held if region is not None else None
            return
        whole = torch.zeros(len(region.channels), len(region.rows), width, dtype=self._dtype)
        pieces = [(transfer.region, tensor) for transfer, tensor in received]
        if held is not None and (common := held[0].meet(region)):
            pieces.append((common, cut(held[1], common, held[0])))
        for piece, tensor in pieces:
            channels, rows = piece.within(region)
            whole[channels, rows] = tensor
        self._held = (region, whole)

    def _add_up(self, round_: Round, received: list[tuple[Transfer, Tensor]], producer: int) -> int:
        """Add up partial sums in the order of their devices, and run the epilogue on the sum; returns the bytes of the sum."""
        region = round_.finished.get(self._device)
        if region is None:
            self._held = None
            return 0
        operator, shard, sums = self._graph.operators[producer], self._shards[producer], round_.sums[self._device]
        terms = [(transfer.source, tensor) for transfer, tensor in received]
        if self._partial is not None:
            terms.append((self._device, self._piece(sums, partial=True)))
        total = torch.zeros(len(sums.channels), len(sums.rows), operator.conv_shape.width, dtype=self._dtype)
        for _, tensor in sorted(terms, key=lambda term: term[0]):
            total += tensor
        self._held = (region, finish(operator, shard.parameters, total, sums.rows, region.rows))
        return total.nbytes

    def _compute(self, i: int, operator: Operator, buffers: tuple[int, int]) -> None:
        """This device's part of one operator."""
        placement, shard = self._placements[i], self._shards[i]
        receive_buffers, partial_sums = buffers
        if shard.kernel is None:
            self._held = None
            row = LedgerRow(operator.name, self._device, shard.nbytes, receive_buffers=receive_buffers, partial_sums=partial_sums)
            self._ledger.append(row)
            return
        assert self._held is not None  # a participant holds what it needs, if only an empty region
        region, tensor = self._held
        inputs = tensor.nbytes
        mine = owned_regions(operator, placement)[self._device] if placement.dim != "IC" else None
        # Rows before the pool: all of them, also those that no pool window touches, unless the split is by rows.
        rows = everything(operator.conv_shape).rows
        if mine is not None and placement.dim == "H":
            rows = conv_rows(operator, mine.rows)
        groups = max(1, operator.groups * shard.kernel.shape[0] // operator.out_channels)
        channels = needed_regions(operator, placement)[self._device].channels.within(region.channels)
        before_pool = convolve(operator, shard.kernel, tensor[channels], region.rows, rows, groups)
        outputs = before_pool.nbytes
        if mine is None:
            self._partial, self._held, pooled = before_pool, None, 0
        else:
            after_pool = finish(operator, shard.parameters, before_pool, rows, mine.rows)
            # Without an epilogue nothing new is held.
            pooled, self._held = 0 if after_pool is before_pool else after_pool.nbytes, (mine, after_pool)
        self._ledger.append(LedgerRow(operator.name, self._device, shard.nbytes, inputs, outputs, pooled, receive_buffers, partial_sums))
