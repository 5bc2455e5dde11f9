"""The random generators keep what they promise to the tests that build on them."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from support.random_instances import MOST_PLANS, count_plans, random_cluster, random_graph, random_plan, random_team

from iopopt import GraphBuilder, evaluate
from iopopt.cost.evaluation import schedule_of_plan
from iopopt.plan.plan import validate_plan


def test_plans_are_valid() -> None:
    """Every random plan obeys equations (2) to (5)."""
    rng = random.Random(1)
    for _ in range(300):
        graph, cluster = random_graph(rng), random_cluster(rng)
        team = rng.choice([None, random_team(rng, len(cluster))])
        validate_plan(graph, cluster, random_plan(rng, graph, len(cluster), team))


def test_seeds_name_instances() -> None:
    """The same seed gives the same instance."""
    first, second = random.Random(7), random.Random(7)
    assert random_graph(first) == random_graph(second)
    assert random_cluster(first) == random_cluster(second)


def test_rooflines_bind_here_and_not_there() -> None:
    """Two of five clusters have memory bandwidths, mostly not on every device; on these many participants are bound by memory, and many are not."""
    rng, bound, clusters = random.Random(5), Counter[bool](), Counter[str]()
    for _ in range(300):
        graph, cluster = random_graph(rng), random_cluster(rng)
        rates = [device.memory_bytes_per_s for device in cluster.devices]
        clusters["all" if all(rates) else "some" if any(rates) else "none"] += 1
        for step in schedule_of_plan(graph, cluster, random_plan(rng, graph, len(cluster))).steps:
            for j, (flops, touched_bytes) in step.tasks.items():
                device = cluster.devices[j]
                if device.memory_bytes_per_s is not None and flops:
                    bound[touched_bytes / device.memory_bytes_per_s > flops / device.flops_per_s] += 1
    assert min(bound.values()) > 200
    assert clusters["none"] > 120
    assert min(clusters["all"], clusters["some"]) > 30


def test_windows_are_varied() -> None:
    """Strides, dilations, uneven padding, every kind of pool and a missing bias all occur."""
    rng = random.Random(2)
    operators = [operator for _ in range(200) for operator in random_graph(rng).operators]
    rows = [operator.rows for operator in operators]
    pools = [operator.pool.rows for operator in operators]
    assert {window.stride for window in rows} == {1, 2, 3}
    assert {window.dilation for window in rows} == {1, 2}
    assert any(window.before != window.after for window in rows)
    assert {(pool.kernel > pool.stride) - (pool.kernel < pool.stride) for pool in pools} == {-1, 0, 1}
    assert any(pool.before for pool in pools)
    assert {operator.bias for operator in operators} == {True, False}
    assert any(operator.K <= operator.S for operator in operators)


def test_grouped_operators_meet_every_case() -> None:
    """Depthwise operators and wider groups, toward and away from them, are split by channels in every case that applies."""
    rng = random.Random(3)
    into, out_of = set(), set()
    for _ in range(1000):
        graph, cluster = random_graph(rng), random_cluster(rng)
        plan = random_plan(rng, graph, len(cluster))
        costs = evaluate(graph, cluster, plan).operators
        for number, operator in enumerate(graph.operators):
            if operator.groups > 1 and plan[operator.name].dim == "OC":
                into.add((operator.groups < operator.in_shape.channels, costs[number].cases))
                if number + 1 < len(costs):
                    out_of |= {(operator.groups < operator.out_channels, case) for case in costs[number + 1].cases}
    arriving = {
        ("free",),
        ("send",),
        ("interleaved",),
        ("reduce",),
        ("all-gather",),
        ("reduce-scatter", "interleaved"),
        ("reduce-scatter", "all-gather"),
    }
    rare = {(True, ("reduce-scatter", "interleaved"))}  # the even slices are seldom whole groups
    assert into | rare == {(wide, cases) for wide in (False, True) for cases in arriving}
    assert out_of == {(wide, case) for wide in (False, True) for case in ("interleaved", "all-gather")}


@pytest.mark.parametrize("operators", [1, 2, 3, 4])
def test_tiny_graphs_are_tiny(operators: int) -> None:
    """Tiny graphs have as many operators as asked for and fewer plans than exhaustive search is meant to see."""
    rng = random.Random(operators)
    for _ in range(30):
        graph = random_graph(rng, operators, tiny=True)
        assert len(graph) == operators
        assert count_plans(graph, 3) < MOST_PLANS


def test_plans_are_counted_by_hand() -> None:
    """Two devices and one operator of 2 rows, 3 output and 1 input channels: 2 whole, 3 + 4 + 2 + 2 split."""
    assert count_plans(GraphBuilder("x", (1, 2, 1)).conv(3, 1).build(), 2) == 13
