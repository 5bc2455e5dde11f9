"""Is the network of an ONNX file the one in the file? onnxruntime computes both."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from support.onnx_files import run, save
from support.to_onnx import to_onnx

from iopopt import Graph, load_model
from iopopt.models import load_weights


def imported(model: onnx.ModelProto, directory: Path, input_shape: tuple[int, int, int] | None = None) -> Graph:
    """The network of a model."""
    return load_model(save(model, directory / "net.onnx"), input_shape=input_shape)


def assert_same(model: onnx.ModelProto, directory: Path, within: float = 1e-5) -> Graph:
    """The network of a model computes what the model does, relative to its largest element; returns the network."""
    path = save(model, directory / "net.onnx")
    graph, weights = load_model(path), load_weights(path)
    dims = [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim]
    values = np.random.default_rng(7).standard_normal((1, *dims[1:])).astype(np.float32)
    expected = run(path, values)
    found = run(to_onnx(graph, weights), values.reshape(1, *graph.input_shape))
    assert found.size == expected.size
    assert float(np.abs(found.reshape(-1) - expected.reshape(-1)).max()) <= within * float(np.abs(expected).max())
    return graph
