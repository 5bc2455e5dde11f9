"""Convolutions: field, work, splits, text and what they refuse."""

from __future__ import annotations

import pytest

from iopopt import Graph, GraphBuilder, GraphError
from iopopt.network.epilogue import Pool
from iopopt.network.operator_records import operator_from, operator_record
from iopopt.network.operators.conv import Conv
from iopopt.network.shapes import Shape, Window


def test_figures_of_an_operator(trio_graph: Graph) -> None:
    """The symbols of the cost model for conv 3x3 pad 1 and pool 2/2: K = 3 + 1, S = 2, P = 1; shapes and work by hand."""
    a = trio_graph["a"]
    assert (a.K, a.S, a.P) == (4, 2, 1)
    assert (a.pre_pool_shape, a.out_shape) == (Shape(4, 8, 4), Shape(4, 4, 2))
    assert (a.kernel_elements, a.bias_elements, a.parameters) == (4 * 2 * 9, 4, 76)
    assert (a.macs, a.flops) == (72 * 8 * 4, 2 * 72 * 8 * 4)
    assert (a.size("H"), a.size("OC"), a.size("IC")) == (4, 4, 2)
    assert a.splittable_dims == ("H", "OC", "IC")


def test_composite_field_with_everything() -> None:
    """k = 3 dilated to 5, s = 3, p = 2; pool k_p = 3, s_p = 2, p_p = 1: K = 5 + 2 x 3, S = 6, P = 2 + 1 x 3."""
    rows, pool = Window(3, 3, 2, 0, 2), Window(3, 2, 1, 1)
    operator = Conv("x", Shape(2, 20, 9), 3, rows, Window(), epilogue=(Pool("max", pool, Window()),))
    assert (operator.K, operator.S, operator.P) == (11, 6, 5)
    assert operator.pre_pool_shape == Shape(3, 6, 9)  # (20 + 2 - 5) // 3 + 1
    assert operator.out_shape == Shape(3, 3, 9)  # (6 + 2 - 3) // 2 + 1


def test_parameters_count_normalisation_and_lack_of_bias() -> None:
    """A 1x1 convolution of 3 to 4 channels has 12 weights; no bias; batch normalisation adds 2 a channel, outside of W and B."""
    operator = GraphBuilder("x", (3, 4, 4)).conv(4, 1, bias=False).batch_norm().build().operators[0]
    assert (operator.kernel_elements, operator.bias_elements, operator.parameters) == (12, 0, 20)


def test_groups_divide_the_kernel() -> None:
    """Two groups halve weights and MACs: 8 x (4/2) x 9 and as many for each of 4x4 places."""
    operator = GraphBuilder("x", (4, 4, 4)).conv(8, 3, padding=1, groups=2).build().operators[0]
    assert (operator.kernel_elements, operator.macs) == (144, 144 * 16)


def test_channel_local_operators() -> None:
    """With two groups of 2 input and 4 output channels, OC shares are multiples of 4, 8 of them need 4 input channels, and IC is no split."""
    net = GraphBuilder("x", (4, 4, 4)).conv(8, 3, padding=1, groups=2).conv(6, 1).conv(6, 4, groups=6).build()
    grouped, pointwise, depthwise = net.operators
    assert (grouped.is_channel_local, grouped.channel_unit, grouped.splittable_dims) == (True, 4, ("H", "OC"))
    assert (depthwise.is_channel_local, depthwise.channel_unit, depthwise.splittable_dims) == (True, 1, ("OC",))
    assert (pointwise.is_channel_local, pointwise.channel_unit, pointwise.splittable_dims) == (False, 1, ("H", "OC", "IC"))
    assert [grouped.input_channels("OC", share) for share in (0, 4, 8)] == [0, 2, 4]
    assert (grouped.input_channels("H", 1), grouped.input_channels(None, 1)) == (4, 4)
    assert (pointwise.input_channels("OC", 1), pointwise.input_channels("IC", 3)) == (8, 3)
    assert [(dim, grouped.granularity(dim)) for dim in grouped.splittable_dims] == [("H", 1), ("OC", 4)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"out_channels": 0}, "0 output channels and 1 groups must be positive integers"),
        ({"out_channels": True}, "out_channels of this conv is True"),
        ({"groups": 2}, "2 groups do not divide both 3 input and 4 output channels"),
        ({"groups": 0}, "0 groups must be positive"),
        ({"groups": -1}, "-1 groups must be positive"),
        ({"rows": Window(upsampling=2)}, "this conv does not upsample"),
        ({"columns": Window(9)}, "input 3x8x8 is too small for its window: the result would be 4x8x0"),
        ({"rows": Window(9)}, "too small for its window"),
        ({"epilogue": (Pool("max", Window(9), Window(1)),)}, "too small for its pool"),
        ({"epilogue": (Pool(), Pool())}, "one pool"),
    ],
)
def test_wrong_convolutions_are_refused(changes: dict[str, object], message: str) -> None:
    """Figures out of range, groups that leave a rest, and windows that do not fit."""
    good: dict[str, object] = {"name": "x", "in_shape": Shape(3, 8, 8), "out_channels": 4}
    Conv(**good)  # type: ignore[arg-type]
    with pytest.raises(GraphError, match=message):
        Conv(**(good | changes))  # type: ignore[arg-type]


def test_text() -> None:
    """The window, and the groups if there are several."""
    assert Conv("x", Shape(4, 8, 8), 6, Window(3, 2), Window(5, 2)).text == "conv 3x5/2"
    assert Conv("x", Shape(4, 8, 8), 6, groups=2).text == "conv 1x1 in 2 groups"


def test_record() -> None:
    """The fields of a convolution and no others."""
    conv = Conv("x", Shape(4, 8, 8), 6, Window(3, 2), groups=2, bias=False)
    record = operator_record(conv)
    assert record.keys() == {"name", "kind", "in_shape", "epilogue", "out_channels", "bias", "rows", "columns", "groups"}
    assert (record["kind"], record["in_shape"], record["groups"], record["bias"]) == ("conv", [4, 8, 8], 2, False)
    assert record["rows"] == {"kernel": 3, "stride": 2, "before": 0, "after": 0, "dilation": 1, "upsampling": 1}
    assert operator_from(record, "x") == conv
