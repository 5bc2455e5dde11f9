"""Contiguous stages, cut for memory or for throughput."""

from __future__ import annotations

import itertools
import random

import pytest

from iopopt import UnknownNameError, evaluate, load_cluster, load_model, simulate, solve_stages
from iopopt.cluster.cluster import Cluster, Device
from iopopt.methods.stages import stage_period_s
from iopopt.network.cut_points import single_tensor_runs
from iopopt.plan.placement import Placement
from iopopt.plan.plan import Plan


def random_cluster(rng: random.Random, devices: int) -> Cluster:
    made = [Device(f"d{j}", rng.uniform(1e9, 1e10), rng.uniform(1e8, 1e9), rng.uniform(1e6, 2e7)) for j in range(devices)]
    return Cluster(tuple(made), 1e-3, source=rng.choice([None, *range(devices)]), sink=rng.randrange(devices))


def every_plan(graph, team, runs):
    """Every way to give contiguous runs to the team in order, some devices without."""
    for cuts in itertools.combinations_with_replacement(range(len(runs) + 1), len(team) - 1):
        edges = (0, *cuts, len(runs))
        on = [device for device, (start, stop) in zip(team, itertools.pairwise(edges), strict=True) for run in runs[start:stop] for _ in run]
        yield Plan.of(graph, [Placement.whole(device) for device in on])


def memory_share(graph, cluster, plan):
    demands = evaluate(graph, cluster, plan).memory_bytes
    return max(demand / device.memory_bytes for demand, device in zip(demands, cluster.devices, strict=True))


@pytest.mark.parametrize("name", ["lenet5", "alexnet", "resnet18"])
def test_cuts_are_the_best_of_all(name):
    rng, graph = random.Random(name), load_model(name)
    anywhere = [range(number, number + 1) for number in range(len(graph))]
    for _ in range(2):
        cluster = random_cluster(rng, 3)
        team = rng.sample(range(3), 3)
        memory = {plan: memory_share(graph, cluster, plan) for plan in every_plan(graph, team, anywhere)}
        balance = {
            plan: max(sum(of) for of in zip(*(cost.device_compute_s for cost in evaluate(graph, cluster, plan).operators), strict=True))
            for plan in memory
        }
        check_best(solve_stages(graph, cluster, team=team).plan, memory, balance)
        period = {plan: stage_period_s(graph, cluster, plan) for plan in every_plan(graph, team, single_tensor_runs(graph))}
        check_best(solve_stages(graph, cluster, team=team, aim="throughput").plan, period, memory)


def longest_computation_s(graph, cluster, plan):
    by_operator = [cost.device_compute_s for cost in evaluate(graph, cluster, plan).operators]
    return max(map(sum, zip(*by_operator, strict=True)))


def check_best(plan, first, second):
    """A plan has the least of the first figure, and of all that have that the least of the second."""
    least = min(first.values())
    assert first[plan] == pytest.approx(least, rel=1e-9)
    assert second[plan] == pytest.approx(min(second[other] for other in first if first[other] <= least * (1 + 1e-9)), rel=1e-9)


@pytest.mark.parametrize(
    ("name", "aim"), [("lenet5", "memory"), ("vgg11", "memory"), *((name, "throughput") for name in ("lenet5", "resnet18", "squeezenet"))]
)
def test_simulated_throughput_is_that_of_the_slowest_stage(name, aim):
    """Transfers included, wherever source and sink are; less where one of them has a stage in the middle, whose link two tensors share."""
    rng, graph, exact = random.Random(7), load_model(name), 0
    for devices in (2, 3, 4, 4, 3, 3, 4):
        cluster = random_cluster(rng, devices)
        plan = solve_stages(graph, cluster, aim=aim).plan
        on = [device for device, _ in itertools.groupby(plan[operator.name].devices[0] for operator in graph.operators)]
        relative = simulate(graph, cluster, plan, inputs=60).throughput_per_s * stage_period_s(graph, cluster, plan)
        if cluster.source not in on[1:] and cluster.sink not in on[:-1]:
            assert relative == pytest.approx(1, rel=1e-9)
            exact += 1
        assert relative <= 1.001
    assert exact > 1


def test_every_device_at_most_once_in_order():
    graph = load_model("vgg16")
    cluster = load_cluster("board-x4", graph)
    solution = solve_stages(graph, cluster, team=(2, 0, 3))
    assert solution.space == "team=(2, 0, 3)"
    plan = solution.plan
    on = [plan[operator.name].devices[0] for operator in graph.operators]
    assert [device for device, _ in itertools.groupby(on)] == [2, 0, 3]


def test_unknown_aim():
    graph = load_model("lenet5")
    with pytest.raises(UnknownNameError, match="unknown aim 'speed'"):
        solve_stages(graph, load_cluster("edge-x3", graph), aim="speed")
