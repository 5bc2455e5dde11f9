"""Bounds on nodes hold for every plan, and rule out most nodes of a deep network."""

import itertools
import math
import random

import numpy as np
import pytest
from support.programs import tiny_instance
from support.random_branches import random_branched_graph
from support.random_instances import random_cluster, random_graph
from support.tiny_edges import compute_s, edges_of, least_makespan_s

from iopopt import GraphBuilder, Placement, Plan, PlanBatch, Pricer, evaluate, load_cluster, load_model, solve_dp
from iopopt.cost.instance import Instance
from iopopt.methods.exhaustive import all_placements
from iopopt.milp import place_tables, pruning
from iopopt.milp.arcs import node_of, nodes_of, whole
from iopopt.milp.pruning import NodeBounds, bound_nodes


def least_latencies(graph, cluster, team):
    """For each node of each operator the latency of the fastest plan that takes it, memory aside, by enumeration of all plans."""
    ways = [list(all_placements(operator.unit, cluster, team)) for operator in graph.operators]
    states = [PlanBatch.of([[way] for way in of], len(cluster)) for of in ways]
    numbers = np.unravel_index(np.arange(np.prod([len(of) for of in ways])), [len(of) for of in ways])
    latency = Pricer(graph, cluster).price(PlanBatch.join([state.take(number) for state, number in zip(states, numbers, strict=True)])).latency_s
    least = {}
    for i, (of, number) in enumerate(zip(ways, numbers, strict=True)):
        for way, placement in enumerate(of):
            key = i, node_of(placement)
            least[key] = min(least.get(key, np.inf), float(latency[number == way].min()))
    return least


@pytest.mark.parametrize("branched", [False, True], ids=["chain", "branched"])
@pytest.mark.parametrize("seed", range(40))
def test_no_plan_is_faster_than_the_bounds_of_its_nodes(seed, branched):
    """Every node's bound is at most the latency of the fastest plan with that node; the least bound is at most that of any plan."""
    graph, cluster, team = small_instance(seed, branched=branched)
    found, truth = bound_nodes(Instance(graph, cluster), team), least_latencies(graph, cluster, team)
    for i, (nodes, bounds) in enumerate(zip(found.nodes, found.bounds_s, strict=True)):
        for node, bound in zip(nodes, bounds, strict=True):
            assert bound <= truth[i, node] * (1 + 1e-9) + 1e-15
    assert found.least_s <= min(truth.values()) * (1 + 1e-9) + 1e-15


@pytest.mark.parametrize("branched", [False, True], ids=["chain", "branched"])
@pytest.mark.parametrize("seed", range(40))
def test_bounds_within_a_latency_hold_up_to_it(seed, branched):
    """With shares divided every node's bound is at most the latency of the fastest plan with that node, or that up to which it holds."""
    graph, cluster, team = small_instance(seed, branched=branched)
    truth, instance = least_latencies(graph, cluster, team), Instance(graph, cluster)
    undivided = bound_nodes(instance, team)
    for within_s in (min(truth.values()), np.median(list(truth.values())), max(truth.values())):
        found = bound_nodes(instance, team, within_s=within_s)
        for i, (nodes, bounds, before) in enumerate(zip(found.nodes, found.bounds_s, undivided.bounds_s, strict=True)):
            assert (bounds >= before).all()
            for node, bound in zip(nodes, bounds, strict=True):
                assert bound <= max(min(truth[i, node], within_s), undivided.bounds_s[i][nodes.index(node)]) * (1 + 3e-9) + 1e-15
                assert bound <= truth[i, node] * (1 + 3e-9) + 1e-15
        assert found.least_s <= min(truth.values()) * (1 + 1e-9) + 1e-15


def test_the_nodes_of_a_known_plan_are_kept():
    """A plan's own nodes are among those that may be as fast as it is."""
    for name, instance in (("alexnet", "edge-x3"), ("resnet18", "slow-link-x3"), ("mobilenet_v2", "edge-x4")):
        graph = load_model(name)
        cluster = load_cluster(instance, graph)
        solution = solve_dp(graph, cluster)
        found = bound_nodes(Instance(graph, cluster), range(len(cluster)), within_s=solution.latency_s)
        kept = found.nodes_within(solution.latency_s)
        assert all(node_of(placement) in nodes for placement, nodes in zip(solution.plan.values(), kept, strict=True))


def test_most_nodes_of_a_deep_network_are_ruled_out():
    """On ResNet-50 with four devices more than half of the nodes cannot be in a plan as fast as the dynamic program's; the bound is near."""
    graph = load_model("resnet50")
    cluster = load_cluster("edge-x4", graph)
    latency_s = solve_dp(graph, cluster).latency_s
    found = bound_nodes(Instance(graph, cluster), range(4))
    assert sum(map(len, found.nodes_within(latency_s))) < 0.5 * sum(map(len, found.nodes))
    assert 0.98 * latency_s < found.least_s <= latency_s


@pytest.mark.parametrize("joined", [3, 6, 30])
def test_dense_blocks_are_bounded_too(joined):
    """Where every operator reads all before it, no table grows beyond its limit, and the bounds still hold for a known plan."""
    net = GraphBuilder("dense", (8, 32, 32)).conv(16, 3, padding=1)
    tensors = [net.tip]
    for _ in range(joined):
        net.concat(*tensors) if len(tensors) > 1 else net.at(tensors[0])
        tensors.append(net.conv(8, 3, padding=1).relu().tip)
    graph = net.concat(*tensors).conv(4, 1).build()
    cluster = load_cluster("mcu-x4", graph)
    latency_s = solve_dp(graph, cluster).latency_s
    found = bound_nodes(Instance(graph, cluster), range(4))
    assert 0.5 * latency_s < found.least_s <= latency_s


def enumerated_bounds(graph, cluster, team, combine):
    """The bounds of all nodes by enumeration of nodes: compute times at their least, and arcs at theirs, which ``combine`` makes one
    figure of for the edges into each operator."""
    nodes = [nodes_of(unit, len(cluster), team) for unit in graph.placed_units]
    computing = [
        [
            compute_s(unit, Placement.whole(node.device), cluster) if node.dim is None else least_makespan_s(unit, node.dim, cluster, team)
            for node in ways
        ]
        for unit, ways in zip(graph.placed_units, nodes, strict=True)
    ]
    floors = {id(tiny.edge): least_between(tiny, first=first) for tiny, first in zip(edges_of(graph, cluster, team), first_edges(graph), strict=True)}
    least = [[np.inf] * len(ways) for ways in nodes]
    for choice in itertools.product(*(range(len(ways)) for ways in nodes)):
        taken = [ways[number] for ways, number in zip(nodes, choice, strict=True)]
        cost = sum(seconds[number] for seconds, number in zip(computing, choice, strict=True))
        taken += [whole(cluster.sink), whole(cluster.source or 0)]
        for edges in graph.edges_into:
            priced = [edge for edge in edges if edge.producer != graph.source or cluster.source is not None]
            parts = [floors[id(edge)][taken[edge.producer], taken[edge.consumer]] for edge in priced]
            cost += combine(parts, counted=edges[0] in priced) if parts else 0
        for i, number in enumerate(choice):
            least[i][number] = min(least[i][number], cost)
    return least


def assert_same_bounds(graph, cluster, bounds, expected):
    """They are equal up to what is so much slower than one device that it counts as no plan."""
    alone = Plan.of(graph, [Placement.whole(0)] * len(graph))
    most_s = place_tables._FORBIDDEN * (evaluate(graph, cluster, alone).latency_s or 1.0)
    assert np.minimum(bounds, most_s) == pytest.approx(np.minimum(expected, most_s), rel=1e-9, abs=1e-15)


def first_edges(graph):
    """For every edge of the graph, the source's and the sink's among them, whether it is the first out of its producer."""
    producers = [edge.producer for edges in graph.edges_into for edge in edges]
    return [producer not in producers[:number] for number, producer in enumerate(producers)]


def least_between(edge, *, first):
    """The least floor of the arcs between each two nodes."""
    found = {}
    for arc in edge.arcs:
        ends = arc.source, arc.target
        found[ends] = min(found.get(ends, np.inf), edge.floor_s(arc, first=first))
    return found


@pytest.mark.parametrize("branched", [False, True], ids=["chain", "branched"])
@pytest.mark.parametrize("seed", range(20))
def test_bounds_are_the_least_sums_over_nodes(seed, branched):
    """Elimination leaves nothing out: the bounds are those of all combinations of nodes, with the dearest edge into each operator."""
    graph, cluster, team = small_instance(seed, branched=branched)
    truth = enumerated_bounds(graph, cluster, team, lambda parts, counted: max(parts))
    for bounds, expected in zip(bound_nodes(Instance(graph, cluster), team).bounds_s, truth, strict=True):
        assert_same_bounds(graph, cluster, bounds, expected)


@pytest.mark.parametrize("seed", range(12))
def test_large_tables_are_replaced_by_weaker_bounds(seed, monkeypatch):
    """Where a table over all edges of an operator would be larger than the limit the mean of its edges counts, and where elimination itself grows too
    large its first edge alone."""
    graph, cluster, team = small_instance(seed, branched=True)
    strong = bound_nodes(Instance(graph, cluster), team)
    ends = [{end for edge in edges for end in (edge.producer, edge.consumer)} for edges in Instance(graph, cluster).edges_into[: graph.sink]]
    largest = max(math.prod(len(strong.nodes[end]) for end in of if end != graph.source) for of in ends)
    monkeypatch.setattr(place_tables, "_MOST_TOGETHER", largest)
    for bounds, expected in zip(bound_nodes(Instance(graph, cluster), team).bounds_s, strong.bounds_s, strict=True):
        assert bounds.tolist() == expected.tolist()
    monkeypatch.setattr(place_tables, "_MOST_TOGETHER", 0)
    mean = bound_nodes(Instance(graph, cluster), team)
    truth = enumerated_bounds(graph, cluster, team, lambda parts, counted: sum(parts) / len(parts))
    for bounds, expected in zip(mean.bounds_s, truth, strict=True):
        assert_same_bounds(graph, cluster, bounds, expected)
    monkeypatch.setattr(pruning, "_MOST_ENTRIES", 1)
    first = bound_nodes(Instance(graph, cluster), team)
    truth = enumerated_bounds(graph, cluster, team, lambda parts, counted: parts[0] if counted else 0)
    for bounds, expected in zip(first.bounds_s, truth, strict=True):
        assert_same_bounds(graph, cluster, bounds, expected)
    assert mean.least_s <= strong.least_s * (1 + 1e-9)


def test_nodes_within_a_latency_are_those_of_no_greater_bound():
    """A bound of just the latency is within it, rounding included, one a millionth above is not; the least bound lies a little below."""
    nodes = [nodes_of(unit, 2, (0, 1)) for unit in GraphBuilder("x", (2, 2, 2)).conv(2, 1).build().placed_units]
    bounds = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    found = NodeBounds(nodes, [bounds])
    assert len(nodes[0]) == 5
    for latency_s, count in ((3.0, 3), (3.0 * (1 - 1e-12), 3), (3.0 * (1 - 1e-6), 2), (0.5, 0), (9.0, 5)):
        assert found.nodes_within(latency_s) == [nodes[0][:count]]
    assert 1 - 1e-6 < found.least_s < 1
    assert NodeBounds(nodes * 2, [bounds, bounds + 1]).least_s == pytest.approx(2, rel=1e-6)


@pytest.mark.parametrize("branched", [False, True], ids=["chain", "branched"])
def test_the_nodes_of_the_optimum_stay(branched):
    """Of all plans of a tiny instance the fastest keeps its nodes within its own latency."""
    left_out = 0
    for seed in range(30):
        graph, cluster, team, plans = tiny_instance(seed, branched=branched, most_plans=4000)
        latency = Pricer(graph, cluster).price(plans).latency_s
        best = plans.plan(graph, int(latency.argmin()))
        found = bound_nodes(Instance(graph, cluster), team, within_s=float(latency.min()))
        kept = found.nodes_within(float(latency.min()))
        assert all(node_of(placement) in nodes for placement, nodes in zip(best.values(), kept, strict=True))
        left_out += sum(map(len, found.nodes)) - sum(map(len, kept))
    assert left_out > 50


def small_instance(seed, *, branched):
    """A graph of few nodes, a cluster and a team."""
    rng = random.Random(seed)
    graph = random_branched_graph(rng, tiny=True) if branched else random_graph(rng, operators=rng.randint(2, 3), tiny=True)
    cluster = random_cluster(rng, devices=rng.choice([2, 3]))
    return graph, cluster, any_team(rng, len(cluster), seed)


def any_team(rng, device_count, seed):
    """One device or more; in ascending order where the seed is even, in any where it is odd."""
    team = rng.sample(range(device_count), rng.randint(1, device_count))
    return tuple(team if seed % 2 else sorted(team))
