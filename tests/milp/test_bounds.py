"""The best makespan is the least of all shares."""

import random
from collections import Counter

import pytest
from support.random_blocks import random_fusible_graph
from support.random_branches import random_branched_graph
from support.random_instances import random_cluster, random_graph
from support.tiny_edges import even_cluster, least_makespan_s, random_order_of_team

from iopopt import GraphBuilder
from iopopt.milp.bounds import best_makespan_s


@pytest.mark.parametrize("branched", [False, True], ids=["chain", "branched"])
def test_the_best_makespan_is_that_of_the_best_shares(branched):
    """For every dimension of random operators it is the least compute time over all integer shares in whole granules, pools included."""
    seen = Counter()
    for seed in range(60):
        rng = random.Random(seed)
        graph = random_branched_graph(rng, tiny=True) if branched else random_graph(rng, tiny=True)
        cluster = random_cluster(rng, devices=rng.choice([2, 3, 4]))
        team = random_order_of_team(rng, len(cluster), seed)
        for unit in graph.placed_units:
            for dim in unit.dims:
                least_s = least_makespan_s(unit, dim, cluster, team)
                assert best_makespan_s(unit, dim, cluster, team) == pytest.approx(least_s, rel=1e-12)
                overlapping = unit.pool.extent > unit.pool.stride
                seen[dim, unit.granularities[dim] > 1, overlapping and dim == "H"] += unit.flops > 0
    cases = {key for key, count in seen.items() if count}
    assert cases >= {("H", False, False), ("OC", False, False), ("IC", False, False)}
    assert branched or {("OC", True, False), ("H", False, True)} <= cases


def test_the_best_makespan_of_blocks():
    """Of fused blocks too, whose first and last participants compute and touch less than those between; with memory bandwidths and without."""
    rng, seen = random.Random(8), Counter()
    for _ in range(60):
        graph, cluster = random_fusible_graph(rng), random_cluster(rng, devices=rng.choice([2, 3]))
        for members in graph.blocks(3):
            unit = graph.block(members)
            team = tuple(rng.sample(range(len(cluster)), len(cluster)))
            if unit.sizes["H"] <= 12:
                assert best_makespan_s(unit, "H", cluster, team) == pytest.approx(least_makespan_s(unit, "H", cluster, team), rel=1e-12)
                seen[any(device.memory_bytes_per_s for device in cluster.devices)] += unit.flops > 0
    assert min(seen[False], seen[True]) > 10


def test_the_best_makespan_by_hand():
    """Six rows of 10 FLOPs on two devices of 10 FLOP/s take 3 s, one channel cannot be shared and takes 6 s."""
    graph = GraphBuilder("hand", (1, 6, 5)).conv(1, 1, bias=False).build()
    cluster = even_cluster(2, flops_per_s=10.0)
    assert best_makespan_s(graph.units[0], "H", cluster, (0, 1)) == 3.0
    assert best_makespan_s(graph.units[0], "OC", cluster, (0, 1)) == 6.0
