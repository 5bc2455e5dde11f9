"""Random plans and neighbours: always valid, in their team's space, and able to reach every plan of it."""

from __future__ import annotations

import random

import numpy as np
import pytest
from support import random_branches, random_instances

from iopopt import Graph, GraphBuilder, Plan, load_cluster, load_model, random_neighbour, random_plan
from iopopt.methods.exhaustive import plan_count
from iopopt.plan.plan import validate_plan
from iopopt.plan.team import check_in_space

SEEDS = range(60)


def a_graph(rng: random.Random) -> Graph:
    return rng.choice([random_instances.random_graph, random_branches.random_branched_graph])(rng)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_plan_is_valid_and_of_the_team(seed: int) -> None:
    rng = random.Random(seed)
    graph, cluster = a_graph(rng), random_instances.random_cluster(rng)
    team = random_instances.random_team(rng, len(cluster))
    team = tuple(rng.sample(team, len(team)))
    numbers = np.random.default_rng(seed)
    plan = random_plan(graph, cluster, numbers, team=team)
    for _ in range(30):
        validate_plan(graph, cluster, plan)
        check_in_space(plan, team, cluster)
        plan = random_neighbour(graph, cluster, plan, numbers, team=team)


def tiny() -> Graph:
    """A grouped convolution and a fully connected operator: every strategy, and whole groups."""
    net = GraphBuilder("tiny", (2, 2, 1))
    return net.conv(4, 1, groups=2).fc(2).build()


def reached_by_neighbours(graph: Graph, numbers: np.random.Generator) -> set[Plan]:
    """The plans of a long walk."""
    cluster = load_cluster("edge-x2", graph)
    plan = random_plan(graph, cluster, numbers)
    found = {plan}
    for _ in range(20_000):
        plan = random_neighbour(graph, cluster, plan, numbers)
        found.add(plan)
    return found


def test_a_walk_reaches_every_plan() -> None:
    graph = tiny()
    assert len(reached_by_neighbours(graph, np.random.default_rng(1))) == plan_count(graph, load_cluster("edge-x2", graph))


def test_random_plans_reach_every_plan() -> None:
    graph = tiny()
    cluster, numbers = load_cluster("edge-x2", graph), np.random.default_rng(2)
    assert len({random_plan(graph, cluster, numbers) for _ in range(10_000)}) == plan_count(graph, cluster)


def test_a_neighbour_may_place_a_run_of_operators_alike() -> None:
    """Between a whole plan and one with many operators split there is a single move."""
    graph = load_model("vgg16")
    cluster, numbers = load_cluster("edge-x3", graph), np.random.default_rng(3)
    plan = random_plan(graph, cluster, numbers)
    changed = [sum(plan[name] != other[name] for name in plan) for other in (random_neighbour(graph, cluster, plan, numbers) for _ in range(200))]
    assert max(changed) > 3
    assert sum(count <= 1 for count in changed) > 100


def test_the_same_generator_gives_the_same_plans() -> None:
    graph = load_model("lenet5")
    cluster = load_cluster("mcu-x3", graph)

    def walk(seed: int) -> list[Plan]:
        numbers = np.random.default_rng(seed)
        plans = [random_plan(graph, cluster, numbers)]
        for _ in range(20):
            plans.append(random_neighbour(graph, cluster, plans[-1], numbers))
        return plans

    assert walk(4) == walk(4)
    assert walk(4) != walk(5)


def test_one_device_has_only_whole_operators() -> None:
    graph = load_model("lenet5")
    plan = random_plan(graph, load_cluster("mcu-x3", graph), np.random.default_rng(6), team=(1,))
    assert not plan.split_operators
