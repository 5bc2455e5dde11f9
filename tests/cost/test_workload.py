"""FLOPs and memory of shares, by hand; the evaluator's tests compare them with a second implementation."""

from __future__ import annotations

import pytest

from iopopt import Graph, GraphBuilder, Placement
from iopopt.cost.memory import Demand, conv_rows, field_rows, share_memory
from iopopt.cost.work import share_flops


@pytest.mark.parametrize(
    ("pool", "share", "rows"),
    [((2, 2), 3, 6), ((3, 2), 3, 7), ((3, 2), 0, 1), ((2, 2), 0, 0), ((1, 2), 0, 0), ((1, 3), 2, 4)],
)
def test_rows_before_the_pool(pool: tuple[int, int], share: int, rows: int) -> None:
    """n rows behind a pool of kernel k and stride s need (n - 1) s + k rows before it, never less than none."""
    operator = GraphBuilder("x", (1, 20, 20)).conv(1, 3).max_pool(*pool).build().operators[0]
    assert conv_rows(operator, share) == rows


def test_rows_of_the_field() -> None:
    """Convolution 5/2 and pool 3/2: K = 5 + 2 x 2 = 9, S = 4: three rows need 17, none 5."""
    operator = GraphBuilder("x", (1, 40, 40)).conv(1, 5, stride=2).max_pool(3, 2).build().operators[0]
    assert (field_rows(operator, 3), field_rows(operator, 0)) == (17, 5)


def test_flops_under_overlapping_pools_exceed_the_whole() -> None:
    """Rows under overlapping windows are computed twice: 9 rows before a pool 3/2 that gives 4, split 2 + 2, count 5 + 5."""
    operator = GraphBuilder("x", (1, 9, 9)).conv(1, 1).max_pool(3, 2).build().operators[0]
    assert operator.flops == 162
    assert dict(share_flops(operator.unit, Placement.split("H", (0, 1), (2, 2)))) == {0: pytest.approx(18 * 5), 1: pytest.approx(18 * 5)}
    assert dict(share_flops(operator.unit, Placement.whole(3))) == {3: 162}


def test_memory_of_each_dimension(trio_graph: Graph) -> None:
    """b of the trio (W = 216, B = 6, in = 32, pre = 48; 8 input bytes a row, 12 before the pool), at two bytes an element."""
    b = trio_graph["b"]

    def demands(placement: Placement) -> list[Demand]:
        return [demand for _, demand in share_memory(b, placement, 2)]

    assert demands(Placement.whole(0)) == [(444, 160)]
    # One row reads (1 - 1) + 3 = 3 rows, three rows 5: the formula makes no exception at the tensor's edge.
    assert demands(Placement.split("H", (0, 1), (1, 3))) == [(444, 2 * (3 * 8 + 12)), (444, 2 * (5 * 8 + 3 * 12))]
    assert demands(Placement.split("OC", (0, 1), (0, 6))) == [(0, 64), (444, 160)]
    assert demands(Placement.split("IC", (0, 1), (1, 3))) == [(2 * (54 + 6), 2 * (8 + 48)), (2 * (162 + 6), 2 * (24 + 48))]


def test_an_empty_row_share_keeps_kernel_and_pipelines(trio_graph: Graph) -> None:
    """An empty row share holds the kernel and, with K = 3 and S = 1, (0 - 1) + 3 = 2 input rows; no row before the pool."""
    demands = dict(share_memory(trio_graph["b"], Placement.split("H", (0, 1), (0, 4)), 1))
    assert demands[0] == (222, 2 * 8)
