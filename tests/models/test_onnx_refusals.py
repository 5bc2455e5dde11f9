"""ONNX models that cannot be represented, or contradict themselves: the message names file, node, cause and mend."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from support.onnx_files import floats, model, node, save

from iopopt import FileFormatError, GraphError, UnsupportedError, load_model

CONV = {"w": floats(6, 3, 3, 3), "b": floats(6, seed=1)}


def single(
    kind: str, inputs: str = "x", shape: Any = (1, 4, 9, 7), opset: int = 17, constants: Any = None, outputs: str = "y", **attributes: Any
) -> Any:
    """A model of one node."""
    return model([node(kind, inputs, outputs, name="culprit", **attributes)], constants, shape=shape, opset=opset)


def changed(written: onnx.ModelProto, change: Callable[[onnx.ModelProto], object]) -> onnx.ModelProto:
    """The model after ``change``."""
    change(written)
    return written


def per_channel(*dims: int) -> dict[str, Any]:
    return {"c": floats(*dims)}


def numbers(**lists: list[int]) -> dict[str, Any]:
    return {name: np.array(values, np.int64) for name, values in lists.items()}


SCALES = {"s": np.array([1, 1, 2, 2], np.float32)}
BATCH = {"g": floats(4), "h": floats(4), "m": floats(4), "v": np.ones(4, np.float32)}

UNSUPPORTED = {
    "unknown type": (single("Gelu", opset=20), "the operator Gelu is not supported; replace it"),
    "only of constants": (single("Exp"), "Exp is supported on constants only"),
    "transposed": (single("ConvTranspose", "x w", constants={"w": floats(4, 4, 3, 3)}), "ConvTranspose"),
    "quantised": (single("DynamicQuantizeLinear", outputs="y s z"), "quantised model; import the float model"),
    "1-D": (single("Conv", "x w", (1, 4, 9), constants={"w": floats(4, 4, 3)}), "has 3 dimensions.*1-D and 3-D convolutions"),
    "3-D": (single("Conv", "x w", (1, 4, 5, 5, 5), constants={"w": floats(4, 4, 3, 3, 3)}), "has 5 dimensions"),
    "kernel of 3-D": (single("Conv", "x w", constants={"w": floats(4, 4, 3, 3, 3)}), "4x4x3x3x3; only 2-D convolutions"),
    "computed kernel": (
        model([node("Relu", "x", "r"), node("Conv", "x r", "y", name="culprit")]),
        "'r'.* is computed by the network; only a constant",
    ),
    "integer kernel": (single("Conv", "x w", constants={"w": np.ones((4, 4, 3, 3), np.int32)}), "holds int32|Unrecognized|int32"),
    "negative padding": (single("Conv", "x w", constants={"w": floats(4, 4, 3, 3)}, pads=[-1, 0, 0, 0]), "negative padding"),
    "indices": (
        model([node("MaxPool", "x", "p i", name="culprit", kernel_shape=[2, 2]), node("Cast", "i", "f", to=1), node("Add", "p f", "y")]),
        r"\(Indices\) is read",
    ),
    "storage order": (single("MaxPool", kernel_shape=[2, 2], storage_order=1), "storage_order is 1; supported: 0"),
    "ceil and count": (
        single("AveragePool", kernel_shape=[3, 3], strides=[3, 3], pads=[1, 1, 1, 1], ceil_mode=1, count_include_pad=1),
        "ceil_mode with count_include_pad",
    ),
    "ceil and valid": (single("MaxPool", kernel_shape=[2, 2], ceil_mode=1, auto_pad="VALID"), "contradict each other"),
    "dilated average": (single("AveragePool", opset=19, kernel_shape=[2, 2], dilations=[2, 2]), "average pool with dilations"),
    "padding as large": (single("MaxPool", kernel_shape=[2, 2], pads=[2, 0, 0, 0]), "would contain only padding"),
    "1-D pool": (single("MaxPool", kernel_shape=[2]), "only 2-D"),
    "average of channels": (single("ReduceMean", axes=[1]), r"averages the axes \[1\] of 1x4x9x7"),
    "average of rows": (single("ReduceMean", axes=[2]), "the average over all rows and columns is supported"),
    "training": (
        single("BatchNormalization", "x g h m v", constants=BATCH, training_mode=1, outputs="y p q"),
        "training_mode is 1; supported: 0",
    ),
    "negative variance": (single("BatchNormalization", "x g h m v", constants=BATCH | {"v": -np.ones(4, np.float32)}), "not positive"),
    "training dropout": (single("Dropout", "x r t", constants={"r": np.float32(0.5), "t": np.array(True)}), "training_mode is true"),
    "softmax of columns": (single("Softmax"), "over axis 3 of 1x4x9x7; only the channels"),
    "softmax of all": (single("Softmax", opset=9), "over all axes from 1 on"),
    "slopes of columns": (single("PRelu", "x c", constants=per_channel(7)), "slopes have dimensions 7 for 1x4x9x7; one"),
    "constant per column": (single("Mul", "x c", constants=per_channel(7)), "combines 1x4x9x7 with a constant of dimensions 7"),
    "constant map": (single("Add", "x c", constants=per_channel(1, 4, 9, 7)), "one for each channel .1x4x1x1."),
    "no flag": (single("ReduceMean", axes=[2, 3], keepdims=-1), "keepdims is -1; supported: 0, 1"),
    "empty constant": (single("Mul", "x c", constants=per_channel(0)), "combines 1x4x9x7 with a constant of dimensions 0"),
    "average of one element": (model([node("Squeeze", "x", "s"), node("ReduceMean", "s", "y")], shape=(1, 1, 1, 1)), "averages the axes"),
    "a number over a tensor": (single("Div", "c x", constants=per_channel(1)), "divides a constant by a tensor"),
    "two tensors divided": (model([node("Relu", "x", "r"), node("Div", "x r", "y")]), "only a constant second operand"),
    "division by zero": (single("Div", "x c", constants={"c": np.zeros((), np.float32)}), "holds zeros"),
    "not finite": (single("Mul", "x c", constants={"c": np.float32(np.inf)}), "must be finite"),
    "gate of rows": (model([node("ReduceMean", "x", "m", axes=[1]), node("Mul", "x m", "y")]), "averages the axes"),
    "broadcast": (model([node("GlobalAveragePool", "x", "g"), node("Flatten", "g", "f"), node("Mul", "x f", "y")]), "combines 1x3x8x8 and 1x3"),
    "gemm of two": (model([node("Flatten", "x", "f"), node("Gemm", "f f", "y", transB=1)]), "is computed by the network"),
    "product over columns": (single("MatMul", "x c", constants=per_channel(7, 5)), "multiplies .* of 1x4x9x7; one vector"),
    "batched product": (single("MatMul", "x c", (1, 7), constants=per_channel(1, 7, 5)), "a constant matrix"),
    "joined rows": (single("Concat", "x x", axis=2), r"along axis 2 of 1x4x9x7; only the channels \(axis 1\)"),
    "joined constant": (single("Concat", "x c", constants=per_channel(1, 4, 9, 7), axis=1), "is a constant where"),
    "joined flat": (model([node("Flatten", "x", "f"), node("Concat", "f f", "y", axis=1)]), "in 1x192 axis 1 does not hold those"),
    "split rows": (single("Split", outputs="y z", axis=3, shape=(1, 4, 8, 8)), "only the channels"),
    "sliced rows": (single("Slice", "x a b c", constants=numbers(a=[0], b=[3], c=[2])), "along axis 2"),
    "sliced by two": (single("Slice", "x a b c d", constants=numbers(a=[0], b=[4], c=[1], d=[2])), "its step is 2"),
    "channels last": (single("Transpose", perm=[0, 2, 3, 1]), "only the shuffle of channels.*NCHW"),
    "reshaped map": (
        model(
            [node("Reshape", "x t", "r"), node("Conv", "r w", "y")],
            {"t": np.array([1, 12, 4, 4]), **per_channel(4, 12, 1, 1), "w": floats(4, 12, 1, 1)},
        ),
        "a rearrangement of the map 3x8x8",
    ),
    "padded map": (
        model([node("Pad", "x p", "z"), node("Sigmoid", "z", "y", name="culprit")], numbers(p=[0, 0, 1, 1, 0, 0, 1, 1])),
        "the output of a Pad",
    ),
    "padded channels": (single("Pad", "x p", constants=numbers(p=[0, 1, 0, 0, 0, 0, 0, 0])), "only rows and columns can be padded"),
    "cut map": (single("Pad", "x p", constants=numbers(p=[0, 0, -1, 0, 0, 0, 0, 0])), "only rows and columns can be padded"),
    "mirrored": (single("Pad", "x p", constants=numbers(p=[0, 0, 1, 0, 0, 0, 1, 0]), mode="reflect"), "mode is 'reflect'; supported: constant"),
    "padded with ones": (single("Pad", "x p c", constants=numbers(p=[0, 0, 1, 0, 0, 0, 1, 0]) | {"c": np.float32(1)}), "value is 1.0; supported: 0"),
    "padded output": (model([node("Relu", "x", "r"), node("Pad", "r p", "y")], numbers(p=[0, 0, 1, 0, 0, 0, 1, 0])), "output 'y'.*Pad"),
    "cast": (single("Cast", to=onnx.TensorProto.INT32), "data type 6; supported: FLOAT"),
    "half a row": (single("Resize", "x - s", constants={"s": np.array([1, 1, 1.5, 2], np.float32)}), "whole factors"),
    "smaller": (single("Resize", "x - - s", constants=numbers(s=[1, 4, 3, 7])), "whole factors"),
    "cubic": (single("Resize", "x - s", constants=SCALES, mode="cubic"), "mode is 'cubic'; supported: nearest, linear"),
    "corners": (
        single("Resize", "x - s", constants=SCALES, mode="linear", coordinate_transformation_mode="align_corners"),
        "'align_corners'; supported: half_pixel",
    ),
    "linear of old": (single("Resize", "x s", opset=10, constants=SCALES, mode="linear"), "'asymmetric'; supported: half_pixel"),
    "shifted": (single("Resize", "x - s", constants=SCALES, nearest_mode="floor"), "only plain repetition"),
    "other domain": (model([helper.make_node("FusedConv", ["x"], ["y"], domain="com.microsoft")]), "domain 'com.microsoft', and only standard"),
    "old opset": (single("Relu", opset=6), "operator set 6 is older than 7; convert it"),
    "several inputs": (
        changed(model([node("Add", "x z", "y")]), lambda m: m.graph.input.append(helper.make_tensor_value_info("z", 1, [1, 3, 8, 8]))),
        r"2 inputs \('x', 'z'\).*extract_model",
    ),
    "several outputs": (
        changed(
            model([node("Relu", "x", "y"), node("Tanh", "x", "z")]), lambda m: m.graph.output.append(helper.make_tensor_value_info("z", 1, None))
        ),
        r"2 outputs \('y', 'z'\).*extract_model\(source, target, \['x'\], \['y'\]\)",
    ),
    "integer input": (model([node("Relu", "x", "y")], kind=onnx.TensorProto.UINT8), "input 'x' holds UINT8; a map of floating-point numbers"),
    "constant output": (model([node("Constant", "", "y", value_float=1.0)]), "is not computed from any input"),
    "nothing but the input": (model([node("Identity", "x", "y")]), "does not depend on its input, or is the input; there is nothing to split"),
    "unfoldable": (model([node("Erf", "c", "d"), node("Mul", "x d", "y")], {"c": np.float32(1)}), "Erf"),
    "reshape of another size": (single("Reshape", "x t", constants=numbers(t=[1, 5])), r"1x4x9x7 \(252 elements\) does not fill 1x5"),
    "sparse": (
        changed(model([node("Relu", "x", "y")]), lambda m: m.graph.sparse_initializer.append(onnx.SparseTensorProto())),
        "sparse initializers; store them dense",
    ),
}


WHOLE_FILES = ("1-D", "3-D", "old opset")
"""Cases that no single node is to blame for."""


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_unsupported(name: str, tmp_path: Path) -> None:
    """What a network cannot represent is refused, by file and by node where one is to blame."""
    written, message = UNSUPPORTED[name]
    path = save(written, tmp_path / "net.onnx")
    with pytest.raises(UnsupportedError, match=message) as refused:
        load_model(path)
    assert str(refused.value).startswith(str(path))
    if name not in WHOLE_FILES and any(item.name == "culprit" for item in written.graph.node):
        assert "node 'culprit' (" in str(refused.value)


def constant(name: str, dims: list[int], raw: bytes) -> onnx.TensorProto:
    """An initializer as a damaged file may have it."""
    return onnx.TensorProto(name=name, data_type=onnx.TensorProto.FLOAT, dims=dims, raw_data=raw)


def with_initializer(dims: list[int], raw: bytes) -> onnx.ModelProto:
    written = model([node("Conv", "x w", "y")])
    written.graph.initializer.append(constant("w", dims, raw))
    return written


def filled(*dims: int) -> onnx.ModelProto:
    value = numpy_helper.from_array(np.array([1.0], np.float32))
    return model([node("ConstantOfShape", "s", "w", name="culprit", value=value), node("Conv", "x w", "y")], {"s": np.array(dims, np.int64)})


DAMAGED = {
    "cycle": (model([node("Add", "x b", "a", name="culprit"), node("Relu", "a", "b"), node("Tanh", "b", "y")]), "node 'culprit' .Add.*cycle"),
    "self": (model([node("Add", "x y", "y", name="culprit")]), "cycle"),
    "undefined": (model([node("Conv", "x w", "y", name="culprit")]), "node 'culprit' .Conv.: it reads 'w', which nothing computes"),
    "no output": (model([node("Relu", "x", "z")]), "no node computes its output 'y'"),
    "made twice": (model([node("Relu", "x", "y"), node("Tanh", "x", "y")]), "name of another value already"),
    "no opset": (changed(model([node("Relu", "x", "y")]), lambda m: m.ClearField("opset_import")), "no default operator set"),
    "future opset": (single("Relu", opset=9999), r"operator set 9999 is unknown.*pip install -U onnx"),
    "no nodes": (model([]), "its graph has no node"),
    "no outputs": (changed(model([node("Relu", "x", "y")]), lambda m: m.graph.ClearField("output")), "its graph has no output"),
    "unknown attribute": (single("Relu", slope=1.0), "node 'culprit' .Relu.: .*slope"),
    "missing attribute": (single("MaxPool"), "kernel_shape"),
    "missing input": (single("Conv", "x"), "Conv"),
    "wrong kernel": (single("Conv", "x w", constants={"w": floats(4, 3, 3, 3)}), "kernel of 4x3x3x3 in 1 groups does not fit the 4 channels"),
    "wrong bias": (single("Conv", "x w b", constants={"w": floats(4, 4, 3, 3), "b": floats(5)}), "dimensions 5; 4 are expected"),
    "wrong gemm": (model([node("Flatten", "x", "f"), node("Gemm", "f c", "y")], per_channel(100, 5)), "weights for 100 inputs.*3x8x8, 192"),
    "wrong parts": (single("Split", "x s", constants=numbers(s=[1, 1]), outputs="y z", axis=1), r"\[1, 1\] are not 2 parts of 4"),
    "wrong axis": (single("Flatten", axis=9), "axis 9 is outside"),
    "wrong perm": (single("Transpose", perm=[0, 1, 1, 3]), "not a permutation of the 4 axes"),
    "short initializer": (with_initializer([6, 3, 3, 3], b"\0" * 100), "initializer 'w': its data do not fill the dimensions 6x3x3x3"),
    "empty initializer": (with_initializer([6, 3, 3, 3], b""), "initializer 'w': its data do not fill"),
    "huge initializer": (with_initializer([10**6, 10**6], b""), "initializer 'w': dimensions '1000000x1000000' are negative, or too many"),
    "negative initializer": (with_initializer([6, -3], b""), "negative"),
    "unknown data type": (
        changed(with_initializer([1], b"\0" * 4), lambda m: setattr(m.graph.initializer[0], "data_type", 99)),
        "data type 99 is unknown",
    ),
    "filled beyond": (filled(10**12), "node 'culprit' .ConstantOfShape.: dimensions 1000000000000 are negative, or too many"),
    "filled below": (filled(6, -1), "negative"),
    "bad chain": (
        model([node("Concat", "a b", "t", name="culprit", axis=0), node("Reshape", "x t", "y")], {"a": np.array([1]), "b": np.array([[1]])}),
        "node 'culprit' .Concat.: its constant inputs do not fit",
    ),
    "integer division by zero": (
        model([node("Div", "a b", "t", name="culprit"), node("Reshape", "x t", "y")], numbers(a=[1], b=[0])),
        "node 'culprit' .Div.*division by zero",
    ),
    "input of a trillion": (single("Relu", shape=(1, 10**4, 10**4, 10**4)), "too many elements for any network"),
    "input of nothing": (single("Relu", shape=(1, 4, 0, 9)), "dimension 2 is 0; it must be positive"),
    "negative input": (single("Relu", shape=(1, 4, 9, -1)), "dimension 3 is -1"),
    "open sizes": (
        single("Relu", shape=("N", 3, "H", None)),
        r"leaves sizes open \(3x\?x\?\); give .*input_shape=\(C, H, W\), or --input-shape CxHxW",
    ),
    "uneven blocks": (single("SpaceToDepth", blocksize=2), "blocks of 2 do not divide the map 4x9x7"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged(name: str, tmp_path: Path) -> None:
    """A file that contradicts itself is refused in words of its own, before anything large is allocated."""
    path = save(DAMAGED[name][0], tmp_path / "net.onnx")
    with pytest.raises(FileFormatError, match=DAMAGED[name][1]) as refused:
        load_model(path)
    assert str(refused.value).startswith(str(path))


def test_maps_beyond_any_device(tmp_path: Path) -> None:
    """Absurd padding is refused by the size of the map that would come out."""
    written = single("Conv", "x w", constants={"w": floats(4, 4, 3, 3)}, pads=[10**6] * 4)
    with pytest.raises(
        UnsupportedError, match=r"node 'culprit' \(Conv\): its output [0-9x]+ has more than 2147483648 elements; no device could hold it"
    ):
        load_model(save(written, tmp_path / "net.onnx"))


def test_maps_too_small(tmp_path: Path) -> None:
    """A window that does not fit is an error of the network, with the node that has it."""
    with pytest.raises(GraphError, match=r"node 'culprit' \(MaxPool\): .*too small for its window"):
        load_model(save(single("MaxPool", kernel_shape=[20, 20]), tmp_path / "net.onnx"))


@pytest.mark.parametrize(
    ("shape", "message"),
    [((4, 8, 8), r"has 3 channels, but input_shape \(4, 8, 8\) has 4"), ((3, 8), "three positive integers"), ((3, 0, 8), "three positive integers")],
)
def test_input_shapes_that_do_not_fit(shape: tuple[int, ...], message: str, tmp_path: Path) -> None:
    """Channels are those of the file, and all sizes positive."""
    path = save(model([node("Conv", "x w b", "y")], CONV), tmp_path / "net.onnx")
    with pytest.raises(GraphError, match=message):
        load_model(path, input_shape=shape)


def test_input_shape_of_features(tmp_path: Path) -> None:
    """A list of features has one row and one column."""
    path = save(model([node("Gemm", "x g", "y")], {"g": floats(7, 5)}, shape=("N", 7)), tmp_path / "net.onnx")
    assert load_model(path, input_shape=(7, 1, 1)).input_shape == (7, 1, 1)
    with pytest.raises(GraphError, match="list of features"):
        load_model(path, input_shape=(7, 2, 1))


def test_long_chains_stay_quick(tmp_path: Path) -> None:
    """Five thousand activations in a row are read in linear time."""
    nodes = [node("Tanh", f"v{number}" if number else "x", f"v{number + 1}") for number in range(5000)]
    graph = load_model(save(model(nodes, output="v5000"), tmp_path / "net.onnx"))
    assert sum(len(operator.epilogue) for operator in graph.operators) == 5000
