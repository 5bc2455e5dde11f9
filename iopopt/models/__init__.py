"""Networks by name (the zoo) or from a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from iopopt.errors import FileFormatError, UnknownNameError
from iopopt.graph import Graph
from iopopt.models import alexnet, lenet, vgg
from iopopt.models.sizes import InputSize
from iopopt.records import read_json

ZOO: Mapping[str, Callable[..., Graph]] = {
    "lenet5": lenet.lenet5,
    "alexnet": alexnet.alexnet,
    "vgg11": vgg.vgg11,
    "vgg13": vgg.vgg13,
    "vgg16": vgg.vgg16,
    "vgg19": vgg.vgg19,
}
"""Every network of the zoo: its builder takes ``input_size``."""

_ALIASES = {"lenet": "lenet5", "lenet-5": "lenet5"}


def load_model(name: str | Path, *, input_size: InputSize | None = None) -> Graph:
    """A network of the zoo by name, or from a ``.json`` file that :meth:`Graph.to_dict` describes.

    Args:
        name: a name of the zoo, in any case, or a path.
        input_size: height and width of the input (one integer for both); the published size unless given. Zoo only.

    Raises:
        UnknownNameError: if it is neither; the message lists the zoo.
        GraphError: if ``input_size`` is too small; the message names the smallest that fits.
        FileFormatError: if the file cannot be read as a network.
    """
    text = str(name)
    if text.lower().endswith(".json"):
        if input_size is not None:
            raise FileFormatError(f"{text}: a network from a file has its input size already; input_size is for the zoo")
        return Graph.from_dict(read_json(text), text)
    key = _ALIASES.get(text.lower(), text.lower())
    if key not in ZOO:
        raise UnknownNameError("model", text, ZOO)
    return ZOO[key]() if input_size is None else ZOO[key](input_size=input_size)
