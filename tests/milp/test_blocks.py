"""Fused blocks in the program, against exhaustive search: its optimum, its points, and the bounds that rule blocks out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.block_instances import BlockInstance, block_instance
from support.programs import formulation_of, least_objective

from iopopt import Plan, PlanBatch, Pricer, evaluate, load_cluster, load_model, solve_dp, solve_exhaustive, solve_milp
from iopopt.cost.instance import Instance
from iopopt.cost.stopwatch import NO_LIMIT
from iopopt.methods.exhaustive import all_plan_batches
from iopopt.milp.arcs import Node, all_nodes, node_of
from iopopt.milp.pruning import bound_nodes
from iopopt.network.graph import Graph


def check_against_exhaustive_search(seed: int, *, pruning: bool = True) -> int:
    """The exact method and exhaustive search agree on status and latency; returns how many blocks the optimum has."""
    graph, cluster, team, longest = block_instance(seed)
    truth = solve_exhaustive(graph, cluster, team=team, longest_block=longest)
    found = solve_milp(graph, cluster, team=team, longest_block=longest, gap=1e-6, without=() if pruning else ("pruning",))
    assert found.space == truth.space
    assert found.status == truth.status, (seed, found.reason)
    if truth.plan is None or found.plan is None:
        return 0
    assert truth.latency_s * (1 - 1e-9) <= found.latency_s <= truth.latency_s * (1 + 2e-6) + 1e-15, seed
    assert found.bound_s is not None
    assert found.bound_s <= truth.latency_s * (1 + 1e-9)
    return len(truth.plan.blocks)


@pytest.mark.parametrize("pruning", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["pruned", "whole"])
def test_the_program_finds_the_optimum_with_blocks(pruning: bool) -> None:
    """A few tiny instances; the slow test has hundreds."""
    assert sum(check_against_exhaustive_search(seed, pruning=pruning) for seed in range(12)) > 0


@pytest.mark.slow
def test_the_program_finds_the_optimum_with_blocks_on_hundreds() -> None:
    assert sum(check_against_exhaustive_search(seed, pruning=bool(seed % 2)) > 0 for seed in range(100, 740)) > 120


def every_plan(instance: BlockInstance) -> list[PlanBatch]:
    graph, cluster, team, longest = instance
    return list(all_plan_batches(graph, cluster, team, NO_LIMIT, longest))


def test_the_point_of_a_plan_costs_its_price() -> None:
    """With the integers of a plan fixed, the program's objective is the evaluator's latency, and the plan comes back."""
    checked = 0
    for seed in range(40):
        graph, cluster, team, longest = instance = block_instance(seed, most_plans=3000)
        plans = [batch.plan(graph, number) for batch in every_plan(instance) for number in range(0, len(batch), 97)]
        fused = [plan for plan in plans if plan.blocks][:2]
        roomy = replace(cluster, devices=tuple(replace(device, memory_bytes=1e12) for device in cluster.devices))
        for plan in fused:
            latency_s = evaluate(graph, roomy, plan).latency_s
            formulation = formulation_of(graph, roomy, team, latency_s or 1.0, nodes=all_nodes(Instance(graph, roomy), team, longest))
            point = formulation.integer_point(plan)
            objective = least_objective(formulation.program, fixed=point)
            assert objective * (latency_s or 1.0) == pytest.approx(latency_s, rel=1e-6), (seed, plan.blocks)
            x = np.zeros(len(formulation.program.objective))
            x[list(point)] = list(point.values())
            assert formulation.plan(x) == plan
            checked += 1
    assert checked > 20


def least_latencies(instance: BlockInstance) -> dict[tuple[int, Node], float]:
    """The latency of the fastest plan, memory aside, that takes each node of each operator, and each block at its last operator."""
    graph, cluster, _, _ = instance
    least: dict[tuple[int, Node], float] = {}
    pricer = Pricer(graph, cluster)
    for batch in every_plan(instance):
        latency = pricer.price(batch).latency_s
        spans = batch.operators_placed
        for i in range(len(graph)):
            for number in range(len(batch)):
                if spans[i, number]:
                    key = i, node_of(batch.placement(i, number), int(spans[i, number]))
                    least[key] = min(least.get(key, np.inf), float(latency[number]))
    return least


@pytest.mark.parametrize("seed", range(12))
def test_no_plan_is_faster_than_the_bounds_of_its_blocks(seed: int) -> None:
    """Every node's bound, a block's too, is at most the latency of the fastest plan that takes it."""
    instance = block_instance(seed, most_plans=3000)
    graph, cluster, team, longest = instance
    truth, blocks = least_latencies(instance), 0
    for within_s in (np.inf, min(truth.values()), np.median(list(truth.values()))):
        found = bound_nodes(Instance(graph, cluster), team, longest_block=longest, within_s=within_s)
        for i, (nodes, bounds) in enumerate(zip(found.nodes, found.bounds_s, strict=True)):
            for node, bound in zip(nodes, bounds, strict=True):
                assert bound <= truth[i, node] * (1 + 3e-9) + 1e-15
                blocks += node.span > 1
        assert found.least_s <= min(truth.values()) * (1 + 1e-9) + 1e-15
    assert blocks > 0


@pytest.mark.parametrize(("model", "cluster_name"), [("vgg11", "wifi-x4"), ("resnet18", "wifi-x3"), ("yolov2", "board-x3")])
def test_the_blocks_of_a_known_plan_are_kept(model: str, cluster_name: str) -> None:
    """A plan's own nodes are among those that may be as fast as it is, and most others are not."""
    graph = load_model(model)
    cluster = load_cluster(cluster_name, graph)
    solution = solve_dp(graph, cluster, longest_block=4)
    assert solution.plan is not None
    found = bound_nodes(Instance(graph, cluster), range(len(cluster)), longest_block=4, within_s=solution.latency_s)
    kept = found.nodes_within(solution.latency_s)
    for end, span, placement in taken(graph, solution.plan):
        assert node_of(placement, span) in kept[end]
    assert sum(map(len, kept)) < 0.8 * sum(map(len, found.nodes))


@pytest.mark.parametrize(("model", "cluster_name", "undivided", "divided"), [("vgg16", "wifi-x4", 0.93, 0.98), ("yolov2", "board-x4", 0.97, 0.975)])
def test_divided_shares_bound_deep_networks_closely(model: str, cluster_name: str, undivided: float, divided: float) -> None:
    """With radio links the bound comes to within a few hundredths of a known latency, and half of the nodes that were left are ruled out."""
    graph = load_model(model)
    cluster = load_cluster(cluster_name, graph)
    latency_s = solve_dp(graph, cluster, longest_block=8).latency_s
    coarse, fine = (bound_nodes(Instance(graph, cluster), range(4), longest_block=8, within_s=within_s) for within_s in (np.inf, latency_s))
    assert coarse.least_s < undivided * latency_s
    assert divided * latency_s < fine.least_s <= latency_s
    assert sum(map(len, fine.nodes_within(latency_s))) < 0.7 * sum(map(len, coarse.nodes_within(latency_s)))


def taken(graph: Graph, plan: Plan) -> list[tuple[int, int, object]]:
    """The last operator of each unit of a plan, its number of operators, and its placement."""
    spans = plan.spans(graph) or (1,) * len(graph)
    ends = np.cumsum(spans) - 1
    return list(zip(map(int, ends), spans, plan.by_last_operator(graph), strict=True))


def test_with_blocks_never_slower_than_without() -> None:
    """The space with blocks holds the space without."""
    graph = load_model("alexnet", input_size=127)
    for name in ("wifi-x3", "edge-x2"):
        cluster = load_cluster(name, graph)
        latencies = [solve_milp(graph, cluster, longest_block=longest).latency_s for longest in (1, 2, 5)]
        assert latencies[0] >= latencies[1] * (1 - 1e-4)
        assert latencies[1] >= latencies[2] * (1 - 1e-4)
