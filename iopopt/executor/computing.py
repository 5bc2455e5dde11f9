"""What one device computes: its part of an operator, or of a fused block."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from iopopt.executor.arithmetic import TensorSlice, convolve, finish, mix, without_kernel
from iopopt.executor.assignment import Assignment
from iopopt.executor.weight_shards import WeightShard
from iopopt.network.graph import Graph
from iopopt.schedule.region_transfers import block_rows, computed_region, needed_regions, owned_regions, pre_pool_rows
from iopopt.schedule.regions import Interval, Region, everything


@dataclass(frozen=True)
class Computed:
    """The result of a unit on one device.

    Attributes:
        finished: what the device then owns of the output; None if it has partial sums instead.
        partial: these.
        inputs, outputs, pooled: bytes of the input, of the output before the pool, and of what the epilogue makes of it; of a block, those
            of the member at which inputs, tensors that wait inside, and output are largest.
    """

    finished: TensorSlice | None
    partial: Tensor | None
    inputs: int
    outputs: int
    pooled: int


class RowsComputation:
    """Operators of a graph, on rows of all their channels.

    Args:
        shards: the weights of each operator that is computed, by number.
    """

    def __init__(self, graph: Graph, shards: Mapping[int, WeightShard] | Sequence[WeightShard]) -> None:
        self._graph, self._shards = graph, shards

    def on_rows(self, members: range, rows: Mapping[int, Interval], fetched: TensorSlice) -> Computed:
        """Member after member, each on the ``rows`` of its output; a tensor is freed when its last reader has run.

        Args:
            fetched: of the one tensor that the members read from outside.
        """
        graph, last, reads = self._graph, members[-1], self._graph.unfused.reads
        outside = next(tensor for member in members for tensor in reads[member] if tensor not in members)
        held, largest = {outside: fetched}, (0, 0, 0)
        for member in members:
            operator = graph.operators[member]
            region = Region(everything(operator.pre_pool_shape).channels, pre_pool_rows(operator, rows[member]))
            inputs = [held[tensor] for tensor in reads[member]]
            before_pool = self._before_pool(member, inputs, region, inputs[0].region.channels)
            waiting = sum(piece.tensor.nbytes for piece in held.values())
            after_pool = self._after_pool(member, before_pool, region.rows, rows[member], mixes=True)
            largest = max(largest, (waiting, before_pool.nbytes, _made(before_pool, after_pool)), key=lambda of: of[0] + of[1])
            held[member] = TensorSlice(Region(everything(operator.out_shape).channels, rows[member]), after_pool)
            read_later = {tensor for later in range(member + 1, members.stop) for tensor in reads[later]}
            held = {tensor: piece for tensor, piece in held.items() if tensor in read_later or tensor == last}
        return Computed(held[last], None, *largest)

    def _before_pool(self, i: int, inputs: Sequence[TensorSlice], region: Region, channels: Interval) -> Tensor:
        operator, kernel = self._graph.operators[i], self._shards[i].kernel
        if kernel is None:
            return without_kernel(operator, inputs, region)
        ((held, tensor),) = inputs
        groups = max(1, operator.groups * kernel.shape[0] // operator.out_channels)
        return convolve(operator, kernel, tensor[channels.within(held.channels)], held.rows, region.rows, groups)

    def _after_pool(self, i: int, before_pool: Tensor, held: Interval, rows: Interval, *, mixes: bool) -> Tensor:
        operator = self._graph.operators[i]
        after_pool = finish(operator, self._shards[i].parameters, before_pool, held, rows)
        return mix(operator, after_pool) if mixes and operator.mixes_channels else after_pool


class Computation(RowsComputation):
    """One device's part of the units of a plan."""

    def __init__(self, assignment: Assignment) -> None:
        super().__init__(assignment.graph, assignment.shards)
        self._placements, self._device = assignment.placements, assignment.device

    def run(self, members: range, inputs: Sequence[TensorSlice]) -> Computed:
        """Compute an operator, or the members of a fused block, from what was fetched."""
        return self._operator(members[0], inputs) if len(members) == 1 else self._block(members, inputs[0])

    def in_parts(self, i: int, inputs: Sequence[TensorSlice], parts: Sequence[Sequence[Interval]]) -> Iterator[Computed]:
        """Compute operator ``i``, which is split by rows, in parts of several intervals of rows.

        Yields the same share after each part, with the rows that are there by then.
        """
        operator, placement = self._graph.operators[i], self._placements[i]
        mine = owned_regions(operator, placement)[self._device]
        held, outputs, made = sum(piece.tensor.nbytes for piece in inputs), 0, 0
        share: Tensor | None = None
        for part in parts:
            for rows in part:
                before_pool = self._before_pool(i, inputs, Region(mine.channels, pre_pool_rows(operator, rows)), self._read_channels(i))
                after_pool = self._after_pool(i, before_pool, pre_pool_rows(operator, rows), rows, mixes=True)
                if share is None:
                    share = torch.empty(len(mine.channels), len(mine.rows), after_pool.shape[-1], dtype=after_pool.dtype)
                share[:, rows.within(mine.rows)] = after_pool
                outputs, made = max(outputs, before_pool.nbytes), max(made, _made(before_pool, after_pool))
            assert share is not None  # no part is empty
            yield Computed(TensorSlice(mine, share), None, held, outputs, share.nbytes + made)

    # The parts of a streamed operator.

    def zeros(self, i: int, channels: Interval | None = None) -> Tensor:
        """An empty sum of the operator's output before its pool: of some channels, or of those that this device computes."""
        shape, kernel = self._graph.operators[i].pre_pool_shape, self._kernel(i)
        return kernel.new_zeros(len(kernel) if channels is None else len(channels), shape.height, shape.width)

    def of_input(self, i: int, piece: TensorSlice) -> Tensor:
        """What some input channels contribute to the output channels of this device, before the pool."""
        operator, channels = self._graph.operators[i], piece.region.channels
        rows = everything(operator.pre_pool_shape).rows
        return convolve(operator, self._kernel(i)[:, channels.start : channels.stop], piece.tensor, piece.region.rows, rows, 1)

    def of_sums(self, i: int, inputs: Sequence[TensorSlice], channels: Interval) -> Tensor:
        """What the input channels of this device contribute to some output channels, before the pool."""
        operator, ((held, tensor),) = self._graph.operators[i], inputs
        rows, read = everything(operator.pre_pool_shape).rows, tensor[self._read_channels(i).within(held.channels)]
        return convolve(operator, self._kernel(i)[channels.start : channels.stop], read, held.rows, rows, 1).contiguous()

    def finished(self, i: int, total: Tensor, inputs: int, outputs: int, region: Region | None = None) -> Computed:
        """What the epilogue makes of a finished sum: of the share of an OC split, or of another ``region``.

        Args:
            inputs, outputs: bytes of what was there at once, as in :class:`Computed`.
        """
        operator = self._graph.operators[i]
        mine = owned_regions(operator, self._placements[i])[self._device] if region is None else region
        after_pool = self._after_pool(i, total, everything(operator.pre_pool_shape).rows, mine.rows, mixes=False)  # nobody has all channels
        return Computed(TensorSlice(mine, after_pool), None, inputs, outputs, _made(total, after_pool))

    def _kernel(self, i: int) -> Tensor:
        kernel = self._shards[i].kernel
        assert kernel is not None  # only operators with a kernel are streamed
        return kernel

    def _operator(self, i: int, inputs: Sequence[TensorSlice]) -> Computed:
        operator, placement = self._graph.operators[i], self._placements[i]
        region = computed_region(operator, placement, self._device)
        before_pool = self._before_pool(i, inputs, region, self._read_channels(i))
        held = sum(piece.tensor.nbytes for piece in inputs)
        if placement.dim == "IC":
            return Computed(None, before_pool, held, before_pool.nbytes, 0)
        mine = owned_regions(operator, placement)[self._device]
        # Where channels are split, the devices that all-gather them mix them.
        after_pool = self._after_pool(i, before_pool, region.rows, mine.rows, mixes=placement.dim != "OC")
        return Computed(TensorSlice(mine, after_pool), None, held, before_pool.nbytes, _made(before_pool, after_pool))

    def _read_channels(self, i: int) -> Interval:
        """The channels of its (first) input that this device's part of an operator reads."""
        return needed_regions(self._graph.operators[i], self._placements[i])[self._device].channels

    def _block(self, members: range, fetched: TensorSlice) -> Computed:
        """The rows that the device's share needs."""
        mine = owned_regions(self._graph.operators[members[-1]], self._placements[members[-1]])[self._device]
        return self.on_rows(members, block_rows(self._graph, members, mine.rows), fetched)


def _made(before_pool: Tensor, after_pool: Tensor) -> int:
    """The bytes of what the epilogue makes; without one there is no further buffer."""
    return 0 if after_pool is before_pool else after_pool.nbytes
