"""Boundary rows: the part of a share of rows that other devices wait for, and that is therefore computed first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from iopopt.plan.placement import Placement
from iopopt.schedule.region_transfers import RegionRound
from iopopt.schedule.regions import Interval


class Reader(NamedTuple):
    """One consumer of a tensor: where it is placed, and the round in which it fetches the tensor."""

    placement: Placement
    round: RegionRound


Boundary = Mapping[int, tuple[Interval, ...]]
"""The boundary rows of each device, as disjoint intervals in order; devices whose task is one piece have no entry."""


def boundary_rows(placement: Placement, readers: Sequence[Reader]) -> Boundary:
    """The boundary rows of a single operator, by device.

    Only an operator split by rows has any, whose readers are all split by rows over the same participants; and only a device that has both
    rows that others need and rows that nobody else needs.

    Args:
        readers: of every edge out of the operator.
    """
    if placement.dim != "H" or placement.gather is not None:
        return {}
    if not all(reader.placement.dim == "H" and reader.placement.devices == placement.devices for reader in readers):
        return {}
    found = {}
    for shard in placement.shards:
        sent = [transfer.region.rows for reader in readers for transfer in reader.round.transfers if transfer.sender == shard.device]
        rows = merged(sent)
        if 0 < sum(map(len, rows)) < shard.size:
            found[shard.device] = rows
    return found


def merged(intervals: Iterable[Interval]) -> tuple[Interval, ...]:
    """The union, as disjoint intervals in order."""
    joined: list[Interval] = []
    for interval in sorted((interval for interval in intervals if interval), key=lambda interval: interval.start):
        if joined and interval.start <= joined[-1].stop:
            joined[-1] = Interval(joined[-1].start, max(joined[-1].stop, interval.stop))
        else:
            joined.append(interval)
    return tuple(joined)


def without(whole: Interval, parts: Sequence[Interval]) -> tuple[Interval, ...]:
    """What is left of an interval without disjoint parts of it, in order."""
    starts = [whole.start, *(part.stop for part in parts)]
    stops = [*(part.start for part in parts), whole.stop]
    return tuple(Interval(start, stop) for start, stop in zip(starts, stops, strict=True) if start < stop)
