"""The nine light models of the onnx package: counts and shapes by another way, and results by onnxruntime."""

from __future__ import annotations

import math
from pathlib import Path

import onnx
import pytest
from onnx import helper
from support.imported import assert_same
from support.onnx_files import light_models, randomise

from iopopt import load_model

LIGHT = light_models()
Shapes = dict[str, tuple[int, ...]]

# Parameters and MACs as published with the weights: torchvision (ResNet-50, VGG-19), and the papers' model zoos.
PUBLISHED = {"resnet50": (25_557_032, 4_089_184_256), "vgg19": (143_667_240, 19_632_062_464), "squeezenet": (1_235_496, 349_151_936)}


def inferred(model: onnx.ModelProto) -> Shapes:
    """The dimensions of every value, by onnx's own shape inference."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    values = (*graph.input, *graph.value_info, *graph.output)
    return {value.name: tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim) for value in values}


def counted(graph: onnx.GraphProto, shapes: Shapes) -> tuple[int, int]:
    """Parameters (mean and variance of a batch normalisation are none) and MACs, node by node."""
    makers = {node.output[0]: node.op_type for node in graph.node}
    parameters = macs = 0
    for node in graph.node:
        slots = {"Conv": (1, 2), "Gemm": (1, 2), "BatchNormalization": (1, 2)}.get(node.op_type, ())
        if node.op_type in ("Mul", "Add") and makers[node.input[1]] == "Unsqueeze":
            slots = (1,)
        parameters += sum(math.prod(shapes[node.input[slot]]) for slot in slots if slot < len(node.input))
        if node.op_type in ("Conv", "Gemm"):
            kernel, places = shapes[node.input[1]], math.prod(shapes[node.output[0]][2:])
            macs += math.prod(kernel) * places
    return parameters, macs


def test_there_are_nine() -> None:
    """All light models are looked at."""
    assert len(LIGHT) == 9


@pytest.mark.parametrize("name", LIGHT)
def test_counts_and_shapes(name: str) -> None:
    """Parameters, MACs and the shape of every operator's output are those that a walk through the file finds."""
    model, graph = onnx.load(LIGHT[name]), load_model(LIGHT[name])
    shapes = inferred(model)
    assert (graph.parameters, graph.macs) == counted(model.graph, shapes)
    assert (graph.parameters, graph.macs) == PUBLISHED.get(name, (graph.parameters, graph.macs))
    outputs = {node.name or node.output[0]: shapes[node.output[0]] for node in model.graph.node}
    for operator in graph.operators:
        assert (1, *operator.pre_pool_shape) == (*outputs[operator.name], 1, 1)[:4]
    assert graph.output.out_shape == (1000, 1, 1)


def without_softmax(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model up to its softmax, which would hide differences."""
    if model.graph.node[-1].op_type == "Softmax":
        scores = model.graph.node[-1].input[0]
        del model.graph.node[-1], model.graph.output[:]
        model.graph.output.append(helper.make_tensor_value_info(scores, onnx.TensorProto.FLOAT, None))
    return model


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in ("vgg19", "zfnet512", "bvlc_alexnet") else []) for name in LIGHT]
)
def test_results(name: str, tmp_path: Path) -> None:
    """With random weights, the network that was read computes the same scores as the file."""
    assert_same(without_softmax(randomise(onnx.load(LIGHT[name]), seed=1)), tmp_path, within=1e-4)
    (tmp_path / "net.onnx").unlink()


def test_shuffles_are_found() -> None:
    """ShuffleNet's sixteen Reshape-Transpose-Reshape are steps, and leave no operator of their own."""
    graph = load_model(LIGHT["shufflenet"])
    shuffles = [step for operator in graph.operators for step in operator.epilogue if getattr(step, "function", "") == "shuffle"]
    assert [step.parameters for step in shuffles] == [(4.0,)] * 16  # type: ignore[union-attr]
    assert {operator.kind for operator in graph.operators} == {"conv", "pool", "add", "concat", "fc"}
