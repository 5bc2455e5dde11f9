"""Spaces with some splits only, or with shares by speed: exhaustive search against a plain filter, the exact method against exhaustive search."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Collection
from dataclasses import replace
from typing import Any, NamedTuple

import pytest
from support.block_instances import balanced, block_instance
from support.random_branches import random_branched_graph
from support.random_instances import random_cluster, random_graph, random_team

from iopopt import (
    Cluster,
    Graph,
    Placement,
    Plan,
    PlanError,
    Solution,
    UnknownNameError,
    evaluate,
    load_cluster,
    load_model,
    solve_coedge,
    solve_dp,
    solve_exhaustive,
    solve_milp,
)
from iopopt.cost.instance import Instance
from iopopt.cost.stopwatch import NO_LIMIT
from iopopt.methods.dp import dp_plan
from iopopt.methods.exhaustive import all_plan_batches, plan_count
from iopopt.milp.pruning import bound_nodes
from iopopt.plan.splits import STRATEGIES, Splits, check_splits, stranger_to

NAMES = {("H", None): "H", ("OC", None): "OC", ("IC", "direct"): "IC", ("IC", "two_phase"): "IC two-phase"}


class Case(NamedTuple):
    graph: Graph
    cluster: Cluster
    team: tuple[int, ...]
    longest_block: int
    strategies: tuple[str, ...]
    shares: str

    @property
    def settings(self) -> dict[str, Any]:
        return {"team": self.team, "longest_block": self.longest_block, "strategies": self.strategies, "shares": self.shares}


def restricted_case(seed: int, most_plans: int = 20_000) -> Case:
    """A tiny chain, or a graph with branches, or one with fused blocks; memory loose or tight; at least one way to split, often not all."""
    rng = random.Random(seed)
    strategies = tuple(rng.sample(STRATEGIES, rng.choice([1, 2, 2, 3, 3, 4])))
    shares = rng.choice(["free", "free", "by_speed"])
    if seed % 3 == 0:
        graph, cluster, team, longest = block_instance(seed, most_plans)
        return Case(graph, cluster, team, longest, strategies, shares)
    while True:
        graph = (random_branched_graph if seed % 3 == 1 else random_graph)(rng, tiny=True)
        cluster = balanced(rng, graph, random_cluster(rng, devices=rng.choice([2, 3])))
        team = random_team(rng, len(cluster))
        if plan_count(graph, cluster, team) <= most_plans:
            need = sum(graph.whole_memory_bytes(cluster.bytes_per_element)) * rng.choice([0.4, 0.8, 1e6, 1e6])
            devices = tuple(replace(device, memory_bytes=max(1.0, need * rng.uniform(0.7, 1.3))) for device in cluster.devices)
            return Case(graph, replace(cluster, devices=devices), team, 1, strategies, shares)


def proportional(size: int, weights: Collection[float]) -> tuple[int, ...]:
    """Largest remainder, by hand: everyone gets the whole part, and what is left goes to the largest fractions."""
    exact = [size * weight / sum(weights) for weight in weights]
    shares = [int(part + 1e-9) for part in exact]
    for rank in sorted(range(len(exact)), key=lambda rank: shares[rank] - exact[rank])[: size - sum(shares)]:
        shares[rank] += 1
    return tuple(shares)


def is_allowed(case: Case, plan: Plan) -> bool:
    """The restriction, from the words of its description."""
    for operator in case.graph.operators:
        placement = plan[operator.name]
        if any(operator.name in block[:-1] for block in plan.blocks) or placement.dim is None:
            continue
        if NAMES[placement.dim, placement.reduce] not in case.strategies:
            return False
        granule = operator.granularity(placement.dim)
        speeds = [case.cluster.devices[j].flops_per_s for j in placement.devices]
        by_speed = tuple(granule * share for share in proportional(operator.size(placement.dim) // granule, speeds))
        if case.shares == "by_speed" and placement.shares != by_speed:
            return False
    return True


@pytest.mark.parametrize("seed", range(15))
def test_exhaustive_search_prices_the_plans_that_a_filter_leaves(seed: int) -> None:
    """As many as plan_count says, and the best of them."""
    case = restricted_case(seed, most_plans=3000)
    every = _every_plan(case)
    kept = [evaluate(case.graph, case.cluster, plan) for plan in every if is_allowed(case, plan)]
    splits = Splits.named(case.strategies, case.shares)
    assert len(kept) == plan_count(case.graph, case.cluster, case.team, case.longest_block, splits) <= len(every)
    best = min((price.latency_s for price in kept if price.feasible), default=float("inf"))
    found = solve_exhaustive(case.graph, case.cluster, **case.settings)
    assert found.latency_s == pytest.approx(best, rel=1e-12)
    for plan in every:
        assert (stranger_to(splits, case.graph, case.cluster, plan) is None) == is_allowed(case, plan)


def _every_plan(case: Case) -> list[Plan]:
    batches = all_plan_batches(case.graph, case.cluster, case.team, NO_LIMIT, case.longest_block)
    return [batch.plan(case.graph, number) for batch in batches for number in range(len(batch))]


def check_against_exhaustive_search(seed: int, pruning: bool) -> Solution:
    """The exact method and exhaustive search agree on space, status and latency; returns the truth."""
    case = restricted_case(seed)
    truth = solve_exhaustive(case.graph, case.cluster, **case.settings)
    found = solve_milp(case.graph, case.cluster, gap=1e-6, without=() if pruning else ("pruning",), **case.settings)
    assert found.space == truth.space
    assert found.status == truth.status, (seed, found.reason)
    if truth.plan is not None and found.plan is not None:
        assert is_allowed(case, found.plan)
        assert truth.latency_s * (1 - 1e-9) <= found.latency_s <= truth.latency_s * (1 + 2e-6) + 1e-15, seed
        assert found.bound_s is not None
        assert found.bound_s <= truth.latency_s * (1 + 1e-9)
    return truth


@pytest.mark.parametrize("pruning", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["pruned", "whole"])
def test_the_program_finds_the_optimum_of_restricted_spaces(pruning: bool) -> None:
    """A few tiny instances; the slow test has hundreds."""
    found = Counter(check_against_exhaustive_search(seed, pruning).status for seed in range(11))
    assert set(found) == {"optimal", "infeasible"}


@pytest.mark.slow
def test_the_program_finds_the_optimum_of_restricted_spaces_on_hundreds() -> None:
    truths = [check_against_exhaustive_search(seed, bool(seed % 2)) for seed in range(100, 400)]
    assert sum(bool(truth.plan and truth.plan.blocks) for truth in truths) > 10
    assert sum(bool(truth.plan and truth.plan.split_operators) for truth in truths) > 70


@pytest.mark.parametrize("seed", range(15))
def test_the_dynamic_program_keeps_to_the_space(seed: int) -> None:
    """Every plan that it returns has allowed splits alone, and none that fits is faster than the optimum."""
    case = restricted_case(1000 + seed)
    splits = Splits.named(case.strategies, case.shares)
    plan = dp_plan(case.graph, case.cluster, case.team, longest_block=case.longest_block, splits=splits)
    assert is_allowed(case, plan)
    price = evaluate(case.graph, case.cluster, plan)
    optimum = solve_exhaustive(case.graph, case.cluster, **case.settings)
    assert not price.feasible or optimum.latency_s <= price.latency_s * (1 + 1e-12)


def test_bounds_on_nodes_hold_in_the_restricted_space() -> None:
    """No allowed plan is faster than the bound, and with fewer splits it is never lower than with all."""
    higher = 0
    for seed in range(12):
        case = restricted_case(2000 + seed, most_plans=1500)
        instance, splits = Instance(case.graph, case.cluster), Splits.named(case.strategies, case.shares)
        found = bound_nodes(instance, case.team, longest_block=splits.longest_block(case.longest_block), splits=splits).least_s
        fastest = min(evaluate(case.graph, case.cluster, plan).latency_s for plan in _every_plan(case) if is_allowed(case, plan))
        assert found <= fastest * (1 + 1e-9) + 1e-15
        of_all = bound_nodes(instance, case.team, longest_block=case.longest_block).least_s
        assert found >= of_all * (1 - 1e-9)
        higher += found > of_all * (1 + 1e-9)
    assert higher > 0


def test_larger_spaces_are_never_slower() -> None:
    """On a real network each kind of split that is added, blocks and free shares too, can only help; and each space is named."""
    graph = load_model("alexnet", input_size=127)
    cluster = load_cluster("edge-x3", graph)
    steps: list[dict[str, Any]] = [
        {"strategies": ()},
        {"strategies": "H", "shares": "by_speed"},
        {"strategies": ("H",)},
        {"strategies": ("H", "OC")},
        {"strategies": ("H", "OC", "IC")},
        {},
        {"longest_block": 5},
    ]
    found: list[Solution] = []
    for settings in steps:
        start = found[-1].plan if found else None
        found.append(solve_milp(graph, cluster, warm_start=start, **settings))
        assert found[-1].status == "optimal", settings
        assert found[-1].plan is not None
        splits = Splits.named(settings.get("strategies", STRATEGIES), settings.get("shares", "free"))
        check_splits(splits, graph, cluster, found[-1].plan)
    latencies = [solution.latency_s for solution in found]
    assert latencies == sorted(latencies, reverse=True)
    assert all(earlier.latency_s >= (later.bound_s or 0) for earlier, later in itertools.pairwise(found))
    assert latencies[0] > latencies[1] > latencies[2]
    team = "team=(0, 1, 2)"
    assert [solution.space for solution in found] == [
        f"{team}, no splits",
        f"{team}, only H splits, shares by speed",
        f"{team}, only H splits",
        f"{team}, only H and OC splits",
        f"{team}, only H and OC and IC splits",
        team,
        f"{team}, blocks of up to 5",
    ]


def test_each_reduce_can_be_left_out() -> None:
    """Where the optimum has reduces of both kinds, the optimum with one kind has no other and is slower; without both it is slower still."""
    graph = load_model("alexnet", input_size=127)
    cluster = load_cluster("edge-x3", graph)
    latencies = []
    for reduces in ({"direct", "two_phase"}, {"direct"}, {"two_phase"}, set()):
        names = [NAMES["IC", reduce] for reduce in sorted(reduces)]
        found = solve_milp(graph, cluster, strategies=["H", "OC", *names])
        assert found.status == "optimal"
        assert found.plan is not None
        assert {placement.reduce for placement in found.plan.values()} - {None} == reduces
        latencies.append(found.latency_s)
    assert latencies == sorted(latencies)
    assert len(set(latencies)) == 4


def test_a_warm_start_with_other_splits_is_refused(trio_graph: Graph, trio_cluster: Cluster) -> None:
    """The message names the operator and what to ask for; a plan of the space is taken."""
    sizes = [operator.size("OC") for operator in trio_graph.operators]
    plan = Plan.of(trio_graph, [Placement.split("OC", (0, 1, 2), (size, 0, 0)) for size in sizes])
    name = trio_graph.operators[0].name
    with pytest.raises(PlanError, match=rf"has {name} OC .*, but the space has only H splits; ask for strategies=\('H', 'OC'\)"):
        solve_milp(trio_graph, trio_cluster, warm_start=plan, strategies=("H",))
    with pytest.raises(PlanError, match=rf"has {name} OC .* by speed its shares are .*; ask for shares='free'"):
        solve_milp(trio_graph, trio_cluster, warm_start=plan, shares="by_speed")
    roomy = replace(trio_cluster, devices=tuple(replace(device, memory_bytes=1e12) for device in trio_cluster.devices))
    found = solve_milp(trio_graph, roomy, warm_start=plan, strategies=("OC",))
    assert found.latency_s <= evaluate(trio_graph, roomy, plan).latency_s


@pytest.mark.parametrize("solve", [solve_milp, solve_exhaustive])
def test_unknown_names_are_refused(solve: Any, trio_graph: Graph, trio_cluster: Cluster) -> None:
    with pytest.raises(UnknownNameError, match=r"unknown strategy 'IC two_phase'\. Did you mean 'IC two-phase'"):
        solve(trio_graph, trio_cluster, strategies=("H", "IC two_phase"))
    with pytest.raises(UnknownNameError, match="unknown strategy '3'"):
        solve(trio_graph, trio_cluster, strategies=3)
    with pytest.raises(UnknownNameError, match=r"unknown rule of shares 'speed'.*by_speed, free"):
        solve(trio_graph, trio_cluster, shares="speed")


def test_without_rows_there_are_no_blocks() -> None:
    """A block is split by rows; so the space without them is the same for any length, and is named so."""
    graph, cluster, team, longest = block_instance(3)
    found = solve_exhaustive(graph, cluster, team=team, longest_block=longest, strategies=("OC",))
    again = solve_exhaustive(graph, cluster, team=team, strategies=("OC",))
    assert (found.latency_s, found.space) == (again.latency_s, again.space)
    assert "blocks" not in found.space


def test_by_speed_is_coedges_rule() -> None:
    """Rows by speed alone, over every operator that has rows, are CoEdge's plan; the optimum by speed is no slower."""
    graph = load_model("vgg11")
    cluster = load_cluster("board-x3", graph)
    rows = solve_milp(graph, cluster, strategies="H", shares="by_speed")
    coedge = solve_coedge(graph, cluster)
    assert coedge.plan is not None
    check_splits(Splits.named("H", "by_speed"), graph, cluster, coedge.plan)
    assert rows.latency_s <= coedge.latency_s
    assert solve_dp(graph, cluster).latency_s <= rows.latency_s
