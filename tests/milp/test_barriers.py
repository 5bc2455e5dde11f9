"""The barriers that remain without barriers: worked cases in which some plan is as fast as the bound, so that every further second would be false."""

from __future__ import annotations

import pytest
from support.any_teams import AnyTeams

from iopopt import Cluster, Device, Graph, GraphBuilder, Placement, Plan
from iopopt.cost.instance import Instance
from iopopt.milp.barriers import BarrierBound
from iopopt.network.shapes import Dim
from iopopt.simulation.simulate import Simulator


def _cluster(setup_s: float, source: int | None = None) -> Cluster:
    """Two devices of 2 FLOP/s and 2 bytes/s, one byte an element; device 0 is the sink."""
    devices = tuple(Device(f"d{j}", 2.0, 1e6, 2.0) for j in range(2))
    return Cluster(devices, connection_setup_s=setup_s, source=source, bytes_per_element=1)


def _pointwise(rows: int, *channels: int, fc: bool = False) -> Graph:
    """Convolutions 1 x 1 on a map of one column, to these channels; then perhaps a fully connected operator of one output."""
    net = GraphBuilder("pointwise", (1, rows, 1))
    for count in channels:
        net.conv(count, 1, bias=False)
    return (net.fc(1, bias=False) if fc else net).build()


def _depthwise() -> Graph:
    """A convolution of one pixel to three channels, then a depthwise one."""
    return GraphBuilder("depthwise", (1, 1, 1)).conv(3, 1, bias=False).conv(3, 1, groups=3, bias=False).build()


def _parallel_rows() -> Graph:
    """A convolution of three rows, two of its output, and their sum."""
    net = GraphBuilder("parallel rows", (1, 3, 1)).conv(1, 1, bias=False, name="stem").conv(1, 1, bias=False, name="left")
    return net.at("stem").conv(1, 1, bias=False, name="right").add("left", "right").build()


def _parallel_channels() -> Graph:
    """Two convolutions of one pixel to three channels, their sum, and a depthwise one."""
    net = GraphBuilder("parallel channels", (1, 1, 1)).conv(3, 1, bias=False, name="left")
    return net.at("input").conv(3, 1, bias=False, name="right").add("left", "right").conv(3, 1, groups=3, bias=False).build()


@pytest.mark.parametrize(
    ("graph", "cluster", "seconds"),
    [
        # A row takes 1 s. Device 0 computes two rows; device 1 one, which is 0.5 + 1/2 s on its way.
        pytest.param(_pointwise(3, 1), _cluster(0.5), 2.0, id="the sink hears of every share"),
        # Device 1 receives a row for 1 s, computes it and returns it; device 0 computes three.
        pytest.param(_pointwise(4, 1), _cluster(0.5, source=0), 3.0, id="the input comes from the source"),
        # The row of device 1 takes 2 s to arrive. Two operators, two rows and one: nobody waits between them.
        pytest.param(_pointwise(3, 1, 1), _cluster(1.5), 4.0, id="rows are no barrier"),
        # Three channels, two and one, 1 s for each of two operators; the partial sums of device 1 take 2 s.
        pytest.param(_pointwise(1, 3, 1), _cluster(1.5), 4.0, id="interleaved channels are no barrier"),
        pytest.param(_depthwise(), _cluster(1.5), 4.0, id="channels of a channel-local operator are no barrier"),
        # Three rows and one, 3 s; then 8 FLOPs on device 0.
        pytest.param(_pointwise(4, 1, fc=True), _cluster(1.5), 7.0, id="a whole operator is a barrier"),
        # Links do not pay: 6 + 6 FLOPs on device 0.
        pytest.param(_pointwise(3, 1, fc=True), _cluster(100.0), 6.0, id="one device"),
        # A channel each: the input, or the output of the one on device 1, takes 100 + 1/2 s.
        pytest.param(_pointwise(1, 2), _cluster(100.0, source=1), 101.5, id="something must reach the sink"),
    ],
)
def test_the_bound_is_reached(graph: Graph, cluster: Cluster, seconds: float) -> None:
    """The fastest of all plans takes as long as the bound says."""
    bound = BarrierBound(Instance.of(graph, cluster), 3).seconds()
    fastest = min(map(Simulator(graph, cluster).makespan_s, AnyTeams(graph, cluster, 3).plans()))
    assert bound == pytest.approx(seconds)
    assert fastest == pytest.approx(seconds)


@pytest.mark.parametrize(("graph", "dim"), [(_parallel_rows(), "H"), (_parallel_channels(), "OC")])
def test_a_section_is_no_barrier(graph: Graph, dim: Dim) -> None:
    """Two rows or channels on device 0 and one on device 1, 1 s each for each of three operators, and 3 s to the sink: a plan reaches the bound."""
    cluster = _cluster(2.5)
    plan = Plan.of(graph, [Placement.split(dim, (0, 1), (2, 1))] * len(graph))
    assert BarrierBound(Instance.of(graph, cluster), 1).seconds() == pytest.approx(6.0)
    assert Simulator(graph, cluster).makespan_s(plan) == pytest.approx(6.0)


def _sections() -> Graph:
    """A convolution, two convolutions of its output and their sum, then a fully connected operator."""
    net = GraphBuilder("sections", (1, 4, 1))
    net.conv(1, 1, bias=False, name="stem").conv(1, 1, bias=False, name="left")
    net.at("stem").conv(1, 1, bias=False, name="right")
    return net.add("left", "right", name="sum").fc(1, bias=False, name="fc").build()


def test_operators_between_branches_are_stages() -> None:
    """What runs in parallel is one section."""
    stages = BarrierBound(Instance.of(_sections(), _cluster(0.5)), 1).stages
    assert [(list(stage.members), stage.is_operator) for stage in stages] == [([0], True), ([1, 2], False), ([3], True), ([4], True)]


def test_a_row_under_padding_alone_makes_one_section() -> None:
    """Such a row is computed before anything else, so that nothing waits for everything."""
    graph = GraphBuilder("padded", (1, 3, 1)).conv(1, 1, bias=False).conv(1, 1, padding=(1, 0), bias=False).build()
    (stage,) = BarrierBound(Instance.of(graph, _cluster(0.5)), 1).stages
    assert not stage.is_operator
