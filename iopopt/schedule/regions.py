"""The part of a tensor that a device owns, and the part that it needs: intervals of channels and of rows, cut at the tensor's edges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from iopopt.network.operators.operator import Operator
from iopopt.network.shapes import Shape
from iopopt.plan.placement import Placement


@dataclass(frozen=True)
class Interval:
    """[start, stop); an empty interval has ``stop == start``."""

    start: int
    stop: int

    def __post_init__(self) -> None:
        if self.stop < self.start:
            object.__setattr__(self, "stop", self.start)

    def __len__(self) -> int:
        return self.stop - self.start

    def meet(self, other: Interval) -> Interval:
        """The intersection."""
        return Interval(max(self.start, other.start), min(self.stop, other.stop))

    def shifted(self, offset: int) -> Interval:
        """The same interval, shifted by an offset."""
        return Interval(self.start + offset, self.stop + offset)

    def within(self, outer: Interval) -> slice:
        """The index of this interval in an array that holds ``outer``."""
        return slice(self.start - outer.start, self.stop - outer.start) if self else slice(0, 0)


@dataclass(frozen=True)
class Region:
    """Channels and rows of a feature map, with all columns."""

    channels: Interval
    rows: Interval

    def __bool__(self) -> bool:
        return bool(self.channels) and bool(self.rows)

    def meet(self, other: Region) -> Region:
        """The intersection."""
        return Region(self.channels.meet(other.channels), self.rows.meet(other.rows))

    def holds(self, other: Region) -> bool:
        """Whether this region contains all of ``other``."""
        return not other or self.meet(other) == other

    def within(self, outer: Region) -> tuple[slice, slice]:
        """The index of this region in an array (channels, rows, ...) that holds ``outer``."""
        return self.channels.within(outer.channels), self.rows.within(outer.rows)


Regions = Mapping[int, Region]
"""A region for each device."""


def everything(shape: Shape) -> Region:
    """The whole feature map."""
    return Region(Interval(0, shape.channels), Interval(0, shape.height))


def nothing() -> Region:
    """The empty region."""
    return Region(Interval(0, 0), Interval(0, 0))


def owned_regions(operator: Operator, placement: Placement) -> dict[int, Region]:
    """What each participant owns of the finished output of an operator that is whole or split by H or OC."""
    full = everything(operator.out_shape)
    if placement.dim is None:
        return {placement.devices[0]: full}
    cut = {shard.device: Interval(shard.start, shard.stop) for shard in placement.shards}
    if placement.dim == "H":
        return {device: Region(full.channels, rows) for device, rows in cut.items()}
    return {device: Region(channels, full.rows) for device, channels in cut.items()}


def read_region(operator: Operator, slot: int) -> Region:
    """The region of input ``slot`` that the operator reads."""
    channels = operator.read_channels(slot)
    return Region(Interval(channels.start, channels.stop), everything(operator.in_shapes[slot]).rows)


def needed_regions(operator: Operator, placement: Placement, slot: int = 0, *, by_channels: bool = True) -> dict[int, Region]:
    """What each participant needs of input ``slot``.

    For H the rows under its output rows, but all of a gate; for IC its input channels; for OC of a channel-local operator the input
    channels of its groups. Otherwise everything that the operator reads. Without ``by_channels``, all channels are needed instead of some.
    """
    full = read_region(operator, slot) if by_channels else everything(operator.in_shapes[slot])
    needs = {}
    for shard in placement.shards:
        share = Interval(shard.start, shard.stop)
        if placement.dim == "H" and not operator.is_gate(slot):
            needs[shard.device] = Region(full.channels, field_rows(operator, share))
        elif by_channels and operator.reads_part(placement.dim):
            needs[shard.device] = Region(_input_channels(operator, placement, share), full.rows)
        else:
            needs[shard.device] = full
    return needs


def _input_channels(operator: Operator, placement: Placement, share: Interval) -> Interval:
    """A share of input channels, or the input channels that the groups of a share of output channels read."""
    if placement.dim == "IC":
        return share
    C, OC = operator.in_shape.channels, operator.out_channels
    return Interval(share.start * C // OC, share.stop * C // OC)


def computed_region(operator: Operator, placement: Placement, device: int) -> Region:
    """What a participant computes before the pool.

    Unless the split is by rows, all rows, including those that no pool window touches; for IC, partial sums of all channels.
    """
    full = everything(operator.pre_pool_shape)
    if placement.dim in (None, "IC"):
        return full
    mine = owned_regions(operator, placement)[device]
    return Region(mine.channels, pre_pool_rows(operator, mine.rows) if placement.dim == "H" else full.rows)


def pre_pool_rows(operator: Operator, rows: Interval) -> Interval:
    """The pre-pool rows under output rows."""
    pool = operator.pool.rows
    if not rows:
        return Interval(0, 0)
    return Interval(
        max(0, rows.start * pool.stride - pool.before),
        min(operator.pre_pool_shape.height, (rows.stop - 1) * pool.stride - pool.before + pool.extent),
    )


def field_rows(operator: Operator, rows: Interval) -> Interval:
    """Input rows under output rows: the composite field of pool and kernel, cut at the tensor's edges."""
    if not rows:
        return Interval(0, 0)
    first, last = rows.start * operator.S - operator.P, (rows.stop - 1) * operator.S - operator.P + operator.K
    return Interval(max(0, int(first)), min(operator.in_shape.height, int(last)))  # whole numbers, because shares are whole granules
