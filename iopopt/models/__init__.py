"""Networks by name (the zoo) or from a file."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from iopopt.errors import FileFormatError, GraphError, MissingExtraError, UnknownNameError
from iopopt.models import alexnet, googlenet, lenet, mobilenet, resnet, squeezenet, vgg, yolo
from iopopt.models.sizes import InputSize
from iopopt.network.graph import Graph
from iopopt.network.records import foreign, is_integer, read_json, short_repr

if TYPE_CHECKING:
    from iopopt.network.weights import Weights

ZOO: Mapping[str, Callable[..., Graph]] = {
    "lenet5": lenet.lenet5,
    "alexnet": alexnet.alexnet,
    "vgg11": vgg.vgg11,
    "vgg13": vgg.vgg13,
    "vgg16": vgg.vgg16,
    "vgg19": vgg.vgg19,
    "googlenet": googlenet.googlenet,
    "squeezenet1_1": squeezenet.squeezenet1_1,
    "resnet18": resnet.resnet18,
    "resnet34": resnet.resnet34,
    "resnet50": resnet.resnet50,
    "mobilenet_v1": mobilenet.mobilenet_v1,
    "mobilenet_v1-0.75": partial(mobilenet.mobilenet_v1, width=0.75),
    "mobilenet_v1-0.5": partial(mobilenet.mobilenet_v1, width=0.5),
    "mobilenet_v1-0.25": partial(mobilenet.mobilenet_v1, width=0.25),
    "mobilenet_v2": mobilenet.mobilenet_v2,
    "yolov2": yolo.yolov2,
}
"""Every network of the zoo: its builder takes ``input_size``."""

_ALIASES = {
    "lenet": "lenet5",
    "lenet-5": "lenet5",
    "squeezenet": "squeezenet1_1",
    "squeezenet1.1": "squeezenet1_1",
    "mobilenet": "mobilenet_v1",
    "mobilenet_v1-1.0": "mobilenet_v1",
}


def load_model(name: str | Path, *, input_size: InputSize | None = None, input_shape: Sequence[int] | None = None) -> Graph:
    """A network of the zoo by name, from a ``.json`` file that :meth:`Graph.to_dict` describes, or from an ``.onnx`` file.

    An ONNX file is read for a batch of one image, even if it was exported for another batch; a kernel that two nodes share counts twice.

    Args:
        name: a name of the zoo, in any case, or a path.
        input_size: height and width of the input (one integer for both); the published size by default. Zoo only.
        input_shape: (C, H, W) of the input, for an ONNX file that leaves it open or was exported for another size, or for the zoo.

    Raises:
        UnknownNameError: if ``name`` is neither; the message lists the zoo.
        GraphError: if ``name`` is neither a name nor a path, or the input is too small (for the zoo the message names the smallest that fits)
            or has the wrong number of channels.
        FileFormatError: if the file cannot be read as a network.
        UnsupportedError: if an ONNX file holds what a network here cannot represent.
        MissingExtraError: if it is an ONNX file and the package ``onnx`` is not installed.
    """
    if not isinstance(name, (str, os.PathLike)):
        raise GraphError(f"model: found {foreign(name)}; a name or a path is expected (Graph.from_dict reads a record)")
    text = str(name)
    suffix = text.lower().rpartition(".")[2]
    if suffix in ("json", "onnx") and input_size is not None:
        raise FileFormatError(f"{text}: a network from a file has its input size already; use input_size for the zoo, input_shape for .onnx files")
    if suffix == "onnx":
        return _read_onnx(text, input_shape)[0]
    if suffix == "json":
        if input_shape is not None:
            raise FileFormatError(f"{text}: a network from JSON has its input shape already; use input_shape for .onnx files and the zoo")
        return Graph.from_dict(read_json(text), text)
    key = _ALIASES.get(text.lower(), text.lower())
    if key not in ZOO:
        raise UnknownNameError("model", text, ZOO)
    if input_shape is not None:
        return _at_shape(key, input_shape, input_size)
    return ZOO[key]() if input_size is None else ZOO[key](input_size=input_size)


def load_weights(path: str | Path, *, input_shape: Sequence[int] | None = None) -> Weights:
    """The parameters of an ONNX file, by the operators of :func:`load_model` for the same file and shape.

    The arrays are 32-bit floats; some are views of the file's content, which cannot be written to.

    Raises:
        IopoptError: as in :func:`load_model`; FileFormatError also if it is not an ``.onnx`` file.
    """
    text = str(path)
    if not brings_weights(text):
        raise FileFormatError(f"{text}: weights are read from .onnx files; networks of the zoo and of JSON files have none")
    return _read_onnx(text, input_shape)[1]


def brings_weights(name: str | Path) -> bool:
    """Whether a network of that name or path comes with its parameters: an ONNX file does."""
    return str(name).lower().endswith(".onnx")


def _read_onnx(path: str, input_shape: Sequence[int] | None) -> tuple[Graph, Weights]:
    if importlib.util.find_spec("onnx") is None:
        raise MissingExtraError(f'{path}: reading ONNX files needs the package onnx: pip install "iopopt[onnx]"')
    from iopopt.models.onnx_import.translation import read_onnx

    return read_onnx(path, input_shape)


def _at_shape(key: str, input_shape: Sequence[int], input_size: InputSize | None) -> Graph:
    """A network of the zoo for an input shape; its number of channels is fixed."""
    if input_size is not None:
        raise GraphError(f"{key}: input_size and input_shape are both given; one is enough")
    if len(input_shape) != 3 or not all(map(is_integer, input_shape)):
        raise GraphError(f"{key}: input_shape is {short_repr(input_shape)}; three integers (channels, height, width) are expected")
    graph = ZOO[key](input_size=(input_shape[1], input_shape[2]))
    if graph.input_shape.channels != input_shape[0]:
        raise GraphError(f"{key}: input_shape {tuple(input_shape)} has {input_shape[0]} channels; the network reads {graph.input_shape.channels}")
    return graph
