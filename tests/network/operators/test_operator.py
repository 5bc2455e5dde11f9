"""What all kinds have in common, and how they are found."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import iopopt
from iopopt import GraphError, Operator
from iopopt.network.operators import KINDS
from iopopt.network.operators.conv import Conv
from iopopt.network.operators.elementwise import Elementwise
from iopopt.network.operators.mul import Mul
from iopopt.network.shapes import Shape


def test_every_file_is_found() -> None:
    """Ten kinds, each in a file of its name; what kinds share is none."""
    assert list(KINDS) == ["add", "concat", "conv", "elementwise", "fc", "mul", "pool", "slice", "space_to_depth", "upsample"]
    assert {kind.__module__.rpartition(".")[2]: kind for kind in KINDS.values()} == KINDS


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("", Shape(3, 8, 8), "is empty or is reserved"),
        ("input", Shape(3, 8, 8), "is empty or is reserved"),
        (3, Shape(3, 8, 8), "is not a string"),
        ("x", Shape(3, 0, 8), "operator 'x': the sizes of input 3x0x8 must be positive integers"),
        ("x", Shape(3, True, 8), "positive integers"),
        ("x", (3, 8, 8), r"operator 'x': in_shape of this conv is \(3, 8, 8\); Shape is expected"),
    ],
)
def test_names_and_inputs(name: str, shape: Shape, message: str) -> None:
    """A name is a text that is not reserved, and an input has three positive sizes."""
    with pytest.raises(GraphError, match=message):
        Conv(name, shape, 4)


def test_the_base_is_no_operator() -> None:
    """Operators are of a kind."""
    with pytest.raises(TypeError, match="abstract"):
        Operator("x", Shape(1, 1, 1))  # type: ignore[abstract]


def test_structural_key() -> None:
    """Operators that differ in their names alone have one key; those of another kind with the same fields have another."""
    shape = Shape(3, 8, 8)
    conv = Conv("x", shape, 4)
    assert conv.structural_key == dataclasses.replace(conv, name="y").structural_key != Conv("x", shape, 5).structural_key
    assert KINDS["add"]("x", shape, more_inputs=(shape,)).structural_key != Mul("x", shape, (shape,)).structural_key  # type: ignore[call-arg]
    assert Elementwise("x", shape).structural_key != conv.structural_key


NEW_KIND = """
from dataclasses import dataclass
from typing import ClassVar

from iopopt.network.operators.operator import Operator
from iopopt.network.shapes import Window


@dataclass(frozen=True)
class Repeat(Operator):
    kind: ClassVar[str] = "repeat"
    channel_by_channel: ClassVar[bool] = True
    every: int = 1

    @property
    def rows(self):
        return Window(self.every, self.every)

    @property
    def text(self):
        return f"repeat every {self.every}"

    def typical(self, inputs, rng):
        return inputs[0]
"""

USE = """
from iopopt import Graph, GraphBuilder, evaluate, load_cluster, solve_greedy
from iopopt.network.weights import random_weights

graph = GraphBuilder("net", (2, 8, 8)).operator("repeat", 2, every=2).conv(3, 1).build()
assert Graph.from_dict(graph.to_dict()) == graph
assert set(random_weights(graph)) == {"repeat1", "conv1"}
assert solve_greedy(graph, load_cluster("mcu-x3", graph)).plan is not None
print(graph.operators[0].text, graph.operators[0].out_shape)
"""


def test_a_kind_is_one_file(tmp_path: Path) -> None:
    """A file laid beside the others is enough for the builder, records, random parameters, prices and texts."""
    package = tmp_path / "iopopt"
    shutil.copytree(Path(iopopt.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "network" / "operators" / "repeat.py").write_text(NEW_KIND)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ["PYTHONPATH"]])}
    done = subprocess.run([sys.executable, "-c", USE], env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert (done.stdout, done.stderr) == ("repeat every 2 2x4x8\n", "")
