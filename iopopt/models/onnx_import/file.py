"""Reads an ONNX file and checks that it is valid, with one usable graph."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from iopopt.errors import FileFormatError, UnsupportedError
from iopopt.models.onnx_import.constants import Initializers
from iopopt.network.records import short_repr

OLDEST_OPSET = 7
"""The oldest supported operator set: older ones broadcast by attributes and normalise in training mode; converters exist."""

_LARGEST_BYTES = 2**31
_BEGINNING = 60
_DEFAULT_DOMAINS = ("", "ai.onnx")


@dataclass(frozen=True)
class OnnxFile:
    """A parsed file: one graph, its version, and its constants."""

    path: str
    model: onnx.ModelProto

    @property
    def graph(self) -> onnx.GraphProto:
        return self.model.graph

    @cached_property
    def initializers(self) -> Initializers:
        if self.graph.sparse_initializer:
            raise UnsupportedError(f"{self.path}: it has sparse initializers; store them dense")
        return Initializers(self.path, {tensor.name: tensor for tensor in self.graph.initializer})

    @cached_property
    def opset(self) -> int:
        """The version of the default operator set.

        Raises:
            FileFormatError: if the file names none, or one that the installed onnx does not know.
            UnsupportedError: if it is older than :data:`OLDEST_OPSET`.
        """
        versions = [entry.version for entry in self.model.opset_import if entry.domain in _DEFAULT_DOMAINS]
        newest = onnx.defs.onnx_opset_version()
        if not versions:
            raise FileFormatError(f"{self.path}: it imports no default operator set (opset_import); the file is damaged or not from an exporter")
        if not 1 <= versions[0] <= newest:
            raise FileFormatError(
                f"{self.path}: operator set {versions[0]} is unknown; the installed onnx {onnx.__version__} knows 1 to {newest} (pip install -U onnx)"
            )
        if versions[0] < OLDEST_OPSET:
            raise UnsupportedError(
                f"{self.path}: operator set {versions[0]} is older than {OLDEST_OPSET}; "
                "convert it with onnx.version_converter.convert_version(model, 13)"
            )
        return int(versions[0])

    @cached_property
    def output(self) -> str:
        """The name of the only output.

        Raises:
            FileFormatError: if there is none.
            UnsupportedError: if there are several.
        """
        names = [output.name for output in self.graph.output]
        if not names:
            raise FileFormatError(f"{self.path}: its graph has no output")
        if len(names) > 1:
            first, listed = next(iter(self.inputs), "input"), f"{', '.join(map(short_repr, names[:8]))}{', ...' if len(names) > 8 else ''}"
            raise UnsupportedError(
                f"{self.path}: its graph has {len(names)} outputs ({listed}), but a plan has one result; "
                f"cut out the part before one of them: onnx.utils.extract_model(source, target, [{first!r}], [{names[0]!r}])"
            )
        return str(names[0])

    @cached_property
    def inputs(self) -> dict[str, onnx.ValueInfoProto]:
        """The inputs that are not initializers (which old files list among the inputs), by name."""
        return {value.name: value for value in self.graph.input if value.name not in self.initializers}


def read_file(path: str) -> OnnxFile:
    """Parse a file and check it as a whole.

    Raises:
        FileFormatError: if it cannot be read or is not an ONNX model.
        UnsupportedError: if its version or its outputs are not supported.
    """
    file = OnnxFile(path, _parsed(path))
    if not file.model.HasField("graph"):
        raise FileFormatError(f"{path}: is not an ONNX model, or is truncated: it has no graph")
    if not file.graph.node:
        raise FileFormatError(f"{path}: its graph has no node")
    _check_texts(file)
    _ = file.opset, file.output
    return file


def _check_texts(file: OnnxFile) -> None:
    """Names must be text; depending on its version, protobuf gives bytes where they are not, or raises an error."""
    graph = file.graph
    try:
        texts = [text for node in graph.node for text in (node.name, node.op_type, node.domain, *node.input, *node.output)]
        texts += [item.name for item in (*graph.input, *graph.output, *graph.initializer)]
        texts += [text for tensor in graph.initializer for entry in tensor.external_data for text in (entry.key, entry.value)]
    except UnicodeDecodeError:
        texts = [b""]
    if not all(isinstance(text, str) for text in texts):
        raise FileFormatError(f"{file.path}: a name in it is not UTF-8; the file is damaged")


def _parsed(path: str) -> onnx.ModelProto:
    try:
        if not Path(path).is_file():
            found = "is a directory" if Path(path).is_dir() else "there is no such file"
            raise FileFormatError(f"{path}: {found}; an ONNX model is expected")
        if Path(path).stat().st_size >= _LARGEST_BYTES:
            raise FileFormatError(f"{path}: is larger than 2 GiB, which ONNX does not allow; store the weights as external data")
        content = Path(path).read_bytes()
    except OSError as error:
        raise FileFormatError(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError as error:
        if isinstance(error, FileFormatError):
            raise
        raise FileFormatError(f"{path!r}: cannot be read ({error})") from None  # an impossible path
    if not content:
        raise FileFormatError(f"{path}: the file is empty; an ONNX model is expected")
    try:
        model: onnx.ModelProto = onnx.ModelProto.FromString(content)
    except DecodeError:
        raise FileFormatError(f"{path}: is not an ONNX model{_what_it_is(content)}") from None
    return model


def _what_it_is(content: bytes) -> str:
    """The rest of the message about content that is not a model, and how to fix it."""
    start = content[:_BEGINNING]
    if start.startswith(b"version https://git-lfs"):
        return ": it is a pointer of Git LFS; fetch the file itself with git lfs pull"
    if start.startswith(b"PK"):
        return ": it is a zip archive, as PyTorch saves models; export the model to ONNX, or unpack the archive"
    if start.isascii() and start.decode("ascii").replace("\n", "").replace("\r", "").replace("\t", "").isprintable():
        return f": it is a text that begins with {short_repr(start.decode('ascii').strip())}"
    return f", or it is truncated: its {len(content)} bytes do not parse; copy the file or export the model again"
