"""Lanes of spans that overlap."""

from __future__ import annotations

import random
from itertools import pairwise

from iopopt import Span
from iopopt.simulation.lanes import Lane, lanes


def _spans(*times: tuple[float, float]) -> list[Span]:
    return [Span("u", "send", 0, 1, start_s, end_s, 1.0) for start_s, end_s in times]


def test_by_hand() -> None:
    """Two that overlap have two lanes, a third that starts when the first ends takes its lane; what overlaps nothing has the row to itself."""
    assert lanes(_spans((0, 2), (1, 3), (2, 4), (5, 6), (4, 5))) == [Lane(0, 2), Lane(1, 2), Lane(0, 2), Lane(0, 1), Lane(0, 1)]
    assert lanes([]) == []


def test_random_spans() -> None:
    """In no lane two spans overlap, and there are as many lanes as spans overlap at the busiest moment among those that are connected."""
    rng = random.Random(5)
    for _ in range(100):
        spans = _spans(*((start, start + rng.randint(1, 9)) for start in (rng.randint(0, 40) for _ in range(rng.randint(1, 12)))))
        found = lanes(spans)
        groups: list[set[int]] = []
        for number, span in enumerate(spans):
            joined = [group for group in groups if any(spans[other].start_s < span.end_s and span.start_s < spans[other].end_s for other in group)]
            groups = [group for group in groups if group not in joined] + [{number}.union(*joined)]
        for group in groups:
            busiest = max(sum(spans[other].start_s <= spans[number].start_s < spans[other].end_s for other in group) for number in group)
            assert {found[number].lanes for number in group} == {busiest}
            assert {found[number].number for number in group} == set(range(busiest))
            for lane in range(busiest):
                own = sorted((spans[number].start_s, spans[number].end_s) for number in group if found[number].number == lane)
                assert all(earlier[1] <= later[0] for earlier, later in pairwise(own))
