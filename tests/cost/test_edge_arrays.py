"""Equation (8) as arrays, against the pairs of the rules."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from dataclasses import replace

import numpy as np
from support.random_branches import random_branched_graph, random_branched_plan
from support.random_gathers import with_gathers
from support.random_instances import random_cluster, random_graph, random_plan
from support.random_orders import reordered

from iopopt import Cluster, Graph, GraphBuilder, Placement, PlanBatch
from iopopt.cost.edge_arrays import EdgeArrays, Side, gather_volumes, scatter_volumes, volumes
from iopopt.cost.instance import Instance
from iopopt.cost.transfers import edge_rounds
from iopopt.cost.unit_arrays import column
from iopopt.network.tensor_edge import TensorEdge
from iopopt.schedule.rounds import Round, TransferKind


def _side(placements: list[list[Placement]], devices: int) -> Side:
    """Placements by plan and unit."""
    return Side(PlanBatch.of(placements, devices))


def _figures(round_: Round, devices: int) -> list[list[float]]:
    """R, S and N of each device."""
    return [[of.get(j, 0) for j in range(devices)] for of in (round_.loads.received, round_.loads.sent, round_.loads.connections)]


def _instances(seed: int, count: int) -> list[tuple[Graph, Cluster, list[tuple[Placement, ...]]]]:
    """Six plans of each graph, placements of all units; half of them in the order of the cluster throughout."""
    rng, found = random.Random(seed), []
    for number in range(count):
        graph, cluster = random_branched_graph(rng) if number % 2 else random_graph(rng), random_cluster(rng)
        plans = [(random_branched_plan if number % 2 else random_plan)(rng, graph, len(cluster)) for _ in range(6)]
        plans = [with_gathers(rng, reordered(rng, plan, len(cluster)) if number % 4 > 1 else plan, len(cluster)) for plan in plans]
        found.append((graph, cluster, [Instance(graph, cluster).placements(plan) for plan in plans]))
    return found


def test_arrays_agree_with_the_pairs() -> None:
    """R, S and N of the last round of every edge, of all edges of a graph and many plans at once, under every row of the table."""
    seen = Counter[str]()
    for graph, cluster, plans in _instances(1, 80):
        edges = [edge for into in Instance(graph, cluster).edges_into for edge in into]
        batch = PlanBatch.of([list(placements) for placements in plans], len(cluster))
        ends = {"producer": Side(batch.handed_on), "consumer": Side(batch)}
        p, q = (side.take(np.array([getattr(edge, end) for edge in edges])) for end, side in ends.items())
        found = volumes(EdgeArrays(edges, cluster.bytes_per_element), p, q)
        for (place, edge), (number, placements) in itertools.product(enumerate(edges), enumerate(plans)):
            round_ = edge_rounds(edge, placements[edge.producer], placements[edge.consumer], cluster.bytes_per_element)[-1]
            for part, expected in zip(found, _figures(round_, len(cluster)), strict=True):
                np.testing.assert_allclose(part[:, place, number], expected, rtol=1e-12, atol=1e-9)
            seen[str(round_)] += 1
    assert all(seen[kind] > 20 for kind in TransferKind if not kind.is_alone), seen


def test_scatters_agree_with_the_pairs() -> None:
    """A two-phase split scatters its partial sums as the rule says, and nothing else does."""
    scattered = 0
    for graph, cluster, plans in _instances(2, 60):
        e, units = cluster.bytes_per_element, graph.placed_units
        side = _side([list(placements[: graph.sink]) for placements in plans], len(cluster))
        pre, channels = column([e * unit.pre_pool_shape.elements for unit in units]), column([unit.sizes["OC"] for unit in units])
        found = scatter_volumes(pre, channels, side)
        for i, (number, placements) in itertools.product(range(len(units)), enumerate(plans)):
            expected = [[0.0] * len(cluster)] * 3
            if placements[i].reduce == "two_phase":
                expected = _figures(edge_rounds(replace(graph.edges_from[i][0], first=True), placements[i], Placement.whole(0), e)[0], len(cluster))
                scattered += 1
            for part, figures in zip(found, expected, strict=True):
                np.testing.assert_allclose(part[:, i, number], figures, rtol=1e-12, atol=1e-9)
    assert scattered > 40


def test_gathers_agree_with_the_pairs() -> None:
    """A gathered split sends its rows to one device as the rule says, and nothing else does; without gathers there is nothing."""
    gathered = 0
    for graph, cluster, plans in _instances(3, 60):
        e, units = cluster.bytes_per_element, graph.placed_units
        batch = PlanBatch.of([list(placements[: graph.sink]) for placements in plans], len(cluster))
        post, rows = column([e * unit.out_shape.elements for unit in units]), column([unit.sizes["H"] for unit in units])
        found = gather_volumes(post, rows, batch)
        for i, (number, placements) in itertools.product(range(len(units)), enumerate(plans)):
            expected = [[0.0] * len(cluster)] * 3
            if placements[i].gather is not None:
                expected = _figures(edge_rounds(replace(graph.edges_from[i][0], first=True), placements[i], Placement.whole(0), e)[0], len(cluster))
                gathered += 1
            for part, figures in zip(found, expected, strict=True):
                np.testing.assert_allclose(part[:, i, number], figures, rtol=1e-12, atol=1e-9)
    assert gathered > 40


def _one(edge: TensorEdge, p: Placement, q: Placement, devices: int) -> list[list[float]]:
    """R, S and N of one edge of one plan, one byte an element."""
    parts = volumes(EdgeArrays([edge], 1), _side([[p]], devices), _side([[q]], devices))
    return [part[:, 0, 0].tolist() for part in parts]


def test_a_halo_by_hand() -> None:
    """Over (2, 0, 1) of four devices, kernel 3: rows of one byte, device 0 in the middle, device 3 left out."""
    graph = GraphBuilder("x", (1, 6, 1)).conv(1, (3, 1), padding=(1, 0)).conv(1, (3, 1), padding=(1, 0)).build()
    split = Placement.split("H", (2, 0, 1), (2, 2, 2))
    assert _one(graph.edges_into[1][0], split, split, 4) == [[2, 1, 1, 0], [2, 1, 1, 0], [2, 1, 1, 0]]


def test_equal_fractions_are_interleaved() -> None:
    """Seven groups of one input and three outputs: 3/7 and 9/21 are one float, so nothing is sent; other fractions are gathered."""
    graph = GraphBuilder("x", (1, 2, 1)).conv(7, 1).conv(21, 1, groups=7).build()
    edge, q = graph.edges_into[1][0], Placement.split("OC", (1, 0), (9, 12))
    assert _one(edge, Placement.split("OC", (1, 0), (3, 4)), q, 2) == [[0, 0]] * 3
    assert _one(edge, Placement.split("OC", (1, 0), (4, 3)), q, 2) == [[8, 6], [6, 8], [1, 1]]
    assert _one(edge, Placement.split("OC", (0, 1), (3, 4)), q, 2) == [[8, 6], [6, 8], [1, 1]]


def test_upsampled_rows_are_granules() -> None:
    """Rows 2/2 upsampled by two to 4/4 are aligned, to 2/6 not: the second lacks row 1."""
    graph = GraphBuilder("x", (1, 4, 1)).conv(1, 1).upsample((2, 1)).build()
    edge, p = graph.edges_into[1][0], Placement.split("H", (0, 1), (2, 2))
    assert _one(edge, p, Placement.split("H", (0, 1), (4, 4)), 2) == [[0, 0]] * 3
    assert _one(edge, p, Placement.split("H", (0, 1), (2, 6)), 2) == [[0, 1], [1, 0], [1, 1]]
