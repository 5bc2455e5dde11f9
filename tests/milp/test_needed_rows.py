"""What the output needs in every plan."""

from __future__ import annotations

import pytest
from support.random_any import random_case

from iopopt import Graph, GraphBuilder
from iopopt.milp.needed_rows import is_anchored, least_work, needed_rows
from iopopt.schedule.region_transfers import field_rows, pre_pool_rows
from iopopt.schedule.regions import Interval


def _chain(*windows: tuple[int, int, int]) -> Graph:
    """Convolutions of (kernel, stride, padding) along the rows, of a map of 9 rows."""
    net = GraphBuilder("chain", (1, 9, 1))
    for kernel, stride, padding in windows:
        net.conv(1, (kernel, 1), stride=(stride, 1), padding=(padding, 0), bias=False)
    return net.build()


@pytest.mark.parametrize(
    ("windows", "rows"),
    [
        pytest.param([(1, 1, 0), (3, 1, 1)], (9, 9), id="all"),
        pytest.param([(1, 1, 0), (3, 2, 0)], (9, 4), id="fields that overlap"),
        pytest.param([(1, 1, 0), (2, 2, 0)], (8, 4), id="a row that is left over"),
        pytest.param([(1, 1, 0), (1, 2, 0)], (5, 5), id="rows that are left out between participants"),
        pytest.param([(3, 1, 1), (3, 1, 1), (1, 3, 0)], (1, 3, 3), id="rows under those"),
    ],
)
def test_needed_rows_by_hand(windows: list[tuple[int, int, int]], rows: tuple[int, ...]) -> None:
    """Each participant needs all rows from the first to the last of its fields; one row each needs the fewest. Padding may be cut from either end."""
    assert needed_rows(_chain(*windows)) == rows


def test_work_of_what_is_left_over() -> None:
    """A convolution of 9 rows of 2 FLOPs, of which 8 are needed."""
    assert least_work(_chain((1, 1, 0), (2, 2, 0))) == (16.0, 16.0)


@pytest.mark.parametrize("seed", range(60))
def test_any_rows_need_as_many_rows_as_stated(seed: int) -> None:
    """One participant for each row of the output, or for all of them: the rows under them, operator by operator."""
    graph = random_case(seed)[0]
    needed = {len(graph) - 1: set(range(graph.output.out_shape.height))}
    for number in reversed(range(len(graph) - 1)):
        under: set[int] = set()
        for edge in graph.edges_from[number]:
            reader, rows = graph.operators[edge.consumer], needed[edge.consumer]
            granule = reader.granularity("H")
            starts = {row // granule * granule for row in rows}
            under |= {
                row for start in starts for found in [field_rows(reader, Interval(start, start + granule))] for row in range(found.start, found.stop)
            }
            if reader.is_gate(edge.slot) and rows:
                under |= set(range(graph.operators[number].out_shape.height))
        needed[number] = under
    assert all(len(needed[number]) >= rows for number, rows in enumerate(needed_rows(graph)))


@pytest.mark.parametrize("seed", range(60))
def test_anchored_rows_need_something(seed: int) -> None:
    """Where an operator is anchored, each of its shares needs a row of its input and one before its pool, whichever it is."""
    for operator in random_case(seed)[0].operators:
        granule = operator.granularity("H")
        shares = [Interval(start, start + granule) for start in range(0, operator.out_shape.height, granule)]
        if is_anchored(operator):
            assert all(field_rows(operator, share) and pre_pool_rows(operator, share) for share in shares)
