"""Records of operators: those that other releases wrote, and those that are refused."""

from __future__ import annotations

from typing import Any

import pytest

from iopopt import FileFormatError, Graph, Operator
from iopopt.network.epilogue import Activation, Normalisation, Pool
from iopopt.network.operator_records import operator_from, operator_record
from iopopt.network.operators import KINDS
from iopopt.network.operators.add import Add
from iopopt.network.operators.concat import Concat
from iopopt.network.operators.conv import Conv
from iopopt.network.operators.elementwise import Elementwise
from iopopt.network.operators.fc import FullyConnected
from iopopt.network.operators.mul import Mul
from iopopt.network.operators.pool import Pooling
from iopopt.network.operators.slice import Slice
from iopopt.network.operators.space_to_depth import SpaceToDepth
from iopopt.network.operators.upsample import Upsample
from iopopt.network.shapes import Shape, Window

NONE = {"kernel": 1, "stride": 1, "before": 0, "after": 0, "dilation": 1, "upsampling": 1}
RELU = {"step": "activation", "function": "relu", "parameters": []}
COMMON = {
    "name": "x",
    "in_shape": [4, 6, 6],
    "out_channels": 4,
    "rows": NONE,
    "columns": NONE,
    "groups": 1,
    "bias": True,
    "epilogue": [],
    "function": "",
    "more_inputs": [],
    "first_channel": 0,
}
"""Records once had these twelve keys (with ``kind``) for every kind."""

SHAPE = Shape(4, 6, 6)
MAX = {"step": "pool", "function": "max", "rows": NONE | {"kernel": 2, "stride": 2}, "columns": NONE | {"kernel": 2, "stride": 2}}
NORM = {"step": "normalisation", "function": "batch"}

FORMER: dict[str, tuple[dict[str, Any], Operator]] = {
    "conv": (
        {"kind": "conv", "out_channels": 2, "rows": NONE | {"kernel": 3, "before": 1}, "groups": 2, "bias": False, "epilogue": [NORM, RELU, MAX]},
        Conv("x", SHAPE, 2, Window(3, 1, 1), groups=2, bias=False, epilogue=(Normalisation(), Activation(), Pool())),
    ),
    "fc": (
        {"kind": "fc", "out_channels": 9, "rows": NONE | {"kernel": 6}, "columns": NONE | {"kernel": 6}},
        FullyConnected("x", SHAPE, 9),
    ),
    "pool": (
        {"kind": "pool", "function": "average", "rows": NONE | {"kernel": 2, "stride": 2}},
        Pooling("x", SHAPE, "average", Window(2, 2)),
    ),
    "elementwise": ({"kind": "elementwise", "epilogue": [RELU]}, Elementwise("x", SHAPE, epilogue=(Activation(),))),
    "local": ({"kind": "local", "epilogue": [RELU]}, Elementwise("x", SHAPE, epilogue=(Activation(),))),
    "add": ({"kind": "add", "more_inputs": [[4, 6, 6], [4, 1, 1]]}, Add("x", SHAPE, (SHAPE, Shape(4, 1, 1)))),
    "mul": ({"kind": "mul", "more_inputs": [[4, 1, 1]]}, Mul("x", SHAPE, (Shape(4, 1, 1),))),
    "concat": ({"kind": "concat", "out_channels": 7, "more_inputs": [[3, 6, 6]]}, Concat("x", SHAPE, (Shape(3, 6, 6),))),
    "slice": ({"kind": "slice", "out_channels": 2, "first_channel": 1}, Slice("x", SHAPE, 2, 1)),
    "upsample": (
        {"kind": "upsample", "function": "nearest", "rows": NONE | {"upsampling": 2}},
        Upsample("x", SHAPE, "nearest", Window(upsampling=2)),
    ),
    "space_to_depth": (
        {"kind": "space_to_depth", "out_channels": 16, "rows": NONE | {"kernel": 2, "stride": 2}, "columns": NONE | {"kernel": 2, "stride": 2}},
        SpaceToDepth("x", SHAPE, Window(2, 2), Window(2, 2)),
    ),
}


@pytest.mark.parametrize("kind", FORMER)
def test_former_records(kind: str) -> None:
    """A record with every key of old is the operator that it was, and is written with the keys of its kind."""
    changes, expected = FORMER[kind]
    operator = operator_from(COMMON | changes, "x")
    assert (operator, type(operator)) == (expected, type(expected))
    assert operator_record(operator).items() <= (COMMON | changes | {"kind": operator.kind}).items()
    assert operator_from(operator_record(operator), "x") == expected


def test_every_kind_has_a_former_record() -> None:
    """No kind is left out."""
    assert {expected.kind for _, expected in FORMER.values()} == set(KINDS)


def test_former_graph() -> None:
    """A graph of one release is read by the next: a pool that has groups, a bias and inputs in name alone."""
    record = {
        "schema_version": 1,
        "name": "net",
        "input_shape": [4, 6, 6],
        "operators": [COMMON | FORMER["pool"][0]],
        "edges": [["input", "x"]],
    }
    assert Graph.from_dict(record) == Graph("net", SHAPE, (FORMER["pool"][1],))


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        ("pool", {"groups": 2}, "where: 'groups' is 2; this pool has 1"),
        ("pool", {"groups": "two"}, "where: 'groups' is 'two'; it must be an integer"),
        ("pool", {"out_channels": 5}, "where: 'out_channels' is 5; this pool has 4"),
        ("pool", {"bias": 1}, "where: 'bias' is 1; it must be true or false"),
        ("pool", {"more_inputs": [[4, 6, 6]]}, "where: 'more_inputs' is .*; this pool has \\[\\]"),
        ("fc", {"rows": NONE}, "where: 'rows' is .*; this fc has {'kernel': 6, .*"),
        ("conv", {"function": "max"}, "where: 'function' is 'max'; this conv has ''"),
        ("concat", {"out_channels": 4}, "where: 'out_channels' is 4; this concat has 7"),
        ("add", {"first_channel": 1}, "where: 'first_channel' is 1; this add has 0"),
        ("add", {"rows": NONE | {"kernle": 1}}, "where.rows: unknown key 'kernle'. Did you mean 'kernel'"),
        ("pool", {"function": "sum"}, "where: 'function' is 'sum'; it must be one of max, average, average_inside"),
        ("pool", {"kind": "lstm"}, "where: 'kind' is 'lstm'; allowed are add, concat, conv"),
        ("pool", {"kind": 3}, "where: 'kind' is 3; it must be a text"),
        ("conv", {"epilogue": [{"step": "relu"}]}, r"where.epilogue\[0\]: .* is not an epilogue step"),
        ("conv", {"epilogue": "relu"}, "where: 'epilogue' is 'relu'; it must be a list"),
        (
            "conv",
            {"dilation": 2},
            "where: unknown key 'dilation'.* Allowed: bias, columns, .*, rows",
        ),
        ("add", {"more_inputs": [[4, 6]]}, r"where: 'more_inputs\[0\]' is \[4, 6\]; it must be \[channels, height, width\]"),
    ],
)
def test_wrong_records(kind: str, changes: dict[str, Any], message: str) -> None:
    """The message names the place, the key and what is allowed."""
    with pytest.raises(FileFormatError, match=message):
        operator_from(COMMON | FORMER[kind][0] | changes, "where")


def test_missing_keys() -> None:
    """Which key is missing, also where the kind is."""
    with pytest.raises(FileFormatError, match="where: key 'kind' is missing"):
        operator_from({"name": "x", "in_shape": [1, 1, 1]}, "where")
    with pytest.raises(FileFormatError, match="where: key 'function' is missing"):
        operator_from({"name": "x", "kind": "pool", "in_shape": [1, 1, 1]}, "where")


def test_short_records_take_the_defaults() -> None:
    """Only name, kind, input shape and output channels of a convolution must be given; edges default to the chain."""
    record = {
        "schema_version": 1,
        "name": "short",
        "input_shape": [3, 4, 4],
        "operators": [{"name": "x", "kind": "conv", "in_shape": [3, 4, 4], "out_channels": 2, "rows": {"kernel": 3}}],
    }
    assert Graph.from_dict(record).operators[0] == Conv("x", Shape(3, 4, 4), 2, Window(3))
