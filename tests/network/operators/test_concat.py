"""Concatenations of channels."""

from __future__ import annotations

import pytest

from iopopt import GraphError
from iopopt.network.operator_records import operator_from, operator_record
from iopopt.network.operators.concat import Concat
from iopopt.network.shapes import Shape

CONCAT = Concat("x", Shape(2, 4, 3), (Shape(3, 4, 3), Shape(1, 4, 3)))


def test_reads_and_channels() -> None:
    """2 + 3 + 1 channels of 12 elements; a share of the output channels reads all of each input."""
    assert (CONCAT.out_channels, CONCAT.out_shape, CONCAT.in_elements, CONCAT.in_row_elements) == (6, Shape(6, 4, 3), 72, 18)
    assert (CONCAT.is_channel_local, CONCAT.input_channels("OC", 1, 1), CONCAT.gate_elements) == (False, 3, 0)
    assert (CONCAT.K, CONCAT.S, CONCAT.P, CONCAT.macs, CONCAT.parameters) == (1, 1, 0, 0, 0)
    assert CONCAT.splittable_dims == ("H", "OC")
    assert not Concat("x", Shape(2, 1, 1), (Shape(2, 1, 1),)).is_gate(1)


def test_text_and_record() -> None:
    """The output channels follow from the inputs."""
    record = {"name": "x", "kind": "concat", "in_shape": [2, 4, 3], "epilogue": [], "more_inputs": [[3, 4, 3], [1, 4, 3]]}
    assert CONCAT.text == "concat"
    assert operator_record(CONCAT) == record
    assert operator_from(record, "x") == CONCAT


def test_refusals() -> None:
    """One input alone, and maps of another size."""
    with pytest.raises(GraphError, match="this concat has one input; it joins several"):
        Concat("x", Shape(2, 4, 3), ())
    with pytest.raises(GraphError, match="a concat joins maps of one height and width; found 2x4x3 and 2x1x1"):
        Concat("x", Shape(2, 4, 3), (Shape(2, 1, 1),))
