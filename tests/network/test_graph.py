"""Operators, graphs, the builder and their records."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from support.damage import attempt, damaged, without_each_key
from support.random_instances import random_graph

from iopopt import FileFormatError, Graph, GraphBuilder, GraphError, IopoptError, Operator, load_model
from iopopt.network.epilogue import Activation, Mixing, Normalisation, Pool
from iopopt.network.graph import Edge
from iopopt.network.shapes import Shape, Window
from iopopt.records import write_json


@pytest.mark.parametrize(
    ("window", "size", "positions"),
    [
        (Window(3), 5, 3),
        (Window(3, before=1, after=1), 5, 5),
        (Window(3, 2), 8, 3),  # 0, 2, 4: position 6 would reach row 8
        (Window(3, 2, after=1), 8, 4),
        (Window(3, 1, dilation=2), 5, 1),  # 5 rows under the dilated kernel
        (Window(11, 4, 2, 2), 224, 55),  # AlexNet's first layer
        (Window(3), 2, 0),
    ],
)
def test_window_positions(window: Window, size: int, positions: int) -> None:
    """A window takes floor((size + padding - extent) / stride) + 1 positions."""
    assert window.output_size(size) == positions


@pytest.mark.parametrize("wrong", [{"kernel": 0}, {"stride": 0}, {"before": -1}, {"after": -1}, {"dilation": 0}, {"kernel": 1.0}, {"stride": True}])
def test_wrong_windows_are_refused(wrong: dict[str, int]) -> None:
    """Figures out of range are refused with their name."""
    with pytest.raises(GraphError, match=next(iter(wrong))):
        Window(**wrong)


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
    operator = Operator("x", "conv", Shape(2, 20, 9), 3, rows, Window(), epilogue=(Pool("max", pool, Window()),))
    assert (operator.K, operator.S, operator.P) == (11, 6, 5)
    assert operator.pre_pool_shape == Shape(3, 6, 9)  # (20 + 2 - 5) // 3 + 1
    assert operator.out_shape == Shape(3, 3, 9)  # (6 + 2 - 3) // 2 + 1


def test_fully_connected_operator(trio_graph: Graph) -> None:
    """A fully connected operator is one row over the whole map and keeps the map's channels as its input channels."""
    c = trio_graph["c"]
    assert (c.size("IC"), c.out_shape, c.splittable_dims) == (6, Shape(5, 1, 1), ("OC", "IC"))
    assert (c.kernel_elements, c.macs, c.parameters) == (240, 240, 245)


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
    assert [(dim, grouped.unit(dim)) for dim in grouped.splittable_dims] == [("H", 1), ("OC", 4)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": ""}, "empty or reserved"),
        ({"name": "input"}, "empty or reserved"),
        ({"name": 3}, "no text"),
        ({"kind": "lstm"}, "'lstm'; allowed are conv, fc"),
        ({"out_channels": 0}, "positive integers"),
        ({"out_channels": True}, "positive integers"),
        ({"in_shape": Shape(3, 0, 8)}, "positive integers"),
        ({"groups": 2}, "2 groups"),
        ({"rows": Window(9)}, "too small for its window"),
        ({"epilogue": (Pool("max", Window(9), Window(1)),)}, "too small for its pool"),
        ({"epilogue": (Pool(), Pool())}, "one pool"),
    ],
)
def test_wrong_operators_are_refused(changes: dict[str, object], message: str) -> None:
    """An operator out of range or whose windows do not fit is refused with its figures."""
    good: dict[str, object] = {"name": "x", "kind": "conv", "in_shape": Shape(3, 8, 8), "out_channels": 4}
    Operator(**good)  # type: ignore[arg-type]
    with pytest.raises(GraphError, match=message):
        Operator(**(good | changes))  # type: ignore[arg-type]


def test_pool_function_is_checked() -> None:
    """Only maximum and average pools exist."""
    with pytest.raises(GraphError, match="'sum'"):
        Pool("sum")  # type: ignore[arg-type]


def _pointwise(name: str, channels: int = 2) -> Operator:
    return Operator(name, "conv", Shape(channels, 4, 4), 2)


@pytest.mark.parametrize(
    ("names", "edges", "message"),
    [
        ((), (), "no operator"),
        (("a", "a"), (), "repeat: a"),
        (("a", "b"), (Edge("input", "a"), Edge("z", "b")), "no operator 'z'"),
        (("a", "b"), (Edge("input", "a"), Edge("a", "input")), "feed the input"),
        (("a", "b"), (Edge("input", "a"),), "'b' reads 0 tensors"),
        (("a", "b"), (Edge("input", "a"), Edge("input", "b"), Edge("a", "b")), "'b' reads 2 tensors"),
        (("a", "b"), (Edge("b", "a"), Edge("input", "b")), "points backwards"),
        (("a", "b"), (Edge("input", "a"), Edge("input", "b")), r"2 operators have no consumer \(a, b\)"),
    ],
)
def test_wrong_graphs_are_refused(names: tuple[str, ...], edges: tuple[Edge, ...], message: str) -> None:
    """A graph that is empty, repeats a name, has an edge too many or too few, or no single output is refused."""
    with pytest.raises(GraphError, match=message):
        Graph("g", Shape(2, 4, 4), tuple(_pointwise(name) for name in names), edges)


def test_disagreeing_shapes_are_refused() -> None:
    """Both tensors are named where a producer does not give what its consumer reads."""
    with pytest.raises(GraphError, match="a gives 2x4x4, but b reads 3x4x4"):
        Graph("g", Shape(2, 4, 4), (_pointwise("a"), _pointwise("b", 3)))


def test_chain_by_default(trio_graph: Graph) -> None:
    """Without edges the operators form a chain from the input; the last is the output."""
    assert trio_graph.edges == (("input", "a"), ("a", "b"), ("b", "c"))
    assert trio_graph.is_chain
    assert trio_graph.output.name == "c"
    assert len(trio_graph) == 3


def test_whole_memory(trio_graph: Graph) -> None:
    """Weights and biases 76 + 222 + 245; the largest in + pre is 64 + 128; both times the bytes of an element."""
    assert trio_graph.whole_memory_bytes(1) == (543, 192)
    assert trio_graph.whole_memory_bytes() == (4 * 543, 4 * 192)


def test_summary(trio_graph: Graph) -> None:
    """The summary has a row for each operator and its columns add up to the graph's totals."""
    frame = trio_graph.summary()
    assert list(frame["operator"]) == ["a", "b", "c"]
    assert list(frame["splits"]) == ["H:4 OC:4 IC:2", "H:4 OC:6 IC:4", "OC:5 IC:6"]
    assert frame["macs"].sum() == trio_graph.macs == 2304 + 1728 + 240
    assert frame["parameters"].sum() == trio_graph.parameters == 543


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


@pytest.mark.parametrize("name", ["lenet5", "alexnet", "vgg16"])
def test_zoo_round_trip(name: str) -> None:
    """A network of the zoo comes back from JSON as it was."""
    graph = load_model(name)
    assert Graph.from_dict(json.loads(json.dumps(graph.to_dict()))) == graph


def test_random_round_trips() -> None:
    """Random graphs, with uneven padding, dilation and every epilogue, come back from JSON as they were."""
    rng = random.Random(1)
    for _ in range(100):
        graph = random_graph(rng)
        assert Graph.from_dict(json.loads(json.dumps(graph.to_dict()))) == graph


def test_short_records_take_the_defaults() -> None:
    """Only name, kind, input shape and output channels of an operator must be given; edges default to the chain."""
    record = {
        "schema_version": 1,
        "name": "short",
        "input_shape": [3, 4, 4],
        "operators": [{"name": "x", "kind": "conv", "in_shape": [3, 4, 4], "out_channels": 2, "rows": {"kernel": 3}}],
    }
    assert Graph.from_dict(record).operators[0] == Operator("x", "conv", Shape(3, 4, 4), 2, Window(3))


def test_damaged_records_are_refused(trio_graph: Graph) -> None:
    """No damage to a record raises anything but the toolkit's errors, and what is accepted says the same as the record."""
    net = GraphBuilder("small", (2, 6, 6)).conv(2, 3, groups=2).batch_norm().relu().max_pool(2)
    record = json.loads(json.dumps(net.fc(3).build().to_dict()))
    refused = 0
    for path, wrong, broken in damaged(record):
        accepted, message = attempt(Graph.from_dict, broken)
        if message is not None:
            refused += 1
        else:
            # An empty list or mapping may stand where everything has a default.
            assert wrong in ([], {}) or accepted.to_dict() == broken, (path, wrong)
    assert refused > 500
    for path, broken in without_each_key(record):
        if path[-1] in ("schema_version", "step", "out_channels", "in_shape", "input_shape", "operators", "kind"):
            with pytest.raises(FileFormatError, match=str(path[-1])):
                Graph.from_dict(broken)


def test_damaged_files_name_the_file(tmp_path: Path) -> None:
    """What a damaged file raises begins with its name and the place in it."""
    path = tmp_path / "net.json"
    record = load_model("lenet5").to_dict()
    record["operators"][1]["rows"]["kernle"] = 3
    write_json(path, record)
    with pytest.raises(FileFormatError, match=r"net\.json: operators\[1\]\.rows: unknown key 'kernle'\. Did you mean 'kernel'"):
        load_model(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "line 1"),
        (b"{", "line 1, column 2"),
        (b"\xff\xfe\x00", "no UTF-8"),
        (b"[]", "a mapping is expected"),
        (b"null", "a mapping is expected"),
        (b'{"schema_version": 2}', "'schema_version' is 2; this release reads version 1"),
        (b'{"schema_version": true}', "'schema_version' is True"),
        (b'{"schema_version": 1, "schema_version": 1}', "given twice"),
        (b'{"schema_version": 1}', "key 'input_shape' is missing"),
        (b"[" * 100_000, "no JSON that can be read"),
        (b'{"schema_version": 1' + b"0" * 5000 + b"}", "no JSON that can be read"),
    ],
)
def test_unreadable_files(content: bytes, message: str, tmp_path: Path) -> None:
    """Empty, cut, binary, foreign and hostile files are refused by name."""
    path = tmp_path / "net.json"
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match=message) as caught:
        load_model(path)
    assert str(path) in str(caught.value)


def test_missing_files_and_directories(tmp_path: Path) -> None:
    """A path that is missing, a directory or impossible is refused by name."""
    (tmp_path / "folder.json").mkdir()
    for path in (f"{tmp_path}/missing.json", f"{tmp_path}/folder.json", f"{tmp_path}/nul\0.json"):
        with pytest.raises(IopoptError, match="cannot be read"):
            load_model(path)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Activation("leaky_relu"), r"leaky_relu: found 0 parameters \(\); it has 1"),
        (lambda: Mixing("lrn", (5.0,)), "lrn: found 1 parameters"),
        (lambda: GraphBuilder("x", (4, 6, 6)).conv(4, 3).step(Mixing("shuffle", (3.0,))), "4 channels cannot be shuffled in 3 groups"),
        (lambda: GraphBuilder("x", (4, 8, 8)).space_to_depth(3), "blocks of 3x3 do not divide the input 4x8x8"),
        (lambda: GraphBuilder("x", (4, 8, 8)).conv(4, 3).step("relu"), r"'relu' is no step of an epilogue; .* activation\(\)"),
        (lambda: GraphBuilder("x", (4, 8, 8)).add(["input", "input"], "input"), "there is no tensor"),
    ],
)
def test_what_builders_refuse(make: Any, message: str) -> None:
    """Functions with the wrong parameters, blocks and groups that leave a rest, and what is no step or tensor, when the network is written."""
    with pytest.raises(GraphError, match=message):
        make()


def test_a_gate_may_come_first_and_names_do_not_collide() -> None:
    """The map goes before its gate whatever the order; a free name passes over one that was given."""
    net = GraphBuilder("x", (4, 8, 8)).conv(4, 3, name="conv2").conv(4, 1)
    entry = net.tip
    graph = net.global_average_pool().activation("sigmoid").mul(net.tip, entry).build()
    assert [operator.name for operator in graph.operators] == ["conv2", "conv3", "pool1", "mul1"]
    assert graph["mul1"].in_shapes == (Shape(4, 6, 6), Shape(4, 1, 1))
