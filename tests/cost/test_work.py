"""FLOPs of shares, by hand; the evaluator's tests compare them with a second implementation."""

from __future__ import annotations

import pytest

from iopopt import GraphBuilder, Placement
from iopopt.cost.memory import share_memory
from iopopt.cost.work import share_work
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
