"""Networks written with the builder."""

from __future__ import annotations

from typing import Any

import pytest

from iopopt import GraphBuilder, GraphError
from iopopt.network.epilogue import Activation, Mixing, Normalisation, Pool
from iopopt.network.operators.conv import Conv
from iopopt.network.operators.upsample import Upsample
from iopopt.network.shapes import Shape, Window


def test_builder_names_and_steps() -> None:
    """Operators are numbered by kind, pairs are (rows, columns), and steps join the operator before them in order."""
    net = GraphBuilder("x", (1, 9, 9)).conv(2, (3, 1), stride=(2, 1), padding=(1, 0), dilation=(2, 1)).batch_norm().relu()
    graph = net.average_pool(2, 1, 1).conv(2, 1).fc(3, bias=False).fc(2, name="last").build()
    assert [operator.name for operator in graph.operators] == ["conv1", "conv2", "fc1", "last"]
    first = graph.operators[0]
    assert (first.rows, first.columns) == (Window(3, 2, 1, 1, 2), Window(1, 1, 0, 0, 1))
    assert first.epilogue == (Normalisation(), Activation("relu"), Pool("average", Window(2, 1, 1, 1), Window(2, 1, 1, 1)))


def test_a_step_on_the_input_stands_alone() -> None:
    """A step with no operator before it becomes an operator of its own."""
    graph = GraphBuilder("x", (1, 4, 4)).relu().build()
    assert [(operator.kind, operator.epilogue) for operator in graph.operators] == [("elementwise", (Activation("relu"),))]


@pytest.mark.parametrize("wrong", [(1, 2, 3), 1.5, "3", None, (3,), (0, 1), True])
def test_builder_refuses_wrong_sizes(wrong: Any) -> None:
    """A size is an integer or a pair, and an input shape has three."""
    with pytest.raises(GraphError, match="window"):
        GraphBuilder("x", (1, 8, 8)).conv(2, wrong)
    with pytest.raises(GraphError, match="channels, height, width"):
        GraphBuilder("x", (1, 8))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GraphBuilder("x", (4, 6, 6)).conv(4, 3).step(Mixing("shuffle", (3.0,))), "4 channels cannot be shuffled in 3 groups"),
        (lambda: GraphBuilder("x", (4, 8, 8)).space_to_depth(3), "blocks of 3x3 do not divide the input 4x8x8"),
        (lambda: GraphBuilder("x", (4, 8, 8)).conv(4, 3).step("relu"), r"'relu' is not an epilogue step; .* activation\(\)"),
        (lambda: GraphBuilder("x", (4, 8, 8)).add(["input", "input"], "input"), "no tensor is named"),
    ],
)
def test_what_builders_refuse(make: Any, message: str) -> None:
    """Blocks and groups that leave a rest, and what is no step or tensor, when the network is written."""
    with pytest.raises(GraphError, match=message):
        make()


def test_a_gate_may_come_first_and_names_do_not_collide() -> None:
    """The map goes before its gate whatever the order; a free name passes over one that was given."""
    net = GraphBuilder("x", (4, 8, 8)).conv(4, 3, name="conv2").conv(4, 1)
    entry = net.tip
    graph = net.global_average_pool().activation("sigmoid").mul(net.tip, entry).build()
    assert [operator.name for operator in graph.operators] == ["conv2", "conv3", "pool1", "mul1"]
    assert graph["mul1"].in_shapes == (Shape(4, 6, 6), Shape(4, 1, 1))


def test_operators_by_the_name_of_their_kind() -> None:
    """The figures are the fields of the kind's class; the output channels may be said of every kind."""
    net = GraphBuilder("x", (4, 8, 8)).operator("conv", 6, rows=Window(3), groups=2, bias=False)
    graph = net.operator("upsample", 6, name="up", function="nearest", columns=Window(upsampling=2), epilogue=(Activation(),)).build()
    assert graph["conv1"] == Conv("conv1", Shape(4, 8, 8), 6, Window(3), groups=2, bias=False)
    assert graph["up"] == Upsample("up", Shape(6, 6, 8), "nearest", columns=Window(upsampling=2), epilogue=(Activation(),))


@pytest.mark.parametrize(
    ("kind", "channels", "figures", "message"),
    [
        ("lstm", 4, {}, "operator 'x': kind is 'lstm'; allowed are add, concat, conv, elementwise, fc"),
        (["conv"], 4, {}, r"operator 'x': kind is \['conv'\]; allowed are"),
        ("pool", 4, {"function": "max", "groups": 2}, "operator 'x': unknown figure 'groups'; this pool takes epilogue, function, rows, columns"),
        ("fc", 4, {"rows": Window(8)}, "operator 'x': unknown figure 'rows'; this fc takes epilogue, out_channels, bias"),
        ("conv", 4, {"in_shape": Shape(1, 1, 1)}, "unknown figure 'in_shape'; this conv takes"),
        ("pool", 4, {}, "operator 'x': 'function' is missing; this pool takes"),
        ("add", 4, {}, "operator 'x': 'more_inputs' is missing; this add takes"),
        ("pool", 5, {"function": "max"}, "operator 'x': this pool has 4 output channels, not 5"),
        ("conv", "4", {}, "operator 'x': out_channels of this conv is '4'; int is expected"),
        ("conv", 4, {"rows": 3}, "operator 'x': rows of this conv is 3; Window is expected"),
        ("conv", 4, {"bias": 1}, "operator 'x': bias of this conv is 1; bool is expected"),
        ("conv", 4, {"epilogue": ["relu"]}, "operator 'x': epilogue of this conv is"),
        ("conv", 4, {"epilogue": ("relu",)}, "of each item: Activation or Normalisation or Pool or Mixing is expected"),
        ("pool", 4, {"function": "sum"}, "operator 'x': function of this pool is 'sum'; allowed are 'max', 'average', 'average_inside'"),
    ],
)
def test_figures_that_do_not_fit_a_kind(kind: Any, channels: Any, figures: dict[str, Any], message: str) -> None:
    """The message names the operator, the figure and what the kind takes."""
    with pytest.raises(GraphError, match=message):
        GraphBuilder("net", (4, 8, 8)).operator(kind, channels, name="x", **figures)
