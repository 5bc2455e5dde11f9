"""The dynamic programme at fixed shares."""

import itertools
import random
from dataclasses import replace

import pytest
from random_instances import random_cluster, random_graph

from iopopt import evaluate, load_cluster, load_model, solve_dp
from iopopt.methods.dp import candidate_placements
from iopopt.plan import Plan


@pytest.mark.parametrize("seed", range(30))
def test_the_best_of_all_candidate_plans(seed):
    """With memory to spare, the plan is the fastest of every combination of the candidates, priced one by one."""
    rng = random.Random(seed)
    graph, cluster = random_graph(rng, operators=2), random_cluster(rng, devices=rng.choice([2, 3]))
    team = tuple(range(len(cluster)))
    candidates = [candidate_placements(operator, cluster, team) for operator in graph.operators]
    best = min(evaluate(graph, cluster, Plan.of(graph, list(choice))).latency_s for choice in itertools.product(*candidates))
    assert solve_dp(graph, cluster).latency_s == pytest.approx(best, rel=1e-12)


@pytest.mark.parametrize("factor", [0.3, 0.4, 0.5, 0.75])
@pytest.mark.parametrize("model", ["alexnet", "vgg16"])
def test_tight_memory_is_respected(model, factor):
    """Where the weights must be spread over the devices, the plan still fits."""
    graph = load_model(model)
    solution = solve_dp(graph, load_cluster(f"edge-x4-tight-{factor}", graph))
    assert solution.status == "feasible"


def test_no_bound_is_claimed():
    """A heuristic proves nothing, not even where it is right."""
    graph = load_model("lenet5")
    solution = solve_dp(graph, load_cluster("mcu-x3", graph))
    assert (solution.bound_s, solution.gap, solution.status) == (None, None, "feasible")


def test_it_moves_the_input_only_where_it_must():
    """With the input at one device and a link that takes minutes, everything runs there."""
    graph = load_model("lenet5")
    cluster = load_cluster("mcu-x3", graph)
    slow = tuple(replace(device, bandwidth_bytes_per_s=10.0) for device in cluster.devices)
    plan = solve_dp(graph, replace(cluster, devices=slow, source=1, sink=1)).plan
    assert {placement.devices for placement in plan.values()} == {(1,)}
