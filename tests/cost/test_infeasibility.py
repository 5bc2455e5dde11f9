"""Why nothing fits: every figure of the reason, recomputed."""

import random
import re
from dataclasses import replace

import pytest
from support.programs import tiny_instance, with_memory
from support.random_instances import random_plan

from iopopt import Cluster, Device, GraphBuilder, Placement, Plan, Pricer, evaluate
from iopopt.cost.infeasibility import nearest_miss
from iopopt.cost.instance import Instance
from iopopt.cost.memory import memory_demands

REASON = re.compile(
    r"no plan fits the memory \(equation 1\)\. The closest plan found needs (?P<demand>[\d,]+) bytes on device '(?P<device>\w+)', which has "
    r"(?P<limit>[\d,]+) \((?P<excess>[\d,]+) short\); the largest part is (?P<part>[\d,]+) for operator '(?P<operator>\w+)'\. "
    r"The model has (?P<weights>[\d,]+) bytes of weights and needs up to (?P<activations>[\d,]+) for activations; all devices together have "
    r"(?P<total>[\d,]+)\. It would fit with (?P<factor>[\d.]+) times the memory on every device; more devices or fewer bytes per element also help\."
)


def figures(reason: str) -> dict[str, str]:
    """The figures of a reason, without commas."""
    found = REASON.fullmatch(reason)
    assert found, reason
    return {name: value.replace(",", "") for name, value in found.groupdict().items()}


def scaled(cluster: Cluster, factor: float) -> Cluster:
    """So many times the memory on every device."""
    return with_memory(cluster, [device.memory_bytes * factor for device in cluster.devices])


@pytest.mark.parametrize("branched", [False, True], ids=["chain", "branched"])
@pytest.mark.parametrize("shortage", [1.5, 7.0, 250.0, 30_000.0])
def test_every_figure_is_that_of_the_nearest_plan(branched, shortage):
    """Of all plans the nearest is meant, its fullest device, what that lacks, and the operator that asks most of it."""
    for seed in range(4):
        graph, cluster, _, plans = tiny_instance(seed, branched=branched, most_plans=3000)
        uneven = with_memory(cluster, [1e6 * (1 + (seed + j) % 2 / 3) for j in range(len(cluster))])
        least = largest_part(graph, uneven, plans)
        cluster = scaled(uneven, least / shortage)
        limits = [device.memory_bytes for device in cluster.devices]
        chosen = [plans.plan(graph, number) for number in {0, len(plans) // 2, len(plans) - 1, nearest_of(graph, cluster, plans)}]
        nearest = plans.plan(graph, nearest_of(graph, cluster, plans))
        said, demand = figures(nearest_miss(graph, cluster, chosen)), evaluate(graph, cluster, nearest).memory_bytes
        worst = max(range(len(cluster)), key=lambda j, demand=demand, limits=limits: demand[j] / limits[j])
        assert said["device"] == cluster.devices[worst].name
        assert int(said["demand"]) == pytest.approx(demand[worst], abs=0.51)
        assert int(said["limit"]) == pytest.approx(limits[worst], abs=0.51)
        assert int(said["excess"]) == pytest.approx(demand[worst] - limits[worst], abs=0.51)
        instance = Instance(graph, cluster)
        parts = [sum(of[worst]) for of in memory_demands(instance, instance.placements(nearest))]
        assert int(said["part"]) == pytest.approx(max(parts), abs=0.51)
        assert parts[[operator.name for operator in graph.operators].index(said["operator"])] == max(parts)
        assert int(said["total"]) == pytest.approx(sum(limits), abs=0.51)
        assert (int(said["weights"]), int(said["activations"])) == graph.whole_memory_bytes(cluster.bytes_per_element)


def largest_part(graph, cluster, plans):
    """The least over plans of the largest part of a memory that is asked for."""
    limits = [[device.memory_bytes] for device in cluster.devices]
    return float((Pricer(graph, cluster).price(plans).memory_bytes / limits).max(axis=0).min())


def nearest_of(graph, cluster, plans):
    """The number of the plan that attains it."""
    limits = [[device.memory_bytes] for device in cluster.devices]
    return int((Pricer(graph, cluster).price(plans).memory_bytes / limits).max(axis=0).argmin())


@pytest.mark.parametrize("shortage", [1.2345678, 9.87654321, 123.456123, 3210.98761, 54321.6789])
def test_the_factor_is_enough_and_hardly_more(shortage):
    """With so many times the memory the plan fits; with a ten-thousandth less, as the factor is rounded, it does not."""
    for seed in range(6):
        graph, cluster, _, plans = tiny_instance(seed, branched=seed % 2 == 1, most_plans=3000)
        plan = plans.plan(graph, seed * 31 % len(plans))
        demand = evaluate(graph, cluster, plan).memory_bytes
        tight = with_memory(cluster, [max(2.0, bytes_) * 1e3 for bytes_ in demand])
        tight = scaled(tight, max(bytes_ / device.memory_bytes for bytes_, device in zip(demand, tight.devices, strict=True)) / shortage)
        factor = float(figures(nearest_miss(graph, tight, [plan]))["factor"])
        assert evaluate(graph, scaled(tight, factor), plan).feasible, factor
        assert not evaluate(graph, scaled(tight, factor - 1.001e-4), plan).feasible


def test_the_largest_operator_counts_what_waits():
    """By hand: of two operators the one counts most during which the first tensor waits."""
    net = GraphBuilder("waits", (1, 4, 4)).conv(4, 1, bias=False, name="wide")
    net.conv(1, 1, bias=False, name="narrow").conv(4, 1, bias=False, name="back")
    graph = net.add("wide", "back", name="sum").build()
    cluster = Cluster((Device("only", 1.0, 100.0, 1.0),), bytes_per_element=1)
    plan = Plan.of(graph, [Placement.whole(0)] * 4)
    said = figures(nearest_miss(graph, cluster, [plan]))
    # wide: 4 + 16 + 64; narrow: 4 + 64 + 16 + 64 kept; back: 4 + 16 + 64 + 64 kept; sum: 128 + 64.
    assert (said["operator"], said["part"]) == ("sum", "192")
    assert (said["demand"], said["limit"], said["excess"], said["factor"]) == ("204", "100", "104", "2.04")


def test_the_nearest_of_several_plans_is_named():
    """Whichever place it has among those offered."""
    graph, cluster, team, _ = tiny_instance(3, branched=False, most_plans=3000)
    cluster = replace(cluster, devices=tuple(replace(device, memory_bytes=2.0) for device in cluster.devices))
    rng = random.Random(0)
    offered = [random_plan(rng, graph, len(cluster), team=team) for _ in range(6)]
    least = min(max(evaluate(graph, cluster, plan).memory_bytes) for plan in offered)
    for order in (offered, offered[::-1]):
        assert int(figures(nearest_miss(graph, cluster, order))["demand"]) == pytest.approx(least, abs=0.51)
