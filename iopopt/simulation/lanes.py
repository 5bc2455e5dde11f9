"""Lanes: rows one below the other, in none of which two spans overlap."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from iopopt.simulation.timeline import Span


class Lane(NamedTuple):
    """Lane ``number`` of the ``lanes`` that a span and all that overlap it, directly or by others, take."""

    number: int
    lanes: int


def lanes(spans: Sequence[Span]) -> list[Lane]:
    """The lane of each span: the first that is free when it starts."""
    found = [Lane(0, 1)] * len(spans)
    group: dict[int, int] = {}  # the lane of each span that overlaps others
    free_s: list[float] = []
    for number in sorted(range(len(spans)), key=lambda number: (spans[number].start_s, spans[number].end_s)):
        span = spans[number]
        if free_s and max(free_s) <= span.start_s:
            group, free_s = {}, []
        group[number] = next((lane for lane, free in enumerate(free_s) if free <= span.start_s), len(free_s))
        free_s[group[number] : group[number] + 1] = [span.end_s]
        for other, lane in group.items():
            found[other] = Lane(lane, len(free_s))
    return found
