"""The arithmetic of rows: by hand, and alike for numbers, arrays and linear expressions."""

from __future__ import annotations

import itertools
import random
from typing import NamedTuple

import numpy as np
import pytest
from support.affine_point import Point

from iopopt.cost import edge_arrays
from iopopt.cost.rows import NUMBERS, Arithmetic, Place, Rows, count, missing_rows, needed_rows, pre_pool_rows
from iopopt.milp.affine import AffineRows, times
from iopopt.network.unit import Field, PoolRows

ARRAYS: Arithmetic[np.ndarray] = edge_arrays._ARRAYS  # type: ignore[type-arg, assignment]


def _cut(shares: tuple[int, ...]) -> list[tuple[Rows[float], Place]]:
    """The interval of each participant, and where it stands."""
    stops = list(itertools.accumulate(shares))
    last = len(shares) - 1
    return [(Rows(stop - share, stop), Place(rank == 0, rank == last)) for rank, (share, stop) in enumerate(zip(shares, stops, strict=True))]


def test_needed_rows_are_cut_at_the_ends_only() -> None:
    """Kernel 5, padding 2 over 8 rows: [0, 2), [2, 2), [2, 8) need [0, 4), [0, 4) and [0, 8).

    The second, empty, has lo = 2 - 2 = 0 and hi = 1 - 2 + 5 = 4 uncut; the last has hi = 7 - 2 + 5 = 10 cut to 8.
    """
    field = Field(stride=1, overlap=4, above=2, end=8)
    assert [needed_rows(field, share, place, NUMBERS) for share, place in _cut((2, 0, 6))] == [(0, 4), (0, 4), (0, 8)]
    # An empty first participant is the one that is cut above: -2 to 0; the next keeps its lo of -2.
    assert [needed_rows(field, share, place, NUMBERS) for share, place in _cut((0, 8))] == [(0, 2), (-2, 8)]


def test_a_middle_field_reaches_past_the_edge() -> None:
    """Kernel 5, padding 2 over 3 rows, one each: the second needs [-1, 4), which only the first and last would have cut."""
    field = Field(stride=1, overlap=4, above=2, end=3)
    assert [needed_rows(field, share, place, NUMBERS) for share, place in _cut((1, 1, 1))] == [(0, 3), (-1, 4), (0, 3)]


def test_granules_stand_for_rows() -> None:
    """Linear upsampling by two, K = 2 + 1/2, S = 1/2: granule m gives the rows [2 m, 2 m + 2) and reads [m - 1, m + 2)."""
    field = Field(stride=1, overlap=2, above=1, end=4)
    assert [needed_rows(field, share, place, NUMBERS) for share, place in _cut((2, 1, 1))] == [(0, 3), (1, 4), (2, 4)]


def test_pre_pool_rows_by_hand() -> None:
    """Pool 3/2 with padding 1 over 8 rows: rows [0, 2), [2, 3) and [3, 4) lie over [0, 4), [3, 6) and [5, 8)."""
    pool = PoolRows(extent=3, stride=2, before=1)
    shares = _cut((2, 1, 1))
    assert [pre_pool_rows(pool, 8, rows, place, NUMBERS) for rows, place in shares] == [(0, 4), (3, 6), (5, 8)]


def test_an_empty_interval_may_lie_over_rows() -> None:
    """Under an overlapping pool the empty interval [2, 2) lies over [3, 4): one row is counted; without overlap over [4, 4), none."""
    place = Place(False, False)
    overlapping = pre_pool_rows(PoolRows(3, 2, 1), 8, Rows(2, 2), place, NUMBERS)
    assert (overlapping, count(overlapping, NUMBERS)) == ((3, 4), 1)
    exact = pre_pool_rows(PoolRows(2, 2, 0), 8, Rows(2, 2), place, NUMBERS)
    assert (exact, count(exact, NUMBERS)) == ((4, 4), 0)
    assert count(pre_pool_rows(PoolRows(1, 2, 0), 8, Rows(2, 2), place, NUMBERS), NUMBERS) == 0  # [4, 3)


@pytest.mark.parametrize(
    ("owned", "needed", "missing"),
    [
        ((2, 4), (1, 6), (1, 2)),
        ((2, 4), (2, 4), (0, 0)),
        ((2, 4), (3, 3), (0, 0)),
        ((1, 2), (5, 6), (0, 4)),  # all needed rows lie below: those in between count as well
        ((5, 6), (1, 2), (4, 0)),
        ((3, 3), (2, 5), (1, 2)),  # nothing is owned, but the place in the order is kept
    ],
)
def test_missing_rows_by_hand(owned: tuple[int, int], needed: tuple[int, int], missing: tuple[int, int]) -> None:
    """above = max(0, A - lo), below = max(0, hi - A')."""
    assert missing_rows(Rows(*owned), Rows(*needed), NUMBERS) == missing


class _Case(NamedTuple):
    field: Field
    pool: PoolRows
    pre_pool_end: int
    owned: tuple[int, ...]
    shares: tuple[int, ...]


def _random_case(rng: random.Random) -> _Case:
    """Shares of 2 to 5 participants, empty ones among them, with fields that overlap or leave rows out."""
    participants = rng.randint(2, 5)
    stride = rng.randint(1, 4)
    field = Field(stride, rng.randint(1 - stride, 5), rng.randint(0, 4), rng.randint(1, 40))
    pool = PoolRows(rng.randint(1, 4), rng.randint(1, 3), rng.randint(0, 2))
    owned, shares = (tuple(rng.choice([0, 1, 2, 5]) for _ in range(participants)) for _ in range(2))
    return _Case(field, pool, rng.randint(1, 60), owned, shares)


def _figures(case: _Case) -> list[list[float]]:
    """For each participant, by numbers: lo, hi, their count, above, below, and the rows before the pool with their count."""
    figures = []
    for (own, _), (share, place) in zip(_cut(case.owned), _cut(case.shares), strict=True):
        rows = needed_rows(case.field, share, place, NUMBERS)
        before = pre_pool_rows(case.pool, case.pre_pool_end, rows, place, NUMBERS)
        figures.append([*rows, count(rows, NUMBERS), *missing_rows(own, rows, NUMBERS), *before, count(before, NUMBERS)])
    return figures


def test_arrays_agree_with_numbers() -> None:
    """One array over the participants of many cases has the figures of each."""
    rng = random.Random(1)
    for _ in range(200):
        case = _random_case(rng)
        cut, owned = _cut(case.shares), _cut(case.owned)
        share = Rows(*(np.array([rows[end] for rows, _ in cut], float) for end in (0, 1)))
        own = Rows(*(np.array([rows[end] for rows, _ in owned], float) for end in (0, 1)))
        place = Place(*(np.array([place[end] for _, place in cut]) for end in (0, 1)))
        rows = needed_rows(case.field, share, place, ARRAYS)
        before = pre_pool_rows(case.pool, case.pre_pool_end, rows, place, ARRAYS)
        found = [*rows, count(rows, ARRAYS), *missing_rows(own, rows, ARRAYS), *before, count(before, ARRAYS)]
        assert np.stack(np.broadcast_arrays(*found)).T.tolist() == _figures(case)


def test_expressions_agree_with_numbers() -> None:
    """Expressions over the shares have the figures at the point of these shares while their flow is 1, and are all 0 while it is 0."""
    rng = random.Random(2)
    for _ in range(200):
        case = _random_case(rng)
        n = len(case.shares)
        for flow in (1, 0):
            point = Point([flow, *(flow * share for share in case.shares), *(flow * share for share in case.owned)])
            of = AffineRows(point, [0], ("x",))
            found = []
            for rank, (_, place) in enumerate(_cut(case.shares)):
                share = Rows(times(1, *range(1, 1 + rank)), times(1, *range(1, 2 + rank)))
                own = Rows(times(1, *range(1 + n, 1 + n + rank)), times(1, *range(1 + n, 2 + n + rank)))
                rows = needed_rows(case.field, share, place, of)
                before = pre_pool_rows(case.pool, case.pre_pool_end, rows, place, of)
                expressions = [*rows, count(rows, of), *missing_rows(own, rows, of), *before, count(before, of)]
                found.append([point.value(expression) for expression in expressions])
            assert found == (_figures(case) if flow else [[0] * 8] * n)
            assert len(set(point.names)) == len(point.names) == 4 * n  # one for each count
