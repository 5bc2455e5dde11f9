"""SiLU and hard-swish as exporters write them, node by node."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from support.imported import assert_same
from support.onnx_files import floats, model, node

from iopopt.network.epilogue import Activation

CONSTANTS: dict[str, Any] = {"w": floats(4, 3, 3, 3), "b": floats(4)} | {
    name: np.float32(value) for name, value in {"zero": 0.0, "three": 3.0, "four": 4.0, "six": 6.0, "sixth": 1 / 6}.items()
}
RELU6 = [node("Add", "c three", "a"), node("Clip", "a zero six", "k")]

WHOLE = {
    "silu": ("silu", [node("Sigmoid", "c", "s"), node("Mul", "c s", "y")]),
    "silu, gate first": ("silu", [node("Sigmoid", "c", "s"), node("Mul", "s c", "y")]),
    "hard sigmoid": ("hard_swish", [node("HardSigmoid", "c", "s", alpha=1 / 6, beta=0.5), node("Mul", "c s", "y")]),
    "rounded": ("hard_swish", [node("HardSigmoid", "c", "s", alpha=0.1666667), node("Mul", "c s", "y")]),
    "divided gate": ("hard_swish", [*RELU6, node("Div", "k six", "s"), node("Mul", "s c", "y")]),
    "multiplied gate": ("hard_swish", [*RELU6, node("Mul", "sixth k", "s"), node("Mul", "c s", "y")]),
    "divided product": ("hard_swish", [*RELU6, node("Mul", "c k", "m"), node("Div", "m six", "y")]),
    "multiplied product": ("hard_swish", [*RELU6, node("Mul", "k c", "m"), node("Mul", "m sixth", "y")]),
    "constants in nodes": (
        "hard_swish",
        [
            node("Constant", "", "q", value_float=3.0),
            node("Constant", "", "r", value=onnx.numpy_helper.from_array(np.array([6.0], np.float32))),
            node("Add", "q c", "a"),
            node("Clip", "a zero six", "k"),
            node("Mul", "c k", "m"),
            node("Div", "m r", "y"),
        ],
    ),
}


@pytest.mark.parametrize("name", WHOLE)
def test_one_step(name: str, tmp_path: Path) -> None:
    """Behind a convolution the nodes are one step of its epilogue, and alone one of an operator of its own."""
    function, nodes = WHOLE[name]
    graph = assert_same(model([node("Conv", "x w b", "c"), *nodes], CONSTANTS), tmp_path)
    assert [(operator.name, operator.epilogue) for operator in graph.operators] == [("c", (Activation(function),))]
    graph = assert_same(model([node("Identity", "x", "c"), *nodes], CONSTANTS), tmp_path)
    assert [(operator.kind, operator.epilogue) for operator in graph.operators] == [("elementwise", (Activation(function),))]


def test_clip_of_old(tmp_path: Path) -> None:
    """Bounds as attributes."""
    nodes = [node("Add", "x three", "a"), node("Clip", "a", "k", min=0.0, max=6.0), node("Mul", "x k", "m"), node("Div", "m six", "y")]
    assert assert_same(model(nodes, CONSTANTS, opset=9), tmp_path).output.epilogue == (Activation("hard_swish"),)


OTHERS = {
    "the gate is read again": [node("Sigmoid", "c", "s"), node("Mul", "c s", "m"), node("Add", "m s", "y")],
    "the gate is of another tensor": [node("Tanh", "c", "t"), node("Sigmoid", "t", "s"), node("Mul", "c s", "y")],
    "another slope": [node("HardSigmoid", "c", "s"), node("Mul", "c s", "y")],
    "another shift": [node("Add", "c four", "a"), node("Clip", "a zero six", "k"), node("Mul", "c k", "m"), node("Div", "m six", "y")],
    "another bound": [node("Add", "c three", "a"), node("Clip", "a zero four", "k"), node("Mul", "c k", "m"), node("Div", "m six", "y")],
    "no bound": [node("Add", "c three", "a"), node("Clip", "a zero", "k"), node("Mul", "c k", "m"), node("Div", "m six", "y")],
    "another factor": [*RELU6, node("Mul", "c k", "m"), node("Div", "m four", "y")],
    "no factor": [*RELU6, node("Mul", "c k", "y")],
    "the product is read again": [*RELU6, node("Mul", "c k", "m"), node("Div", "m six", "d"), node("Add", "m d", "y")],
    "the clip is read again": [*RELU6, node("Mul", "c k", "m"), node("Div", "m six", "d"), node("Add", "k d", "y")],
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_only_looks_alike(name: str, tmp_path: Path) -> None:
    """With other numbers, or other readers, the product remains an operator."""
    graph = assert_same(model([node("Conv", "x w b", "c"), *OTHERS[name]], CONSTANTS), tmp_path)
    assert "mul" in [operator.kind for operator in graph.operators]


def test_a_gate_that_is_the_output(tmp_path: Path) -> None:
    """The product is dead, and the gate what counts."""
    graph = assert_same(model([node("Conv", "x w b", "c"), node("Sigmoid", "c", "y"), node("Mul", "c y", "m")], CONSTANTS), tmp_path)
    assert graph.output.epilogue == (Activation("sigmoid"),)


def test_one_after_another(tmp_path: Path) -> None:
    """Each is a step; a tensor that a sum reads, too, is finished before."""
    nodes = [node("Conv", "x w b", "c"), node("Sigmoid", "c", "s"), node("Mul", "c s", "m"), node("Sigmoid", "m", "t"), node("Mul", "m t", "n")]
    graph = assert_same(model(nodes, CONSTANTS, output="n"), tmp_path)
    assert graph.output.epilogue == (Activation("silu"), Activation("silu"))
    graph = assert_same(model([*nodes, node("Add", "n c", "y")], CONSTANTS), tmp_path)
    assert [operator.kind for operator in graph.operators] == ["conv", "elementwise", "add"]


def test_a_size_is_taken_between(tmp_path: Path) -> None:
    """The dimensions of the gate are known."""
    nodes = [node("Sigmoid", "x", "s"), node("Shape", "s", "d"), node("Mul", "x s", "m"), node("Reshape", "m d", "y")]
    assert assert_same(model(nodes, CONSTANTS), tmp_path).output.epilogue == (Activation("silu"),)
