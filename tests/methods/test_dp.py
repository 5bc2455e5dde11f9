"""The dynamic program at fixed shares."""

import itertools
import random
from dataclasses import replace

import pytest
from support.random_branches import random_branched_graph
from support.random_instances import random_cluster, random_graph, random_team

from iopopt import Cluster, Device, GraphBuilder, Pricer, evaluate, load_cluster, load_model, solve, solve_dp
from iopopt.methods import cost_tables, dp
from iopopt.methods.fixed_shares import candidate_placements
from iopopt.models.googlenet import googlenet
from iopopt.models.mobilenet import mobilenet_v2
from iopopt.models.resnet import resnet18
from iopopt.plan.batch import PlanBatch
from iopopt.plan.plan import Plan
from iopopt.plan.shares import coarse_shares


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
    assert solve_dp(graph, cluster).latency_s == pytest.approx(best, rel=1e-12)


@pytest.mark.parametrize("seed", range(30))
def test_the_best_of_all_candidate_plans_of_branched_graphs(seed):
    """The same on graphs with branches, over any team."""
    rng = random.Random(seed)
    graph, cluster = random_branched_graph(rng, tiny=True), random_cluster(rng, devices=2)
    team = random_team(rng, 2)
    best = every_plan(graph, cluster, team).latency_s.min()
    assert solve_dp(graph, cluster, team=team).latency_s == pytest.approx(best, rel=1e-12)


@pytest.mark.parametrize("seed", range(20))
def test_tables_for_each_edge_come_near(seed, monkeypatch):
    """With a table for each edge of an operator the plan is no worse than the schemes that treat all operators alike."""
    monkeypatch.setattr(cost_tables, "MOST_TOGETHER", 0)
    rng = random.Random(seed)
    graph, cluster = random_branched_graph(rng), random_cluster(rng)
    found = solve_dp(graph, cluster).latency_s
    assert found <= min(solve(graph, cluster, method).latency_s for method in ("single", "oc", "coedge")) * (1 + 1e-12)


def test_without_room_for_the_elimination(monkeypatch):
    """Where no table fits that the elimination needs, the plan is still no worse than the schemes."""
    graph = densely_connected(7)
    cluster = load_cluster("mcu-x3", graph)
    everywhere = solve_dp(graph, cluster).latency_s
    monkeypatch.setattr(dp, "_MOST_ADDED_UP", 1000)
    monkeypatch.setattr(dp, "_MOST_HELD", 1000)
    found = solve_dp(graph, cluster).latency_s
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
        solution = solve_dp(graph, cluster)
        best = price.latency_s[price.feasible].min(initial=float("inf"))
        if solution.status == "feasible":
            assert solution.latency_s >= best * (1 - 1e-12)
        fit += price.feasible.any()
        found += solution.status == "feasible"
        fastest += solution.status == "feasible" and solution.latency_s <= best * (1 + 1e-9)
    assert fit >= 20
    assert found >= 0.9 * fit
    assert fastest >= 0.8 * fit


@pytest.mark.parametrize("factor", [0.3, 0.4, 0.5, 0.75])
@pytest.mark.parametrize("model", ["alexnet", "vgg16"])
def test_tight_memory_is_respected(model, factor):
    """Where the weights must be spread over the devices, the plan still fits."""
    graph = load_model(model)
    solution = solve_dp(graph, load_cluster(f"edge-x4-tight-{factor}", graph))
    assert solution.status == "feasible"


@pytest.mark.parametrize("build", [resnet18, mobilenet_v2, googlenet])
@pytest.mark.parametrize("factor", [0.3, 0.5])
def test_tight_memory_of_networks_with_branches(build, factor):
    """The same where tensors wait in memory for a later operator."""
    graph = build()
    assert solve_dp(graph, load_cluster(f"edge-x4-tight-{factor}", graph)).status == "feasible"


def test_no_bound_is_claimed():
    """A heuristic proves nothing, not even where it is right."""
    graph = load_model("lenet5")
    solution = solve_dp(graph, load_cluster("mcu-x3", graph))
    assert (solution.bound_s, solution.gap, solution.status) == (None, None, "feasible")


def test_rows_in_blocks():
    """Speeds 2 : 3 over 24 rows are 10 and 14, so are 12 blocks of 2, 5 and 7; 6 blocks of 4 are 2 and 4; 5 rows make up no block."""
    operator = GraphBuilder("rows", (1, 24, 3)).conv(2, 1).build().operators[0]
    assert [coarse_shares(operator.unit, (2, 3), block) for block in (1, 2, 4, 5)] == [(10, 14), (10, 14), (8, 16), None]
    cluster = Cluster((Device("a", 2e9, 1e9, 1e6), Device("b", 3e9, 1e9, 1e6)))
    rows = [placement.shares for placement in candidate_placements(operator.unit, cluster, (0, 1)) if placement.dim == "H"]
    assert {(10, 14), (8, 16), (12, 12)} <= set(rows)
    assert len(rows) == len(set(rows))


def test_rows_in_blocks_keep_to_units():
    """The 12 rows of an upsampling by 3 go in blocks of 3, 6, ..., not in blocks of 2 or 4."""
    operator = GraphBuilder("up", (1, 4, 3)).upsample((3, 1)).build().operators[0]
    assert [coarse_shares(operator.unit, (1, 1), block) for block in (2, 3, 4, 6)] == [None, (6, 6), None, (6, 6)]


def test_it_moves_the_input_only_where_it_must():
    """With the input at one device and a link that takes minutes, everything runs there."""
    graph = load_model("lenet5")
    cluster = load_cluster("mcu-x3", graph)
    slow = tuple(replace(device, bandwidth_bytes_per_s=10.0) for device in cluster.devices)
    plan = solve_dp(graph, replace(cluster, devices=slow, source=1, sink=1)).plan
    assert {placement.devices for placement in plan.values()} == {(1,)}
