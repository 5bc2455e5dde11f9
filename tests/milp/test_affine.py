"""Linear expressions, and counts of rows as variables of a program."""

from __future__ import annotations

import random

import pytest
from support.affine_point import Point

from iopopt.milp.affine import Affine, AffineRows, constant, times, total
from iopopt.milp.program import ProgramBuilder


def _is(expression: Affine, terms: dict[int, float], value: float) -> bool:
    return (dict(expression.terms), expression.constant) == (terms, value)


def test_arithmetic_by_hand() -> None:
    """2 v0 + v1 + 3 and v1 - 1 add, subtract, and multiply by numbers from either side."""
    one, other = Affine({0: 2.0, 1: 1.0}, 3.0), Affine({1: 1.0}, -1.0)
    assert _is(one + other, {0: 2, 1: 2}, 2)
    assert _is(one - other, {0: 2, 1: 0}, 4)
    assert _is(one * 2, {0: 4, 1: 2}, 6)
    assert _is(0.5 * one, {0: 1, 1: 0.5}, 1.5)
    assert _is(total([one, other, other]), {0: 2, 1: 3}, 1)
    assert _is(total([]), {}, 0)


def test_parts() -> None:
    """A constant has no variables; ``times`` has one coefficient for all; without either an expression is 0."""
    assert _is(constant(4), {}, 4)
    assert _is(times(3, 1, 5), {1: 3, 5: 3}, 0)
    assert _is(times(3), {}, 0)
    assert _is(Affine({}), {}, 0)


def test_operations_leave_their_operands_alone() -> None:
    """Sums and products are new expressions."""
    one, other = times(1, 0), times(2, 0)
    assert _is(one + other, {0: 3}, 0)
    assert _is(one - other, {0: -1}, 0)
    assert _is(one, {0: 1}, 0)
    assert _is(other, {0: 2}, 0)


def test_in_words() -> None:
    """An expression is written term by term."""
    assert repr(Affine({0: 2.0, 3: -1.5}, 4.0)) == "2 v0 + -1.5 v3 + 4"


def test_values_follow_the_operations() -> None:
    """At random points sums, differences and multiples of expressions have those of their values."""
    rng = random.Random(1)
    for _ in range(300):
        point = Point([rng.uniform(-5, 5) for _ in range(6)])
        one, other, third = (
            Affine({rng.randrange(6): rng.uniform(-3, 3) for _ in range(rng.randint(0, 4))}, rng.choice([0.0, rng.uniform(-9, 9)])) for _ in range(3)
        )
        a, b, c = map(point.value, (one, other, third))
        factor = rng.uniform(-2, 2)
        assert point.value(one + other) == pytest.approx(a + b, abs=1e-9)
        assert point.value(one - other) == pytest.approx(a - b, abs=1e-9)
        assert point.value(factor * one) == point.value(one * factor) == pytest.approx(factor * a, abs=1e-9)
        assert point.value(total([one, other, third])) == pytest.approx(a + b + c, abs=1e-9)


def test_constants_are_in_force_while_a_flow_is() -> None:
    """Over the flows v0 and v1 the constant 4 is 4 (v0 + v1), and 0 needs no variable."""
    of = AffineRows(Point([1, 0]), [0, 1], ("x",))
    assert _is(of.constant(4), {0: 4, 1: 4}, 0)
    assert _is(of.constant(0), {}, 0)
    assert _is(of.choose(True, of.constant(1), of.constant(2)), {0: 1, 1: 1}, 0)
    assert _is(of.choose(False, of.constant(1), of.constant(2)), {0: 2, 1: 2}, 0)


def test_counts_are_variables_above_their_rows() -> None:
    """max(0, v1 - 3 v0) of a program is a variable of at least 0 with a row that holds it above v1 - 3 v0."""
    builder = ProgramBuilder()
    flow, share = builder.variable(("y",)), builder.variable(("n",))
    of = AffineRows(builder, [flow], ("edge",))
    first = of.at_least_zero(times(1, share) - of.constant(3))
    second = of.at_least_zero(times(1, share))
    program = builder.build()
    assert (dict(first.terms), dict(second.terms)) == ({2: 1}, {3: 1})
    assert program.names == (("y",), ("n",), ("rows", "edge", "0"), ("rows", "edge", "1"))
    assert program.row_names == (("rows", "edge", "0"), ("rows", "edge", "1"))
    assert program.lower[2:].tolist() == [0, 0]
    rows = {(row, column): value for row, column, value in zip(program.rows.tolist(), program.columns.tolist(), program.values.tolist(), strict=True)}
    assert rows == {(0, 0): 3, (0, 1): -1, (0, 2): 1, (1, 1): -1, (1, 3): 1}
    assert program.row_lower.tolist() == [0, 0]


def test_a_point_pushes_counts_down() -> None:
    """The least value that a count may have is its rows, or 0 where these are fewer than none."""
    for share, counted in ((5, 2), (3, 0), (1, 0)):
        point = Point([1, share])
        of = AffineRows(point, [0], ("x",))
        assert point.value(of.at_least_zero(times(1, 1) - of.constant(3))) == counted
