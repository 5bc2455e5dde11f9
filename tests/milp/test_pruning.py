"""Bounds on nodes hold for every plan, and rule out most nodes of a deep network."""

import random

import numpy as np
import pytest
from support.random_branches import random_branched_graph
from support.random_instances import random_cluster, random_graph

from iopopt import GraphBuilder, PlanBatch, Pricer, load_cluster, load_model, solve_dp
from iopopt.cost.instance import Instance
from iopopt.methods.exhaustive import all_placements
from iopopt.milp.arcs import node_of
from iopopt.milp.pruning import bound_nodes


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
    rng = random.Random(seed)
    graph = random_branched_graph(rng, tiny=True) if branched else random_graph(rng, operators=rng.randint(2, 3), tiny=True)
    cluster = random_cluster(rng, devices=rng.choice([2, 3]))
    team = tuple(sorted(rng.sample(range(len(cluster)), rng.randint(1, len(cluster)))))
    found, truth = bound_nodes(Instance(graph, cluster), team), least_latencies(graph, cluster, team)
    for i, (nodes, bounds) in enumerate(zip(found.nodes, found.bounds_s, strict=True)):
        for node, bound in zip(nodes, bounds, strict=True):
            assert bound <= truth[i, node] * (1 + 1e-9) + 1e-15
    assert found.least_s <= min(truth.values()) * (1 + 1e-9) + 1e-15


def test_the_nodes_of_a_known_plan_are_kept():
    """A plan's own nodes are among those that may be as fast as it is."""
    for name, instance in (("alexnet", "edge-x3"), ("resnet18", "slow-link-x3"), ("mobilenet_v2", "edge-x4")):
        graph = load_model(name)
        cluster = load_cluster(instance, graph)
        solution = solve_dp(graph, cluster)
        kept = bound_nodes(Instance(graph, cluster), range(len(cluster))).nodes_within(solution.latency_s)
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
