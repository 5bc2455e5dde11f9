"""Pools that are operators of their own."""

from __future__ import annotations

import pytest

from iopopt import GraphError
from iopopt.network.operator_records import operator_from, operator_record
from iopopt.network.operators.pool import Pooling
from iopopt.network.shapes import Shape, Window

POOL = Pooling("x", Shape(6, 9, 8), "average_inside", Window(3, 2, 1, 1), Window(2, 2))


def test_field_and_work() -> None:
    """Rows 3/2 with padding 1 of 9: (9 + 2 - 3) / 2 + 1 = 5; columns 2/2 of 8: 4. Nothing is multiplied."""
    assert (POOL.K, POOL.S, POOL.P, POOL.out_shape) == (3, 2, 1, Shape(6, 5, 4))
    assert (POOL.has_kernel, POOL.macs, POOL.parameters, POOL.bias, POOL.groups) == (False, 0, 0, False, 1)
    assert (POOL.in_elements, POOL.in_row_elements) == (6 * 9 * 8, 6 * 8)


def test_channels() -> None:
    """A share of channels needs those channels; there is nothing to sum over input channels."""
    assert POOL.is_channel_local
    assert (POOL.input_channels("OC", 4), POOL.input_channels("H", 2)) == (4, 6)
    assert POOL.splittable_dims == ("H", "OC")
    assert POOL.refusal("IC") == "cannot be split by IC, it has no kernel; allowed are H, OC"
    assert POOL.refusal("OC") is None


def test_text_and_record() -> None:
    """Both averages read alike in words; the record tells them apart."""
    assert POOL.text == "pool average 3x2/2"
    assert Pooling("x", Shape(6, 9, 8), "max").text == "pool max 1x1"
    record = operator_record(POOL)
    assert record.keys() == {"name", "kind", "in_shape", "epilogue", "function", "rows", "columns"}
    assert (record["kind"], record["function"]) == ("pool", "average_inside")
    assert operator_from(record, "x") == POOL


def test_refusals() -> None:
    """Other functions, windows that do not fit or that upsample."""
    with pytest.raises(GraphError, match="operator 'x': function of this pool is 'sum'; allowed are 'max', 'average', 'average_inside'"):
        Pooling("x", Shape(6, 9, 8), "sum")  # type: ignore[arg-type]
    with pytest.raises(GraphError, match="too small for its window"):
        Pooling("x", Shape(6, 9, 8), "max", Window(10))
    with pytest.raises(GraphError, match="this pool does not upsample"):
        Pooling("x", Shape(6, 9, 8), "max", Window(upsampling=2))
