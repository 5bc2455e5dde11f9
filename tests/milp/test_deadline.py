"""The row of the deadline, by hand."""

from __future__ import annotations

import math

import pytest

from iopopt.milp.affine import times
from iopopt.milp.deadline import keep_deadline
from iopopt.milp.program import Program, ProgramBuilder


def _with_deadline(latest_s: float) -> Program:
    """A latency of two units of 5 ms for each of one variable."""
    builder = ProgramBuilder()
    builder.minimise(times(2, builder.variable(("v",))))
    keep_deadline(builder, 5e-3, latest_s)
    return builder.build()


def test_the_row_ends_at_the_deadline() -> None:
    """Of 40 ms: four at most, and one billionth more exceeds it by ten times the usual tolerance of 1e-6."""
    program = _with_deadline(0.04)
    assert program.row_names == (("deadline",),)
    assert program.row_upper[0] / program.values[0] == pytest.approx(4, rel=1e-12)
    assert program.values[0] * 4 * (1 + 1e-9) - program.row_upper[0] == pytest.approx(1e-5, rel=1e-3)


def test_without_a_deadline_there_is_no_row() -> None:
    assert _with_deadline(math.inf).row_names == ()
