"""What one device owns between units, and how received pieces become inputs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from iopopt.executor.arithmetic import TensorSlice, cut, finish, mix
from iopopt.executor.assignment import Assignment
from iopopt.executor.computing import Computed
from iopopt.schedule.region_transfers import EdgeTransfers, RegionRound, RegionTransfer
from iopopt.schedule.regions import Region

Received = Sequence[tuple[RegionTransfer, Tensor]]
"""The messages of a round to one device."""


class Taken(NamedTuple):
    """What a round gives a device: an input, or None, and the bytes of the sum that it made of partial sums."""

    piece: TensorSlice | None
    sum_bytes: int


class Holdings:
    """One device's tensors, by producers' numbers: its parts of those that will still be read, and its partial sums of those still to be reduced."""

    def __init__(self, assignment: Assignment) -> None:
        self._graph, self._shards, self._device, self._dtype = assignment.graph, assignment.shards, assignment.device, assignment.dtype
        self._owned: dict[int, TensorSlice] = {}
        self._partial: dict[int, Tensor] = {}

    @property
    def nbytes(self) -> int:
        """All of it."""
        return sum(piece.tensor.nbytes for piece in self._owned.values()) + sum(tensor.nbytes for tensor in self._partial.values())

    def own(self, producer: int, piece: TensorSlice) -> None:
        """Keep a part of a finished tensor."""
        self._owned[producer] = piece

    def owned(self, producer: int) -> TensorSlice | None:
        """This device's part of a finished tensor, if it has any."""
        return self._owned.get(producer)

    def keep(self, producer: int, computed: Computed) -> None:
        """Keep what a task has made."""
        if computed.partial is not None:
            self._partial[producer] = computed.partial
        if computed.finished is not None:
            self._owned[producer] = computed.finished

    def free(self, producers: Collection[int]) -> None:
        """Drop tensors."""
        for producer in producers:
            self._owned.pop(producer, None)
            self._partial.pop(producer, None)

    def piece(self, producer: int, region: Region, *, partial: bool) -> Tensor:
        """A copy of a region of what this device holds: a message never shares memory with its sender."""
        if partial:
            return self._partial[producer][region.channels.start : region.channels.stop, region.rows.start : region.rows.stop].clone()
        return cut(self._owned[producer], region)

    def shape(self, producer: int, round_: RegionRound, transfer: RegionTransfer) -> tuple[int, int, int]:
        """The shape of a message."""
        return len(transfer.region.channels), len(transfer.region.rows), self._width(producer, round_)

    def take(self, edge: EdgeTransfers, round_: RegionRound, received: Received) -> Taken:
        """The input that a round gives; after a reduce-scatter or a gather this device owns the result instead of its partial sums or its share."""
        piece, sum_bytes = self._add_up(edge, round_, received) if round_.partial else (self._assemble(edge, round_, received), 0)
        if piece is not None and round_.mixes:
            piece = TensorSlice(piece.region, mix(self._graph.operators[edge.producer], piece.tensor))
        if not round_.completes:
            return Taken(piece, sum_bytes)
        self.free((edge.producer,))
        if piece is not None:
            self._owned[edge.producer] = piece
        return Taken(None, sum_bytes)

    def _width(self, producer: int, round_: RegionRound) -> int:
        """The columns of the transferred tensor."""
        unit = self._graph.units[producer]
        return (unit.pre_pool_shape if round_.partial else unit.out_shape).width

    def _assemble(self, edge: EdgeTransfers, round_: RegionRound, received: Received) -> TensorSlice | None:
        """Assemble the region that this device then holds, from its own part and the received ones."""
        region, own = round_.finished.get(self._device), self._owned.get(edge.producer)
        if region is None or (own is not None and own.region == region):
            return None if region is None else own
        whole = torch.zeros(len(region.channels), len(region.rows), self._width(edge.producer, round_), dtype=self._dtype)
        pieces = [(transfer.region, tensor) for transfer, tensor in received]
        if own is not None and (common := own.region.meet(region)):
            pieces.append((common, cut(own, common)))
        for piece, tensor in pieces:
            channels, rows = piece.within(region)
            whole[channels, rows] = tensor
        return TensorSlice(region, whole)

    def _add_up(self, edge: EdgeTransfers, round_: RegionRound, received: Received) -> Taken:
        """Add up partial sums in the order of their devices, and run the epilogue on the sum."""
        region = round_.finished.get(self._device)
        if region is None:
            return Taken(None, 0)
        operator, shard, sums = self._graph.operators[edge.producer], self._shards[edge.producer], round_.sums[self._device]
        terms = [(transfer.sender, tensor) for transfer, tensor in received]
        if edge.producer in self._partial:
            terms.append((self._device, self.piece(edge.producer, sums, partial=True)))
        total = torch.zeros(len(sums.channels), len(sums.rows), operator.pre_pool_shape.width, dtype=self._dtype)
        for _, tensor in sorted(terms, key=lambda term: term[0]):
            total += tensor
        parameters = shard.parameters.cut(region.channels.within(shard.finishes))
        return Taken(TensorSlice(region, finish(operator, parameters, total, sums.rows, region.rows)), total.nbytes)
