"""Units: the tables of equations (7) and (1) for each dimension, by hand."""

from __future__ import annotations

import random
from fractions import Fraction

import pytest
from support.random_branches import random_branched_graph
from support.random_instances import random_graph

from iopopt import Graph, GraphBuilder
from iopopt.network.operators.operator import Operator
from iopopt.network.shapes import Shape
from iopopt.network.terms import Terms, amount
from iopopt.network.unit import SINK, SOURCE, Field, PoolRows, Read, Unit, sink_unit, source_unit


def _amounts(terms: Terms, *shares: int) -> list[float]:
    return [amount(terms, n) for n in shares]


def _largest(unit: Unit, dim: str | None, *shares: int) -> list[float]:
    """a_ij."""
    return [max(amount(terms, n) for terms in unit.activations[dim]) for n in shares]  # type: ignore[index]


@pytest.fixture
def pooled() -> Unit:
    """4x9x5, kernel 3, padding 1 -> 6x9x5 (F = 2 x 216 x 45), max pool 3 of stride 2 -> 6x4x2; W = 216, B = 6; K = 5, S = 2, P = 1.

    Rows before the pool have F / 9 = 2160 FLOPs and 30 elements; input rows 20, of 180; before the pool lie 270, behind it 48.
    """
    return GraphBuilder("x", (4, 9, 5)).conv(6, 3, padding=1).max_pool(3, 2).build().units[0]


def test_what_is_touched(pooled: Unit) -> None:
    """Of every dimension the weights, the input and the output before the pool, each once."""
    assert _amounts(pooled.touched[None], 1) == [222 + 180 + 270]
    assert _amounts(pooled.touched["H"], 0, 1, 4) == pytest.approx([222 + 20 * 3 + 30 * 1, 222 + 20 * 5 + 30 * 3, 222 + 20 * 11 + 30 * 9])
    assert _amounts(pooled.touched["OC"], 0, 1, 6) == pytest.approx([180, 37 + 180 + 45, 222 + 180 + 270])
    assert _amounts(pooled.touched["IC"], 0, 1, 4) == pytest.approx([6 + 270, 6 + 54 + 45 + 270, 222 + 180 + 270])


def test_a_gate_is_touched_whole() -> None:
    """Each row of a product needs all of its gate: 3 channels, beside 3 x 5 of the map, which it reads, and 3 x 5 that it writes."""
    net = GraphBuilder("gate", (3, 4, 5)).global_average_pool()
    unit = net.mul("input", net.tip).build().units[1]
    assert _amounts(unit.touched["H"], 0, 2) == [3, 2 * 15 + 3 + 2 * 15]


def test_whole(pooled: Unit) -> None:
    """All work, W + B, in + pre, and the whole output, whatever is said of the share."""
    assert pooled.flops == 19440
    assert _amounts(pooled.work[None], 1) == [19440]
    assert _amounts(pooled.weights[None], 1) == [222]
    assert _largest(pooled, None, 1) == [180 + 270]
    assert _amounts(pooled.output[None], 1) == [48]


def test_rows(pooled: Unit) -> None:
    """n rows compute (n - 1) 2 + 3 rows before the pool and read (n - 1) 2 + 5; none still compute 1 and read 3, and hold the kernel."""
    assert _amounts(pooled.work["H"], 0, 1, 4) == pytest.approx([2160 * 1, 2160 * 3, 2160 * 9])
    assert _amounts(pooled.weights["H"], 0, 1, 4) == [222, 222, 222]
    assert _largest(pooled, "H", 0, 1, 4) == pytest.approx([20 * 3 + 30 * 1, 20 * 5 + 30 * 3, 20 * 11 + 30 * 9])
    assert _amounts(pooled.output["H"], 0, 1, 4) == pytest.approx([0, 12, 48])


def test_output_channels(pooled: Unit) -> None:
    """n of 6 channels: that part of F, of W + B and of pre, all of the input."""
    assert _amounts(pooled.work["OC"], 0, 1, 6) == pytest.approx([0, 3240, 19440])
    assert _amounts(pooled.weights["OC"], 0, 1, 6) == pytest.approx([0, 37, 222])
    assert _largest(pooled, "OC", 0, 1, 6) == pytest.approx([180, 180 + 45, 180 + 270])
    assert _amounts(pooled.output["OC"], 0, 1, 6) == pytest.approx([0, 8, 48])


def test_input_channels(pooled: Unit) -> None:
    """n of 4 channels: that part of F, of W and of the input; the bias and all of pre with everyone; outputs are the even slices of 6."""
    assert _amounts(pooled.work["IC"], 0, 1, 4) == pytest.approx([0, 4860, 19440])
    assert _amounts(pooled.weights["IC"], 0, 1, 4) == pytest.approx([6, 54 + 6, 216 + 6])
    assert _largest(pooled, "IC", 0, 1, 4) == pytest.approx([270, 45 + 270, 180 + 270])
    assert _amounts(pooled.output["IC"], 2, 6) == pytest.approx([16, 48])


def test_field_and_pool(pooled: Unit) -> None:
    """S = 2, K - S = 3, P = 1; the field of all 4 rows ends at 3 x 2 - 1 + 5 = 10, of which the map has 9."""
    assert pooled.field == Field(2, 3, 1, 9)
    assert pooled.pool == PoolRows(3, 2, 0)


def test_a_field_that_ends_inside_the_map() -> None:
    """Kernel 2 and stride 3 on 10 rows: 3 rows, the last of which reads [6, 8); K - S = -1."""
    unit = GraphBuilder("x", (1, 10, 1)).conv(1, (2, 1), stride=(3, 1)).build().units[0]
    assert unit.field == Field(3, -1, 0, 8)


def test_gaps_between_rows_are_clipped() -> None:
    """Without a kernel row to spare an empty share reads max(0, (0 - 1) 3 + 2) = 0 rows, not -1; before a pool 1/3 as well."""
    unit = GraphBuilder("x", (2, 10, 1)).conv(1, (2, 1), stride=(3, 1), bias=False).build().units[0]
    assert _largest(unit, "H", 0, 1, 2) == [0, 2 * 2 + 1, 5 * 2 + 2]
    pooled = GraphBuilder("x", (1, 7, 1)).conv(1, 1, bias=False).max_pool(1, 3).build().units[0]
    assert _amounts(pooled.work["H"], 0, 1, 2) == pytest.approx([0, 2, 8])  # of 14 FLOPs on 7 rows: 0, 1 and 4 rows


def test_sizes_and_dimensions(pooled: Unit) -> None:
    """Shares sum to H_o = 4, OC = 6 and C_in = 4, in granules of one; all three dimensions can be split, and IC alone reads a part."""
    assert (pooled.sizes, pooled.dims) == ({"H": 4, "OC": 6, "IC": 4}, ("H", "OC", "IC"))
    assert [pooled.granules(dim) for dim in pooled.dims] == [4, 6, 4]
    assert [pooled.reads_part(dim) for dim in (None, "H", "OC", "IC")] == [False, False, False, True]
    assert pooled.reads == (Read(Shape(4, 9, 5), Shape(4, 9, 5), True),)
    assert (pooled.out_shape, pooled.pre_pool_shape, pooled.mixes_channels) == (Shape(6, 4, 2), Shape(6, 9, 5), False)


def test_groups() -> None:
    """Three groups of 2 input and 3 output channels: shares of 3, which read a third of the input; no IC; W has 2 input channels."""
    unit = GraphBuilder("x", (6, 4, 4)).conv(9, 3, padding=1, groups=3).build().units[0]
    assert (unit.dims, unit.granularities["OC"], unit.granules("OC")) == (("H", "OC"), 3, 3)
    assert unit.reads_part("OC")
    assert _amounts(unit.weights["OC"], 3, 9) == pytest.approx([(162 + 9) / 3, 162 + 9])
    assert _largest(unit, "OC", 0, 3, 9) == pytest.approx([0, 32 + 48, 96 + 144])
    assert _amounts(unit.work["OC"], 3) == pytest.approx([2 * 162 * 16 / 3])


def test_a_sum_with_a_gate() -> None:
    """4x6x2 and a gate of 4: a row reads 8 elements and all of the gate; a channel a part of both; there is no work and nothing to hold."""
    net = GraphBuilder("x", (4, 6, 2)).global_average_pool()
    unit = net.mul("input", net.tip).build().units[1]
    assert [(read.part, read.by_rows) for read in unit.reads] == [(Shape(4, 6, 2), True), (Shape(4, 1, 1), False)]
    assert unit.flops == 0
    assert [_amounts(unit.work[dim], 1) + _amounts(unit.weights[dim], 1) for dim in unit.dims] == [[0, 0], [0, 0]]
    assert _largest(unit, None, 1) == [48 + 4 + 48]
    assert _largest(unit, "H", 0, 1, 6) == [4, 8 + 8 + 4, 48 + 48 + 4]
    assert _largest(unit, "OC", 0, 1, 4) == [0, 13 + 12, 52 + 48]


def test_a_slice() -> None:
    """Channels [1, 3) of 3x4x2: it reads 2 of them, whole or by rows, and a share of channels reads both; it is not channel-local."""
    unit = GraphBuilder("x", (3, 4, 2)).slice(1, 3).build().units[0]
    assert unit.reads == (Read(Shape(3, 4, 2), Shape(2, 4, 2), True),)
    assert not unit.reads_part("OC")
    assert _largest(unit, None, 1) == [16 + 16]
    assert _largest(unit, "H", 1) == [4 + 4]
    assert _largest(unit, "OC", 1) == [16 + 8]


def test_a_concatenation() -> None:
    """2x4x3 and 3x4x3: a row reads 15 elements and gives 15; a channel needs all 60 and gives 12."""
    net = GraphBuilder("x", (2, 4, 3)).conv(3, 1, name="c")
    unit = net.concat("input", "c").build().units[1]
    assert [read.part for read in unit.reads] == [Shape(2, 4, 3), Shape(3, 4, 3)]
    assert (unit.dims, unit.reads_part("OC")) == (("H", "OC"), False)
    assert (_largest(unit, "H", 2), _largest(unit, "OC", 1)) == ([60], [60 + 12])


def test_upsampled_rows_come_in_granules() -> None:
    """3x4x2 to 3x8x4: rows in twos. Nearest reads n / 2 rows, K = S; linear n / 2 + 2, of which the first lies above the map."""
    nearest, linear = (GraphBuilder("x", (3, 4, 2)).upsample(2, linear=how).build().units[0] for how in (False, True))
    assert (nearest.granularities["H"], nearest.granules("H")) == (2, 4)
    assert (nearest.field, linear.field) == (Field(1, 0, 0, 4), Field(1, 2, 1, 4))
    assert _largest(nearest, "H", 0, 2, 8) == [0, 6 * 1 + 24, 6 * 4 + 96]
    assert _largest(linear, "H", 0, 2, 8) == [6 * 2, 6 * 3 + 24, 6 * 6 + 96]


def test_space_to_depth() -> None:
    """1x4x2 in blocks of 2 x 2 to 4x2x1: a row reads two, a channel everything."""
    unit = GraphBuilder("x", (1, 4, 2)).space_to_depth(2).build().units[0]
    assert unit.field == Field(2, 0, 0, 4)
    assert (_largest(unit, "H", 1), _largest(unit, "OC", 1)) == ([4 + 4], [8 + 2])


def test_a_step_that_mixes_channels() -> None:
    """A softmax at the end of an epilogue shows in the unit, a normalisation does not."""
    plain, mixed = (GraphBuilder("x", (1, 2, 2)).conv(2, 1).batch_norm() for _ in range(2))
    assert [net.build().units[0].mixes_channels for net in (plain, mixed.softmax())] == [False, True]


def test_without_a_pool_rows_stay() -> None:
    """One row before the pool for each behind it, beginning at the first."""
    assert tuple(PoolRows()) == (1, 1, 0)


def test_the_input_and_the_output_are_units() -> None:
    """They are whole, cannot be split, do no work, hold nothing of their own, and own or read all of the tensor."""
    shape = Shape(2, 3, 4)
    for unit in (source_unit(shape), sink_unit(shape)):
        assert (unit.dims, unit.flops, unit.out_shape, unit.pre_pool_shape) == ((), 0, shape, shape)
        assert _amounts(unit.work[None], 1) == _amounts(unit.weights[None], 1) == _largest(unit, None, 1) == [0]
        assert _amounts(unit.output[None], 1) == [24]
        assert (unit.granules("H"), unit.granules("OC"), unit.granules("IC")) == (3, 2, 2)
    assert (source_unit(shape).name, source_unit(shape).reads) == (SOURCE, ())
    assert (sink_unit(shape).name, sink_unit(shape).reads) == (SINK, (Read(shape, shape, False),))


def test_keys_leave_names_out(trio_graph: Graph) -> None:
    """Units that differ in their names alone have one key, others have not; so with the terminals."""
    one, other = (GraphBuilder("x", (1, 4, 4)).conv(2, 3, name=name).build().units[0] for name in "ab")
    assert one.key == other.key
    assert len({unit.key for unit in trio_graph.units}) == 5
    assert source_unit(Shape(1, 2, 3)).key == source_unit(Shape(1, 2, 3)).key != sink_unit(Shape(1, 2, 3)).key


def _table(operator: Operator, dim: str, n: int) -> tuple[Fraction, Fraction, Fraction]:
    """C_ij, w_ij and a_ij of the statement's tables in fractions, elements."""
    C, OC, conv, pool = operator.in_shape.channels, operator.out_channels, operator.pre_pool_shape, operator.pool.rows
    F, W, B, whole_in, pre = operator.flops, operator.kernel_elements, operator.bias_elements, operator.in_elements, conv.elements
    if dim == "H":
        conv_rows, in_rows = max(0, (n - 1) * pool.stride + pool.extent), max(0, (n - 1) * operator.S + operator.K)
        gates = sum(operator.read_shape(slot).elements for slot in range(len(operator.in_shapes)) if operator.is_gate(slot))
        row = sum(operator.read_shape(s).channels * operator.in_shape.width for s in range(len(operator.in_shapes)) if not operator.is_gate(s))
        return Fraction(F, conv.height) * conv_rows, Fraction(W + B), Fraction(row * in_rows + OC * conv.width * conv_rows + gates)
    if dim == "OC":
        read = Fraction(n, OC) if operator.is_channel_local else 1
        return Fraction(F * n, OC), Fraction((W + B) * n, OC), whole_in * read + Fraction(pre * n, OC)
    return Fraction(F * n, C), Fraction(W * n, C) + B, Fraction(whole_in * n, C) + pre


def test_the_tables_of_random_operators() -> None:
    """Work, weights and activations of operators of every kind are those of the tables, at every share."""
    rng, kinds = random.Random(5), set()
    for number in range(120):
        graph = random_branched_graph(rng) if number % 3 else random_graph(rng)
        for operator in graph.operators:
            unit = operator.unit
            kinds.add(operator.kind)
            for dim in unit.dims:
                for m in range(unit.granules(dim) + 1):
                    n = m * unit.granularities[dim]
                    found = (amount(unit.work[dim], n), amount(unit.weights[dim], n), *_largest(unit, dim, n))
                    assert found == pytest.approx([float(figure) for figure in _table(operator, dim, n)], rel=1e-12)
    assert kinds == {"conv", "fc", "pool", "elementwise", "add", "mul", "concat", "slice", "upsample", "space_to_depth"}
