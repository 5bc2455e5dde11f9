"""The program of a team in any order prices every plan of that team as the evaluator does."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import numpy as np
import pytest
from support.programs import least_objective
from support.random_branches import random_branched_graph, random_branched_plan
from support.random_instances import random_cluster, random_graph, random_plan
from support.random_orders import in_order, random_order

from iopopt import Cluster, Device, Graph, GraphBuilder, Placement, Plan, evaluate
from iopopt.cost.instance import Instance
from iopopt.milp.formulation import Formulation

BRANCHED = pytest.mark.parametrize("branched", [False, True], ids=["chain", "branched"])


def _instance(seed: int, branched: bool) -> tuple[Graph, Cluster, tuple[int, ...], Plan]:
    """A graph, a cluster, a team that does not ascend, and a plan of it."""
    rng = random.Random(seed)
    graph = random_branched_graph(rng) if branched else random_graph(rng)
    cluster = random_cluster(rng, devices=rng.choice([2, 3, 4]))
    team: tuple[int, ...] = (0, 1)
    while list(team) == sorted(team):
        team = random_order(rng, len(cluster))[: rng.randint(2, len(cluster))]
    plan = (random_branched_plan if branched else random_plan)(rng, graph, len(cluster), team)
    order = (*team, *(j for j in range(len(cluster)) if j not in team))
    return graph, cluster, team, Plan(tuple((name, in_order(placement, order)) for name, placement in plan.items()))


def _with_memory(cluster: Cluster, limits: list[float]) -> Cluster:
    devices = tuple(replace(device, memory_bytes=max(1.0, limit)) for device, limit in zip(cluster.devices, limits, strict=True))
    return replace(cluster, devices=devices)


@BRANCHED
def test_a_plan_costs_what_the_evaluator_says(branched: bool) -> None:
    """With a plan's integers fixed and memory just enough for it, the least objective is its latency, and the point gives the plan back."""
    for seed in range(30):
        graph, cluster, team, plan = _instance(seed, branched)
        evaluation = evaluate(graph, cluster, plan)
        formulation = Formulation(Instance(graph, _with_memory(cluster, list(evaluation.memory_bytes))), team, evaluation.latency_s)
        point = formulation.integer_point(plan)
        assert least_objective(formulation.program, point) == pytest.approx(1, rel=1e-7), seed
        x = np.zeros(len(formulation.program.objective))
        x[list(point)] = list(point.values())
        assert formulation.plan(x) == plan


@BRANCHED
def test_a_byte_too_little_on_any_device_excludes_the_plan(branched: bool) -> None:
    """One byte less than the plan needs, on each device in turn that it needs memory of, leaves no point."""
    excluded = 0
    for seed in range(100, 114):
        graph, cluster, team, plan = _instance(seed, branched)
        evaluation = evaluate(graph, cluster, plan)
        for j, demand in enumerate(evaluation.memory_bytes):
            if demand < 2:
                continue
            limits = [2 * limit for limit in evaluation.memory_bytes]
            limits[j] = demand - 1
            formulation = Formulation(Instance(graph, _with_memory(cluster, limits)), team, evaluation.latency_s)
            assert least_objective(formulation.program, formulation.integer_point(plan)) == math.inf, (seed, j)
            excluded += 1
    assert excluded > 20


def test_slices_that_are_held_follow_the_order() -> None:
    """Over (1, 0) device 1 completes two of three channels of c, which are live, 4 bytes, while it runs d alone: 3 + 9 + (6 + 6 + 4) = 28.

    c, pointwise, 2x2x1 -> 3x2x1 (W = 6), is IC 1/1, two-phase; d, another (W = 9), reads it; the sum of both is whole on device 0.
    """
    net = GraphBuilder("slices", (2, 2, 1)).conv(3, 1, bias=False, name="c")
    graph = net.add("c", net.conv(3, 1, bias=False, name="d").tip, name="sum").build()
    cluster = Cluster(tuple(Device(f"d{j}", 1.0, 1000.0, 1.0) for j in range(2)), bytes_per_element=1)
    plan = Plan.of(graph, [Placement.split("IC", (1, 0), (1, 1), "two_phase"), Placement.whole(1), Placement.whole(0)])
    evaluation = evaluate(graph, cluster, plan)
    assert evaluation.memory_bytes[1] == 28
    for limit, objective in ((28, pytest.approx(1, rel=1e-7)), (27, math.inf)):
        formulation = Formulation(Instance(graph, _with_memory(cluster, [1000, limit])), (1, 0), evaluation.latency_s)
        assert least_objective(formulation.program, formulation.integer_point(plan)) == objective
