"""Which part of a tensor a device owns, and which part it needs: intervals of channels and of rows, cut at the tensor's edges."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

from iopopt.operators import Operator, Shape
from iopopt.plan import Placement


@dataclass(frozen=True)
class Interval:
    """[start, stop); an interval that is empty has ``stop == start``."""

    start: int
    stop: int

    def __post_init__(self) -> None:
        if self.stop < self.start:
            object.__setattr__(self, "stop", self.start)

    def __len__(self) -> int:
        return self.stop - self.start

    def meet(self, other: Interval) -> Interval:
        """What both hold."""
        return Interval(max(self.start, other.start), min(self.stop, other.stop))

    def within(self, outer: Interval) -> slice:
        """This interval's place in an array that holds ``outer``."""
        return slice(self.start - outer.start, self.stop - outer.start) if self else slice(0, 0)


@dataclass(frozen=True)
class Region:
    """Channels and rows of a feature map; every column of them."""

    channels: Interval
    rows: Interval

    def __bool__(self) -> bool:
        return bool(self.channels) and bool(self.rows)

    def meet(self, other: Region) -> Region:
        """What both hold."""
        return Region(self.channels.meet(other.channels), self.rows.meet(other.rows))

    def holds(self, other: Region) -> bool:
        """Whether all of ``other`` lies in this region."""
        return not other or self.meet(other) == other

    def within(self, outer: Region) -> tuple[slice, slice]:
        """This region's place in an array (channels, rows, ...) that holds ``outer``."""
        return self.channels.within(outer.channels), self.rows.within(outer.rows)


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


def even_regions(operator: Operator, devices: tuple[int, ...], shares: tuple[int, ...]) -> dict[int, Region]:
    """The slices of channels that the first phase of a two-phase reduce completes."""
    stops = list(accumulate(shares))
    starts = [0, *stops]
    rows = everything(operator.out_shape).rows
    return {device: Region(Interval(start, stop), rows) for device, start, stop in zip(devices, starts, stops, strict=False)}


def needed_regions(operator: Operator, placement: Placement) -> dict[int, Region]:
    """What each participant needs of the operator's input.

    Everything if it is whole or computes output channels of all groups (whatever its share); the rows under its output rows; its input
    channels; the input channels of its groups.
    """
    full = everything(operator.in_shape)
    needs = {}
    for shard in placement.shards:
        if placement.dim == "H":
            needs[shard.device] = Region(full.channels, field_rows(operator, Interval(shard.start, shard.stop)))
        elif placement.dim == "IC":
            needs[shard.device] = Region(Interval(shard.start, shard.stop), full.rows)
        elif placement.dim == "OC" and operator.groups > 1:
            per_output = operator.in_shape.channels, operator.out_channels
            channels = Interval(*(bound * per_output[0] // per_output[1] for bound in (shard.start, shard.stop)))
            needs[shard.device] = Region(channels, full.rows)
        else:
            needs[shard.device] = full
    return needs


def conv_rows(operator: Operator, rows: Interval) -> Interval:
    """Rows before the pool that lie under output rows behind it."""
    pool = operator.pool.rows
    if not rows:
        return Interval(0, 0)
    return Interval(
        max(0, rows.start * pool.stride - pool.before),
        min(operator.conv_shape.height, (rows.stop - 1) * pool.stride - pool.before + pool.extent),
    )


def field_rows(operator: Operator, rows: Interval) -> Interval:
    """Input rows under output rows: the composite field of pool and kernel, cut at the tensor's edges."""
    if not rows:
        return Interval(0, 0)
    first, last = rows.start * operator.S - operator.P, (rows.stop - 1) * operator.S - operator.P + operator.K
    return Interval(max(0, first), min(operator.in_shape.height, last))
