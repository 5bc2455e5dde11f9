"""Fully connected operators."""

from __future__ import annotations

import pytest

from iopopt import Graph, GraphError
from iopopt.network.operator_records import operator_from, operator_record
from iopopt.network.operators.fc import FullyConnected
from iopopt.network.shapes import Shape, Window


def test_fully_connected_operator(trio_graph: Graph) -> None:
    """A fully connected operator is one row over the whole map and keeps the map's channels as its input channels."""
    c = trio_graph["c"]
    assert (c.size("IC"), c.out_shape, c.splittable_dims) == (6, Shape(5, 1, 1), ("OC", "IC"))
    assert (c.kernel_elements, c.macs, c.parameters) == (240, 240, 245)


def test_window_and_channels() -> None:
    """The kernel is as large as the map, 512x7x7; a share of 64 input channels needs those alone."""
    fc = FullyConnected("x", Shape(512, 7, 7), 10, bias=False)
    assert (fc.rows, fc.columns, fc.kernel_shape) == (Window(7), Window(7), (10, 512, 7, 7))
    assert (fc.K, fc.S, fc.P, fc.macs, fc.parameters) == (7, 1, 0, 250880, 250880)
    assert (fc.input_channels("IC", 64), fc.input_channels("OC", 5), fc.is_channel_local) == (64, 512, False)
    assert fc.refusal("H") == "cannot be split by H, it has 1 rows; allowed are OC, IC"


def test_text_and_record() -> None:
    """The window follows from the input, so that neither says it."""
    fc = FullyConnected("x", Shape(5, 2, 3), 10, bias=False)
    record = {"name": "x", "kind": "fc", "in_shape": [5, 2, 3], "epilogue": [], "out_channels": 10, "bias": False}
    assert fc.text == "fc"
    assert operator_record(fc) == record
    assert operator_from(record, "x") == fc


def test_no_outputs_are_refused() -> None:
    """At least one output feature."""
    with pytest.raises(GraphError, match="0 output channels"):
        FullyConnected("x", Shape(5, 2, 3), 0)
