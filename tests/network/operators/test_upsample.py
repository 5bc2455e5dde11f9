"""Upsampling by whole factors."""

from __future__ import annotations

from fractions import Fraction

import pytest

from iopopt import GraphError
from iopopt.network.epilogue import Pool
from iopopt.network.operator_records import operator_from, operator_record
from iopopt.network.operators.upsample import Upsample
from iopopt.network.shapes import Shape, Window

NEAREST = Upsample("x", Shape(2, 4, 3), "nearest", Window(upsampling=3), Window(upsampling=2))
LINEAR = Upsample("x", Shape(2, 4, 3), "linear", Window(3, 1, 1, 1, 1, 3), Window(3, 1, 1, 1))


def test_field() -> None:
    """A third of an input row between output rows. The 3 rows of one input row need (3 - 1) / 3 + K: 1 row repeated, 3 interpolated."""
    assert (NEAREST.out_shape, LINEAR.out_shape) == (Shape(2, 12, 6), Shape(2, 12, 3))
    assert (Fraction(1, 3), Fraction(1, 3), 0) == (NEAREST.K, NEAREST.S, NEAREST.P)
    assert (2 + Fraction(1, 3), Fraction(1, 3), 1) == (LINEAR.K, LINEAR.S, LINEAR.P)
    assert [2 * operator.S + operator.K for operator in (NEAREST, LINEAR)] == [1, 3]
    assert (NEAREST.granularity("H"), NEAREST.granularity("OC"), NEAREST.is_channel_local, NEAREST.macs) == (3, 1, True, 0)


def test_field_without_factor() -> None:
    """Where rows stay as they are, the field is that of the window, in whole numbers."""
    columns = Upsample("x", Shape(2, 4, 3), "linear", Window(3, 1, 1, 1), Window(3, 1, 1, 1, 1, 2))
    assert (columns.K, columns.S, columns.P, columns.granularity("H")) == (3, 1, 1, 1)
    assert isinstance(columns.S, int)


def test_text_and_record() -> None:
    """The function and the factors."""
    assert (NEAREST.text, LINEAR.text) == ("upsample nearest 3x2", "upsample linear 3x1")
    record = operator_record(LINEAR)
    assert record.keys() == {"name", "kind", "in_shape", "epilogue", "function", "rows", "columns"}
    assert record["rows"] == {"kernel": 3, "stride": 1, "before": 1, "after": 1, "dilation": 1, "upsampling": 3}
    assert operator_from(record, "x") == LINEAR


def test_refusals() -> None:
    """Windows of another function, other functions, and a pool."""
    with pytest.raises(GraphError, match="an upsampling by linear has windows of kernel 3, padding 1 and stride 1"):
        Upsample("x", Shape(2, 4, 3), "linear", Window(upsampling=2))
    with pytest.raises(GraphError, match="an upsampling by nearest has windows of kernel 1, padding 0"):
        Upsample("x", Shape(2, 4, 3), "nearest", Window(), Window(1, 2))
    with pytest.raises(GraphError, match="function of this upsample is 'cubic'; allowed are 'nearest', 'linear'"):
        Upsample("x", Shape(2, 4, 3), "cubic")  # type: ignore[arg-type]
    with pytest.raises(GraphError, match="a pool after an upsampling must be a separate operator"):
        Upsample("x", Shape(2, 4, 3), "nearest", epilogue=(Pool(),))
