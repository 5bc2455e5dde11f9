"""Random plans that stream channels.

Every function draws from a ``random.Random`` alone, so a seed names an instance.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from iopopt import Graph, Placement, Plan
from iopopt.plan.shares import even_shares
from iopopt.plan.streams import stream_fault


def with_streams(rng: random.Random, graph: Graph, plan: Plan) -> Plan:
    """The plan with most of the splits streamed that can be, one to five channels at a time."""
    placements = dict(plan)
    for number, operator in enumerate(graph.operators):
        old = placements[operator.name]
        if (old.dim == "OC" or old.reduce == "two_phase") and rng.random() < 0.8:
            placements[operator.name] = replace(old, stream=rng.randint(1, 5))
            if stream_fault(graph, placements, number) is not None:
                placements[operator.name] = old
    return replace(plan, placements=tuple(placements.items()))


def streamed_plan(rng: random.Random, graph: Graph, device_count: int) -> Plan:
    """A plan that splits nearly everything by channels over the same devices, in any order, and streams most of it."""
    team = tuple(rng.sample(range(device_count), rng.randint(2, device_count)))
    placements: list[Placement] = []
    for operator in graph.operators:
        draw = rng.random()
        if draw < 0.1:
            placements.append(Placement.whole(rng.randrange(device_count)))
            continue
        dim = rng.choice([dim for dim in operator.splittable_dims if dim != "H" or draw > 0.9])
        shares = _shares(rng, operator.size(dim), operator.granularity(dim), len(team), placements)
        placements.append(Placement.split(dim, team, shares, "two_phase" if rng.random() < 0.9 else "direct"))
    return with_streams(rng, graph, Plan.of(graph, placements))


def _shares(rng: random.Random, size: int, granule: int, count: int, before: Sequence[Placement]) -> Sequence[int]:
    """Those of the operator before, if they fit; even; or any, empty ones among them."""
    last = before[-1].shares if before else ()
    if sum(last) == size and len(last) == count and not any(share % granule for share in last) and rng.random() < 0.6:
        return last
    if rng.random() < 0.3:
        return [granule * share for share in even_shares(size // granule, count)]
    cuts = sorted(rng.randint(0, size // granule) for _ in range(count - 1))
    return [granule * (stop - start) for start, stop in zip([0, *cuts], [*cuts, size // granule], strict=True)]
