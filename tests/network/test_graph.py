"""Graphs and their records."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.damage import attempt, damaged, without_each_key
from support.random_branches import is_chain, random_branched_graph
from support.random_instances import random_graph

from iopopt import Device, FileFormatError, Graph, GraphBuilder, GraphError, IopoptError, Operator, Placement, Plan, evaluate, load_model
from iopopt.network.graph import Edge, as_graph
from iopopt.network.operators.conv import Conv
from iopopt.network.records import write_json
from iopopt.network.shapes import Shape


def _pointwise(name: str, channels: int = 2) -> Operator:
    return Conv(name, Shape(channels, 4, 4), 2)


@pytest.mark.parametrize(
    ("names", "edges", "message"),
    [
        ((), (), "no operator"),
        (("a", "a"), (), "repeat: a"),
        (("a", "b"), (Edge("input", "a"), Edge("z", "b")), "no operator is named 'z'"),
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
    assert is_chain(trio_graph)
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
        (b"\xff\xfe\x00", "is not UTF-8"),
        (b"[]", "a mapping is expected"),
        (b"null", "a mapping is expected"),
        (b'{"schema_version": 2}', "'schema_version' is 2; this release reads version 1"),
        (b'{"schema_version": true}', "'schema_version' is True"),
        (b'{"schema_version": 1, "schema_version": 1}', "given twice"),
        (b'{"schema_version": 1}', "key 'input_shape' is missing"),
        (b"[" * 100_000, "is not readable JSON"),
        (b'{"schema_version": 1' + b"0" * 5000 + b"}", "is not readable JSON"),
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


def test_records_are_of_jsons_types() -> None:
    """A record is what JSON would make of it, is read back without JSON, and with tuples in the place of lists."""
    rng = random.Random(7)
    for graph in [random_graph(rng) for _ in range(40)] + [random_branched_graph(rng) for _ in range(40)]:
        record = graph.to_dict()
        assert json.loads(json.dumps(record)) == record
        assert Graph.from_dict(record) == graph
        assert Graph.from_dict({**record, "operators": tuple(record["operators"]), "input_shape": tuple(record["input_shape"])}) == graph


def test_one_line(trio_graph: Graph) -> None:
    """A graph on one line: its shapes and its size; a long name is cut."""
    assert repr(trio_graph) == "Graph('trio': 2x8x4 to 5x1x1, 3 operators, 4.27 k MACs)"
    assert len(repr(replace(trio_graph, name="n" * 500))) < 120


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (lambda: GraphBuilder("wide", (2**26, 1, 1)).fc(2**28), "'fc1' has 18014398777917440 parameters; at most 2"),
        (lambda: GraphBuilder("tall", (1, 2**27, 2**27)).max_pool(2), "elements; at most 2"),
        (lambda: GraphBuilder("slow", (2**12, 2**14, 2**14)).conv(2**10, 3, padding=1), "MACs; at most 2"),
    ],
)
def test_figures_that_floats_do_not_hold_are_refused(net: Any, message: str) -> None:
    """Beyond 2^53, a price would not be exact: the operator and the figure are named."""
    with pytest.raises(GraphError, match=message):
        net().build()


def test_the_largest_figures_are_exact() -> None:
    """An operator of 2^53 MACs is priced, and the price is what integers give."""
    graph = GraphBuilder("large", (2**27, 1, 1)).fc(2**26 - 1).build()
    assert graph.macs == 2**53 - 2**27
    assert evaluate(graph, [Device("a", 1.0, 1e24, 1e6)], Plan.of(graph, [Placement.whole(0)])).latency_s == 2 * graph.macs


def test_what_is_no_graph() -> None:
    """A graph stays itself; anything else is refused with what makes one."""
    graph = load_model("lenet5")
    assert as_graph(graph) is graph
    for wrong in ("lenet5", None, 3, {"name": "x"}, [graph]):
        with pytest.raises(GraphError, match=r"graph: found .*; a Graph is expected"):
            as_graph(wrong)  # type: ignore[arg-type]
