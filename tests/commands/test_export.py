"""``iopopt export``: DOT and JSON."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from iopopt import Graph, GraphBuilder, load_model
from iopopt.commands.export import main
from iopopt.network.dot import to_dot

STRING = r'"(?:[^"\\]|\\.)*"'


def awkward() -> Graph:
    """A network with names that DOT would misread."""
    net = GraphBuilder('a "b" \\', (3, 8, 8))
    for name in ('say "x"', "back\\slash\\", "gpu_0/data->[label=1];\r\n\x00", "n\u00e4me <b> \\n", "node", "-1"):
        net.conv(4, 1, name=name)
    return net.build()


def test_every_operator_and_edge() -> None:
    """A box for each operator, an ellipse for the input, and an arrow for each tensor read; gates are dashed."""
    net = GraphBuilder("net", (3, 8, 8))
    first = net.conv(4, 3, name="first").relu().tip
    gate = net.global_average_pool().tip
    graph = net.mul(first, gate, name="gated").build()
    assert to_dot(graph) == (
        'digraph "net" {\n'
        '  node [shape=box, fontname="sans-serif"];\n'
        '  "input" [label="input\\n3x8x8", shape=ellipse];\n'
        '  "first" [label="first\\nconv 3x3\\nrelu\\n4x6x6"];\n'
        '  "pool1" [label="pool1\\npool average 6x6/6\\n4x1x1"];\n'
        '  "gated" [label="gated\\nmul\\n4x6x6"];\n'
        '  "input" -> "first";\n'
        '  "first" -> "pool1";\n'
        '  "first" -> "gated";\n'
        '  "pool1" -> "gated" [style=dashed];\n'
        "}\n"
    )


def test_names_are_quoted() -> None:
    """Quotes, backslashes, ends of lines and what looks like DOT stay inside the strings, and every line is a statement of its own."""
    lines = to_dot(awkward()).splitlines()
    assert len(lines) == 3 + 1 + 6 + 6
    assert lines[0] == 'digraph "a \\"b\\" \\\\" {'
    for line in lines[2:-1]:
        assert re.fullmatch(rf"  {STRING} (\[label={STRING}(, shape=ellipse)?\]|-> {STRING});", line)
    assert '  "say \\"x\\"" -> "back\\\\slash\\\\";' in lines
    assert any("gpu_0/data->[label=1];  \ufffd" in line for line in lines)


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")
def test_graphviz_reads_it() -> None:
    """Graphviz itself takes the text, awkward names included."""
    for graph in (awkward(), load_model("vgg19")):
        subprocess.run(["dot", "-Tdot"], input=to_dot(graph), text=True, check=True, capture_output=True)


def test_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a file, DOT goes to standard output."""
    assert main(["lenet5"]) == 0
    assert capsys.readouterr().out == to_dot(load_model("lenet5"))


def test_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The suffix says what is written; JSON is read back as the same network."""
    for name in ("net.dot", "net.GV", "net.json"):
        assert main(["lenet5", "-o", str(tmp_path / name), "--input-shape", "1x28x28"]) == 0
    assert capsys.readouterr().out == ""
    graph = load_model("lenet5", input_size=28)
    assert (tmp_path / "net.dot").read_text() == (tmp_path / "net.GV").read_text() == to_dot(graph)
    assert load_model(tmp_path / "net.json") == graph


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["lenet6"], "unknown model 'lenet6'"),
        (["lenet5", "-o", "net.png"], "net.png: suffix '.png' is unknown; known are .dot, .gv, .json"),
        (["lenet5", "-o", "net"], "net: suffix '' is unknown"),
        (["lenet5", "-o", "missing/net.dot"], "cannot be written (No such file or directory)"),
    ],
)
def test_errors(words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """What cannot be read or written ends with code 2 and one line."""
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert message in said
    assert said.count("\n") == 1
