"""Programs say what was asked for: rows hold just where the sentence does, costs and bounds are those of the variables."""

import itertools

import numpy as np
import pytest
from support.programs import least_objective, slacks

from iopopt.milp.affine import constant, times, total
from iopopt.milp.program import ProgramBuilder

POINTS = list(itertools.product((0.0, 1.0, 2.0), repeat=2))


def holds(program, point):
    """Whether every row holds at a point."""
    return bool((slacks(program, np.array(point)) >= -1e-12).all())


@pytest.mark.parametrize("sentence", ["equal", "at_least", "at_most"])
def test_rows_hold_where_their_sentence_does(sentence):
    """2a + b + 1 compared with a + 3: variables on both sides, one of them on each, and constants on both."""
    builder = ProgramBuilder()
    a, b = builder.variable(("a",)), builder.variable(("b",))
    getattr(builder, sentence)(("row",), times(2, a) + times(1, b) + constant(1), times(1, a) + constant(3))
    program = builder.build()
    truth = {"equal": lambda x, y: x + y == 2, "at_least": lambda x, y: x + y >= 2, "at_most": lambda x, y: x + y <= 2}[sentence]
    assert {point: holds(program, point) for point in POINTS} == {point: truth(*point) for point in POINTS}
    assert len({holds(program, point) for point in POINTS}) == 2


def test_terms_add_up():
    """A variable named twice counts twice, what cancels out is no entry, and scaling scales the constant too."""
    builder = ProgramBuilder()
    a, b = builder.variable(("a",)), builder.variable(("b",))
    builder.at_most(("twice",), total([times(1, a, b), (times(2, a) + constant(1)) * 3]), times(1, b) + constant(10))
    program = builder.build()
    assert program.columns.tolist() == [a]
    assert program.values.tolist() == [7.0]
    assert program.row_upper.tolist() == [7.0]
    assert program.row_lower.tolist() == [-np.inf]


def test_variables_have_their_bounds_and_costs():
    """Every variable is at least 0, and has the upper bound, integrality and cost that it was given; costs add up."""
    builder = ProgramBuilder()
    first, second = builder.variable(("first",), upper=3, integer=True, cost=2), builder.variable(("second",))
    builder.add_cost(first, 0.5)
    builder.add_cost(second, 1)
    program = builder.build()
    assert (first, second) == (0, 1)
    assert program.names == (("first",), ("second",))
    assert program.lower.tolist() == [0, 0]
    assert program.upper.tolist() == [3, np.inf]
    assert program.integer.tolist() == [True, False]
    assert program.objective.tolist() == [2.5, 1]


def test_rows_have_their_names():
    """Rows keep the order and the names under which they were added."""
    builder = ProgramBuilder()
    a = builder.variable(("a",))
    for name in ("one", "two"):
        builder.at_least((name,), times(1, a), constant(1))
    program = builder.build()
    assert program.row_names == (("one",), ("two",))
    assert program.rows.tolist() == [0, 1]
    assert program.size == "2 rows, 1 columns (0 integer)"


def test_a_limit_on_the_cost_leaves_out_what_is_dearer():
    """Points of at most that cost are left, also where costs were added later and some are 0."""
    builder = ProgramBuilder()
    a, b = builder.variable(("a",), cost=1), builder.variable(("b",))
    free = builder.variable(("free",))
    builder.add_cost(b, 2)
    builder.cost_at_most(("limit",), 4)
    program = builder.build()
    assert {(x, y) for x, y in POINTS if holds(program, (x, y, 9.0))} == {(x, y) for x, y in POINTS if x + 2 * y <= 4}
    assert free not in program.columns.tolist()
    assert a == 0


def test_a_program_without_rows():
    """Nothing but variables is a program too."""
    builder = ProgramBuilder()
    builder.variable(("a",), upper=1, cost=-1)
    program = builder.build()
    assert program.rows.size == program.columns.size == program.values.size == 0
    assert least_objective(program) == pytest.approx(-1)
