"""Products of maps."""

from __future__ import annotations

import pytest

from iopopt import GraphError
from iopopt.network.operator_records import operator_from, operator_record
from iopopt.network.operators.mul import Mul
from iopopt.network.shapes import Shape

MAP, GATE = Shape(4, 6, 2), Shape(4, 1, 1)


def test_reads_and_work() -> None:
    """Two maps of 48 elements, 8 a row each, and a gate of 4; nothing is multiplied by parameters."""
    joined = Mul("x", MAP, (MAP, GATE))
    assert (joined.in_shapes, joined.out_shape) == ((MAP, MAP, GATE), MAP)
    assert [joined.is_gate(slot) for slot in range(3)] == [False, False, True]
    assert (joined.in_elements, joined.gate_elements, joined.in_row_elements) == (100, 4, 16)
    assert (joined.K, joined.S, joined.P, joined.macs, joined.parameters) == (1, 1, 0, 0, 0)
    assert [joined.input_channels("OC", 3, slot) for slot in range(3)] == [3, 3, 3]
    assert (joined.is_channel_local, joined.splittable_dims) == (True, ("H", "OC"))


def test_one_element_a_channel_is_no_gate_for_its_like() -> None:
    """Maps of one element are maps."""
    assert not Mul("x", GATE, (GATE,)).is_gate(1)


def test_text_and_record() -> None:
    """The record lists the inputs behind the first."""
    joined = Mul("x", MAP, (GATE,))
    record = {"name": "x", "kind": "mul", "in_shape": [4, 6, 2], "epilogue": [], "more_inputs": [[4, 1, 1]]}
    assert joined.text == "mul"
    assert operator_record(joined) == record
    assert operator_from(record, "x") == joined


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ((), "this mul has one input; it joins several"),
        ((Shape(4, 6, 3),), "mul of 4x6x2 and 4x6x3; the second must be 4x6x2 or 4x1x1"),
        ((MAP, Shape(1, 1, 1)), "mul of 4x6x2 and 1x1x1"),
        (((4, 6, 2),), "more_inputs of this mul is"),
        ((Shape(4, 0, 2),), "must be positive integers"),
    ],
)
def test_refusals(more: tuple[Shape, ...], message: str) -> None:
    """One input alone, and maps that do not fit together."""
    with pytest.raises(GraphError, match=message):
        Mul("x", MAP, more)
