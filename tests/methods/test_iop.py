"""The IOP greedy and the dynamic program over the same segments."""

import itertools
import random

import pytest
from support.random_branches import random_branched_graph
from support.random_instances import random_cluster, random_graph, random_team

from iopopt import GraphBuilder, evaluate, load_cluster, load_model, solve_coedge, solve_greedy, solve_iop_segments
from iopopt.methods import cost_tables, iop_segments
from iopopt.methods.coedge import coedge_placements
from iopopt.methods.greedy import iop_pair, paired_successor
from iopopt.network.epilogue import Mixing
from iopopt.plan.plan import Plan


def every_segmentation(graph):
    """All ways to cut the operators into singles and pairs, as lists of segment lengths; no pair ends in a grouped operator."""
    for lengths in itertools.product((1, 2), repeat=len(graph)):
        for used in range(len(graph) + 1):
            ends = list(itertools.accumulate(lengths[:used]))
            if used and ends[-1] == len(graph):
                if all(length == 1 or graph.operators[end - 1].groups == 1 for length, end in zip(lengths, ends, strict=False)):
                    yield lengths[:used]
                break


def plan_of(graph, cluster, segments, reduce):
    """CoEdge on the singles, OC then IC on the pairs."""
    team = tuple(range(len(cluster)))
    placements, position = coedge_placements(graph, cluster, team, "fastest"), 0
    for length in segments:
        if length == 2:
            placements[position : position + 2] = iop_pair(graph.placed_units[position], cluster, team, reduce)
        position += length
    return Plan.of(graph, placements)


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("reduce", ["direct", "two_phase"])
def test_segments_are_optimal(seed, reduce):
    """The dynamic program finds the least latency of all segmentations, enumerated one by one."""
    rng = random.Random(seed)
    graph, cluster = random_graph(rng, operators=rng.randint(2, 6)), random_cluster(rng)
    prices = [evaluate(graph, cluster, plan_of(graph, cluster, cut, reduce)).latency_s for cut in set(every_segmentation(graph))]
    assert solve_iop_segments(graph, cluster, reduce=reduce).latency_s == pytest.approx(min(prices), rel=1e-12)


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


def every_pairing(graph):
    """All sets of pairs of which no two share an operator."""
    pairs = [(i, paired_successor(graph, i)) for i in range(len(graph)) if paired_successor(graph, i) is not None]
    for count in range(len(pairs) + 1):
        for chosen in itertools.combinations(pairs, count):
            ends = [end for pair in chosen for end in pair]
            if len(ends) == len(set(ends)):
                yield chosen


def paired_plan(graph, cluster, team, pairs, reduce):
    """CoEdge with these pairs."""
    placements = coedge_placements(graph, cluster, team, "fastest")
    for first, second in pairs:
        placements[first], placements[second] = iop_pair(graph.placed_units[first], cluster, team, reduce)
    return Plan.of(graph, placements)


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("reduce", ["direct", "two_phase"])
def test_segments_of_branched_graphs_are_optimal(seed, reduce):
    """With branches too, no set of pairs is faster than the one found, and greedy lies between it and CoEdge, over any team."""
    rng = random.Random(seed)
    graph, cluster = random_branched_graph(rng), random_cluster(rng)
    team = random_team(rng, len(cluster))
    prices = [evaluate(graph, cluster, paired_plan(graph, cluster, team, pairs, reduce)).latency_s for pairs in every_pairing(graph)]
    segments = solve_iop_segments(graph, cluster, team=team, reduce=reduce).latency_s
    greedy = solve_greedy(graph, cluster, team=team, reduce=reduce).latency_s
    assert segments == pytest.approx(min(prices), rel=1e-12)
    assert segments <= greedy * (1 + 1e-12)
    assert greedy <= solve_coedge(graph, cluster, team=team).latency_s


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("name", ["together", "elimination"])
def test_segments_without_room_for_tables(seed, name, monkeypatch):
    """With a table for each edge, or without room for the elimination, segments are still never slower than greedy."""
    if name == "together":
        monkeypatch.setattr(cost_tables, "MOST_TOGETHER", 0)
    else:
        monkeypatch.setattr(iop_segments, "_MOST_ADDED_UP", 1)
    rng = random.Random(seed)
    graph, cluster = random_branched_graph(rng), random_cluster(rng)
    assert solve_iop_segments(graph, cluster).latency_s <= solve_greedy(graph, cluster).latency_s * (1 + 1e-12)


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
