"""The plan of the least memory, against enumeration."""

from collections import Counter
from dataclasses import replace

import pytest
from support.programs import least_memory, tiny_instance

from iopopt import Pricer, evaluate
from iopopt.plan.team import team_of


@pytest.mark.parametrize("branched", [False, True], ids=["chain", "branched"])
def test_the_least_largest_demand_is_that_of_the_best_plan(branched):
    """On tiny instances with unequal devices no plan of the team asks less, relative to a device's memory, than the one found."""
    seen = Counter()
    for seed in range(12):
        graph, cluster, team, plans = tiny_instance(seed, branched=branched, most_plans=4000)
        devices = tuple(replace(device, memory_bytes=1000.0 * (1 + (seed + j) % 3)) for j, device in enumerate(cluster.devices))
        unequal = replace(cluster, devices=devices)
        limits = [[device.memory_bytes] for device in devices]
        best = (Pricer(graph, unequal).price(plans).memory_bytes / limits).max(axis=0).min()
        found = least_memory(graph, unequal, team)
        assert found is not None
        demand = evaluate(graph, unequal, found).memory_bytes
        assert max(bytes_ / limit for bytes_, (limit,) in zip(demand, limits, strict=True)) == pytest.approx(best, rel=1e-6)
        assert team_of(found) in (None, team)
        seen.update(placement.dim or "whole" for placement in found.values())
    assert len(seen) >= 2


def test_without_a_plan_in_time_there_is_none():
    """A back end that ends without a point gives no plan."""
    graph, cluster, team, _ = tiny_instance(0, branched=False)
    assert least_memory(graph, cluster, team, status="unknown") is None
