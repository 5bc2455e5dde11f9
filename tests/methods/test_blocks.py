"""Fused blocks in exhaustive search and in the dynamic program."""

from __future__ import annotations

import random

import numpy as np
import pytest
from support.block_instances import block_instance
from support.naive_units import naive_blocks
from support.random_blocks import random_fusible_graph
from support.random_instances import random_cluster

from iopopt import (
    Graph,
    GraphBuilder,
    Placement,
    Plan,
    PlanError,
    SolverError,
    evaluate,
    load_cluster,
    load_model,
    solve_dp,
    solve_exhaustive,
    solve_milp,
)
from iopopt.cost.elimination import Table, total_cost
from iopopt.methods.candidates import Candidates
from iopopt.methods.cost_tables import CostTables
from iopopt.methods.dynamic.fixed_shares import candidate_placements
from iopopt.methods.exhaustive import all_placements, plan_count

FOUND_ELSEWHERE_MS = {
    ("vgg16", "board-x4"): 585,
    ("vgg16", "wifi-x3"): 843,
    ("vgg16", "wifi-x4"): 756,
    ("vgg16", "wifi-x6"): 624,
    ("vgg16", "slow-link-x4"): 8788,
    ("vgg11", "wifi-x6"): 335,
}
"""What another dynamic program over fixed shares found, with blocks of up to ten operators, milliseconds."""


def covers(graph: Graph, longest: int) -> list[list[range]]:
    """Every way to cover the operators, from the statement's definition of a block."""
    runs = [range(i, i + 1) for i in range(len(graph))] + [block for block in naive_blocks(graph, longest) if len(block) > 1]
    found: list[list[range]] = []

    def extend(cover: list[range], start: int) -> None:
        if start == len(graph):
            found.append(cover)
        for run in runs:
            if run.start == start:
                extend([*cover, run], run.stop)

    extend([], 0)
    return found


@pytest.mark.parametrize("seed", range(6))
def test_exhaustive_search_prices_every_plan_with_blocks(seed: int) -> None:
    """As many plans as there are covers and placements, and the best of them."""
    graph, cluster, team, longest = block_instance(1000 + seed, most_plans=1500)
    latencies = []
    for cover in covers(graph, longest):
        units = [graph.units[run[0]] if len(run) == 1 else graph.block(run) for run in cover]
        ways = [list(all_placements(unit, cluster, team)) for unit in units]
        for number in np.ndindex(*map(len, ways)):
            plan = Plan.of(graph, [of[at] for of, at in zip(ways, number, strict=True)], [len(run) for run in cover])
            price = evaluate(graph, cluster, plan)
            latencies.append(price.latency_s if price.feasible else np.inf)
    found = solve_exhaustive(graph, cluster, team=team, longest_block=longest)
    assert len(latencies) == plan_count(graph, cluster, team, longest)
    assert found.latency_s == pytest.approx(min(latencies), rel=1e-12)
    assert "blocks of up to" in found.space


def test_covers_of_a_chain_of_fusible_operators() -> None:
    """Compositions of the number of operators in parts of at most the longest block."""
    graph = _convolutions(5)
    assert [len(list(graph.covers(longest))) for longest in (1, 2, 3, 5)] == [1, 8, 13, 16]
    assert {sum(spans) for spans in graph.covers(3)} == {5}


def _convolutions(count: int) -> Graph:
    net = GraphBuilder("convolutions", (1, 8, 4))
    for _ in range(count):
        net.conv(1, 3, padding=1)
    return net.build()


@pytest.mark.parametrize("seed", range(12))
def test_the_tables_sum_to_the_price(seed: int) -> None:
    """For every choice that is a plan the tables add up to the evaluator's latency, blocks included; other choices are forbidden."""
    rng = random.Random(seed)
    graph, cluster = random_fusible_graph(rng), random_cluster(rng, devices=rng.choice([2, 3]))
    team = tuple(rng.sample(range(len(cluster)), len(cluster)))
    blocks = {members: candidate_placements(graph.block(members), cluster, team) for members in graph.blocks(4)}
    candidates = Candidates(graph, cluster, [candidate_placements(unit, cluster, team) for unit in graph.placed_units], blocks)
    tables = CostTables(candidates)
    every = [*(Table((i,), alone) for i, alone in enumerate(tables.alone_s)), *tables.edges]
    plans = forbidden = fused = 0
    for _ in range(60):
        choice = _random_choice(rng, candidates)
        plan = candidates.plan(choice)
        latency_s = evaluate(graph, cluster, plan).latency_s
        cost_s = total_cost(every, choice)
        assert cost_s >= latency_s * (1 - 1e-12)
        if not tables.by_edge:
            assert cost_s == pytest.approx(latency_s, rel=1e-9, abs=1e-15)
        plans, fused = plans + 1, fused + len(plan.blocks)
        part = next((part for i in range(len(graph)) for part in candidates.parts[i][1:]), None)
        if part is not None:
            broken = list(_alone(rng, candidates))
            broken[part.members[0]] = int(candidates.part_of(part.members[0], part.members).numbers[0])
            assert total_cost(every, broken) == np.inf
            forbidden += 1
    assert fused > 0
    assert forbidden > 0


def _alone(rng: random.Random, candidates: Candidates) -> list[int]:
    """A random candidate of each operator by itself."""
    return [int(rng.choice(parts[0].numbers)) for parts in candidates.parts]


def _random_choice(rng: random.Random, candidates: Candidates) -> list[int]:
    """A random plan: from the last operator backwards, alone or in a block that ends there."""
    choice, end = _alone(rng, candidates), len(candidates.domains) - 1
    while end >= 0:
        part = rng.choice([part for part in candidates.parts[end] if part.ends_here])
        number = rng.randrange(len(part.numbers))
        for member in part.members:
            choice[member] = int(candidates.part_of(member, part.members).numbers[number])
        end = part.members.start - 1
    return choice


@pytest.mark.parametrize(("model", "cluster_name"), FOUND_ELSEWHERE_MS)
def test_the_dynamic_program_reaches_what_was_found_elsewhere(model: str, cluster_name: str) -> None:
    """Within one per cent, and never slower than without blocks."""
    graph = load_model(model)
    cluster = load_cluster(cluster_name, graph)
    found, unfused = solve_dp(graph, cluster, longest_block=10), solve_dp(graph, cluster)
    assert found.latency_s <= 1.01e-3 * FOUND_ELSEWHERE_MS[model, cluster_name]
    assert found.latency_s <= unfused.latency_s
    assert found.plan is not None
    assert found.plan.blocks
    assert found.space.endswith("blocks of up to 10")


@pytest.mark.parametrize("seed", range(15))
def test_the_dynamic_program_is_between_optimum_and_without_blocks(seed: int) -> None:
    """Its plan with blocks is valid, fits where the one without does, and is never faster than the optimum of its space."""
    graph, cluster, team, longest = block_instance(2000 + seed)
    found = solve_dp(graph, cluster, team=team, longest_block=longest)
    optimum = solve_exhaustive(graph, cluster, team=team, longest_block=longest)
    assert found.plan is not None
    assert evaluate(graph, cluster, found.plan).latency_s == found.latency_s
    if found.status == "feasible":
        assert optimum.latency_s <= found.latency_s * (1 + 1e-12)


@pytest.mark.parametrize("solve", [solve_dp, solve_exhaustive, solve_milp])
@pytest.mark.parametrize("longest", [0, -1, 1.5, "2", True])
def test_lengths_that_are_none(solve: object, longest: object, trio_graph: Graph, trio_cluster: object) -> None:
    with pytest.raises(SolverError, match="longest_block is"):
        solve(trio_graph, trio_cluster, longest_block=longest)  # type: ignore[operator]


def test_a_warm_start_with_longer_blocks_is_refused() -> None:
    graph = _convolutions(3)
    cluster = load_cluster("mcu-x2", graph)
    plan = Plan.of(graph, [Placement.split("H", (0, 1), (4, 4))], [3])
    with pytest.raises(PlanError, match="fuses conv1 to conv3, 3 operators; ask for longest_block=3"):
        solve_milp(graph, cluster, warm_start=plan, longest_block=2)
    assert solve_milp(graph, cluster, warm_start=plan, longest_block=3).latency_s <= evaluate(graph, cluster, plan).latency_s
