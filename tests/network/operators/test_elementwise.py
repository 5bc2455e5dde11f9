"""Operators that are nothing but their epilogue."""

from __future__ import annotations

from iopopt.network.epilogue import Activation, Normalisation
from iopopt.network.operator_records import operator_from, operator_record
from iopopt.network.operators.elementwise import Elementwise
from iopopt.network.shapes import Shape


def test_field_work_and_channels() -> None:
    """Each output is made of the input at its place; a batch normalisation has two parameters for each of 3 channels."""
    steps = Elementwise("x", Shape(3, 4, 5), epilogue=(Normalisation(), Activation()))
    assert (steps.K, steps.S, steps.P, steps.out_shape) == (1, 1, 0, Shape(3, 4, 5))
    assert (steps.macs, steps.kernel_elements, steps.parameters) == (0, 0, 6)
    assert (steps.is_channel_local, steps.splittable_dims) == (True, ("H", "OC"))


def test_text_and_record() -> None:
    """The record has no more than what every operator has; records of old call the kind local."""
    steps = Elementwise("x", Shape(3, 4, 5), epilogue=(Activation("clip", (0.0, 6.0)),))
    record = operator_record(steps)
    assert steps.text == "elementwise"
    assert record == {
        "name": "x",
        "kind": "elementwise",
        "in_shape": [3, 4, 5],
        "epilogue": [{"step": "activation", "function": "clip", "parameters": [0.0, 6.0]}],
    }
    assert operator_from(record, "x") == operator_from(record | {"kind": "local"}, "x") == steps
