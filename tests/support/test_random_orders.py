"""The orders keep what they promise to the tests that build on them."""

from __future__ import annotations

import itertools
import random
from collections import Counter

from support.random_gathers import with_gathers
from support.random_instances import random_cluster, random_graph, random_plan
from support.random_orders import random_order, renumbered_cluster, renumbered_plan, reordered

from iopopt import Cluster, Device, Placement, Plan, Shard
from iopopt.plan.plan import validate_plan


def test_shares_stay_in_their_places() -> None:
    """A reordered plan is valid and has the dimensions, shares and sets of participants that it had."""
    rng = random.Random(1)
    for _ in range(200):
        graph, cluster = random_graph(rng), random_cluster(rng)
        plan = random_plan(rng, graph, len(cluster))
        other = reordered(rng, plan, len(cluster))
        validate_plan(graph, cluster, other)
        for name, placement in plan.items():
            assert (other[name].dim, other[name].shares, other[name].reduce) == (placement.dim, placement.shares, placement.reduce)
            assert sorted(other[name].devices) == list(placement.devices)


def test_orders_are_varied() -> None:
    """Neighbouring splits over the same devices are often in one order that is not ascending, and often in two."""
    rng, found = random.Random(2), Counter[str]()
    for _ in range(300):
        graph = random_graph(rng)
        placements = list(reordered(rng, random_plan(rng, graph, 4), 4).values())
        for p, q in itertools.pairwise(placements):
            if not p.is_whole and sorted(p.devices) == sorted(q.devices):
                ascending = list(p.devices) == sorted(p.devices)
                found["two orders" if p.devices != q.devices else "ascending" if ascending else "one order"] += 1
    assert min(found["one order"], found["two orders"], found["ascending"]) > 40


def test_renumbering_by_hand() -> None:
    """Devices a, b and c called 1, 2 and 0: c stands first, the sink a is 1, the source b is 2, and intervals go with their devices."""
    cluster = Cluster(tuple(Device(name, 1, 1, 1) for name in "abc"), source=1, sink=0)
    other = renumbered_cluster(cluster, (1, 2, 0))
    assert ([device.name for device in other.devices], other.source, other.sink) == (["c", "a", "b"], 2, 1)
    plan = Plan((("x", Placement.split("IC", (2, 0), (3, 1), "two_phase")), ("y", Placement.whole(1))))
    assert renumbered_plan(plan, (1, 2, 0))["x"] == Placement("IC", (Shard(0, 0, 3), Shard(1, 3, 4)), "two_phase")
    assert renumbered_plan(plan, (1, 2, 0))["y"] == Placement.whole(2)


def test_a_renumbering_can_be_undone() -> None:
    """The inverse renumbering gives back plan and cluster."""
    rng = random.Random(3)
    for _ in range(50):
        graph, cluster = random_graph(rng), random_cluster(rng)
        numbers = random_order(rng, len(cluster))
        inverse = [numbers.index(number) for number in range(len(cluster))]
        plan = reordered(rng, with_gathers(rng, random_plan(rng, graph, len(cluster)), len(cluster)), len(cluster))
        assert renumbered_plan(renumbered_plan(plan, numbers), inverse) == plan
        assert renumbered_cluster(renumbered_cluster(cluster, numbers), inverse) == cluster
