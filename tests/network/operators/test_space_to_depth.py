"""Blocks of pixels that become channels."""

from __future__ import annotations

import pytest

from iopopt import GraphError
from iopopt.network.operator_records import operator_from, operator_record
from iopopt.network.operators.space_to_depth import SpaceToDepth
from iopopt.network.shapes import Shape, Window

BLOCKS = SpaceToDepth("x", Shape(2, 6, 6), Window(2, 2), Window(3, 3))


def test_field_and_channels() -> None:
    """Blocks of 2x3: 2 x 6 channels of 3x2; an output row needs two rows, an output channel all input channels."""
    assert (BLOCKS.out_channels, BLOCKS.out_shape) == (12, Shape(12, 3, 2))
    assert (BLOCKS.K, BLOCKS.S, BLOCKS.P, BLOCKS.macs, BLOCKS.parameters) == (2, 2, 0, 0, 0)
    assert (BLOCKS.is_channel_local, BLOCKS.input_channels("OC", 1), BLOCKS.splittable_dims) == (False, 2, ("H", "OC"))


def test_text_and_record() -> None:
    """The size of a block."""
    record = operator_record(BLOCKS)
    assert BLOCKS.text == "space_to_depth 2x3"
    assert record.keys() == {"name", "kind", "in_shape", "epilogue", "rows", "columns"}
    assert operator_from(record, "x") == BLOCKS


@pytest.mark.parametrize("window", [Window(2), Window(2, 2, 1), Window(2, 2, dilation=2), Window(2, 2, upsampling=2)])
def test_windows_that_are_no_blocks(window: Window) -> None:
    """Blocks lie side by side."""
    with pytest.raises(GraphError, match="takes blocks: its stride must equal its kernel"):
        SpaceToDepth("x", Shape(2, 6, 6), window)


def test_blocks_that_leave_a_rest() -> None:
    """Blocks divide the map."""
    with pytest.raises(GraphError, match="blocks of 4x1 do not divide the input 2x6x6"):
        SpaceToDepth("x", Shape(2, 6, 6), Window(4, 4))
