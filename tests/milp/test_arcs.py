"""Arcs and nodes are those that placements take: no more, for each weighs on the program, and no fewer, for then a plan is lost."""

from collections import Counter

import pytest
from support.tiny_edges import MODES, edges_of, even_cluster, even_slices_of, mode_of, modes_of, tiny_edges

from iopopt import GraphBuilder, Placement
from iopopt.methods.exhaustive import all_placements
from iopopt.milp.arcs import arcs_between, node_of, nodes_of, split
from iopopt.plan.shares import even_shares
from iopopt.plan.splits import Splits


def test_every_node_has_placements():
    """The nodes of an operator are those of its placements, also of a team of one device and of one row."""
    net = GraphBuilder("kinds", (4, 6, 6)).conv(4, 3, padding=1).conv(4, 3, groups=2).max_pool(2)
    graph = net.conv(4, 2, padding=0).fc(3).build()
    cluster = even_cluster(3)
    for unit in graph.placed_units:
        for team in ((0, 1, 2), (2, 0), (1,)):
            nodes = nodes_of(unit, len(cluster), team)
            assert len(nodes) == len(set(nodes))
            assert set(nodes) == {node_of(placement) for placement in all_placements(unit, cluster, team)}


@pytest.mark.parametrize("devices", [2, 3, 4])
def test_even_slices_are_shares_where_they_are_whole_granules(devices):
    """Shares that need just the slices of a reduce-scatter are found where there are any, in granules; else there are none."""
    found = Counter()
    team = tuple(range(devices))
    for channels, groups, outputs in ((4, 1, 5), (5, 1, 4), (6, 2, 4), (6, 3, 6), (8, 4, 8), (6, 6, 12), (4, 4, 4), (12, 2, 2), (8, 2, 4)):
        graph = GraphBuilder("slices", (2, 2, 2)).conv(channels, 1).conv(outputs, 1, groups=groups).build()
        edge, slices = graph.edges_into[1][0], even_shares(channels, devices)
        consumer = graph.operators[1]
        dim = "IC" if groups == 1 else "OC"
        ways = [way for way in all_placements(edge.q, even_cluster(devices), team) if way.dim == dim]
        truth = {way.shares for way in ways if tuple(consumer.input_channels(dim, share) for share in way.shares) == slices}
        granules = even_slices_of(edge, dim, devices)
        assert truth == (set() if granules is None else {tuple(edge.q.granularities[dim] * share for share in granules)})
        found[granules is None] += 1
    assert found.keys() == {True, False}


def test_nodes_of_placements():
    """A whole operator's node is its device, a split one's its dimension, whatever the shares and the reduce."""
    assert [str(node_of(Placement.whole(device))) for device in (0, 2)] == ["whole0", "whole2"]
    assert str(node_of(Placement.split("IC", (2, 0), (1, 3), "two_phase"))) == "IC"
    assert node_of(Placement.split("H", (0, 1), (1, 3))) == node_of(Placement.split("H", (0, 1), (4, 0)))


def test_arcs_of_some_splits_only():
    """Partial sums leave by the reduces that are allowed alone, whatever the consumer is; other producers' arcs do not depend on it."""
    graph = GraphBuilder("two", (4, 6, 6)).conv(4, 1).conv(4, 1).build()
    edge = graph.edges_into[1][0]
    for names, two_phase in ((("IC", "H", "OC"), {False}), (("IC two-phase", "H", "OC"), {True}), (("IC", "IC two-phase", "H", "OC"), {False, True})):
        splits = Splits.named(names, "free")
        for target in ("H", "OC", "IC"):
            arcs = list(arcs_between(split("IC"), edge, split(target), 2, splits))
            assert {arc.two_phase for arc in arcs} == two_phase
            assert list(arcs_between(split("H"), edge, split(target), 2, splits)) == list(arcs_between(split("H"), edge, split(target), 2))
    nodes = nodes_of(graph.placed_units[0], 2, (0, 1), Splits.named(("IC two-phase",), "free"))
    assert list(map(str, nodes)) == ["whole0", "whole1", "IC"]


def test_rows_align_only_where_fields_do_not_overlap():
    """With K above S rows cannot align, so there is no such arc; with K up to S there is."""
    for kernel, stride, aligned in ((3, 1, False), (2, 1, False), (1, 1, True), (2, 2, True), (1, 2, True)):
        net = GraphBuilder("rows", (1, 8, 1)).conv(1, 1)
        graph = net.conv(1, (kernel, 1), stride=(stride, 1)).build()
        edge = list(edges_of(graph, even_cluster(2), (0, 1)))[1]
        assert ("row-aligned" in modes_of(edge.arcs)) == aligned


def test_every_arc_is_taken_by_some_placements_and_no_other():
    """The arcs of an edge are just those that the pairs of placements of its ends take; none stands there twice."""
    seen = Counter()
    for edge in tiny_edges(60):
        assert sorted(edge.arcs, key=str) == sorted(edge.passages, key=str), edge
        seen.update(mode_of(arc) for arc in edge.arcs)
    assert seen.keys() == MODES
