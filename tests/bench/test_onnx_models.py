"""``iopopt bench`` on ONNX files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from iopopt.bench.command import main


def chain(path: Path, height: int | str) -> Path:
    """Two convolutions and a classifier behind an average; its height may be open."""
    rng = np.random.default_rng(1)
    shapes = {"a": (8, 3, 3, 3), "b": (8, 8, 3, 3), "c": (8, 10)}
    nodes = [
        helper.make_node("Conv", ["x", "a"], ["u"]),
        helper.make_node("Relu", ["u"], ["r"]),
        helper.make_node("Conv", ["r", "b"], ["v"]),
        helper.make_node("GlobalAveragePool", ["v"], ["g"]),
        helper.make_node("Flatten", ["g"], ["f"]),
        helper.make_node("Gemm", ["f", "c"], ["y"]),
    ]
    entering = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, height, 16])
    leaving = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 10])
    weights = [numpy_helper.from_array(rng.standard_normal(shape).astype(np.float32), name) for name, shape in shapes.items()]
    graph = helper.make_graph(nodes, "chain", [entering], [leaving], weights)
    path.write_bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString())
    return path


def test_a_model_from_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A benchmark names the model by its file, and runs with the input shape that is given."""
    words = ["--cluster", "mcu-x3", "--methods", "single", "coedge", "--quiet"]
    assert main(["--model", str(chain(tmp_path / "fixed.onnx", 16)), *words]) == 0
    fixed = capsys.readouterr().out
    assert "fixed on mcu-x3" in fixed
    assert main(["--model", str(chain(tmp_path / "loose.onnx", "H")), "--input-shape", "3x16x16", *words]) == 0
    assert capsys.readouterr().out.replace("loose", "fixed").splitlines()[0] == fixed.splitlines()[0]


def test_errors_of_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Open sizes without --input-shape, and files that are no models, end with code 2 and one line."""
    (tmp_path / "text.onnx").write_text("no model")
    for path, message in ((chain(tmp_path / "open.onnx", "H"), "--input-shape CxHxW"), (tmp_path / "text.onnx", "is not an ONNX model")):
        assert main(["--model", str(path), "--quiet"]) == 2
        said = capsys.readouterr().err
        assert message in said
        assert said.count("\n") == 1
