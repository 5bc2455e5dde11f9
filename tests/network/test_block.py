"""Fused blocks: which runs of operators are one, and why others are none."""

from __future__ import annotations

import random

import pytest
from support.naive_units import naive_blocks
from support.random_blocks import random_fusible_graph

from iopopt import (
    Graph,
    GraphBuilder,
    GraphError,
)
from iopopt.network.epilogue import Pool
from iopopt.network.shapes import Window


@pytest.mark.parametrize("seed", [1, 2])
def test_what_is_a_block(seed: int) -> None:
    """Runs of random graphs are blocks where a test written from the statement says so, whatever their length."""
    rng, runs, faults = random.Random(seed), 0, 0
    for _ in range(150):
        graph = random_fusible_graph(rng)
        if any(operator.kind == "upsample" and operator.rows.upsampling == 1 for operator in graph.operators):
            continue  # see test_an_upsampling_of_columns
        stated = set(naive_blocks(graph, len(graph)))
        for start in range(len(graph)):
            for stop in range(start + 1, len(graph) + 1):
                fault = graph.block_fault(range(start, stop))
                assert (fault is None) == (range(start, stop) in stated), (fault, graph.operators[start:stop])
                runs, faults = runs + 1, faults + (fault is not None)
        assert set(graph.blocks(3)) == {members for members in stated if len(members) <= 3}
        assert list(graph.blocks(1)) == []
    assert min(faults, runs - faults) > 300


def test_an_upsampling_of_columns() -> None:
    """Upsamplings stay outside, also one of columns only."""
    graph = GraphBuilder("columns", (1, 4, 2)).conv(1, 1).upsample((1, 2)).build()
    assert graph.block_fault(range(2)) is not None


def _fork() -> Graph:
    """a, then b and c from a, their sum, and an upsampling."""
    net = GraphBuilder("fork", (2, 8, 4)).conv(2, 3, padding=1, name="a").conv(2, 3, padding=1, name="b")
    net.at("a").conv(2, 3, padding=1, name="c")
    return net.add("b", "c", name="sum").upsample(2, name="up").build()


def _gated() -> Graph:
    net = GraphBuilder("gated", (2, 8, 4)).conv(2, 3, padding=1, name="a")
    tensor = net.tip
    gate = net.operator("pool", 2, name="squeeze", rows=Window(8), columns=Window(4), function="average").tip
    return net.mul(tensor, gate, name="product").build()


def _two_strides() -> Graph:
    """Four rows become two by a stride, and by a window of three rows."""
    net = GraphBuilder("strides", (1, 4, 1))
    net.operator("conv", 1, name="by stride", rows=Window(2, 2))
    net.at("input").operator("conv", 1, name="by window", rows=Window(3))
    return net.add("by stride", "by window", name="sum").build()


def _chain() -> Graph:
    """Ends fully connected; d is pooled to one row by its epilogue."""
    net = GraphBuilder("chain", (2, 8, 8)).conv(2, 3, padding=1, name="a").conv(2, 8, name="b").conv(2, 1, padding=2, name="c")
    return net.conv(2, 1, name="d").step(Pool("max", Window(5), Window(5))).fc(3, name="e").build()


NO_BLOCKS = [
    (_fork(), range(1), "a block has at least two operators"),
    (_fork(), range(1, 4), None),
    (_fork(), range(4), None),
    (_fork(), range(2, 4), "its operators read 2 tensors from outside; a block reads one"),
    (_fork(), range(2), "the tensor of 'a' is read outside"),
    (_fork(), range(1, 3), "the tensor of 'b' is read outside"),
    (_fork(), range(3, 5), "'up' (upsample nearest 2x2) is not fused: fully connected operators, gates, global pools and upsamplings stay outside"),
    (_gated(), range(2), "'squeeze' (pool average 8x4) is not fused: fully connected operators, gates, global pools and upsamplings stay outside"),
    (_gated(), range(1, 3), "'squeeze' (pool average 8x4) is not fused: fully connected operators, gates, global pools and upsamplings stay outside"),
    (_gated(), range(2, 3), "a block has at least two operators"),
    (_two_strides(), range(3), "two paths to its end have different products of strides"),
    (_chain(), range(2), "'b' has one row, which cannot be split"),
    (_chain(), range(3), None),
    (_chain(), range(2, 4), "'d' (conv 1x1) is not fused: fully connected operators, gates, global pools and upsamplings stay outside"),
    (_chain(), range(3, 5), "'d' (conv 1x1) is not fused: fully connected operators, gates, global pools and upsamplings stay outside"),
]


@pytest.mark.parametrize(("graph", "members", "fault"), NO_BLOCKS)
def test_what_is_no_block(graph: Graph, members: range, fault: str | None) -> None:
    """Every reason by its message; a run of one row in the middle is none."""
    assert graph.block_fault(members) == fault
    if fault is None:
        assert graph.block(members).name == f"{graph.operators[members.start].name} to {graph.operators[members.stop - 1].name}"
        return
    with pytest.raises(GraphError) as refused:
        graph.block(members)
    assert str(refused.value).endswith(f"operators {members.start} to {members.stop - 1} are no fused block: {fault}")


def test_gates_and_fully_connected_operators_stay_outside() -> None:
    """A product with a gate is refused where the squeezing pool is not in the run, and so is a fully connected operator behind rows."""
    net = GraphBuilder("gate", (2, 1, 1)).conv(2, 1, name="a")
    gate = net.tip
    net.at("input").conv(2, 1, padding=2, name="b")
    graph = net.mul(gate, net.tip, name="product").build()
    assert graph.block_fault(range(3)) == "'product' (mul) is not fused: fully connected operators, gates, global pools and upsamplings stay outside"
    graph = GraphBuilder("fc", (2, 4, 4)).conv(2, 3, padding=1, name="a").fc(3, name="b").build()
    assert graph.block_fault(range(2)) == "'b' (fc) is not fused: fully connected operators, gates, global pools and upsamplings stay outside"


@pytest.mark.parametrize("members", [range(0, 4, 2), range(2, 9), range(-3, -1)])
def test_ranges_that_are_no_run(members: range) -> None:
    """They are refused with a reason of their own."""
    net = GraphBuilder("skips", (2, 8, 4)).conv(2, 3, padding=1, name="a")
    net.at("input").conv(2, 3, padding=1, name="b")
    net.at("a").conv(2, 3, padding=1, name="c")
    graph = net.add("b", "c", name="d").build()
    fault = graph.block_fault(members)
    assert fault is not None
    assert "follow each other" in fault
