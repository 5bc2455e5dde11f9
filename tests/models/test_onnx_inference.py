"""The dimensions of the import against onnx's own shape inference."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper
from support.onnx_files import floats, light_models, model, node, randomise, save

from iopopt import FileFormatError, Graph, load_model
from iopopt.models.onnx_import import inference, registry
from iopopt.models.onnx_import.file import read_file
from iopopt.models.onnx_import.inputs import input_map
from iopopt.models.onnx_import.network import Network
from iopopt.models.onnx_import.node import Node
from iopopt.models.onnx_import.order import Order
from iopopt.models.onnx_import.translation import Translation
from iopopt.models.onnx_import.values import Tensor
from iopopt.network.epilogue import Activation

CONV = {"w": floats(6, 3, 3, 3), "b": floats(6, seed=1)}


def compared(written: onnx.ModelProto, directory: Path, input_shape: Sequence[int] | None = None) -> tuple[int, int]:
    """How many values are compared, and how many there are."""
    file = read_file(str(save(written, directory / "net.onnx")))
    entering = input_map(file, Order(file, {}).nodes, input_shape)
    translation = Translation(file, entering, {})
    count = inference.compare(file, entering, translation.nodes, translation.values, translation.dims)
    return count, len(translation.values) - 1  # but the input


@pytest.mark.parametrize("name", light_models())
def test_light_models(name: str, tmp_path: Path) -> None:
    """What every node of the light models makes is compared, and agrees, but for weights that a reshape makes; so it is at another size."""
    written = onnx.load(light_models()[name])
    expected = len(written.graph.node) - (name == "inception_v1"), len(written.graph.node)
    assert compared(written, tmp_path) == expected
    if name == "squeezenet":
        assert compared(written, tmp_path, (3, 97, 160)) == expected


def test_parameters_are_not_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of initializers, the inference sees the dimensions alone."""
    sizes, infer = list[int](), onnx.shape_inference.infer_shapes
    monkeypatch.setattr(onnx.shape_inference, "infer_shapes", lambda seen, **options: sizes.append(seen.ByteSize()) or infer(seen, **options))
    written = randomise(onnx.load(light_models()["squeezenet"]), seed=1)
    tensors = sum(node.op_type != "ConstantOfShape" for node in written.graph.node)
    assert compared(written, tmp_path) == (tensors, tensors)
    assert sizes[0] < 100_000 < written.ByteSize()


def wrong(node: Node, network: Network) -> Tensor:
    """A relu that misreads its dimensions."""
    made = network.step(node, node.tensor(), Activation("relu"))
    return Tensor(made.operator, (*made.dims[:3], made.dims[3] + 1))


def test_a_contradiction(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Dimensions that differ end the import; the message names file, node, tensor, both dimensions and what would help."""
    path = save(model([node("Conv", "x w b", "c"), node("Relu", "c", "r", name="culprit"), node("Flatten", "r", "y")], CONV), tmp_path / "net.onnx")
    load_model(path)
    monkeypatch.setitem(registry.PARSERS, "Relu", wrong)  # type: ignore[arg-type]
    with pytest.raises(FileFormatError) as refused:
        load_model(path)
    expected = f"{path}: node 'culprit' (Relu): its output 'r' has the dimensions 1x6x6x7 as imported, but 1x6x6x6 by the shape inference of onnx"
    assert str(refused.value).startswith(expected)
    assert "simplify the model" in str(refused.value)


@pytest.mark.parametrize(
    "error", [onnx.shape_inference.InferenceError("no"), RuntimeError("no"), MemoryError(), UnicodeDecodeError("utf-8", b"", 0, 1, "")]
)
def test_inference_may_fail(error: Exception, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Then the import is what it was."""
    written = model([node("Conv", "x w b", "c"), node("Relu", "c", "y")], CONV)
    expected = load_model(save(written, tmp_path / "net.onnx"))

    def failing(*_: Any, **__: Any) -> onnx.ModelProto:
        raise error

    monkeypatch.setattr(onnx.shape_inference, "infer_shapes", failing)
    assert compared(written, tmp_path) == (0, 2)
    assert load_model(tmp_path / "net.onnx") == expected


# Where a plain reading of the file would see contradictions.


def assert_agrees(written: onnx.ModelProto, directory: Path, input_shape: Sequence[int] | None = None, apart: int = 0) -> Graph:
    """All values but ``apart`` are compared, and agree."""
    count, values = compared(written, directory, input_shape)
    assert count == values - apart
    return load_model(directory / "net.onnx", input_shape=input_shape)


def test_a_batch_in_a_reshape(tmp_path: Path) -> None:
    """A batch of four is a batch of one, also where it is written into a reshape, or computed for one."""
    constants = {"t": np.array([4, -1]), "u": np.array([4, 3, 64]), "g": floats(192, 5), "rest": np.array([-1]), "four": np.array([4])}
    nodes = [node("Reshape", "x u", "r"), node("Reshape", "r t", "f"), node("Gemm", "f g", "y")]
    assert_agrees(model(nodes, constants, shape=(4, 3, 8, 8)), tmp_path)
    nodes = [node("Relu", "x", "r"), node("Concat", "four rest", "t2", axis=0), node("Reshape", "r t2", "f"), node("Gemm", "f g", "y")]
    assert_agrees(model(nodes, constants, shape=(4, 3, 8, 8)), tmp_path)


def test_another_size(tmp_path: Path) -> None:
    """What the file says of dimensions elsewhere does not count where the input is given another size."""
    written = model([node("Conv", "x w b", "c"), node("Relu", "c", "y")], CONV, shape=(2, 3, 8, 8))
    written.graph.value_info.append(helper.make_tensor_value_info("c", onnx.TensorProto.FLOAT, [2, 6, 6, 6]))
    written.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [2, 6, 6, 6]))
    assert assert_agrees(written, tmp_path, (3, 10, 12)).output.out_shape == (6, 8, 10)


@pytest.mark.parametrize("kind", ["MaxPool", "AveragePool"])
@pytest.mark.parametrize(
    ("kernel", "stride", "pads", "size", "rows", "apart"),
    [(2, 3, [0, 0, 1, 1], 6, 2, 1), (2, 3, [0, 0, 1, 1], 7, 3, 0), (3, 2, [1, 1, 1, 1], 8, 5, 0), (3, 3, [0, 0, 0, 0], 8, 3, 0)],
)
def test_windows_that_begin_behind_the_map(
    kind: str, kernel: int, stride: int, pads: list[int], size: int, rows: int, apart: int, tmp_path: Path
) -> None:
    """Some versions of onnx count them; such a pool is left out, and what is behind it is compared."""
    pool = node(kind, "x", "p", kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=pads, ceil_mode=1)
    graph = assert_agrees(model([pool, node("Relu", "p", "y")], shape=(1, 3, size, size)), tmp_path, apart=apart)
    assert graph.output.out_shape == (3, rows, rows)


def test_functions_and_dead_nodes(tmp_path: Path) -> None:
    """Functions that bear the names of operators, and nodes that the output does not need, are not looked at."""
    written = model([node("NonMaxSuppression", "z z", "q"), node("Conv", "x w b", "c"), node("Relu", "c", "y")], CONV)
    written.graph.input.append(helper.make_tensor_value_info("z", onnx.TensorProto.INT64, [1]))
    body = [node("Transpose", "a", "b", perm=[3, 2, 1, 0])]
    written.functions.append(helper.make_function("", "Relu", ["a"], ["b"], body, [helper.make_opsetid("", 17)]))
    written.functions.append(helper.make_function("mine", "Other", ["a"], ["b"], body, [helper.make_opsetid("", 17)]))
    written.opset_import.append(helper.make_opsetid("mine", 1))
    assert_agrees(written, tmp_path)


def test_a_branch_of_which_only_the_size_counts(tmp_path: Path) -> None:
    """What nothing makes any more once its dimensions are known enters with these."""
    nodes = [
        node("Conv", "x w b", "big", pads=[1, 1, 1, 1]),
        node("Shape", "big", "s"),
        node("Slice", "s two four", "hw"),
        node("Concat", "nc hw", "t", axis=0),
        node("MaxPool", "x", "p", kernel_shape=[2, 2], strides=[2, 2]),
        node("Resize", "p - - t", "y", nearest_mode="floor", coordinate_transformation_mode="asymmetric"),
    ]
    written = model(nodes, CONV | {"two": np.array([2]), "four": np.array([4]), "nc": np.array([1, 3])})
    assert_agrees(written, tmp_path)


def test_long_lists_are_not_followed(tmp_path: Path) -> None:
    """Inference would take 140 bytes an element of a list, also of one whose numbers nobody knows."""
    nodes = [node("Reshape", "x t", "f"), node("Add", "f c", "g"), node("Relu", "g", "y")]
    written = model(nodes, {"t": np.array([-1]), "c": np.float32(2)}, shape=(1, 1, 2**15, 2**15))
    assert_agrees(written, tmp_path, apart=3)
    chain = [node("Tanh", f"v{number}" if number else "f", f"v{number + 1}") for number in range(2000)]
    written = model([nodes[0], *chain], {"t": np.array([-1])}, shape=(1, 3, 32, 32), output="v2000")
    assert_agrees(written, tmp_path, apart=2001)  # none is too long, but all together are


def test_lists_that_double(tmp_path: Path) -> None:
    """A list that grows beyond a thousand elements is left out."""
    nodes = [node("Concat", f"c{number} c{number}", f"c{number + 1}", axis=0) for number in range(20)]
    nodes += [node("ReduceProd", "c20", "p"), node("Mul", "p minus", "t"), node("Reshape", "x t", "y")]
    written = model(nodes, {"c0": np.array([1]), "minus": np.array([-1])}, shape=(1, 192))
    written.graph.node.append(node("Relu", "y", "z"))
    written.graph.output[0].name = "z"
    count, values = compared(written, tmp_path)
    assert values - 12 <= count < values
