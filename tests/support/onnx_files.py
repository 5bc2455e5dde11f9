"""ONNX files for tests: the light models that the onnx package brings along, random weights for them, and small models by hand."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

Array = npt.NDArray[Any]


def light_models() -> dict[str, Path]:
    """The nine light models by name; their weights are ConstantOfShape nodes."""
    directory = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
    return {path.stem.removeprefix("light_"): path for path in sorted(directory.glob("light_*.onnx"))}


def save(model: onnx.ModelProto, path: Path) -> Path:
    """Write a model; returns the path."""
    path.write_bytes(model.SerializeToString())
    return path


def randomise(model: onnx.ModelProto, seed: int) -> onnx.ModelProto:
    """A copy in which every float parameter is an initializer of random values that keep activations of order 1.

    What a parameter is for follows from the node that reads it, through nodes that only reshape it.
    """
    rng, result = np.random.default_rng(seed), onnx.ModelProto()
    result.CopyFrom(model)
    graph = result.graph
    shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer if tensor.data_type == onnx.TensorProto.FLOAT}
    kept = {tensor.name: tensor for tensor in graph.initializer}
    fillers = [node for node in graph.node if node.op_type == "ConstantOfShape"]
    shapes |= {node.output[0]: tuple(map(int, numpy_helper.to_array(kept[node.input[0]]))) for node in fillers}
    readers = {name: reader for reader in graph.node for name in reader.input}
    values = {name: _random(rng, shape, *_role(readers, name)) for name, shape in shapes.items()}
    values = {name: array for name, array in values.items() if array is not None}
    nodes = [node for node in graph.node if node.output[0] not in values]
    inputs = [value for value in graph.input if value.name not in values and value.name not in kept]
    constants = [tensor for name, tensor in kept.items() if name not in values]
    for part, items in (("node", nodes), ("initializer", constants), ("input", inputs)):
        graph.ClearField(part)
        getattr(graph, part).extend(items)
    for name, array in values.items():
        graph.initializer.add(name=name, data_type=onnx.TensorProto.FLOAT, dims=array.shape, raw_data=array.astype(np.float32).tobytes())
    result.ir_version = max(4, result.ir_version)  # initializers need not be inputs from version 4 on
    return result


def _role(readers: Mapping[str, onnx.NodeProto], name: str) -> tuple[onnx.NodeProto | None, int, str]:
    """The node that reads a parameter in the end, as which of its inputs, and the type of the node behind it."""
    reader = readers.get(name)
    if reader is None:
        return None, 0, ""
    if reader.op_type in ("Unsqueeze", "Identity"):
        return _role(readers, reader.output[0])
    behind = readers.get(reader.output[0])
    return reader, list(reader.input).index(name), behind.op_type if behind is not None else ""


def _random(rng: np.random.Generator, shape: tuple[int, ...], reader: onnx.NodeProto | None, slot: int, behind: str) -> Array | None:
    """Values for input ``slot`` of ``reader``; None where it is no parameter. What is summed up behind it is kept small."""
    kind = reader.op_type if reader is not None else ""
    if (kind, slot) in (("Conv", 1), ("Gemm", 1), ("MatMul", 1)):
        assert reader is not None
        transposed = any(attribute.name == "transB" and attribute.i for attribute in reader.attribute)
        fan_in = math.prod(shape[1:]) if kind == "Conv" or transposed else shape[0]
        return rng.standard_normal(shape, np.float32) * np.float32(math.sqrt(2.0 / fan_in))
    if (kind, slot) == ("BatchNormalization", 1):
        return rng.uniform(0.1, 0.5, shape) if behind in ("Sum", "Add") else rng.uniform(0.5, 1.3, shape)
    if (kind, slot) == ("BatchNormalization", 4) or kind == "Mul":
        return rng.uniform(0.7, 1.3, shape)
    if kind in ("BatchNormalization", "Conv", "Gemm", "Add"):
        return rng.uniform(-0.3, 0.3, shape)
    return rng.uniform(0.1, 0.5, shape) if kind == "PRelu" else None


# Small models by hand.


def node(kind: str, inputs: str | Sequence[str], outputs: str | Sequence[str], **attributes: Any) -> onnx.NodeProto:
    """A node; several names are given in one text, apart by blanks, "-" standing for an input left out."""
    sources = ["" if name == "-" else name for name in inputs.split()] if isinstance(inputs, str) else list(inputs)
    targets = outputs.split() if isinstance(outputs, str) else list(outputs)
    return helper.make_node(kind, sources, targets, **attributes)


def model(
    nodes: Sequence[onnx.NodeProto],
    constants: dict[str, Array] | None = None,
    *,
    shape: Sequence[int | str | None] = (1, 3, 8, 8),
    output: str = "y",
    opset: int = 17,
    kind: int = onnx.TensorProto.FLOAT,
) -> onnx.ModelProto:
    """A model with the input "x" of ``shape``."""
    graph = helper.make_graph(
        list(nodes),
        "small",
        [helper.make_tensor_value_info("x", kind, list(shape))],
        [helper.make_tensor_value_info(output, onnx.TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(values), name) for name, values in (constants or {}).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def floats(*shape: int, seed: int = 0) -> Array:
    """Random parameters, all different."""
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def run(model_or_path: onnx.ModelProto | Path, values: Array) -> Array:
    """What onnxruntime computes; without its optimisations, and quietly."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 2
    source = model_or_path.SerializeToString() if isinstance(model_or_path, onnx.ModelProto) else str(model_or_path)
    session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    (result,) = session.run(None, {session.get_inputs()[0].name: values})
    return np.asarray(result)
