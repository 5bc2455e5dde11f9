"""The plan of the least memory, against enumeration."""

from collections import Counter
from dataclasses import replace

import pytest
from support.programs import all_plans, least_memory, tiny_instance

from iopopt import Cluster, Device, GraphBuilder, Pricer, evaluate
from iopopt.plan.splits import Splits, stranger_to
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


@pytest.mark.parametrize("names", [("IC",), ("IC two-phase",), ("H", "OC"), ()])
@pytest.mark.parametrize("shares", ["free", "by_speed"])
def test_of_some_splits_only(names, shares):
    """With fewer splits, or shares by speed, the plan is the best of those that are left, where tensors wait as well."""
    fewer, split = 0, 0
    for seed in range(6):
        graph, cluster, team, plans = tiny_instance(seed, branched=bool(seed % 2), most_plans=1500)
        roomy = replace(cluster, devices=tuple(replace(device, memory_bytes=1000.0) for device in cluster.devices))
        splits, every = Splits.named(names, shares), [plans.plan(graph, number) for number in range(len(plans))]
        kept = [plan for plan in every if stranger_to(splits, graph, roomy, plan) is None]
        found = least_memory(graph, roomy, team, splits=splits)
        assert found is not None
        assert stranger_to(splits, graph, roomy, found) is None
        least = min(max(evaluate(graph, roomy, plan).memory_bytes) for plan in kept)
        assert max(evaluate(graph, roomy, found).memory_bytes) == pytest.approx(least, rel=1e-6)
        fewer, split = fewer + (len(kept) < len(every)), split + bool(found.split_operators)
    assert fewer > 0
    assert (split > 0) == bool(names)


def test_without_a_plan_in_time_there_is_none():
    """A back end that ends without a point gives no plan."""
    graph, cluster, team, _ = tiny_instance(0, branched=False)
    assert least_memory(graph, cluster, team, status="unknown") is None


@pytest.mark.parametrize(("inputs", "channels", "rows"), [(4, 2, 2), (6, 3, 2), (4, 3, 2), (6, 4, 2), (2, 2, 4)])
def test_waiting_tensors_count_as_little_as_they_can(inputs, channels, rows):
    """Where a sum of input channels waits, its two-phase form is meant, which keeps less; of other splits their owners keep their parts."""
    net = GraphBuilder("kept", (inputs, rows, 1)).conv(channels, 1, bias=False)
    tip = net.tip
    graph = net.conv(channels, 1, bias=False).add(net.tip, tip).build()
    cluster = Cluster(tuple(Device(name, 1.0, 100.0, 1.0) for name in "ab"), 0.0, source=0, bytes_per_element=1)
    best = float(Pricer(graph, cluster).price(all_plans(graph, cluster, (0, 1))).memory_bytes.max(axis=0).min())
    found = least_memory(graph, cluster, (0, 1))
    assert found is not None
    assert max(evaluate(graph, cluster, found).memory_bytes) == pytest.approx(best)
