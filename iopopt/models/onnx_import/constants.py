"""The constants of a file: initializers, inside the file or in external data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx

from iopopt.errors import FileFormatError, UnsupportedError
from iopopt.models.onnx_import.values import Constant, Dims, too_large, written
from iopopt.network.records import short_repr


class Initializers:
    """The initializers of a file by name; each is converted to an array when it is first read."""

    def __init__(self, path: str, tensors: Mapping[str, onnx.TensorProto]) -> None:
        self._path, self._tensors = path, tensors
        self._arrays: dict[str, Constant] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._tensors

    def __getitem__(self, name: str) -> Constant:
        if name not in self._arrays:
            self._arrays[name] = array_of(self._tensors[name], self._path, f"{self._path}: initializer {short_repr(name)}")
        return self._arrays[name]


def array_of(tensor: onnx.TensorProto, path: str, where: str) -> Constant:
    """The array of a tensor of the file at ``path``; a view if the file stores raw bytes.

    Raises:
        FileFormatError: if the data do not fill the dimensions; the message begins with ``where``.
    """
    dims = _checked_dims(tensor, where)
    try:
        dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type))
    except (KeyError, TypeError, ValueError):
        raise FileFormatError(f"{where}: data type {tensor.data_type} is unknown") from None
    if dtype == np.object_ or tensor.data_type == onnx.TensorProto.STRING:
        raise UnsupportedError(f"{where}: is text; constants must be numbers")
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        return _external(tensor, path, where, dims, dtype)
    try:
        return onnx.numpy_helper.to_array(tensor).reshape(dims)
    except (ValueError, TypeError, OverflowError, MemoryError) as error:
        raise FileFormatError(f"{where}: its data do not fill the dimensions {written(dims)} with {dtype} ({_first_line(error)})") from None


def _checked_dims(tensor: onnx.TensorProto, where: str) -> Dims:
    dims = tuple(tensor.dims)
    if any(size < 0 for size in dims) or too_large(dims) or len(dims) > 16:
        raise FileFormatError(f"{where}: dimensions {short_repr(written(dims))} are negative, or too many elements for any tensor")
    return dims


def _external(tensor: onnx.TensorProto, path: str, where: str, dims: Dims, dtype: np.dtype[np.generic]) -> Constant:
    """Data in a separate file, which must be in the model's directory or below."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    directory = Path(path).resolve().parent
    location, hint = entries.get("location", ""), "put them into the model's directory or below"
    try:
        source = (directory / location).resolve()
        inside = bool(location) and not Path(location).is_absolute() and source.is_relative_to(directory)
        if not inside:
            raise FileFormatError(f"{where}: its external data {short_repr(location)} are outside the directory of the model; {hint}")
        if not source.is_file():
            raise FileFormatError(f"{where}: its external data {short_repr(location)} are missing; {hint}")
        offset, size = _number(entries, "offset", 0, where), source.stat().st_size
        length, needed = _number(entries, "length", size - offset, where), math.prod(dims) * dtype.itemsize
        if offset + length > size or length < needed or (length > needed and "length" in entries):
            raise FileFormatError(
                f"{where}: its external data are bytes {offset} to {offset + length} of {short_repr(location)}, which has {size}; "
                f"the dimensions {written(dims)} take {needed}"
            )
        return np.fromfile(source, dtype, math.prod(dims), offset=offset).reshape(dims)
    except (OSError, ValueError) as error:
        if isinstance(error, FileFormatError):
            raise
        raise FileFormatError(f"{where}: its external data {short_repr(location)} cannot be read ({_first_line(error)})") from None


def _number(entries: Mapping[str, str], key: str, default: int, where: str) -> int:
    text = entries.get(key, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise FileFormatError(f"{where}: {key} of its external data is {short_repr(text)}; a number of bytes is expected")
    return int(text)


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0]
