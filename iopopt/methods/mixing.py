"""Better plans from the pieces of known ones: runs of operators that are placed as another plan places them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple

import numpy as np

from iopopt.cost.instance import Instance
from iopopt.cost.pricer import Pricer
from iopopt.cost.stopwatch import Stopwatch, TimeUpError
from iopopt.methods.objective import Goal
from iopopt.plan.batch import PlanBatch
from iopopt.plan.placement import Placement
from iopopt.plan.plan import Plan

_STEP = 1e-9
"""The least improvement that is worth a step, relative."""


class Piece(NamedTuple):
    """The operators from ``start`` to ``stop`` (exclusive) as one unit of a plan."""

    start: int
    stop: int
    placement: Placement


def mixed_plan(instance: Instance, plan: Plan, donors: Sequence[Plan], goal: Goal, watch: Stopwatch) -> Plan:
    """The best plan by descent from an allowed one: each step replaces one run of operators by what a donor has there.

    A run begins and ends where units of both plans do. When the time is up, the best plan so far is returned.
    """
    graph, count, pricer = instance.graph, len(instance.cluster), Pricer(instance.graph, instance.cluster)
    from_donors, least = [_pieces(instance, donor) for donor in donors], np.inf
    with suppress(TimeUpError):
        while True:
            own, before = _pieces(instance, plan), least
            for donor in from_donors:
                watch.check()
                neighbours = list(_neighbours(own, donor))
                spans = [[piece.stop - piece.start for piece in pieces] for pieces in neighbours]
                batch = PlanBatch.of([[piece.placement for piece in pieces] for pieces in neighbours], count, spans)
                price = pricer.price(batch, energy=goal.objective == "energy")
                values = goal.values(price, instance.cluster)
                allowed = np.where(price.feasible & (price.latency_s <= goal.latest_s), values, np.inf)
                number = int(allowed.argmin())
                if allowed[number] < least * (1 - _STEP):
                    plan, least = batch.plan(graph, number), float(allowed[number])
            if least == before:
                break
    return plan


def _pieces(instance: Instance, plan: Plan) -> list[Piece]:
    """The units of a plan, in order."""
    lengths = plan.spans(instance.graph) or (1,) * len(instance.graph)
    stops = [0, *itertools.accumulate(lengths)]
    placements = plan.by_last_operator(instance.graph)
    return [Piece(start, stop, placement) for (start, stop), placement in zip(itertools.pairwise(stops), placements, strict=True)]


def _neighbours(own: Sequence[Piece], donor: Sequence[Piece]) -> Iterator[list[Piece]]:
    """The plan itself, and with each run that both plans delimit taken from the donor."""
    yield list(own)
    ends = sorted({0, *(piece.stop for piece in own)} & {0, *(piece.stop for piece in donor)})
    for start, stop in itertools.combinations(ends, 2):
        inside = [piece for piece in donor if start <= piece.start and piece.stop <= stop]
        if inside != [piece for piece in own if start <= piece.start and piece.stop <= stop]:
            yield [*(piece for piece in own if piece.stop <= start), *inside, *(piece for piece in own if piece.start >= stop)]
