"""Algorithm 1 of the IOP paper."""

import itertools
import random

import pytest
from support.random_instances import random_cluster, random_graph
from support.segmentations import plan_of

from iopopt import GraphBuilder, evaluate, load_cluster, load_model, solve_coedge, solve_greedy, solve_iop_segments
from iopopt.methods.greedy import paired_successor
from iopopt.network.epilogue import Mixing


@pytest.mark.parametrize("seed", range(40))
def test_greedy_lies_between_segments_and_coedge(seed):
    """Greedy is never worse than CoEdge and never better than the best segmentation."""
    rng = random.Random(seed)
    graph, cluster = random_graph(rng, operators=rng.randint(2, 6)), random_cluster(rng)
    greedy = solve_greedy(graph, cluster).latency_s
    assert solve_iop_segments(graph, cluster).latency_s <= greedy * (1 + 1e-12)
    assert greedy <= solve_coedge(graph, cluster).latency_s


def test_greedy_follows_algorithm_1():
    """On AlexNet each decision is the comparison of two whole plans, repeated here by hand from the first operator on."""
    graph = load_model("alexnet")
    cluster = load_cluster("edge-x3", graph)
    segments, position = [], 0
    while position < len(graph):
        rest = len(graph) - position
        alone = evaluate(graph, cluster, plan_of(graph, cluster, [*segments, *[1] * rest], "direct")).latency_s
        paired = float("inf")
        if rest >= 2:
            paired = evaluate(graph, cluster, plan_of(graph, cluster, [*segments, 2, *[1] * (rest - 2)], "direct")).latency_s
        segments.append(2 if paired < alone else 1)
        position += segments[-1]
    assert 2 in segments
    assert solve_greedy(graph, cluster).plan == plan_of(graph, cluster, segments, "direct")


def test_greedy_is_not_optimal():
    """On AlexNet a pair that greedy takes blocks better ones: the dynamic program is faster."""
    graph = load_model("alexnet")
    cluster = load_cluster("edge-x3", graph)
    assert solve_iop_segments(graph, cluster).latency_s < 0.99 * solve_greedy(graph, cluster).latency_s


def test_no_pair_ends_in_a_grouped_operator(mobile_graph):
    """On a depthwise chain no grouped operator takes input channels, and pairs are found all the same."""
    cluster = load_cluster("mcu-x3", mobile_graph)
    for solve in (solve_greedy, solve_iop_segments):
        plan = solve(mobile_graph, cluster).plan
        assert all(plan[operator.name].dim != "IC" for operator in mobile_graph.operators if operator.groups > 1)
        assert any(placement.dim == "IC" for placement in plan.values())


def test_pairs_are_interleaved():
    """Between the two operators of a pair nothing is sent."""
    graph = load_model("lenet5")
    solution = solve_greedy(graph, load_cluster("mcu-x3", graph))
    for before, cost in itertools.pairwise(solution.evaluation.operators):
        if (before.placement.dim, cost.placement.dim) == ("OC", "IC"):
            assert cost.cases == ("interleaved",)
            assert cost.communication_s == 0


def test_what_begins_a_pair():
    """Only consumers make successors: not of several, not without input channels to take, not behind a step that mixes channels."""
    net = GraphBuilder("branches", (3, 8, 8)).conv(4, 3, padding=1, name="read_twice")
    begin = net.tip
    net.conv(4, 1, name="before_conv").conv(4, 3, padding=1, name="before_sum").add(begin, net.tip, name="sum")
    net.conv(4, 1, name="before_local").operator("elementwise", 4, name="alone", epilogue=())
    net.conv(4, 1, name="mixed").step(Mixing("softmax")).conv(4, 1, name="before_grouped").conv(4, 1, groups=2, name="grouped")
    graph = net.max_pool(2).conv(2, 1, name="last").build()
    names = [operator.name for operator in graph.operators]
    pairs = {(names[i], names[paired_successor(graph, i)]) for i in range(len(graph)) if paired_successor(graph, i) is not None}
    assert pairs == {("before_conv", "before_sum"), ("sum", "before_local"), ("alone", "mixed"), ("grouped", "last")}
