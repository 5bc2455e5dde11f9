"""The messages of a stream: slices of channels in parts, passed around among the participants."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest

from iopopt.schedule.regions import Interval, Region, Regions


def passed_around(devices: Sequence[int], slices: Regions, stream: int) -> Iterator[Mapping[int, tuple[int, Region]]]:
    """Round after round, what participants have to do with the slices of others: by participant, whose slice it is and which part of it.

    Each takes the slice of the next participant in the order, part after part of at most ``stream`` channels, then that of the one after it.
    """
    of_slice = {device: parts(slices[device], stream) for device in devices}
    for step in range(1, len(devices)):
        partners = [*devices[step:], *devices[:step]]
        for together in zip_longest(*(of_slice[partner] for partner in partners)):
            yield {device: (partner, part) for device, partner, part in zip(devices, partners, together, strict=True) if part is not None}


def parts(region: Region, stream: int) -> list[Region]:
    """A region in parts of at most so many channels, in order."""
    channels = region.channels
    starts = range(channels.start, channels.stop, stream)
    return [Region(Interval(start, min(start + stream, channels.stop)), region.rows) for start in starts]
