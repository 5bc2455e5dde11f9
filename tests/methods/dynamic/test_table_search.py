"""The search at fixed shares, against every combination of the candidates."""

import itertools
import random
from dataclasses import replace

import pytest
from support.random_branches import random_branched_graph
from support.random_instances import random_cluster, random_graph, random_team

from iopopt import GraphBuilder, Pricer, evaluate, load_cluster, solve
from iopopt.methods import cost_tables
from iopopt.methods.dp import dp_plan
from iopopt.methods.dynamic import choice_search
from iopopt.methods.dynamic.fixed_shares import candidate_placements
from iopopt.plan.batch import PlanBatch
from iopopt.plan.plan import Plan


def latency_s(graph, cluster, team=None):
    """That of the plan at fixed shares; of all devices unless a team is given."""
    return evaluate(graph, cluster, dp_plan(graph, cluster, team or tuple(range(len(cluster))))).latency_s


def every_plan(graph, cluster, team):
    """The prices of all combinations of the candidates."""
    candidates = [candidate_placements(operator.unit, cluster, team) for operator in graph.operators]
    return Pricer(graph, cluster).price(PlanBatch.of(list(itertools.product(*candidates)), len(cluster)))


def densely_connected(layers, channels=4):
    """Every convolution reads all before it, joined, and there are too many of them to eliminate one after another."""
    net = GraphBuilder("dense", (3, 8, 8)).conv(channels, 3, padding=1)
    tensors = [net.tip]
    for _ in range(layers):
        if len(tensors) > 1:
            net.concat(*tensors)
        tensors.append(net.conv(channels, 3, padding=1).tip)
    return net.build()


@pytest.mark.parametrize("seed", range(30))
def test_the_best_of_all_candidate_plans(seed):
    """With memory to spare, the plan is the fastest of every combination of the candidates, priced one by one."""
    rng = random.Random(seed)
    graph, cluster = random_graph(rng, operators=2), random_cluster(rng, devices=rng.choice([2, 3]))
    team = tuple(range(len(cluster)))
    candidates = [candidate_placements(operator.unit, cluster, team) for operator in graph.operators]
    best = min(evaluate(graph, cluster, Plan.of(graph, list(choice))).latency_s for choice in itertools.product(*candidates))
    assert latency_s(graph, cluster) == pytest.approx(best, rel=1e-12)


@pytest.mark.parametrize("seed", range(30))
def test_the_best_of_all_candidate_plans_of_branched_graphs(seed):
    """The same on graphs with branches, over any team."""
    rng = random.Random(seed)
    graph, cluster = random_branched_graph(rng, tiny=True), random_cluster(rng, devices=2)
    team = random_team(rng, 2)
    best = every_plan(graph, cluster, team).latency_s.min()
    assert latency_s(graph, cluster, team) == pytest.approx(best, rel=1e-12)


@pytest.mark.parametrize("seed", range(20))
def test_tables_for_each_edge_come_near(seed, monkeypatch):
    """With a table for each edge of an operator the plan is no worse than the schemes that treat all operators alike."""
    monkeypatch.setattr(cost_tables, "MOST_TOGETHER", 0)
    rng = random.Random(seed)
    graph, cluster = random_branched_graph(rng), random_cluster(rng)
    found = latency_s(graph, cluster)
    assert found <= min(solve(graph, cluster, method).latency_s for method in ("single", "oc", "coedge")) * (1 + 1e-12)


def test_without_room_for_the_elimination(monkeypatch):
    """Where no table fits that the elimination needs, the plan is still no worse than the schemes."""
    graph = densely_connected(7)
    cluster = load_cluster("mcu-x3", graph)
    everywhere = latency_s(graph, cluster)
    monkeypatch.setattr(choice_search, "MOST_ADDED_UP", 1000)
    monkeypatch.setattr(choice_search, "MOST_HELD", 1000)
    found = latency_s(graph, cluster)
    assert everywhere <= found <= min(solve(graph, cluster, method).latency_s for method in ("single", "oc", "coedge"))


def test_short_memory_of_branched_graphs():
    """Of 60 tiny instances under random limits, nearly all that some combination of candidates fits get a plan, and most get the fastest."""
    fit = found = fastest = 0
    for seed in range(60):
        rng = random.Random(seed)
        graph, cluster = random_branched_graph(rng, tiny=True), random_cluster(rng, devices=2)
        largest = every_plan(graph, cluster, (0, 1)).memory_bytes.max(axis=1)
        devices = [replace(device, memory_bytes=rng.uniform(0.3, 1.0) * float(most)) for device, most in zip(cluster.devices, largest, strict=True)]
        cluster = replace(cluster, devices=tuple(devices))
        price = every_plan(graph, cluster, (0, 1))
        solution = evaluate(graph, cluster, dp_plan(graph, cluster, (0, 1)))
        best = price.latency_s[price.feasible].min(initial=float("inf"))
        if solution.feasible:
            assert solution.latency_s >= best * (1 - 1e-12)
        fit += price.feasible.any()
        found += solution.feasible
        fastest += solution.feasible and solution.latency_s <= best * (1 + 1e-9)
    assert fit >= 20
    assert found >= 0.9 * fit
    assert fastest >= 0.8 * fit
