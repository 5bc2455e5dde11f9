"""Slices of channels."""

from __future__ import annotations

import pytest

from iopopt import GraphError
from iopopt.network.operator_records import operator_from, operator_record
from iopopt.network.operators.slice import Slice
from iopopt.network.shapes import Shape

SLICE = Slice("x", Shape(7, 4, 3), 2, 5)


def test_reads() -> None:
    """Channels 5 and 6 of 12 elements each, whatever a share computes of them."""
    assert (SLICE.read_channels(), SLICE.read_shape(), SLICE.out_shape) == (range(5, 7), Shape(2, 4, 3), Shape(2, 4, 3))
    assert (SLICE.in_elements, SLICE.in_row_elements) == (24, 6)
    assert (SLICE.is_channel_local, SLICE.input_channels("OC", 1), SLICE.size("IC")) == (False, 2, 7)
    assert (SLICE.macs, SLICE.parameters, SLICE.splittable_dims) == (0, 0, ("H", "OC"))


def test_text_and_record() -> None:
    """Where it begins, and how many channels there are."""
    record = {"name": "x", "kind": "slice", "in_shape": [7, 4, 3], "epilogue": [], "out_channels": 2, "first_channel": 5}
    assert SLICE.text == "slice from 5"
    assert operator_record(SLICE) == record
    assert operator_from(record, "x") == SLICE


@pytest.mark.parametrize(("channels", "first"), [(3, 5), (8, 0), (2, -1), (0, 0)])
def test_refusals(channels: int, first: int) -> None:
    """No channels, and channels that the input does not have."""
    with pytest.raises(GraphError, match="outside the 7 of the input" if channels else "0 output channels must be"):
        Slice("x", Shape(7, 4, 3), channels, first)
