"""The programs at fixed strategies, against every choice of shares."""

import itertools
import random

import numpy as np
import pytest
from support.random_instances import random_cluster, random_graph, random_plan

from iopopt import Plan, evaluate, load_cluster, load_model
from iopopt.cost.instance import Instance
from iopopt.cost.stopwatch import NO_LIMIT
from iopopt.methods.dp import dp_plan
from iopopt.methods.dynamic.exact_shares import ShareProgram, program_sizes
from iopopt.methods.dynamic.near_strategies import strategies_of
from iopopt.methods.exhaustive import all_placements
from iopopt.milp.arcs import Node, node_of

GAP = 1e-6
"""Relative; the tolerance of the solver."""


def share_instance(seed):
    """A tiny chain, a cluster of two or three devices with memory to spare, and a plan of some strategies."""
    rng = random.Random(seed)
    graph, cluster = random_graph(rng, operators=2, tiny=True), random_cluster(rng, devices=rng.choice([2, 3]))
    return graph, cluster, random_plan(rng, graph, len(cluster), range(len(cluster)))


def program_of(graph, cluster, plan):
    scale_s = evaluate(graph, cluster, plan).latency_s or 1.0
    return ShareProgram(Instance(graph, cluster), range(len(cluster)), strategies_of(graph, plan), scale_s, NO_LIMIT)


def every_latency_s(graph, cluster, plan):
    """The latencies of all plans of the same strategies."""
    ways = [
        [way for way in all_placements(unit, cluster, tuple(range(len(cluster)))) if node_of(way) == node_of(plan[unit.name])]
        for unit in graph.placed_units
    ]
    return [evaluate(graph, cluster, Plan.of(graph, list(choice))).latency_s for choice in itertools.product(*ways)]


@pytest.mark.parametrize("seed", range(25))
def test_the_best_of_all_shares(seed):
    """The plan is the fastest of its strategies, and the relaxation is no slower."""
    graph, cluster, plan = share_instance(seed)
    program, best = program_of(graph, cluster, plan), min(every_latency_s(graph, cluster, plan))
    found = program.best_plan(GAP)
    assert strategies_of(graph, found) == strategies_of(graph, plan)
    assert evaluate(graph, cluster, found).latency_s == pytest.approx(best, rel=1e-5)
    assert program.bound_s <= best * (1 + 1e-6)


def test_shares_that_fit_the_memory():
    """A plan that overflows two devices by a quarter gets shares that fit; without room for the weights the relaxation is infinite."""
    graph = load_model("alexnet")
    cluster = load_cluster("edge-x4-tight-0.3", graph)
    plan = dp_plan(graph, load_cluster("edge-x4", graph), range(4))
    assert not evaluate(graph, cluster, plan).feasible
    assert evaluate(graph, cluster, program_of(graph, cluster, plan).best_plan(1e-3)).feasible
    assert np.isinf(program_of(graph, load_cluster("edge-x4-tight-0.1", graph), plan).bound_s)


@pytest.mark.parametrize("largest", [0, 40, 10**6])
def test_windows(largest):
    """Window after window the plan gets no slower, outside the window no share moves, and one window over everything is the whole program."""
    graph = load_model("vgg11")
    cluster = load_cluster("board-x4", graph)
    plan = dp_plan(graph, cluster, range(4), longest_block=4)
    program, latency_s = program_of(graph, cluster, plan), evaluate(graph, cluster, plan).latency_s
    whole_s = evaluate(graph, cluster, program.best_plan(GAP)).latency_s
    plans = [plan, *program.polished(plan, GAP, largest)]
    for before, after in itertools.pairwise(plans):
        assert evaluate(graph, cluster, after).latency_s <= evaluate(graph, cluster, before).latency_s * (1 + 1e-5)
        moved = [name for name in before.by_unit if before.by_unit[name] != after.by_unit[name]]
        assert len(moved) <= (1 if largest == 0 else len(before.by_unit))
    assert evaluate(graph, cluster, plans[-1]).latency_s < latency_s
    if largest == 10**6:
        assert len(plans) == 2
        assert evaluate(graph, cluster, plans[-1]).latency_s == pytest.approx(whole_s, rel=1e-5)


def test_sizes_of_programs():
    """Two copies of three shares and of their sum for each way into a split node: with two such nodes on both sides there are four ways."""
    graph = load_model("lenet5")
    cluster = load_cluster("mcu-x3", graph)
    instance = Instance(graph, cluster)
    rows, channels, whole = (frozenset([node]) for node in (Node("H", None), Node("OC", None), Node(None, 0)))
    strategies = (rows | channels, rows | channels | whole, whole, channels, channels)
    assert program_sizes(instance, strategies, range(3)) == [16, 32, 0, 8, 8]
