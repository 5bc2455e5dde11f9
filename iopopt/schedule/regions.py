"""Regions of feature maps: intervals of channels and of rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from iopopt.network.shapes import Shape


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
