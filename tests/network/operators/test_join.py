"""Sums and products of maps."""

from __future__ import annotations

import pytest

from iopopt import GraphError
from iopopt.network.operator_records import operator_from, operator_record
from iopopt.network.operators.add import Add
from iopopt.network.operators.join import Join
from iopopt.network.operators.mul import Mul
from iopopt.network.shapes import Shape

MAP, GATE = Shape(4, 6, 2), Shape(4, 1, 1)

both = pytest.mark.parametrize("join", [Add, Mul])


@both
def test_reads_and_work(join: type[Join]) -> None:
    """Two maps of 48 elements, 8 a row each, and a gate of 4; there are no parameters."""
    joined = join("x", MAP, (MAP, GATE))
    assert (joined.in_shapes, joined.out_shape) == ((MAP, MAP, GATE), MAP)
    assert [joined.is_gate(slot) for slot in range(3)] == [False, False, True]
    assert (joined.in_elements, joined.gate_elements, joined.in_row_elements) == (100, 4, 16)
    assert (joined.K, joined.S, joined.P, joined.macs, joined.parameters) == (1, 1, 0, 0, 0)
    assert [joined.input_channels("OC", 3, slot) for slot in range(3)] == [3, 3, 3]
    assert (joined.is_channel_local, joined.splittable_dims) == (True, ("H", "OC"))


@both
def test_one_element_a_channel_is_no_gate_for_its_like(join: type[Join]) -> None:
    """Maps of one element are maps."""
    assert not join("x", GATE, (GATE,)).is_gate(1)


@both
def test_text_and_record(join: type[Join]) -> None:
    """The record lists the inputs behind the first."""
    joined = join("x", MAP, (GATE,))
    record = {"name": "x", "kind": join.kind, "in_shape": [4, 6, 2], "epilogue": [], "more_inputs": [[4, 1, 1]]}
    assert joined.text == join.kind
    assert operator_record(joined) == record
    assert operator_from(record, "x") == joined


@both
@pytest.mark.parametrize(
    ("more", "message"),
    [
        ((), "this {kind} has one input; it joins several"),
        ((Shape(4, 6, 3),), "{kind} of 4x6x2 and 4x6x3; the second must be 4x6x2 or 4x1x1"),
        ((MAP, Shape(1, 1, 1)), "{kind} of 4x6x2 and 1x1x1"),
        (((4, 6, 2),), "more_inputs of this {kind} is"),
        ((Shape(4, 0, 2),), "must be positive integers"),
    ],
)
def test_refusals(join: type[Join], more: tuple[Shape, ...], message: str) -> None:
    """One input alone, and maps that do not fit together."""
    with pytest.raises(GraphError, match=message.format(kind=join.kind)):
        join("x", MAP, more)
