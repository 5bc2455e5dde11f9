"""FLOPs of shares, by hand; the evaluator's tests compare them with a second implementation."""

from __future__ import annotations

import pytest

from iopopt import GraphBuilder, Placement
from iopopt.cost.memory import share_memory
from iopopt.cost.work import share_work, whole_work
from iopopt.network.epilogue import Pool
from iopopt.network.shapes import Window


@pytest.mark.parametrize(
    ("pool", "share", "rows"),
    [((2, 2), 3, 6), ((3, 2), 3, 7), ((3, 2), 0, 1), ((2, 2), 0, 0), ((1, 2), 0, 0), ((1, 3), 2, 4)],
)
def test_rows_before_the_pool(pool: tuple[int, int], share: int, rows: int) -> None:
    """n rows behind a pool of kernel k and stride s need (n - 1) s + k rows before it, never less than none: 18 FLOPs x 18 columns each."""
    unit = GraphBuilder("x", (1, 20, 20)).conv(1, 3).max_pool(*pool).build().units[0]
    shares = (share, unit.sizes["H"] - share)
    assert dict(share_work(unit, Placement.split("H", (0, 1), shares), 1))[0].flops == pytest.approx(rows * 18 * 18)


def test_rows_of_the_field() -> None:
    """Convolution 5/2 and pool 3/2: K = 5 + 2 x 2 = 9, S = 4: three rows need 17 and 7 before the pool, none 5 and 1."""
    unit = GraphBuilder("x", (1, 40, 1)).conv(1, (5, 1), stride=(2, 1), bias=False).step(Pool("max", Window(3, 2), Window())).build().units[0]
    demands = dict(share_memory(unit, Placement.split("H", (0, 1, 2), (3, 0, 5)), 1))
    assert [demands[j].activations for j in (0, 1)] == [17 + 7, 5 + 1]


def test_flops_under_overlapping_pools_exceed_the_whole() -> None:
    """Rows under overlapping windows are computed twice: 9 rows before a pool 3/2 that gives 4, split 2 + 2, count 5 + 5."""
    unit = GraphBuilder("x", (1, 9, 9)).conv(1, 1).max_pool(3, 2).build().units[0]
    assert unit.flops == 162
    assert [work.flops for _, work in share_work(unit, Placement.split("H", (0, 1), (2, 2)), 1)] == pytest.approx([18 * 5, 18 * 5])
    assert [(j, work.flops) for j, work in share_work(unit, Placement.whole(3), 1)] == [(3, 162)]


def test_what_is_touched() -> None:
    """3 x 3 with padding 1, 2x6x4 -> 3x6x4: 57 parameters, 8 elements of a row read, 12 of a row written. Three rows read five, none read two; four
    bytes an element."""
    unit = GraphBuilder("x", (2, 6, 4)).conv(3, 3, padding=1).build().units[0]
    rows = dict(share_work(unit, Placement.split("H", (0, 1, 2), (3, 3, 0)), 4))
    assert [work.touched_bytes for work in rows.values()] == [4 * (57 + 40 + 36)] * 2 + [4 * (57 + 16)]
    assert whole_work(unit, 4) == (2 * 54 * 24, 4 * (57 + 48 + 72))


def test_what_a_block_touches_depends_on_the_place() -> None:
    """Two 3 x 3 convolutions, 1x6x1: the first and the last of three, with two rows, need three of the four rows of the tensor between and four of
    the six of the input that those in the middle need; 18 parameters, and what is between is written and read."""
    graph = GraphBuilder("x", (1, 6, 1)).conv(1, 3, padding=1, bias=False).conv(1, 3, padding=1, bias=False).build()
    found = dict(share_work(graph.block(range(2)), Placement.split("H", (0, 1, 2), (2, 2, 2)), 1))
    assert [work.touched_bytes for work in found.values()] == [18 + 4 + 3 + 3 + 2, 18 + 6 + 4 + 4 + 2, 18 + 4 + 3 + 3 + 2]
