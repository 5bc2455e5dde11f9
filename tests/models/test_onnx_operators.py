"""Each family of ONNX operators: what it becomes, and that onnxruntime computes the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from support.imported import assert_same, imported
from support.onnx_files import floats, model, node, run, save
from support.to_onnx import to_onnx

from iopopt import Graph, GraphBuilder, load_model
from iopopt.models import load_weights
from iopopt.network.epilogue import Activation, Mixing, Normalisation, Pool
from iopopt.network.shapes import Shape, Window
from iopopt.network.weights import random_weights

CONV = {"w": floats(6, 3, 3, 3), "b": floats(6, seed=1)}


def single(kind: str, inputs: str = "x", shape: tuple[int, ...] = (1, 4, 9, 7), opset: int = 17, constants: Any = None, **attributes: Any) -> Any:
    """A model of one node."""
    return model([node(kind, inputs, "y", **attributes)], constants, shape=shape, opset=opset)


CONVOLUTIONS = {
    "plain": {},
    "padded": {"pads": [1, 1, 1, 1]},
    "asymmetric": {"pads": [2, 0, 1, 3], "strides": [2, 1]},
    "dilated": {"dilations": [2, 1], "pads": [2, 1, 2, 1]},
    "same upper": {"auto_pad": "SAME_UPPER", "strides": [2, 2]},
    "same lower": {"auto_pad": "SAME_LOWER", "strides": [2, 3]},
    "valid": {"auto_pad": "VALID", "strides": [2, 2]},
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
@pytest.mark.parametrize("kernel", [(6, 4, 3, 3), (6, 4, 2, 3), (4, 1, 3, 1), (8, 2, 1, 5)])
def test_convolutions(name: str, kernel: tuple[int, ...], tmp_path: Path) -> None:
    """Groups, strides, dilations, kernels that are not square, and all ways to pad."""
    attributes = {"group": 4 // kernel[1], **CONVOLUTIONS[name]}
    graph = assert_same(single("Conv", "x w b", constants={"w": floats(*kernel), "b": floats(kernel[0])}, **attributes), tmp_path)
    assert [(operator.kind, operator.groups, operator.bias) for operator in graph.operators] == [("conv", 4 // kernel[1], True)]
    assert graph.parameters == np.prod(kernel) + kernel[0]


def test_same_padding_by_hand(tmp_path: Path) -> None:
    """Nine rows at stride 2 give five; a kernel of 4 needs 12 rows, three of padding: one above and two below, or the reverse."""
    for mode, before, after in (("SAME_UPPER", 1, 2), ("SAME_LOWER", 2, 1)):
        graph = imported(single("Conv", "x w", constants={"w": floats(2, 4, 4, 1)}, auto_pad=mode, strides=[2, 1]), tmp_path)
        assert graph.operators[0].rows == Window(4, 2, before, after)
        assert graph.output.out_shape == Shape(2, 5, 7)


@pytest.mark.parametrize("opset", [9, 13, 18])
def test_zeros_before_a_convolution(opset: int, tmp_path: Path) -> None:
    """A Pad of zeros joins the padding of the convolution behind it."""
    constants = {"w": floats(6, 4, 3, 3), "p": np.array([0, 0, 1, 0, 0, 0, 2, 3])}
    attributes: dict[str, Any] = {"pads": [0, 0, 1, 0, 0, 0, 2, 3]} if opset == 9 else {}
    nodes = [node("Pad", "x" if opset == 9 else "x p", "z", **attributes), node("Conv", "z w", "y", pads=[1, 1, 1, 1], strides=[2, 2])]
    graph = assert_same(model(nodes, constants, shape=(1, 4, 9, 7), opset=opset), tmp_path)
    assert (graph.output.rows, graph.output.columns) == (Window(3, 2, 2, 3), Window(3, 2, 1, 4))
    nodes[1] = node("Conv", "z w", "y", auto_pad="SAME_UPPER", strides=[2, 2])
    assert_same(model(nodes, constants, shape=(1, 4, 9, 7), opset=opset), tmp_path)


POOLS = [
    ("MaxPool", {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}),
    ("MaxPool", {"kernel_shape": [2, 3], "strides": [2, 2], "ceil_mode": 1}),
    ("MaxPool", {"kernel_shape": [3, 3], "strides": [2, 3], "ceil_mode": 1, "pads": [1, 0, 0, 1]}),
    ("MaxPool", {"kernel_shape": [2, 2], "dilations": [2, 3]}),
    ("MaxPool", {"kernel_shape": [3, 2], "auto_pad": "SAME_UPPER", "strides": [2, 2]}),
    ("MaxPool", {"kernel_shape": [3, 2], "auto_pad": "SAME_LOWER", "strides": [2, 2]}),
    ("AveragePool", {"kernel_shape": [3, 3], "strides": [2, 2]}),
    ("AveragePool", {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}),
    ("AveragePool", {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 0, 1, 2], "count_include_pad": 1}),
    ("AveragePool", {"kernel_shape": [2, 3], "strides": [2, 3], "ceil_mode": 1}),
    ("AveragePool", {"kernel_shape": [2, 3], "strides": [2, 3], "ceil_mode": 1, "count_include_pad": 1}),
    ("AveragePool", {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1, "pads": [0, 1, 0, 1]}),
    ("AveragePool", {"kernel_shape": [3, 3], "auto_pad": "SAME_LOWER", "strides": [2, 2]}),
    ("AveragePool", {"kernel_shape": [9, 7]}),
    ("GlobalAveragePool", {}),
    ("GlobalMaxPool", {}),
    ("ReduceMean", {"axes": [2, 3]}),
    ("ReduceMean", {"axes": [-1, -2], "keepdims": 0}),
]


@pytest.mark.parametrize(("kind", "attributes"), POOLS)
def test_pools(kind: str, attributes: dict[str, Any], tmp_path: Path) -> None:
    """Pools of all paddings and roundings, alone and behind a convolution."""
    alone = assert_same(single(kind, **attributes), tmp_path)
    assert [operator.kind for operator in alone.operators] == ["pool"]
    behind = [node("Conv", "x w b", "c", pads=[1, 1, 1, 1]), node("Relu", "c", "r"), node(kind, "r", "y", **attributes)]
    graph = assert_same(model(behind, {"w": floats(6, 4, 3, 3), "b": floats(6)}, shape=(1, 4, 9, 7)), tmp_path)
    covers = kind.startswith(("Global", "Reduce")) or attributes["kernel_shape"] == [9, 7]
    assert [operator.kind for operator in graph.operators] == (["conv", "pool"] if covers else ["conv"])


@pytest.mark.parametrize(
    ("attributes", "function"),
    [
        ({"pads": [1, 1, 1, 1], "count_include_pad": 1}, "average"),
        ({"pads": [1, 1, 1, 1]}, "average_inside"),
        ({"strides": [1, 1]}, "average"),
        ({"strides": [2, 2], "ceil_mode": 1, "count_include_pad": 1}, "average_inside"),  # 8 rows: the fourth window hangs over by one
    ],
)
def test_what_an_average_divides_by(attributes: dict[str, Any], function: str, tmp_path: Path) -> None:
    """Explicit padding counts if the node says so; what hangs over the edge never does."""
    graph = imported(single("AveragePool", shape=(1, 4, 8, 8), kernel_shape=[3, 3], **attributes), tmp_path)
    assert graph.output.function == function


@pytest.mark.parametrize("opset", [7, 13, 17])
@pytest.mark.parametrize("attributes", [{}, {"transB": 1}, {"transB": 1, "alpha": 0.5, "beta": -2.0}], ids=["plain", "transposed", "alpha and beta"])
def test_gemm_over_a_map(opset: int, attributes: dict[str, Any], tmp_path: Path) -> None:
    """Behind a flatten, a Gemm is an fc over the whole map; its factors go into the parameters."""
    matrix = floats(5, 6 * 4 * 3) if attributes.get("transB") else floats(6 * 4 * 3, 5)
    nodes = [node("Relu", "x", "r"), node("Flatten", "r", "f"), node("Gemm", "f g h", "y", **attributes)]
    graph = assert_same(model(nodes, {"g": matrix, "h": floats(5)}, shape=(1, 6, 4, 3), opset=opset), tmp_path)
    assert [(operator.kind, operator.in_shape, operator.bias) for operator in graph.operators[1:]] == [("fc", Shape(6, 4, 3), True)]
    weights = load_weights(tmp_path / "net.onnx")[graph.output.name]
    assert weights.kernel is not None
    assert weights.kernel.shape == (5, 6, 4, 3)


@pytest.mark.parametrize("bias", [(5,), (1, 5), (1,), ()])
def test_gemm_broadcasts_its_third_operand(bias: tuple[int, ...], tmp_path: Path) -> None:
    """One number for all outputs, or one for each."""
    nodes = [node("Gemm", "x g h", "y")]
    assert assert_same(model(nodes, {"g": floats(7, 5), "h": floats(*bias)}, shape=(1, 7)), tmp_path).parameters == 40


def test_an_addition_behind_a_matrix_product_is_its_bias(tmp_path: Path) -> None:
    """MatMul and Add are one fc with a bias; the steps behind keep their parameters."""
    nodes = [node("MatMul", "x g", "m"), node("Add", "h m", "a"), node("Mul", "a s", "y")]
    graph = assert_same(model(nodes, {"g": floats(7, 5), "h": floats(5), "s": floats(5, seed=3)}, shape=(1, 7)), tmp_path)
    assert [(operator.kind, operator.bias, operator.epilogue) for operator in graph.operators] == [("fc", True, (Normalisation("scale"),))]


ACTIVATIONS: dict[str, tuple[Any, Activation]] = {
    "relu": (single("Relu"), Activation("relu")),
    "leaky": (single("LeakyRelu", alpha=0.25), Activation("leaky_relu", (0.25,))),
    "prelu": (single("PRelu", "x s", constants={"s": floats(4, 1, 1)}), Activation("prelu")),
    "prelu of one slope": (single("PRelu", "x s", constants={"s": np.array([0.25], np.float32)}), Activation("leaky_relu", (0.25,))),
    "clip of old": (single("Clip", opset=9, min=0.0, max=6.0), Activation("clip", (0.0, 6.0))),
    "clip": (single("Clip", "x a b", constants={"a": np.float32(-1), "b": np.float32(0.5)}), Activation("clip", (-1.0, 0.5))),
    "clip from zero": (single("Clip", "x a", constants={"a": np.float32(0)}), Activation("relu")),
    "clip from above": (single("Clip", "x - b", constants={"b": np.float32(0.5)}), Activation("clip", (-float(np.finfo(np.float32).max), 0.5))),
    "sigmoid": (single("Sigmoid"), Activation("sigmoid")),
    "tanh": (single("Tanh"), Activation("tanh")),
    "hard sigmoid": (single("HardSigmoid"), Activation("hard_sigmoid", (pytest.approx(0.2), 0.5))),  # type: ignore[arg-type]
    "hard swish": (single("HardSwish"), Activation("hard_swish")),
    "times a number": (single("Mul", "c x", constants={"c": np.float32(3)}), Activation("multiply", (3.0,))),
    "plus a number": (single("Add", "x c", constants={"c": floats(1, 1, 1) * 0 + 3}), Activation("add", (3.0,))),
    "minus a number": (single("Sub", "x c", constants={"c": np.float32(3)}), Activation("add", (-3.0,))),
    "divided by a number": (single("Div", "x c", constants={"c": np.float32(4)}), Activation("multiply", (0.25,))),
    "twice itself": (single("Add", "x x"), Activation("multiply", (2.0,))),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(name: str, tmp_path: Path) -> None:
    """Elementwise functions, and combinations with a number, are steps."""
    graph = assert_same(ACTIVATIONS[name][0], tmp_path)
    assert [(operator.kind, operator.epilogue) for operator in graph.operators] == [("elementwise", (ACTIVATIONS[name][1],))]


def test_a_number_minus_a_tensor(tmp_path: Path) -> None:
    """c - x is -x + c, in two steps."""
    graph = assert_same(single("Sub", "c x", constants={"c": np.float32(3)}), tmp_path)
    assert graph.output.epilogue == (Activation("multiply", (-1.0,)), Activation("add", (3.0,)))


def test_a_square(tmp_path: Path) -> None:
    """A tensor times itself is an operator that reads it twice."""
    nodes = [node("Conv", "x w b", "c"), node("Mul", "c c", "m"), node("Relu", "m", "y")]
    graph = assert_same(model(nodes, CONV), tmp_path)
    assert [(operator.kind, len(operator.in_shapes)) for operator in graph.operators] == [("conv", 1), ("mul", 2)]
    assert assert_same(single("Mul", "x x"), tmp_path).output.kind == "mul"


def test_a_constant_of_more_dimensions(tmp_path: Path) -> None:
    """A constant of one element may add dimensions; those behind it are read accordingly."""
    nodes = [node("Flatten", "x", "f"), node("Mul", "f c", "m"), node("Flatten", "m", "g", axis=3), node("Gemm", "g h", "y")]
    graph = assert_same(model(nodes, {"c": floats(1, 1, 1, 1), "h": floats(252, 5)}, shape=(1, 4, 9, 7)), tmp_path)
    assert [operator.kind for operator in graph.operators] == ["elementwise", "fc"]


@pytest.mark.parametrize("dims", [(1, 4, 1, 1), (4, 1, 1)])
@pytest.mark.parametrize(("kind", "function"), [("Mul", "scale"), ("Div", "scale"), ("Add", "shift"), ("Sub", "shift")])
def test_constants_per_channel(kind: str, function: str, dims: tuple[int, ...], tmp_path: Path) -> None:
    """One number a channel is a scale or a shift, and counts as parameters."""
    graph = assert_same(single(kind, "x c", constants={"c": floats(*dims)}), tmp_path)
    assert graph.output.epilogue == (Normalisation(function),)
    assert graph.parameters == 4


NORMALISATIONS = {
    "batch": (
        single("BatchNormalization", "x g b m v", constants={"g": floats(4), "b": floats(4, seed=1), "m": floats(4, seed=2), "v": floats(4) ** 2}),
        Normalisation("batch"),
    ),
    "lrn": (single("LRN", size=3, alpha=0.5, beta=0.5, bias=2.0), Mixing("lrn", (3.0, 0.5, 0.5, 2.0))),
    "softmax": (single("Softmax", axis=1), Mixing("softmax")),
    "softmax of old": (single("Softmax", shape=(1, 4, 1, 1), opset=9), Mixing("softmax")),
    "softmax of features": (single("Softmax", shape=(1, 4)), Mixing("softmax")),
}


@pytest.mark.parametrize("name", NORMALISATIONS)
def test_normalisations(name: str, tmp_path: Path) -> None:
    """Batch normalisation is one scale and one shift; what mixes channels says so."""
    graph = assert_same(NORMALISATIONS[name][0], tmp_path)
    assert graph.output.epilogue == (NORMALISATIONS[name][1],)
    assert graph.parameters == (8 if name == "batch" else 0)


def test_an_epilogue_grows_on_its_convolution(tmp_path: Path) -> None:
    """Normalisation, activation and pool join the convolution, in the order of the file."""
    constants = CONV | {"g": floats(6), "h": floats(6, seed=2), "m": floats(6, seed=3), "v": np.ones(6, np.float32)}
    nodes = [
        node("Conv", "x w b", "c", name="first"),
        node("BatchNormalization", "c g h m v", "n"),
        node("Dropout", "n", "d"),
        node("Relu", "d", "r"),
        node("MaxPool", "r", "p", kernel_shape=[2, 2], strides=[2, 2]),
        node("Identity", "p", "y"),
    ]
    graph = assert_same(model(nodes, constants), tmp_path)
    assert [operator.name for operator in graph.operators] == ["first"]
    assert [type(step) for step in graph.output.epilogue] == [Normalisation, Activation, Pool]


def test_a_tensor_with_two_readers_is_finished(tmp_path: Path) -> None:
    """Where another node reads the convolution too, the activation behind it is an operator of its own, also behind a reshape."""
    nodes = [node("Conv", "x w b", "c"), node("Identity", "c", "i"), node("Relu", "c", "r"), node("Sum", "r i", "y")]
    graph = assert_same(model(nodes, CONV), tmp_path)
    assert [(operator.name, operator.kind) for operator in graph.operators] == [("c", "conv"), ("r", "elementwise"), ("y", "add")]


def test_residual_sums_and_gates(tmp_path: Path) -> None:
    """Sums of three; a gate comes second wherever the file has it."""
    nodes = [
        node("Conv", "x w b", "c"),
        node("GlobalAveragePool", "c", "g"),
        node("Conv", "g v", "h"),
        node("HardSigmoid", "h", "s"),
        node("Mul", "s c", "e"),
        node("Sum", "e c r", "y"),
        node("Tanh", "c", "r"),
    ]
    graph = assert_same(model(nodes, CONV | {"v": floats(6, 6, 1, 1)}), tmp_path)
    assert graph["e"].in_shapes == (Shape(6, 6, 6), Shape(6, 1, 1))
    assert [edge.producer for edge in graph.edges if edge.consumer == "e"] == ["c", "h"]
    assert graph["y"].kind == "add"
    assert len(graph["y"].in_shapes) == 3


@pytest.mark.parametrize("opset", [9, 13, 18])
def test_splits_and_joins(opset: int, tmp_path: Path) -> None:
    """Split, Slice and Concat along the channels, with figures as attributes or inputs; a part that nothing reads is left out."""
    constants: dict[str, Any] = {"w": floats(7, 3, 1, 1)}
    if opset < 13:
        parts = [node("Split", "c", "p q r", axis=1, split=[2, 4, 1]), node("Slice", "q", "s", axes=[1], starts=[1], ends=[-1])]
    else:
        constants |= {"split": np.array([2, 4, 1]), "one": np.array([1]), "last": np.array([-1])}
        parts = [node("Split", "c split", "p q r", axis=1), node("Slice", "q one last one", "s")]
    nodes = [node("Conv", "x w", "c"), *parts, node("Relu", "s", "t"), node("Concat", "p t c", "y", axis=-3)]
    graph = assert_same(model(nodes, constants, opset=opset), tmp_path)
    slices = [(operator.first_channel, operator.out_channels) for operator in graph.operators if operator.kind == "slice"]
    assert slices == [(0, 2), (2, 4), (1, 2)]
    assert graph.output.out_channels == 2 + 2 + 7


def test_uneven_split(tmp_path: Path) -> None:
    """Seven channels in three outputs: 3, 3 and 1."""
    nodes = [node("Conv", "x w", "c"), node("Split", "c", "p q r", axis=1, num_outputs=3), node("Concat", "r p q", "y", axis=1)]
    graph = assert_same(model(nodes, {"w": floats(7, 3, 1, 1)}, opset=18), tmp_path)
    assert [operator.out_channels for operator in graph.operators] == [7, 3, 3, 1, 7]


RESIZES = {
    "sizes": ({"z": np.array([1, 3, 16, 24])}, "x - - z", 17, {"nearest_mode": "floor", "coordinate_transformation_mode": "asymmetric"}),
    "half pixel": ({"s": np.array([1, 1, 3, 2], np.float32)}, "x - s", 13, {}),
    "round down": ({"s": np.array([1, 1, 2, 2], np.float32)}, "x - s", 13, {"coordinate_transformation_mode": "asymmetric"}),
    "axes": ({"s": np.array([2, 3], np.float32)}, "x - s", 18, {"axes": [2, 3]}),
    "linear": ({"s": np.array([1, 1, 2, 3], np.float32)}, "x - s", 17, {"mode": "linear"}),
    "linear like PyTorch": (
        {"s": np.array([1, 1, 2, 1], np.float32)},
        "x - s",
        17,
        {"mode": "linear", "coordinate_transformation_mode": "pytorch_half_pixel"},
    ),
    "old": ({"s": np.array([1, 1, 2, 2], np.float32)}, "x s", 10, {"mode": "nearest"}),
}


@pytest.mark.parametrize("name", RESIZES)
def test_resizes(name: str, tmp_path: Path) -> None:
    """Repetition and interpolation by whole factors, however they are written."""
    constants, inputs, opset, attributes = RESIZES[name]
    graph = assert_same(single("Resize", inputs, (1, 3, 8, 8), opset, constants, **attributes), tmp_path)
    assert (graph.output.kind, graph.output.function) == ("upsample", "linear" if name.startswith("linear") else "nearest")


@pytest.mark.parametrize("opset", [7, 9])
def test_upsample(opset: int, tmp_path: Path) -> None:
    """The forerunner of Resize repeats, too."""
    scales = [1.0, 1.0, 2.0, 3.0]
    written = single("Upsample", scales=scales, opset=7) if opset == 7 else single("Upsample", "x s", opset=9, constants={"s": np.float32(scales)})
    assert assert_same(written, tmp_path).output.out_shape == (4, 18, 21)


def test_space_to_depth(tmp_path: Path) -> None:
    """Blocks of two by two pixels become channels, in the order of ONNX."""
    graph = assert_same(single("SpaceToDepth", shape=(1, 3, 4, 6), blocksize=2), tmp_path)
    assert (graph.output.kind, graph.output.out_shape) == ("space_to_depth", (12, 2, 3))


@pytest.mark.parametrize("flat", [False, True])
def test_shuffle(flat: bool, tmp_path: Path) -> None:
    """Reshape, Transpose and Reshape back exchange the two parts of the channels, with rows and columns together or apart."""
    middle, order = ([1, 2, 3, 64], [0, 2, 1, 3]) if flat else ([1, 2, 3, 8, 8], [0, 2, 1, 3, 4])
    constants = {"w": floats(6, 3, 1, 1), "i": np.array(middle), "o": np.array([1, -1, 8, 8])}
    nodes = [node("Conv", "x w", "c"), node("Reshape", "c i", "r"), node("Transpose", "r", "t", perm=order), node("Reshape", "t o", "y")]
    graph = assert_same(model(nodes, constants), tmp_path)
    assert [(operator.kind, operator.epilogue) for operator in graph.operators] == [("conv", (Mixing("shuffle", (2.0,)),))]


def test_constant_chains(tmp_path: Path) -> None:
    """The arithmetic that exporters leave before a reshape is computed at the import."""
    constants = {"w": floats(6, 3, 3, 3), "g": floats(6 * 36, 5), "zero": np.array(0), "minus": np.array([-1]), "one": np.array([1])}
    nodes = [
        node("Conv", "x w", "c"),
        node("Shape", "c", "s"),
        node("Gather", "s zero", "n", axis=0),
        node("Cast", "n", "f", to=onnx.TensorProto.FLOAT),
        node("Constant", "", "half", value_float=0.5),
        node("Div", "f half", "d"),
        node("Mul", "d half", "m"),
        node("Floor", "m", "o"),
        node("Cast", "o", "i", to=onnx.TensorProto.INT64),
        node("Unsqueeze", "i zero2", "u"),
        node("Slice", "s one two", "tail"),
        node("Squeeze", "tail", "q"),
        node("Mul", "q zero", "nothing"),
        node("Unsqueeze", "nothing zero2", "v"),
        node("Add", "v minus", "rest"),
        node("Concat", "u rest", "t", axis=0),
        node("Reshape", "c t", "flat"),
        node("Gemm", "flat g", "y"),
    ]
    graph = assert_same(model(nodes, constants | {"zero2": np.array([0]), "two": np.array([2])}), tmp_path)
    assert [operator.kind for operator in graph.operators] == ["conv", "fc"]


def test_a_branch_of_which_only_the_size_counts(tmp_path: Path) -> None:
    """What is computed for the sake of its dimensions alone does not become an operator."""
    nodes = [
        node("Conv", "x w", "big", pads=[1, 1, 1, 1]),
        node("Shape", "big", "s"),
        node("Slice", "s two four", "hw"),
        node("Concat", "nc hw", "t", axis=0),
        node("MaxPool", "x", "p", kernel_shape=[2, 2], strides=[2, 2]),
        node("Resize", "p - - t", "y", nearest_mode="floor", coordinate_transformation_mode="asymmetric"),
    ]
    constants = {"w": floats(6, 3, 3, 3), "two": np.array([2]), "four": np.array([4]), "nc": np.array([1, 3])}
    graph = assert_same(model(nodes, constants), tmp_path)
    assert [operator.kind for operator in graph.operators] == ["pool", "upsample"]


def test_weights_of_any_width(tmp_path: Path) -> None:
    """Parameters of 16 and 64 bits become 32; a filled constant takes no memory before it is used."""
    for dtype in (np.float16, np.float64):
        graph = imported(single("Conv", "x w", constants={"w": floats(2, 4, 3, 3).astype(dtype)}), tmp_path)
        kernel = load_weights(tmp_path / "net.onnx")[graph.output.name].kernel
        assert kernel is not None
        assert kernel.dtype == np.float32
    filled = node("ConstantOfShape", "s", "w", value=numpy_helper.from_array(np.array([0.5], np.float32)))
    imported(model([filled, node("Gemm", "x w", "y")], {"s": np.array([4, 2**28])}, shape=(1, 4)), tmp_path)
    kernel = load_weights(tmp_path / "net.onnx")["y"].kernel
    assert kernel is not None
    assert (kernel.shape, kernel.strides[0]) == ((2**28, 4, 1, 1), 0)


def test_there_and_back(tmp_path: Path) -> None:
    """A network written as ONNX is read as one that computes the same, step for step."""
    net = GraphBuilder("net", (4, 12, 10))
    left = net.conv(8, (3, 5), stride=2, padding=(1, 2), bias=False).batch_norm().step(Activation("silu")).tip
    right = net.at("input").space_to_depth(2).step(Normalisation("scale")).step(Mixing("lrn", (3.0, 0.5, 0.75, 1.0))).tip
    joined = net.concat(left, right).step(Mixing("shuffle", (2,))).tip
    gate = net.global_average_pool().conv(24, 1).step(Activation("hard_sigmoid", (0.25, 0.5))).tip
    gated = net.mul(joined, gate).slice(4, 12).step(Activation("prelu")).conv(8, 3, padding=1, groups=8).tip
    net.at(joined).slice(0, 8).add(net.tip, gated).upsample((2, 3), linear=True).step(Activation("clip", (-1.0, 1.0)))
    net.upsample(2).max_pool(3, 2).average_pool(3, 2, 1, ceil=True).step(Normalisation("shift")).fc(10).step(Activation("hard_swish"))
    graph = net.softmax().build()
    weights = random_weights(graph)
    path = save(to_onnx(graph, weights), tmp_path / "first.onnx")
    again = load_model(path)
    assert again.macs >= graph.macs  # averages are written as convolutions
    values = np.random.default_rng(3).standard_normal((1, 4, 12, 10)).astype(np.float32)
    np.testing.assert_allclose(run(to_onnx(again, load_weights(path)), values), run(path, values), rtol=1e-5, atol=1e-7)


# Inputs.


def dynamic(*dims: Any) -> onnx.ModelProto:
    """A convolution of an input with open dimensions."""
    return model([node("Conv", "x w b", "y")], CONV, shape=dims)


def shape_of(graph: Graph) -> tuple[Shape, Shape]:
    return graph.input_shape, graph.output.out_shape


def test_open_sizes_are_given(tmp_path: Path) -> None:
    """Open sizes come from input_shape; an open batch, or one of eight, becomes one."""
    expected = Shape(3, 10, 12), Shape(6, 8, 10)
    assert shape_of(imported(dynamic("N", 3, "H", "W"), tmp_path, (3, 10, 12))) == expected
    assert shape_of(imported(dynamic("N", None, None, None), tmp_path, (3, 10, 12))) == expected
    assert shape_of(imported(dynamic("N", 3, 10, 12), tmp_path)) == expected
    assert shape_of(imported(dynamic(8, 3, 10, 12), tmp_path)) == expected
    assert shape_of(imported(dynamic(1, 3, 64, 64), tmp_path, (3, 10, 12))) == expected


def test_a_batch_in_a_reshape_becomes_one(tmp_path: Path) -> None:
    """A batch of four that is written into a reshape does not keep the network from a batch of one."""
    nodes = [node("Reshape", "x t", "f"), node("Gemm", "f g", "y")]
    graph = imported(model(nodes, {"t": np.array([4, -1]), "g": floats(192, 5)}, shape=(4, 3, 8, 8)), tmp_path)
    assert shape_of(graph) == (Shape(3, 8, 8), Shape(5, 1, 1))


def test_dead_nodes_and_inputs_are_ignored(tmp_path: Path) -> None:
    """What the output does not need may be anything; initializers listed among the inputs are none."""
    written = model([node("NonMaxSuppression", "z z", "q"), node("Conv", "x w b", "y")], CONV)
    written.graph.input.extend([helper.make_tensor_value_info("z", 7, [1]), helper.make_tensor_value_info("w", 1, [6, 3, 3, 3])])
    graph = imported(written, tmp_path)
    assert ([operator.kind for operator in graph.operators], graph.input_shape) == (["conv"], (3, 8, 8))


def test_nodes_in_any_order(tmp_path: Path) -> None:
    """Nodes that stand before those they read are sorted."""
    graph = imported(model([node("Relu", "c", "y"), node("Conv", "x w b", "c")], CONV), tmp_path)
    assert [operator.name for operator in graph.operators] == ["c"]


def test_names(tmp_path: Path) -> None:
    """A node's name if no other has it, else its output's; never "input"."""
    names, inputs = ["twice", "twice", "", "input", "third"], ["x", "v0", "v1", "v2", "v3"]
    nodes = [node("Conv", f"{source} w", f"v{number}", name=name) for number, (name, source) in enumerate(zip(names, inputs, strict=True))]
    graph = imported(model(nodes, {"w": floats(3, 3, 1, 1)}, output="v4"), tmp_path)
    assert [operator.name for operator in graph.operators] == ["v0", "v1", "v2", "v3", "third"]


def test_external_data(tmp_path: Path) -> None:
    """Weights beside the file are read, with and without offset and length."""
    written = model([node("Conv", "x w b", "y")], CONV)
    expected = load_weights(save(written, tmp_path / "inside.onnx"))["y"]
    onnx.save_model(written, tmp_path / "beside.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0)
    found = load_weights(tmp_path / "beside.onnx")["y"]
    np.testing.assert_array_equal(found.kernel, expected.kernel)
    np.testing.assert_array_equal(found.bias, expected.bias)
    assert load_model(tmp_path / "beside.onnx").parameters == load_model(tmp_path / "inside.onnx").parameters
