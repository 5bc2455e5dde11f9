"""Boundary rows, by hand and against a count row by row."""

from __future__ import annotations

import itertools
import random

import pytest
from support.random_any import random_case

from iopopt import GraphBuilder, Placement
from iopopt.network.graph import Graph
from iopopt.plan.plan import Plan
from iopopt.schedule.boundary import Reader, boundary_rows, merged, without
from iopopt.schedule.region_transfers import unit_inputs
from iopopt.schedule.regions import Interval


def _readers(graph: Graph, plan: Plan, source: int | None, sink: int) -> dict[int, list[Reader]]:
    """The readers of each operator's tensor, by the operator's number."""
    placements = [plan[operator.name] for operator in graph.operators]
    found: dict[int, list[Reader]] = {}
    for inputs in unit_inputs(graph, placements, source, sink, plan.spans(graph)):
        reader = placements[inputs.members[-1]] if inputs.members else Placement.whole(sink)
        for edge in inputs.edges:
            found.setdefault(edge.producer, []).append(Reader(reader, edge.rounds[-1]))
    return found


@pytest.fixture
def forked() -> Graph:
    """c, of 12 rows, is read by a 3 x 1 and by a 5 x 1 convolution; then their sum."""
    net = GraphBuilder("forked", (1, 12, 1)).conv(1, 1, name="c")
    net.conv(1, (3, 1), padding=(1, 0), name="three").at("c").conv(1, (5, 1), padding=(2, 0), name="five")
    return net.add("three", "five", name="sum").build()


def _rows(graph: Graph, *placements: Placement) -> dict[int, tuple[Interval, ...]]:
    plan = Plan.of(graph, list(placements))
    return dict(boundary_rows(placements[0], _readers(graph, plan, None, 0)[0]))


def test_two_readers(forked: Graph) -> None:
    """The wider field decides: two rows at each border."""
    thirds = Placement.split("H", (0, 1, 2), (4, 4, 4))
    assert _rows(forked, *[thirds] * 4) == {0: (Interval(2, 4),), 2: (Interval(8, 10),)}  # device 1 has nothing but boundary rows
    uneven = Placement.split("H", (0, 1, 2), (3, 6, 3))
    assert _rows(forked, *[uneven] * 4) == {0: (Interval(1, 3),), 1: (Interval(3, 5), Interval(7, 9)), 2: (Interval(9, 11),)}


def test_who_has_none(forked: Graph) -> None:
    """Readers that are not split by rows over the same participants, a gather, and a share without rows."""
    thirds = Placement.split("H", (0, 1, 2), (4, 4, 4))
    assert _rows(forked, thirds, thirds, Placement.whole(1), thirds) == {}
    assert _rows(forked, thirds, thirds, Placement.split("H", (1, 0, 2), (4, 4, 4)), thirds) == {}
    assert _rows(forked, thirds, thirds, Placement.split("H", (1, 0, 2), (12, 0, 0)), thirds) == {}  # to which device 1 sends nothing
    assert _rows(forked, Placement.split("H", (0, 1, 2), (4, 4, 4), gather=1), thirds, thirds, thirds) == {}
    assert _rows(forked, Placement.whole(0), thirds, thirds, thirds) == {}
    ends = Placement.split("H", (0, 1, 2), (6, 0, 6))
    assert _rows(forked, ends, ends, ends, ends) == {0: (Interval(4, 6),), 2: (Interval(6, 8),)}


@pytest.mark.parametrize("seed", range(60))
def test_row_by_row(seed: int) -> None:
    """A row is on the boundary if some transfer of another device's needs holds it."""
    graph, cluster, plan = random_case(seed)
    for number, readers in _readers(graph, plan, cluster.source, cluster.sink).items():
        if number == graph.source:
            continue
        placement = plan[graph.operators[number].name]
        found = boundary_rows(placement, readers)
        same = placement.dim == "H" and all(reader.placement.dim == "H" and reader.placement.devices == placement.devices for reader in readers)
        for shard in placement.shards if same and placement.gather is None else ():
            moves = [move for reader in readers for move in reader.round.transfers if move.sender == shard.device]
            rows = {row for move in moves for row in range(move.region.rows.start, move.region.rows.stop)}
            mine = set(range(shard.start, shard.stop))
            assert rows <= mine
            expected = rows if rows and rows != mine else set()
            assert {row for part in found.get(shard.device, ()) for row in range(part.start, part.stop)} == expected
        if not same:
            assert found == {}


def test_intervals() -> None:
    """Unions join what touches; what is left of the whole lies between."""
    rng = random.Random(3)
    for _ in range(200):
        parts = [Interval(start, start + rng.randint(0, 4)) for start in rng.choices(range(20), k=rng.randint(0, 5))]
        union, rows = merged(parts), {row for part in parts for row in range(part.start, part.stop)}
        assert [row for part in union for row in range(part.start, part.stop)] == sorted(rows)
        assert all(one.stop < other.start for one, other in itertools.pairwise(union))
        rest = without(Interval(0, 24), union)
        assert all(union)
        assert all(rest)
        assert sorted([*rows, *(row for part in rest for row in range(part.start, part.stop))]) == list(range(24))
