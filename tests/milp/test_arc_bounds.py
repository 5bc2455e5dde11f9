"""Bounds on arcs: never above what the evaluator charges at any placements of both ends, and attained where that can be shown."""

import itertools
import math
import random
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from support.random_branches import random_branched_graph
from support.random_instances import random_graph
from support.tiny_edges import MODES, TinyEdge, arc_in_mode, edges_of, even_cluster, mode_of, modes_of, tiny_edges

from iopopt import Cluster, Device, Graph, GraphBuilder, Placement
from iopopt.cost.instance import Instance
from iopopt.milp import arc_bounds
from iopopt.milp.arcs import Arc, split, whole
from iopopt.milp.share_ranges import ShareRanges
from iopopt.network.unit import Unit

EXACT = {"rel": 1e-9, "abs": 1e-15}


def edge_between(graph: Graph, cluster: Cluster, team: tuple[int, ...]) -> TinyEdge:
    """The edge between the first two operators of a chain."""
    return list(edges_of(graph, cluster, team))[1]


def two_convolutions(channels: int, rows: int, kernel: int = 1, width: int = 1, **second: int) -> Graph:
    """Two convolutions over maps ``width`` elements wide; the second's kernel covers ``kernel`` rows."""
    net = GraphBuilder("two", (channels, rows, width)).conv(channels, 1, bias=False)
    return net.conv(channels, (kernel, 1), bias=False, **{"padding": (kernel // 2, 0), **second}).build()


def arc_of(source: str, target: str | int, mode: str) -> Arc:
    """An arc from a split producer to a split consumer, or to one that is whole on a device."""
    return arc_in_mode(split(source), whole(target) if isinstance(target, int) else split(target), mode)


def with_speeds(cluster: Cluster, *flops_per_s: float) -> Cluster:
    """The cluster with other computing capabilities."""
    devices = (Device(device.name, speed, 1e9, device.bandwidth_bytes_per_s) for device, speed in zip(cluster.devices, flops_per_s, strict=True))
    return Cluster(tuple(devices), cluster.connection_setup_s, cluster.connections, cluster.source, cluster.sink, cluster.bytes_per_element)


@pytest.mark.parametrize(("devices", "kernel", "connections"), [(2, 2, "peer"), (2, 5, "peer"), (3, 2, "peer"), (3, 3, "peer"), (3, 3, "round")])
def test_halo_floors_are_attained(devices, kernel, connections):
    """Where each device has rows to spare some shares cost just the floor: one row passes each boundary for each row of overlap."""
    graph = two_convolutions(2, 4 * devices, kernel, padding=(0, 0))
    edge = edge_between(graph, even_cluster(devices, connections=connections), tuple(range(devices)))
    arc = arc_of("H", "H", "halo exchange")
    assert edge.floor_s(arc, first=False) == pytest.approx(edge.least_s(arc, first=False), **EXACT)
    assert edge.floor_s(arc, first=False) > 0


def test_halo_floors_go_the_better_way():
    """Between links of very different speed rows go whichever way is quicker at the busiest device, as enumeration does."""
    links = [1e3, 10.0, 3e3]
    cluster = Cluster(tuple(Device(f"d{j}", 1e3, 1e9, link) for j, link in enumerate(links)), 0.01, bytes_per_element=1)
    for order in itertools.permutations(range(3)):
        shuffled = Cluster(tuple(cluster.devices[j] for j in order), 0.01, bytes_per_element=1)
        edge = edge_between(two_convolutions(2, 9, 3, padding=(0, 0)), shuffled, (0, 1, 2))
        arc = arc_of("H", "H", "halo exchange")
        assert edge.floor_s(arc, first=False) == pytest.approx(edge.least_s(arc, first=False), **EXACT)


def test_halo_floors_count_what_the_consumer_reads():
    """Rows of a slice have its channels, rows of two bytes an element have twice the bytes: both times are the evaluator's least."""
    graph = GraphBuilder("slice", (4, 8, 3)).conv(4, 1).slice(1, 4).conv(2, (3, 1)).build()
    for e in (1, 2):
        cluster = Cluster(even_cluster(2).devices, 0.01, bytes_per_element=e)
        edge = list(edges_of(graph, cluster, (0, 1)))[2]
        arc = arc_of("H", "H", "halo exchange")
        assert edge.floor_s(arc, first=False) == pytest.approx(edge.least_s(arc, first=False), **EXACT)
        assert edge.floor_s(arc, first=False) == pytest.approx(0.01 + e * 3 * 3 / 1e3)


def test_halo_floors_count_rows_behind_the_pool():
    """Of a pool that halves the width the consumer gets what lies behind it: 4 channels of 3 elements of 2 bytes a row."""
    graph = GraphBuilder("pooled", (4, 8, 6)).conv(4, 1).max_pool((1, 2), (1, 2)).conv(2, (3, 1)).build()
    edge, arc = edge_between(graph, even_cluster(2), (0, 1)), arc_of("H", "H", "halo exchange")
    assert edge.floor_s(arc, first=False) == pytest.approx(edge.least_s(arc, first=False), **EXACT)
    assert edge.floor_s(arc, first=False) == pytest.approx(0.125 + 2 * 4 * 3 / 1e3)


@pytest.mark.parametrize("seed", range(30))
def test_halo_floors_are_the_least_over_all_ways(seed):
    """On up to five unequal devices the floor is that of all ways to divide the rows at each boundary, listed one by one."""
    rng = random.Random(seed)
    count, kernel = rng.randint(1, 5), rng.randint(1, 4)
    devices = tuple(Device(f"d{j}", 1e3, 1e9, rng.choice([10.0, 1e2, 1e3]) * rng.uniform(1, 2)) for j in range(count))
    cluster = Cluster(devices, rng.choice([0.0, 0.1]), rng.choice(["peer", "round"]), bytes_per_element=rng.choice([1, 4]))
    (edge,) = Instance(two_convolutions(2, 20, kernel, padding=(0, 0)), cluster).graph.edges_into[1]
    team, row = rng.sample(range(count), count), cluster.bytes_per_element * 2
    overlap, least = kernel - 1, math.inf
    for upward in itertools.product(range(overlap + 1), repeat=count - 1):
        times = []
        for rank, j in enumerate(team):
            boundaries = [boundary for boundary in (rank - 1, rank) if 0 <= boundary < count - 1]
            gained = sum(upward[b] if b == rank else overlap - upward[b] for b in boundaries)
            given = sum(overlap for b in boundaries) - gained
            opened = len(boundaries) if cluster.connections == "peer" else min(1, len(boundaries))
            times.append(row * max(gained, given) / devices[j].bandwidth_bytes_per_s + cluster.connection_setup_s * opened)
        least = min(least, max(times))
    if count > 1:
        assert arc_bounds.halo_floor_s(edge, cluster, team) == pytest.approx(least, **EXACT)


def test_halo_floors_of_many_devices_are_found():
    """Twelve devices and a kernel of 11 rows, 11^11 ways to divide them: with equal links the ten rows fall evenly, five each way."""
    cluster = even_cluster(12)
    (edge,) = Instance(two_convolutions(2, 64, 11, padding=(0, 0)), cluster).graph.edges_into[1]
    device = cluster.devices[0]
    expected = cluster.bytes_per_element * 2 * 10 / device.bandwidth_bytes_per_s + 2 * cluster.connection_setup_s
    assert arc_bounds.halo_floor_s(edge, cluster, range(12)) == pytest.approx(expected, **EXACT)


@pytest.mark.parametrize("connections", ["peer", "round"])
@pytest.mark.parametrize("devices", [2, 3])
def test_floors_of_whole_teams_are_attained_by_equals(devices, connections):
    """Equal devices that own and need equal parts gather, and add up partial sums, in just the floor."""
    graph = two_convolutions(2 * devices, 2 * devices)
    edge = edge_between(graph, even_cluster(devices, connections=connections), tuple(range(devices)))
    for source, target, mode in (
        ("H", "OC", "all-gather"),
        ("H", "IC", "all-gather"),
        ("OC", "H", "all-gather"),
        ("IC", "H", "reduce"),
        ("IC", "IC", "reduce"),
    ):
        arc = arc_of(source, target, mode)
        assert not edge.is_constant(arc)
        assert edge.floor_s(arc, first=False) == pytest.approx(edge.least_s(arc, first=False), **EXACT)
        assert edge.floor_s(arc, first=False) > (devices - 1 if connections == "peer" else 1) * 0.125


def test_links_of_a_team_add_up():
    """Links of 1, 2 and 3 kB/s share a gather so that all end together: each owns what makes up for its link."""
    cluster = Cluster(tuple(Device(f"d{j}", 1e3, 1e9, 1e3 * (j + 1)) for j in range(3)), 0.0, bytes_per_element=1)
    edge = edge_between(two_convolutions(6, 6), cluster, (0, 1, 2))
    arc = arc_of("OC", "H", "all-gather")
    assert edge.floor_s(arc, first=False) == pytest.approx(36 * 2 / 6e3)
    assert edge.floor_s(arc, first=False) <= edge.least_s(arc, first=False)


@pytest.mark.parametrize("levels", [1, 2, 4, 40])
def test_no_arc_is_cheaper_than_the_floors_of_its_ranges(levels):
    """At all placements of both ends the evaluator charges at least the floor of every range of shares that they lie in; every mode occurs."""
    seen = Counter()
    for edge in tiny_edges(60):
        for arc in edge.passages:
            (p, q), floors_s = edge.ranges(arc, levels), edge.floors_s(arc, levels, first=False)
            for passage in edge.passages_of(arc):
                highest_s = floors_s[np.ix_(within(p, edge.edge.p, passage.p), within(q, edge.edge.q, passage.q))].max()
                assert highest_s <= passage.times_s[-1] * (1 + 1e-9) + 1e-15, (arc, passage, edge)
                seen[mode_of(arc)] += 1
    assert seen.keys() == MODES


def test_floors_of_single_shares_are_prices():
    """Between two devices of equal links a range of many levels is one pair of shares, and its floor is what the evaluator charges; where shares do
    not fit it is infinite."""
    seen = Counter()
    for seed in range(40):
        rng = random.Random(seed)
        graph = random_branched_graph(rng, tiny=True) if seed % 2 else random_graph(rng, operators=3, tiny=True)
        for edge in edges_of(graph, even_cluster(2, connections=rng.choice(["peer", "round"])), rng.choice([(0, 1), (1, 0)])):
            for arc in edge.passages if edge.pairs <= 2000 else ():
                (p, q), floors_s = edge.ranges(arc, 40), edge.floors_s(arc, 40, first=False)
                for passage in edge.passages_of(arc):
                    floor_s = floors_s[np.ix_(within(p, edge.edge.p, passage.p), within(q, edge.edge.q, passage.q))].max()
                    assert floor_s == pytest.approx(passage.times_s[-1], **EXACT), (arc, passage, edge)
                    seen[mode_of(arc)] += 1
                if "interleaved" in mode_of(arc) or mode_of(arc) == "row-aligned":
                    met = {int(number) for passage in edge.passages_of(arc) for number in within(q, edge.edge.q, passage.q)}
                    assert met == set(np.flatnonzero(np.isfinite(floors_s).any(axis=0)).tolist()), (arc, edge)
    assert seen.keys() == MODES
    assert min(seen.values()) > 20


def within(ranges: ShareRanges, unit: Unit, placement: Placement) -> Sequence[int]:
    """The ranges that the shares of a placement lie in."""
    if placement.dim is None:
        return [0]
    shares = np.array(placement.shares) // unit.granularities[placement.dim]
    return np.flatnonzero(((ranges.low <= shares) & (shares <= ranges.high)).all(axis=1))


def test_whoever_gets_no_more_than_half_leaves_half_to_be_gathered():
    """To one of two devices: of 8 rows of 16 elements of 2 bytes it misses half, a quarter or nothing, as its share allows."""
    edge = edge_between(two_convolutions(2, 8, width=8), even_cluster(2), (0, 1))
    for dim in ("H", "OC"):
        floors_s = edge.floors_s(arc_of(dim, 0, "all-gather"), 2, first=False)[:, 0]
        ranges = edge.ranges(arc_of(dim, 0, "all-gather"), 2)[0]
        missing = dict(zip(ranges.high[:, 0].tolist(), floors_s.tolist(), strict=True))
        size = 8 if dim == "H" else 2
        for most, floor_s in missing.items():
            assert floor_s == pytest.approx(0.125 + 2 * 8 * 8 * 2 * (1 - most / size) / 1e3)
        assert {size // 2, size} <= missing.keys()


def test_a_receiver_outside_the_team_receives_all():
    """Whoever owned nothing receives everything over its own link, from each of the team; quick senders attain that."""
    for connections, opened in (("peer", 2), ("round", 1)):
        devices = (Device("a", 1e3, 1e9, 1e9), Device("b", 1e3, 1e9, 1e9), Device("c", 1e3, 1e9, 50.0))
        cluster = Cluster(devices, 0.125, connections, bytes_per_element=2)
        edge = edge_between(two_convolutions(2, 4), cluster, (0, 1))
        arc = arc_of("OC", 2, "all-gather")
        for first in (False, True):
            assert edge.floor_s(arc, first=first) == pytest.approx(edge.least_s(arc, first=first), **EXACT)
            assert edge.floor_s(arc, first=first) == pytest.approx(16 / 50 + opened * 0.125)


@pytest.mark.parametrize(("kernel", "stride", "padding"), [(1, 1, 0), (2, 1, 0), (3, 1, 1), (2, 2, 0), (1, 2, 0), (3, 2, 1), (3, 2, 0), (3, 3, 1)])
def test_partial_sums_that_rows_need(kernel, stride, padding):
    """Two neighbours need every row of the partial sums down to the last field, and K - S of them twice, or leave so many out."""
    for width in (1, 3):
        graph = two_convolutions(2, 9, kernel, width, stride=(stride, 1), padding=(padding, 0))
        edge = edge_between(graph, even_cluster(2, setup_s=0.0), (0, 1))
        arc = arc_of("IC", "H", "reduce")
        out = (9 + 2 * padding - kernel) // stride + 1
        rows = min(9, (out - 1) * stride - padding + kernel)
        expected = 2 * (2 * max(0, rows + kernel - stride) * width) / 2e3
        assert edge.floor_s(arc, first=False) == pytest.approx(expected)
        assert edge.floor_s(arc, first=False) <= edge.least_s(arc, first=False)


def test_partial_sums_before_a_pool_are_counted_there():
    """Two pairs of pooled rows lie over rows 0 to 6 of the partial sums, of which one is needed twice and one, between windows, not at all."""
    graph = GraphBuilder("pooled", (2, 8, 1)).conv(2, 1, bias=False).max_pool((1, 1), (2, 1)).conv(2, (2, 1), bias=False).build()
    edge = edge_between(graph, even_cluster(2), (0, 1))
    for target, rows in (("H", 7 + 2 - 1), ("IC", 8)):
        arc = arc_of("IC", target, "reduce")
        assert edge.floor_s(arc, first=False) == pytest.approx(0.125 + rows * 2 * 2 / 2e3)
        assert edge.floor_s(arc, first=False) <= edge.least_s(arc, first=False)


def test_constant_arcs_have_one_price():
    """Whatever the shares, an arc that is called constant has the same loads on every device, those that it is said to have; its floor
    is their time."""
    seen = Counter()
    for edge in tiny_edges(60):
        for arc in filter(edge.is_constant, edge.passages):
            assert {passage.loads for passage in edge.passages[arc]} == {edge.constant_loads(arc)}, (arc, edge)
            for first in (False, True):
                times_s = edge.passages[arc][0].times_s if first else edge.passages[arc][0].times_s[-1:]
                assert edge.floor_s(arc, first=first) == pytest.approx(sum(times_s), **EXACT)
            seen[mode_of(arc), arc.target.dim is None] += 1
    assert seen.keys() == {("two-phase interleaved", False), *itertools.product(("send", "reduce", "two-phase all-gather"), (False, True))}
    assert min(seen.values()) > 20


def test_arcs_that_no_share_moves_are_called_constant():
    """Only an arc whose price may depend on shares is not called constant: every one of eight ways to share or more has several prices."""
    several = Counter()
    for edge in tiny_edges(60):
        for arc, passages in edge.passages.items():
            if mode_of(arc) in ("send", "reduce") and not edge.is_constant(arc) and len({passage.q for passage in passages}) >= 8:
                several[mode_of(arc)] += 1
                assert len({passage.loads for passage in passages}) > 1, (arc, edge)
    assert several.keys() == {"send", "reduce"}
    assert min(several.values()) >= 10


def test_what_takes_shares_over_costs_nothing():
    """Interleaved and row-aligned arcs are free."""
    seen = Counter()
    for edge in tiny_edges(60):
        for arc in edge.passages:
            if mode_of(arc) in ("interleaved", "row-aligned"):
                assert edge.floor_s(arc, first=False) == edge.floor_s(arc, first=True) == edge.least_s(arc, first=False) == 0
                seen[mode_of(arc)] += 1
    assert seen.keys() == {"interleaved", "row-aligned"}


def test_connections_alone_are_attained():
    """A gather to a member of the team, or channels sent by one, cost no more than their connections where one device has everything."""
    seen = Counter()
    for edge in tiny_edges(60):
        for arc in edge.passages:
            gathered = mode_of(arc) == "all-gather" and arc.target.device in edge.team
            sent = mode_of(arc) == "send" and arc.target.dim != "H" and arc.source.device in edge.team
            if gathered or sent:
                assert edge.floor_s(arc, first=False) == pytest.approx(edge.least_s(arc, first=False), **EXACT)
                seen[mode_of(arc)] += 1
    assert seen.keys() == {"all-gather", "send"}
    assert min(seen.values()) > 20


def test_floors_are_finite_and_not_negative():
    """No floor of any arc of the program is below 0 or no number."""
    floors = [edge.floor_s(arc, first=first) for edge in tiny_edges(60) for arc in edge.arcs for first in (False, True)]
    assert len(floors) > 2000
    assert all(0 <= floor_s < math.inf for floor_s in floors)
    assert modes_of(arc for edge in tiny_edges(60) for arc in edge.arcs) == MODES


def test_no_arc_is_cheaper_than_its_floor():
    """At all placements of both ends the evaluator charges at least the floor, alone and with a first reduce-scatter; every mode occurs."""
    seen = Counter()
    for edge in tiny_edges(60):
        for arc, first in itertools.product(edge.passages, (False, True)):
            assert edge.floor_s(arc, first=first) <= edge.least_s(arc, first=first) * (1 + 1e-9) + 1e-15, (arc, first, edge)
            seen[mode_of(arc)] += 1
    assert seen.keys() == MODES
    assert min(seen.values()) > 40
