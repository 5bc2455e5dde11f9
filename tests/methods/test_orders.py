"""Teams in any order: every method splits over the team as it is given, and what devices are called means nothing."""

from __future__ import annotations

import itertools
import math
import random
from dataclasses import replace

import numpy as np
import pytest
from support.backends import solved_here
from support.branched_cases import branched_cases
from support.random_branches import random_branched_graph
from support.random_instances import random_cluster, random_graph
from support.random_orders import random_order, renumbered_cluster, renumbered_plan

from iopopt import METHODS, Cluster, Graph, Plan, PlanError, Pricer, Solution, evaluate, solve, solve_exhaustive, solve_milp, solve_pso
from iopopt.methods.exhaustive import all_placements, plan_count
from iopopt.methods.pso import SwarmSettings
from iopopt.methods.swarm.decoder import Decoder
from iopopt.plan.placement import Strategy
from iopopt.plan.team import check_in_space

FIXED_SHARES = ("oc", "coedge", "greedy", "iop_segments", "dp")
ROUNDING = 2e-6


def _instance(seed: int, *, devices: int | None = None, tiny: bool = False) -> tuple[Graph, Cluster]:
    """Chains and graphs with branches in turn; half of the clusters are slow, so that splits pay."""
    rng = random.Random(seed)
    graph = random_branched_graph(rng, tiny) if seed % 2 else random_graph(rng, tiny=tiny)
    cluster = random_cluster(rng, devices)
    return graph, _slowed(cluster) if seed // 2 % 2 else cluster


def _slowed(cluster: Cluster) -> Cluster:
    return replace(cluster, devices=tuple(replace(device, flops_per_s=device.flops_per_s / 50) for device in cluster.devices))


def _tightened(cluster: Cluster, graph: Graph, rng: random.Random) -> Cluster:
    """Between a fifth and more than what the whole model needs, on each device."""
    need = sum(graph.whole_memory_bytes(cluster.bytes_per_element))
    devices = tuple(replace(device, memory_bytes=max(1, int(need * rng.uniform(0.2, 1.3)))) for device in cluster.devices)
    return replace(cluster, devices=devices)


OWN_ORDER = ("pso", "milp", "dpfp", "coedge_lp", "halp", "overlap", "stages")
"""Methods that choose among the devices of a team, that split nothing, or whose order is tested elsewhere."""

BEYOND_ORDERS = (", gathered", ", streamed")
"""How the space of a method ends whose plans gather or stream, which no space of a team does."""


@pytest.mark.parametrize("method", [name for name, info in METHODS.items() if "team" in info.takes and name not in OWN_ORDER])
def test_the_team_is_split_over_in_its_order(method: str) -> None:
    """With a team that does not ascend every split operator has just that team in that order, and the Solution's space names it."""
    split = 0
    for seed in range(20):
        graph, cluster = _instance(seed, devices=3, tiny=True)
        team = ((1, 0, 2), (2, 0), (2, 1, 0))[seed % 3]
        if method == "exhaustive" and plan_count(graph, cluster, team) > 20_000:
            continue
        with solved_here():
            solution = solve(graph, cluster, method, team=team, **({"backend": "scipy"} if method == "deeperthings" else {}))
        assert solution.plan is not None
        beyond = next((end for end in BEYOND_ORDERS if solution.space.endswith(end)), "")
        assert solution.space.removesuffix(beyond).partition(", blocks")[0] == f"team={team}"
        assert solution.latency_s == evaluate(graph, cluster, solution.plan).latency_s
        kept = Plan(tuple((name, replace(placement, gather=None, stream=None)) for name, placement in solution.plan.items()), solution.plan.blocks)
        assert (kept != solution.plan) <= bool(beyond)
        check_in_space(kept, team, cluster, max(map(len, solution.plan.blocks), default=1))
        split += len(solution.plan.split_operators) > 0
    assert split >= 4


@pytest.mark.parametrize("method", FIXED_SHARES)
def test_numbers_of_devices_mean_nothing(method: str) -> None:
    """The team (1, 0, 2) on the devices a, b, c costs what the team (0, 1, 2) costs on b, a, c; so with every order and renumbering."""
    for seed in range(15):
        rng = random.Random(1000 + seed)
        graph, cluster = _instance(seed)
        team = random_order(rng, len(cluster))[: rng.randint(2, len(cluster))]
        # The renumbering under which the team ascends.
        rest = [j for j in range(len(cluster)) if j not in team]
        numbers = [[*team, *rest].index(j) for j in range(len(cluster))]
        one = solve(graph, cluster, method, team=team)
        other = solve(graph, renumbered_cluster(cluster, numbers), method, team=tuple(range(len(team))))
        assert other.latency_s == pytest.approx(one.latency_s, rel=1e-12), seed
        anew = random_order(rng, len(cluster))
        again = solve(graph, renumbered_cluster(cluster, anew), method, team=tuple(anew[j] for j in team))
        assert again.latency_s == pytest.approx(one.latency_s, rel=1e-12), seed


def test_exhaustive_search_finds_the_best_of_its_order() -> None:
    """On the worked case of three devices, pricing all plans of an order one by one finds the same optimum; the orders differ in theirs.

    c has 3 whole, C(8, 2) = 28 row, 6 OC and 2 x 3 IC placements, d 3 + 28 + 3 + 2 x 6.
    """
    case, optima = branched_cases()["host in the middle"], {}
    for team in ((1, 0, 2), (0, 1, 2)):
        ways = [list(all_placements(unit, case.cluster, team)) for unit in case.graph.placed_units]
        assert {placement.devices for way in ways for placement in way if not placement.is_whole} == {team}
        plans = [Plan.of(case.graph, choice) for choice in itertools.product(*ways)]
        assert plan_count(case.graph, case.cluster, team) == len(plans) == 43 * 46
        solution = solve_exhaustive(case.graph, case.cluster, team=team)
        optima[team] = min(evaluate(case.graph, case.cluster, plan).latency_s for plan in plans)
        assert solution.latency_s == pytest.approx(optima[team], rel=1e-12)
    assert optima[1, 0, 2] != pytest.approx(optima[0, 1, 2], rel=1e-9)


def _tiny(seed: int) -> tuple[Graph, Cluster, tuple[int, ...]]:
    """A graph of which all plans of a team in some other order than the cluster's can be priced; half of the clusters are tight."""
    rng = random.Random(seed)
    while True:
        graph = random_branched_graph(rng, tiny=True) if seed % 2 else random_graph(rng, operators=rng.randint(2, 3), tiny=True)
        cluster = random_cluster(rng, devices=rng.choice([2, 3, 3]))
        team = random_order(rng, len(cluster))[: rng.choice([2, 3])]
        if list(team) == sorted(team) or plan_count(graph, cluster, team) > 30_000:
            continue
        if rng.random() < 0.7:
            cluster = _slowed(cluster)
        return graph, _tightened(cluster, graph, rng) if rng.random() < 0.5 else cluster, team


def _agrees(seed: int) -> Solution:
    graph, cluster, team = _tiny(seed)
    truth, found = solve_exhaustive(graph, cluster, team=team), solve_milp(graph, cluster, team=team, gap=0.0)
    assert found.status == truth.status
    assert found.space == truth.space == f"team={team}"
    if truth.plan is not None:
        assert found.latency_s == pytest.approx(truth.latency_s, rel=ROUNDING)
        assert found.bound_s is not None
        assert found.bound_s <= truth.latency_s * (1 + 1e-12)
        assert found.plan is not None
        check_in_space(found.plan, team, cluster)
    return truth


@pytest.mark.parametrize("seeds", [range(8), pytest.param(range(8, 150), marks=pytest.mark.slow)])
def test_the_program_agrees_with_exhaustive_search(seeds: range) -> None:
    """For teams in other orders than the cluster's the program finds the optimum of all plans, and what is infeasible is so for both."""
    solutions = [_agrees(seed) for seed in seeds]
    assert sum(solution.status == "infeasible" for solution in solutions) >= 1
    assert sum(solution.plan is not None and len(solution.plan.split_operators) > 0 for solution in solutions) >= len(seeds) // 3


def test_the_program_does_not_care_what_devices_are_called() -> None:
    """Cluster and team renumbered together have the same optimum, by the program and by exhaustive search."""
    for seed in range(3):
        rng = random.Random(2000 + seed)
        graph, cluster = _instance(seed, devices=3, tiny=True)
        team, numbers = random_order(rng, 3), random_order(rng, 3)
        one = solve_milp(graph, cluster, team=team, gap=0.0)
        other = solve_milp(graph, renumbered_cluster(cluster, numbers), team=tuple(numbers[j] for j in team), gap=0.0)
        assert (one.status, other.status) == ("optimal", "optimal")
        assert other.latency_s == pytest.approx(one.latency_s, rel=ROUNDING), seed
        truth = solve_exhaustive(graph, renumbered_cluster(cluster, numbers), team=tuple(numbers[j] for j in team))
        assert truth.latency_s == pytest.approx(one.latency_s, rel=ROUNDING), seed
        assert one.plan is not None
        assert other.plan is not None
        moved = evaluate(graph, renumbered_cluster(cluster, numbers), renumbered_plan(one.plan, numbers))
        assert moved.latency_s == pytest.approx(one.latency_s, rel=1e-12)


def test_a_warm_start_has_the_order_of_the_team() -> None:
    """A plan over (1, 0, 2) starts the search over that team, and is refused for the team in the order of the cluster and for the best."""
    graph, cluster = _instance(4, devices=3, tiny=True)
    start = solve(graph, cluster, "oc", team=(1, 0, 2)).plan
    assert start is not None
    assert solve_milp(graph, cluster, team=(1, 0, 2), warm_start=start).latency_s <= evaluate(graph, cluster, start).latency_s
    for team in ("all", (0, 1, 2), "best"):
        with pytest.raises(PlanError, match=r"splits over \[1, 0, 2\].*ask for team=\(1, 0, 2\)"):
            solve_milp(graph, cluster, team=team, warm_start=start)


def test_particles_decode_to_the_order_of_the_team() -> None:
    """The same genes over a team and over the renumbered team are plans that differ in the numbers of their devices alone, and price alike."""
    for seed in range(20):
        rng, generator = random.Random(seed), np.random.default_rng(seed)
        graph, cluster = _instance(seed)
        team, numbers = random_order(rng, len(cluster)), random_order(rng, len(cluster))
        other_cluster = renumbered_cluster(cluster, numbers)
        one, other = Decoder(graph, cluster, team), Decoder(graph, other_cluster, [numbers[j] for j in team])
        positions = generator.random((30, one.dimensions))
        batch = one.decode(positions)
        # The second gene of a whole operator says on which device it is, by number.
        genes = positions.reshape(30, len(graph), -1).copy()
        scaled = genes[:, :, 1] * len(cluster)
        moved = (np.array(numbers)[scaled.astype(int)] + 0.5) / len(cluster)
        genes[:, :, 1] = np.where(batch.strategies.T == Strategy.WHOLE, moved, genes[:, :, 1])
        other_batch = other.decode(genes.reshape(30, -1))
        plans = [batch.plan(graph, number) for number in range(30)]
        assert [other_batch.plan(graph, number) for number in range(30)] == [renumbered_plan(plan, numbers) for plan in plans]
        assert any(plan.split_operators for plan in plans)
        for plan in plans:
            check_in_space(plan, team, cluster)
        prices = [Pricer(graph, on).price(of).latency_s for on, of in ((cluster, batch), (other_cluster, other_batch))]
        np.testing.assert_allclose(*prices, rtol=1e-12)


def test_a_swarm_searches_the_order_of_its_team() -> None:
    """The plan of the swarm is one of its team in its order, and no better than the optimum of that order."""
    settings, split = SwarmSettings(particles=20, iterations=30, swarms=2, plain=True), 0
    for seed in range(6):
        graph, cluster, team = _tiny(3000 + seed)
        cluster = replace(cluster, devices=tuple(replace(device, memory_bytes=1e9) for device in cluster.devices))
        found, optimum = solve_pso(graph, cluster, team=team, settings=settings), solve_exhaustive(graph, cluster, team=team)
        assert found.space == f"team={team}"
        assert found.plan is not None
        check_in_space(found.plan, team, cluster)
        assert optimum.latency_s * (1 - 1e-12) <= found.latency_s < math.inf
        split += len(found.plan.split_operators) > 0
    assert split >= 2
