"""Memory of shares, by hand; the evaluator's tests compare it with a second implementation."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace

import pytest
from support.random_branches import random_branched_graph, random_branched_plan
from support.random_instances import random_cluster, random_graph, random_plan
from support.random_orders import reordered

from iopopt import Graph, GraphBuilder, Placement
from iopopt.cost.instance import Instance
from iopopt.cost.memory import DeviceDemand, memory_demands, share_memory, share_output
from iopopt.cost.work import share_work
from iopopt.network.terms import fixed, proportional
from iopopt.plan.streams import streamed


def test_memory_of_each_dimension(trio_graph: Graph) -> None:
    """b of the trio (W = 216, B = 6, in = 32, pre = 48; 8 input bytes a row, 12 before the pool), at two bytes an element."""
    b = trio_graph["b"].unit

    def demands(placement: Placement) -> list[DeviceDemand]:
        return [demand for _, demand in share_memory(b, placement, 2)]

    assert demands(Placement.whole(0)) == [(444, 160, 0)]
    # One row reads (1 - 1) + 3 = 3 rows, three rows 5: the formula makes no exception at the tensor's edge.
    assert demands(Placement.split("H", (0, 1), (1, 3))) == [(444, 2 * (3 * 8 + 12), 0), (444, 2 * (5 * 8 + 3 * 12), 0)]
    assert demands(Placement.split("OC", (0, 1), (0, 6))) == [(0, 64, 0), (444, 160, 0)]
    assert demands(Placement.split("IC", (0, 1), (1, 3))) == [(2 * (54 + 6), 2 * (8 + 48), 0), (2 * (162 + 6), 2 * (24 + 48), 0)]


def test_an_empty_row_share_keeps_the_kernel_and_rows(trio_graph: Graph) -> None:
    """An empty row share holds the kernel and, with K = 3 and S = 1, (0 - 1) + 3 = 2 input rows; no row before the pool."""
    demands = dict(share_memory(trio_graph["b"].unit, Placement.split("H", (0, 1), (0, 4)), 1))
    assert demands[0] == (222, 2 * 8, 0)


def test_what_is_held_of_an_output() -> None:
    """Five channels of 4 x 4, pooled to 2 x 2, at two bytes: 160 before the pool, 40 behind it.

    Whole, by rows and by channels its part of these 40; two-phase an even slice, whatever the share; direct all partial sums.
    """
    unit = GraphBuilder("x", (2, 4, 4)).conv(5, 1).max_pool(2).build().units[0]

    def held(placement: Placement) -> dict[int, float]:
        return dict(share_output(unit, placement, 2))

    assert held(Placement.whole(1)) == {1: 40}
    assert held(Placement.split("H", (1, 0), (2, 0))) == {1: 40, 0: 0}
    assert held(Placement.split("OC", (1, 0), (4, 1))) == pytest.approx({1: 32, 0: 8})
    assert held(Placement.split("IC", (1, 0), (0, 2), "two_phase")) == pytest.approx({1: 24, 0: 16})
    assert held(Placement.split("IC", (1, 0), (0, 2))) == {1: 160, 0: 160}


def test_a_gathered_output() -> None:
    """The device that gathers has room for the whole output, at least: 5 channels of 2 x 2 at two bytes are 40, beside nothing.

    A participant with one of two pooled rows computes two rows before the pool, 2 x (2 x 4 + 5 x 4) bytes each = 112, which are more; after a 3 x 3
    pool of stride 1 four rows of the output are 160 bytes, and the device with the empty share reads and makes 2 rows: 112. Nobody else holds it.
    """
    unit = GraphBuilder("x", (2, 4, 4)).conv(5, 1, bias=False).max_pool(2).build().units[0]
    gathered = Placement.split("H", (1, 0), (1, 1), gather=2)
    assert dict(share_memory(unit, gathered, 2)) == {1: (20, 112, 0), 0: (20, 112, 0), 2: (0, 40, 0)}
    assert dict(share_output(unit, gathered, 2)) == {2: 40}
    assert dict(share_output(unit, replace(gathered, gather=0), 2)) == {0: 40}
    unit = GraphBuilder("x", (2, 4, 4)).conv(5, 1, bias=False).max_pool(3, 1, 1).build().units[0]
    held = dict(share_memory(unit, Placement.split("H", (1, 0), (0, 4), gather=1), 2))
    assert (held[1], held[0]) == ((20, 160, 0), (20, 6 * 56, 0))


def test_shares_belong_to_devices_in_any_order() -> None:
    """What a share costs does not depend on its place in the order, but for the even slices, of which the first are the larger."""
    rng, compared = random.Random(1), 0
    for _ in range(80):
        graph = random_graph(rng)
        plan = reordered(rng, random_plan(rng, graph, 4), 4)
        for operator in graph.operators:
            placement = plan[operator.name]
            if placement.dim is None:
                continue
            shares = dict(zip(placement.devices, placement.shares, strict=True))
            ascending = Placement.split(placement.dim, sorted(shares), [shares[j] for j in sorted(shares)], placement.reduce or "direct")
            assert dict(share_work(operator.unit, placement, 4)) == dict(share_work(operator.unit, ascending, 4))
            assert dict(share_memory(operator.unit, placement, 4)) == dict(share_memory(operator.unit, ascending, 4))
            if placement.reduce != "two_phase":
                assert dict(share_output(operator.unit, placement, 4)) == dict(share_output(operator.unit, ascending, 4))
            compared += placement.devices != ascending.devices
    assert compared > 80


def test_some_rows_alone() -> None:
    """What some units need, live tensors and streams included, does not depend on which others are asked for."""
    rng = random.Random(5)
    for _ in range(10):
        graph, cluster = random_branched_graph(rng), random_cluster(rng, 3)
        instance = Instance(graph, cluster)
        placements = instance.placements(streamed(graph, random_branched_plan(rng, graph, 3), 1))
        demands = memory_demands(instance, placements)
        for first, last in itertools.combinations(range(len(demands) + 1), 2):
            assert memory_demands(instance, placements, range(first, last)) == demands[first:last]


def test_the_largest_of_several_amounts_counts() -> None:
    """Activations of 6 n/4 or of 5 elements, whichever is more: 5 at one channel of four, 6 at four; two bytes an element."""
    unit = GraphBuilder("x", (1, 1, 1)).conv(4, 1, bias=False).build().units[0]
    either = replace(unit, activations={**unit.activations, "OC": ((proportional(6, 4),), (fixed(5),))})
    found = {share: dict(share_memory(either, Placement.split("OC", (1, 0), (share, 4 - share)), 2)) for share in (1, 4)}
    assert found[1] == {1: DeviceDemand(2.0, 10.0), 0: DeviceDemand(6.0, 10.0)}
    assert found[4] == {1: DeviceDemand(8.0, 12.0), 0: DeviceDemand(0.0, 10.0)}
