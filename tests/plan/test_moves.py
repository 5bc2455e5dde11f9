"""Random plans and neighbours: always valid, in their team's space, and able to reach every plan of it."""

from __future__ import annotations

import random

import numpy as np
import pytest
from support import random_blocks, random_branches, random_instances
from support.block_instances import block_instance

from iopopt import Graph, GraphBuilder, Plan, PlanError, load_cluster, load_model, random_neighbour, random_plan
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


# Fused blocks.


@pytest.mark.parametrize("seed", SEEDS)
def test_every_plan_with_blocks_is_valid_and_of_the_space(seed: int) -> None:
    """Random plans and walks from them hold equations (2) to (5), with blocks no longer than asked for."""
    rng, longest = random.Random(seed), 2 + seed % 4
    graph, cluster = random_blocks.random_fusible_graph(rng), random_instances.random_cluster(rng)
    team = random_instances.random_team(rng, len(cluster))
    numbers = np.random.default_rng(seed)
    plan = random_plan(graph, cluster, numbers, team=team, longest_block=longest)
    for _ in range(30):
        validate_plan(graph, cluster, plan)
        check_in_space(plan, team, cluster, longest)
        plan = random_neighbour(graph, cluster, plan, numbers, team=team, longest_block=longest)


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))])
def test_a_walk_with_blocks_reaches_every_plan(seed: int) -> None:
    """As many plans as exhaustive search counts are found by single moves, and by random plans; all of those are different."""
    graph, cluster, team, longest = block_instance(seed, most_plans=80)
    numbers = np.random.default_rng(seed)
    plan = random_plan(graph, cluster, numbers, team=team, longest_block=longest)
    walked, drawn = {plan}, {plan}
    for _ in range(12_000):
        plan = random_neighbour(graph, cluster, plan, numbers, team=team, longest_block=longest)
        walked.add(plan)
        drawn.add(random_plan(graph, cluster, numbers, team=team, longest_block=longest))
    assert len(walked) == len(drawn) == plan_count(graph, cluster, team, longest)


def test_a_plan_outside_the_space_is_refused() -> None:
    """A plan with a block is no plan of single operators, and one of all devices none of two."""
    graph = load_model("vgg11")
    cluster, numbers = load_cluster("edge-x3", graph), np.random.default_rng(0)
    fused = next(plan for plan in (random_plan(graph, cluster, numbers, longest_block=4) for _ in range(100)) if plan.blocks)
    with pytest.raises(PlanError, match="longest_block"):
        random_neighbour(graph, cluster, fused, numbers)
    with pytest.raises(PlanError, match="team"):
        random_neighbour(graph, cluster, fused, numbers, team=(0, 1), longest_block=4)
