"""The exact method where figures differ by many powers of ten: nothing is raised, no bound is too high, no optimum is beaten."""

import random
from collections import Counter
from dataclasses import replace

import pytest
from support.random_branches import random_branched_graph
from support.random_instances import random_cluster, random_graph

from iopopt import evaluate, load_model, solve, solve_exhaustive, solve_milp
from iopopt.methods.exhaustive import plan_count

CLAIMED_GAP = 1e-4 + 4e-6
"""What separates an optimum from the latency of a plan that is called optimal: the gap, and the tolerance of the back ends."""


def extreme_cluster(rng, devices):
    """Speeds of 1e6 to 1e12 FLOP/s, links of 1 kB/s to 10 GB/s, set-up times of 0 to 10 s."""
    cluster = random_cluster(rng, devices=devices)
    drawn = tuple(
        replace(device, flops_per_s=10 ** rng.uniform(6, 12), bandwidth_bytes_per_s=10 ** rng.uniform(3, 10), memory_bytes=1e12)
        for device in cluster.devices
    )
    return replace(cluster, devices=drawn, connection_setup_s=rng.choice([0.0, 10 ** rng.uniform(-9, 1), rng.uniform(0, 10)]))


def tightened(graph, cluster, rng):
    """Two of three clusters keep their memory; in the others it is around what the network needs."""
    if rng.random() < 2 / 3:
        return cluster
    need = sum(graph.whole_memory_bytes(cluster.bytes_per_element))
    return replace(cluster, devices=tuple(replace(device, memory_bytes=max(1, int(need * rng.uniform(0.2, 1.2)))) for device in cluster.devices))


def tiny_extreme_instance(seed):
    """A chain or a graph with branches that can be enumerated, and a team."""
    rng = random.Random(seed)
    while True:
        graph = random_branched_graph(rng, tiny=True) if seed % 2 else random_graph(rng, operators=rng.randint(2, 4), tiny=True)
        cluster = extreme_cluster(rng, rng.choice([2, 3]))
        team = rng.choice(["all", "best"])
        if plan_count(graph, cluster, team) <= 60_000:
            return graph, tightened(graph, cluster, rng), team


def agrees(seed, backend):
    """Solve one tiny instance and compare with enumeration; returns the status, and whether a back end was doubted."""
    graph, cluster, team = tiny_extreme_instance(seed)
    truth = solve_exhaustive(graph, cluster, team=team)
    found = solve_milp(graph, cluster, team=team, backend=backend, time_limit_s=30)
    if truth.plan is None:
        assert found.status in ("infeasible", "unknown")
        return found.status, False
    assert found.status in ("optimal", "feasible")
    assert found.latency_s == evaluate(graph, cluster, found.plan).latency_s
    assert found.bound_s <= truth.latency_s * (1 + 1e-9)
    if found.status == "optimal":
        assert found.latency_s <= truth.latency_s * (1 + CLAIMED_GAP)
    else:
        assert found.reason
    return found.status, bool(found.reason)


@pytest.mark.parametrize("seed", range(6))
def test_a_few_extreme_instances(seed):
    """Six instances with HiGHS, chains and branches in turn."""
    agrees(seed, "highs")


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["highs", "cbc", "scipy"])
def test_many_extreme_instances(backend):
    """80 further instances with each back end; most are proven."""
    statuses = Counter(agrees(seed, backend)[0] for seed in range(100, 180))
    assert statuses["optimal"] >= 40


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_extreme_instances_of_a_whole_network(seed):
    """MobileNet-V2 at 64 pixels, which cannot be enumerated: nothing is raised, and no other method beats the bound or an optimum."""
    rng = random.Random(seed)
    graph = load_model("mobilenet_v2", input_size=64)
    cluster = extreme_cluster(rng, rng.choice([2, 3, 4]))
    cluster = replace(cluster, devices=tuple(replace(device, memory_bytes=1e9) for device in cluster.devices))
    found = solve_milp(graph, cluster, time_limit_s=10)
    assert found.status in ("optimal", "feasible")
    for method in ("single", "oc", "coedge", "greedy", "iop_segments", "dp"):
        other = solve(graph, cluster, method)
        if other.status == "feasible":
            assert found.bound_s <= other.latency_s * (1 + 1e-9)
            assert found.latency_s <= other.latency_s * (1 + CLAIMED_GAP)


def test_the_instances_are_extreme():
    """Of the tiny instances some differ a millionfold in speed, some a millionfold in bandwidth, and some have no set-up time."""
    clusters = [tiny_extreme_instance(seed)[1] for seed in range(40)]
    for figure in ("flops_per_s", "bandwidth_bytes_per_s"):
        ratios = [max(of) / min(of) for of in ([getattr(device, figure) for device in cluster.devices] for cluster in clusters)]
        assert max(ratios) > 1e4
    assert min(cluster.connection_setup_s for cluster in clusters) == 0
    assert max(cluster.connection_setup_s for cluster in clusters) > 1
