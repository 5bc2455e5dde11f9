"""Instances: which edges are priced, and where the source and the sink are."""

from __future__ import annotations

import dataclasses

import pytest

from iopopt import Cluster, ClusterError, Device, Graph, GraphBuilder, Placement, Plan
from iopopt.cost.instance import Instance
from iopopt.network.unit import SINK, SOURCE


@pytest.fixture
def fork() -> Graph:
    """a and b read the input, c adds the input and b up."""
    net = GraphBuilder("fork", (2, 4, 4)).conv(3, 1, name="a").conv(2, 1, name="b")
    return net.add("input", "b", name="c").build()


@pytest.fixture
def cluster() -> Cluster:
    return Cluster(tuple(Device(name, 1, 1, 1) for name in "xyz"), source=2, sink=1)


def test_units_are_the_operators_the_sink_and_the_source(fork: Graph, cluster: Cluster) -> None:
    """In that order; a plan places the operators."""
    instance = Instance(fork, cluster)
    assert [unit.name for unit in instance.units] == ["a", "b", "c", SINK, SOURCE]
    assert [unit.name for unit in instance.placed] == ["a", "b", "c"]


def test_edges_of_an_input_on_one_device(fork: Graph, cluster: Cluster) -> None:
    """Every edge is priced: the input's to a and to c, a's, b's, and the one to the sink."""
    instance = Instance(fork, cluster)
    ends = [[(edge.producer, edge.consumer, edge.slot) for edge in edges] for edges in instance.edges_into]
    assert ends == [[(4, 0, 0)], [(0, 1, 0)], [(4, 2, 0), (1, 2, 1)], [(2, 3, 0)]]
    assert [edge.consumer for edge in instance.edges_from(4)] == [0, 2]
    assert [edge.consumer for edge in instance.edges_from(0)] == [1]
    assert instance.edges_from(3) == ()


def test_an_input_that_every_device_has_crosses_no_edge(fork: Graph, cluster: Cluster) -> None:
    """Its edges are left out, into and from; the second input of c stays its second."""
    instance = Instance(fork, dataclasses.replace(cluster, source=None))
    ends = [[(edge.producer, edge.consumer, edge.slot) for edge in edges] for edges in instance.edges_into]
    assert ends == [[], [(0, 1, 0)], [(1, 2, 1)], [(2, 3, 0)]]
    assert instance.edges_from(4) == ()


def test_placements_of_all_units(fork: Graph, cluster: Cluster) -> None:
    """Those of the plan in the order of the graph, then the sink and the source, whole where the cluster says."""
    rows, channels, whole = Placement.split("H", (2, 0), (1, 3)), Placement.split("OC", (0, 1), (1, 1)), Placement.whole(1)
    plan = Plan((("c", whole), ("a", rows), ("b", channels)))
    assert Instance(fork, cluster).placements(plan) == (rows, channels, whole, Placement.whole(1), Placement.whole(2))
    assert Instance(fork, dataclasses.replace(cluster, source=None)).terminals == (Placement.whole(1), Placement.whole(0))


def test_who_has_the_input(fork: Graph, cluster: Cluster) -> None:
    """The source, also where it is device 0; or everybody."""
    assert Instance(fork, cluster).input_holders == (2,)
    assert Instance(fork, dataclasses.replace(cluster, source=0)).input_holders == (0,)
    assert Instance(fork, dataclasses.replace(cluster, source=None)).input_holders == (0, 1, 2)


def test_devices_alone_make_a_cluster(fork: Graph, cluster: Cluster) -> None:
    """A sequence of devices has the cluster defaults; anything else is refused."""
    assert Instance.of(fork, cluster) == Instance(fork, cluster)
    assert Instance.of(fork, cluster.devices).cluster == Cluster(cluster.devices)
    with pytest.raises(ClusterError, match="neither a Cluster nor a sequence"):
        Instance.of(fork, 3)  # type: ignore[arg-type]
