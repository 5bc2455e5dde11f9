"""The optimum over the segments of the IOP paper."""

import random

import pytest
from support.random_branches import random_branched_graph
from support.random_instances import random_cluster, random_graph, random_team
from support.segmentations import every_pairing, every_segmentation, paired_plan, plan_of

from iopopt import evaluate, solve_coedge, solve_greedy, solve_iop_segments
from iopopt.methods import cost_tables, iop_segments


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("reduce", ["direct", "two_phase"])
def test_segments_are_optimal(seed, reduce):
    """The dynamic program finds the least latency of all segmentations, enumerated one by one."""
    rng = random.Random(seed)
    graph, cluster = random_graph(rng, operators=rng.randint(2, 6)), random_cluster(rng)
    prices = [evaluate(graph, cluster, plan_of(graph, cluster, cut, reduce)).latency_s for cut in set(every_segmentation(graph))]
    assert solve_iop_segments(graph, cluster, reduce=reduce).latency_s == pytest.approx(min(prices), rel=1e-12)


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
