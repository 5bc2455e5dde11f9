"""``iopopt show``: the table of a network, at any width, and its errors."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from iopopt import Graph, GraphBuilder, load_model
from iopopt.commands.show import main
from iopopt.network.epilogue import Activation, Mixing, Normalisation, Pool
from iopopt.network.operator_texts import epilogue_text, inputs_text, short_count, splits_text
from iopopt.network.shapes import Window


def branched() -> Graph:
    """A small network with an operator of every kind but fc."""
    net = GraphBuilder("branched", (3, 16, 16))
    left = net.conv(8, (3, 5), stride=2, padding=(1, 2), bias=False).batch_norm().relu().tip
    right = net.at("input").space_to_depth(2).tip
    net.concat(left, right).step(Mixing("shuffle", (2,)))
    joined = net.tip
    gate = net.global_average_pool().conv(20, 1).step(Activation("hard_sigmoid", (0.2, 0.5))).tip
    net.mul(joined, gate).slice(4, 12).conv(8, 3, padding=1, dilation=(1, 1), groups=8)
    twice = net.tip
    net.at(joined).slice(0, 8)
    return net.add(net.tip, twice).step(Activation("prelu")).upsample((2, 3), linear=True).build()


def test_the_zoo(capsys: pytest.CaptureFixture[str]) -> None:
    """A row for each operator with shapes, splits, work, parameters and epilogue, each on one line where the output is no terminal."""
    assert main(["vgg11"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["operator", "kind", "input", "output", "splits", "MACs", "weights", "epilogue"]
    assert " ".join(lines[1].split()) == "conv1 conv 3x3 3x224x224 64x112x112 H:112 OC:64 IC:3 86.7 M 1.79 k relu, max 2x2/2"
    assert " ".join(lines[9].split()) == "fc1 fc 512x7x7 4096x1x1 OC:4096 IC:512 103 M 103 M relu"
    assert lines[-1] == "vgg11: input 3x224x224, 11 operators, 7,609,090,048 MACs, 132,863,336 weights"
    assert len(lines) == 1 + 11 + 1


def test_other_kinds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Joins say how many maps they read, windows what sets them apart; names are not read as markup."""
    record = json.loads(json.dumps(branched().to_dict()).replace('"concat1"', '"[red]join"'))
    (tmp_path / "net.json").write_text(json.dumps(record))
    assert main([str(tmp_path / "net.json")]) == 0
    printed = capsys.readouterr().out
    for words in ("conv 3x5/2", "conv 3x3 in 8 groups", "[red]join", "8x8x8 + 12x8x8", "20x8x8 + 20x1x1", "2 of 8x8x8", "slice from 4"):
        assert words in printed
    for words in ("batch norm, relu", "shuffle(2)", "hard_sigmoid(0.2, 0.5)", "upsample linear 2x3", "space_to_depth 2x2", "pool average 8x8/8"):
        assert words in printed


def test_input_shape(capsys: pytest.CaptureFixture[str]) -> None:
    """--input-shape changes the size; commas do as well."""
    for text in ("3x64x96", "3,64,96", "3X64x96"):
        assert main(["vgg11", "--input-shape", text]) == 0
        assert "input 3x64x96" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["64", "64x64", "3x0x64", "3x-1x64", "axbxc", "3x64x64x1", "3x64x", "3x99999999999x64"])
def test_input_shapes_that_are_none(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What is no input shape ends with code 2 and what is expected."""
    with pytest.raises(SystemExit) as ended:
        main(["vgg11", f"--input-shape={text}"])
    assert ended.value.code == 2
    assert "without the batch, such as 3x224x224" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["vgg12", "missing.json", "missing.onnx"])
def test_errors_are_one_line(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What cannot be read ends with code 2 and one line."""
    assert main([name]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("error: ")
    assert said.err.count("\n") == 1


def test_eighty_columns() -> None:
    """On a terminal of 80 columns no line is longer, and no figure is lost."""
    code = (
        "import sys; from rich.console import Console; import iopopt.commands.show as show\n"
        "show.Console = lambda **settings: Console(force_terminal=True, color_system=None, **settings)\n"
        "sys.exit(show.main(['vgg19']))"
    )
    environment = {**os.environ, "COLUMNS": "80", "TERM": "xterm"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    rows = done.stdout.splitlines()[:-1]
    assert max(map(len, rows)) <= 80
    words = done.stdout.split()
    graph = load_model("vgg19")
    for operator in graph.operators:
        assert {operator.name, str(operator.in_shape), str(operator.out_shape), *splits_text(operator).split()} <= set(words)


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, ""), (999, "999"), (1000, "1 k"), (1790, "1.79 k"), (86_704_128, "86.7 M"), (999_499, "999 k"), (999_600, "1 M"), (1.5e12, "1.5 T")],
)
def test_short_counts(count: int, text: str) -> None:
    """Three figures and a unit."""
    assert short_count(int(count)) == text


def test_operators_in_words() -> None:
    """Kinds, inputs and steps as tables show them."""
    graph = load_model("alexnet")
    assert graph.operators[0].text == "conv 11x11/4"
    assert inputs_text(graph.operators[0]) == "3x224x224"
    assert epilogue_text(graph.operators[0]) == "relu, max 3x3/2"
    assert Activation("clip", (0.0, 6.0)).text == "clip(0, 6)"
    assert Normalisation("scale").text == "scale"
    assert Mixing("lrn", (5.0, 1e-4, 0.75, 1.0)).text == "lrn"
    assert Pool("average_inside", Window(3, 2, dilation=2), Window(1, 1)).text == "average 3x1/2x1 dilated 2x1"
