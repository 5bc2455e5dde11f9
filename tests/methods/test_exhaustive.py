"""Enumeration itself, against counting and against a plain loop."""

import itertools
import random
from dataclasses import replace

import pytest
from support.random_branches import random_branched_graph
from support.random_instances import random_cluster

from iopopt import InstanceTooLargeError, evaluate, load_cluster, load_model, solve, solve_exhaustive
from iopopt.methods.exhaustive import all_placements, plan_count
from iopopt.network.builder import GraphBuilder
from iopopt.plan.plan import Plan


@pytest.fixture
def graph():
    return GraphBuilder("two", (1, 4, 3)).conv(2, 2).fc(2).build()


def test_the_count_of_plans(graph):
    """By hand for two devices: conv has 2 whole + C(4,1) rows + C(3,1) OC + 2 C(2,1) IC = 13, fc 2 + 3 + 2 x 3 = 11; 13 x 11 = 143."""
    cluster = random_cluster(random.Random(0), devices=2)
    assert plan_count(graph, cluster) == 143
    assert [len(list(all_placements(operator.unit, cluster, (0, 1)))) for operator in graph.operators] == [13, 11]


def test_groups_are_counted_whole():
    """Two groups of three channels on two devices: 2 whole + C(4,1) rows + C(3,1) ways for two groups = 9, no IC."""
    grouped = GraphBuilder("grouped", (2, 4, 3)).conv(6, 2, groups=2).build()
    cluster = random_cluster(random.Random(0), devices=2)
    placements = list(all_placements(grouped.placed_units[0], cluster, (0, 1)))
    assert plan_count(grouped, cluster) == len(placements) == 9
    assert {placement.shares for placement in placements if placement.dim == "OC"} == {(0, 6), (3, 3), (6, 0)}


def test_kinds_without_a_kernel_are_counted():
    """By hand on two devices. Upsampling by 2, two rows give four: 2 whole + C(3,1) rows in twos + C(4,1) OC of three channels = 9; a sum
    has rows one by one, 2 + C(5,1) + C(4,1) = 11; neither has IC."""
    net = GraphBuilder("kinds", (3, 2, 2)).upsample(2)
    graph = net.add(net.tip, net.tip).build()
    cluster = random_cluster(random.Random(0), devices=2)
    placements = [list(all_placements(operator.unit, cluster, (0, 1))) for operator in graph.operators]
    assert [len(ways) for ways in placements] == [9, 11]
    assert plan_count(graph, cluster) == 99
    assert {placement.shares for placement in placements[0] if placement.dim == "H"} == {(0, 4), (2, 2), (4, 0)}


@pytest.mark.parametrize("seed", range(20))
def test_no_method_beats_it_on_branched_graphs(seed):
    """On tiny graphs with branches every method's plan costs at least the optimum, which is the evaluator's price of its plan."""
    rng = random.Random(seed)
    graph, cluster = random_branched_graph(rng, tiny=True), random_cluster(rng, devices=2)
    optimum = solve_exhaustive(graph, cluster)
    assert optimum.latency_s == evaluate(graph, cluster, optimum.plan).latency_s
    for method in ("single", "oc", "coedge", "greedy", "iop_segments", "dp"):
        solution = solve(graph, cluster, method)
        assert solution.latency_s == evaluate(graph, cluster, solution.plan).latency_s
        assert solution.latency_s >= optimum.latency_s * (1 - 1e-12)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("factor", [1.5, 0.7])
def test_it_finds_what_a_plain_loop_finds(seed, factor, graph):
    """The optimum under memory limits is that of pricing every plan with the evaluator."""
    cluster = random_cluster(random.Random(seed), devices=2)
    weights, activations = graph.whole_memory_bytes(cluster.bytes_per_element)
    limit = factor * (weights + activations)
    cluster = replace(cluster, devices=tuple(replace(device, memory_bytes=limit) for device in cluster.devices))
    ways = [list(all_placements(operator.unit, cluster, (0, 1))) for operator in graph.operators]
    prices = [evaluate(graph, cluster, Plan.of(graph, list(choice))) for choice in itertools.product(*ways)]
    best = min((price.latency_s for price in prices if price.feasible), default=float("inf"))
    solution = solve_exhaustive(graph, cluster)
    assert solution.latency_s == pytest.approx(best, rel=1e-12)
    assert solution.status == ("optimal" if best < float("inf") else "infeasible")


def test_real_sizes_are_refused_with_their_count():
    """A network of real size is refused; the message says how many plans it has and what to use instead.

    n units fall to three devices in (n + 2)(n + 1) / 2 ways; input channels count twice, for the two reduces.
    """
    sizes = [(27, 64, 3), (13, 192, 64), (13, 384, 192), (13, 256, 384), (6, 256, 256), (None, 4096, 256), (None, 4096, 4096), (None, 1000, 4096)]
    count = 1
    for rows, outputs, inputs in sizes:
        ways = [(n + 2) * (n + 1) // 2 for n in (rows, outputs, inputs, inputs) if n is not None]
        count *= 3 + sum(ways)
    graph = load_model("alexnet")
    with pytest.raises(InstanceTooLargeError, match=f"{count:.3g} plans.*milp".replace("+", r"\+")):
        solve_exhaustive(graph, load_cluster("edge-x3", graph))


def test_the_best_team_is_at_least_as_good_as_any(graph):
    """team="best" gives the least of the optima of all teams."""
    cluster = random_cluster(random.Random(5), devices=3)
    teams = [(0, 1), (0, 2), (1, 2), (0, 1, 2)]
    assert solve_exhaustive(graph, cluster, team="best").latency_s == min(solve_exhaustive(graph, cluster, team=team).latency_s for team in teams)
