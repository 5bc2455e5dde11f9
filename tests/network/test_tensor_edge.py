"""Edges between units: what is handed over, what of it a share needs, and which edges cost the same."""

from __future__ import annotations

import pytest

from iopopt import Graph, GraphBuilder
from iopopt.network.shapes import Shape
from iopopt.network.tensor_edge import TensorEdge


def _into(graph: Graph, name: str) -> tuple[TensorEdge, ...]:
    return graph.edges_into[[operator.name for operator in graph.operators].index(name)]


@pytest.fixture
def fork() -> Graph:
    """a: 2x8x4 -> 4x8x4, pooled to 4x4x2; b and c read it, and d adds up b, c and a; then a slice e of the channels [1, 3)."""
    net = GraphBuilder("fork", (2, 8, 4)).conv(4, 1, name="a").max_pool(2)
    net.conv(4, 3, padding=1, name="b").at("a").conv(4, 1, name="c")
    return net.add("b", "c", "a", name="d").slice(1, 3, name="e").build()


def test_edges_of_a_graph(fork: Graph) -> None:
    """There is an edge for each input in its order, and one to the sink; sink and source are counted behind the operators."""
    ends = [[(edge.producer, edge.consumer, edge.slot) for edge in edges] for edges in fork.edges_into]
    assert (fork.sink, fork.source) == (5, 6)
    assert ends == [[(6, 0, 0)], [(0, 1, 0)], [(0, 2, 0)], [(1, 3, 0), (2, 3, 1), (0, 3, 2)], [(3, 4, 0)], [(4, 5, 0)]]
    assert all(edge.p is fork.units[edge.producer] and edge.q is fork.units[edge.consumer] for edges in fork.edges_into for edge in edges)
    assert [[edge.consumer for edge in edges] for edges in fork.edges_from] == [[1, 2, 3], [3], [3], [4], [5], [], [0]]


def test_the_first_edge_out_of_a_producer(fork: Graph) -> None:
    """Of the three edges out of a the one to b is the first; every other producer has but one."""
    assert [edge.first for edge in fork.edges_from[0]] == [True, False, False]
    assert all(edge.first for edges in fork.edges_from[1:] for edge in edges)
    twice = GraphBuilder("twice", (1, 4, 4)).conv(2, 1, name="a").add("a", "a", name="b").build()
    assert [edge.first for edge in _into(twice, "b")] == [True, False]


def test_live_tensors(fork: Graph) -> None:
    """a is live while b and c run, b while c runs; the sum is their last reader, and the input is read at once."""
    assert fork.live_tensors == ((0, range(1, 3)), (1, range(2, 3)))


def test_shapes_before_and_after_the_pool(fork: Graph) -> None:
    """What is handed over lies behind the pool of a, its partial sums before it."""
    (edge,) = _into(fork, "b")
    assert (edge.shape, edge.pre_pool_shape) == (Shape(4, 4, 2), Shape(4, 8, 4))
    (sink,) = fork.edges_into[fork.sink]
    assert (sink.shape, sink.read.by_rows) == (Shape(2, 4, 2), False)


def test_a_slice_is_handed_its_own_channels(fork: Graph) -> None:
    """Two of four channels, of the partial sums too, unless a step behind the producer mixes channels: then all four."""
    (plain,) = _into(fork, "e")
    assert (plain.shape, plain.pre_pool_shape) == (Shape(2, 4, 2), Shape(2, 4, 2))
    mixed = GraphBuilder("x", (2, 4, 2)).conv(4, 1).softmax().slice(1, 3, name="e").build()
    (edge,) = _into(mixed, "e")
    assert (edge.shape, edge.pre_pool_shape) == (Shape(4, 4, 2), Shape(4, 4, 2))


def test_where_the_rows_before_the_pool_end() -> None:
    """A pool 3/2 with padding 1 over 8 rows gives 4. A consumer of rows [0, 4) lies over [.., 8), one whose field ends at 3 over [.., 6)."""
    net = GraphBuilder("x", (1, 8, 1)).conv(1, 1, name="a").max_pool(3, 2, 1)
    (all_rows,) = _into(GraphBuilder("x", (1, 8, 1)).conv(1, 1, name="a").max_pool(3, 2, 1).conv(1, 1, name="b").build(), "b")
    assert all_rows.pre_pool_end == 8  # 3 x 2 - 1 + 3
    (three,) = _into(net.conv(1, (1, 1), stride=2, name="b").build(), "b")
    assert three.q.field.end == 3
    assert three.pre_pool_end == 6  # 2 x 2 - 1 + 3


def test_who_reads_a_part() -> None:
    """A share of input channels does, and one of a depthwise operator's output channels; none behind a step that mixes them."""
    graph = GraphBuilder("x", (2, 4, 4)).conv(4, 1, name="a").conv(4, 1, groups=4, name="b").softmax().conv(8, 1, groups=4, name="c").build()
    ((b,), (c,)) = (_into(graph, name) for name in "bc")
    assert [b.reads_part(dim) for dim in (None, "H", "OC")] == [False, False, True]
    assert not c.reads_part("OC")
    ungrouped = _into(GraphBuilder("x", (2, 4, 4)).conv(4, 1).conv(3, 1, name="b").build(), "b")[0]
    assert [ungrouped.reads_part(dim) for dim in ("OC", "IC")] == [False, True]


def test_channels_per_granule() -> None:
    """A channel of IC needs itself; a group of 3 outputs and 2 inputs needs 2; a gate's channel needs its one element's channel."""
    graph = GraphBuilder("x", (2, 4, 4)).conv(6, 1, name="a").conv(9, 1, groups=3, name="b").conv(5, 1, name="c").build()
    assert _into(graph, "b")[0].channels_per_granule("OC") == 2
    assert _into(graph, "c")[0].channels_per_granule("IC") == 1
    net = GraphBuilder("x", (4, 6, 2)).global_average_pool()
    tensor, gate = _into(net.mul("input", net.tip, name="product").build(), "product")
    assert (tensor.channels_per_granule("OC"), gate.channels_per_granule("OC")) == (1, 1)
    assert (tensor.read.by_rows, gate.read.by_rows) == (True, False)


def test_keys_say_where_every_plan_pays_the_same() -> None:
    """Equal blocks have edges of one key, whatever they are called; another slot, or a second edge out of a producer, has another."""
    net = GraphBuilder("blocks", (2, 4, 4)).conv(2, 1).conv(2, 1).conv(2, 1)
    first, second = (edges[0] for edges in net.build().edges_into[1:3])
    assert first.key == second.key
    twice = GraphBuilder("twice", (2, 4, 4)).conv(2, 1, name="a").add("a", "a", name="b").build()
    one, other = _into(twice, "b")
    assert len({first.key, one.key, other.key}) == 3
