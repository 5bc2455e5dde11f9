"""What one device computes: its part of an operator, or of a fused block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from iopopt.executor.arithmetic import TensorSlice, convolve, finish, mix, without_kernel
from iopopt.executor.weight_shards import WeightShard
from iopopt.network.graph import Graph
from iopopt.plan.placement import Placement
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


class Computation:
    """One device's part of the units of a plan."""

    def __init__(self, graph: Graph, placements: Sequence[Placement], shards: Sequence[WeightShard], device: int) -> None:
        self._graph, self._placements, self._shards, self._device = graph, placements, shards, device

    def run(self, members: range, inputs: Sequence[TensorSlice]) -> Computed:
        """Compute an operator, or the members of a fused block, from what was fetched."""
        return self._operator(members[0], inputs) if len(members) == 1 else self._block(members, inputs[0])

    def _operator(self, i: int, inputs: Sequence[TensorSlice]) -> Computed:
        operator, placement = self._graph.operators[i], self._placements[i]
        region = computed_region(operator, placement, self._device)
        channels = needed_regions(operator, placement)[self._device].channels
        before_pool = self._before_pool(i, inputs, region, channels)
        held = sum(piece.tensor.nbytes for piece in inputs)
        if placement.dim == "IC":
            return Computed(None, before_pool, held, before_pool.nbytes, 0)
        mine = owned_regions(operator, placement)[self._device]
        # Where channels are split, the devices that all-gather them mix them.
        after_pool = self._after_pool(i, before_pool, region.rows, mine.rows, mixes=placement.dim != "OC")
        return Computed(TensorSlice(mine, after_pool), None, held, before_pool.nbytes, _made(before_pool, after_pool))

    def _block(self, members: range, fetched: TensorSlice) -> Computed:
        """Member after member, on the rows that the device's share needs; a tensor is freed when its last reader has run."""
        graph, last = self._graph, members[-1]
        mine = owned_regions(graph.operators[last], self._placements[last])[self._device]
        rows, reads = block_rows(graph, members, mine.rows), graph.unfused.reads
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


def _made(before_pool: Tensor, after_pool: Tensor) -> int:
    """The bytes of what the epilogue makes; without one there is no further buffer."""
    return 0 if after_pool is before_pool else after_pool.nbytes
