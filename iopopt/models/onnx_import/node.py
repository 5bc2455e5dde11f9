"""One node of an ONNX file with the values of its inputs, as the parsers see it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt
import onnx

from iopopt.errors import FileFormatError, UnsupportedError
from iopopt.models.onnx_import.values import Constant, Tensor, Value, is_real, written
from iopopt.network.records import short_repr

SIMPLIFY = "fold it into a constant before the import, for example with onnxsim"


@dataclass(frozen=True)
class Node:
    """A node, its inputs resolved.

    Attributes:
        opset: the version of the operator set, which decides how the attributes are read.
        inputs: the value of each input; None if it is omitted.
        wanted: for each output, whether anything reads it.
    """

    proto: onnx.NodeProto
    file: str
    opset: int
    inputs: tuple[Value | None, ...]
    wanted: tuple[bool, ...]

    @property
    def type(self) -> str:
        return str(self.proto.op_type)

    @property
    def where(self) -> str:
        """The start of messages."""
        return where(self.file, self.proto)

    def refuse(self, message: str) -> NoReturn:
        """Refuse a node that cannot be represented.

        Raises:
            UnsupportedError: always; ``message`` says what was found, what is allowed and what would fix it.
        """
        raise UnsupportedError(f"{self.where}: {message}")

    def reject(self, message: str) -> NoReturn:
        """Refuse a node that contradicts its own inputs: the file is damaged.

        Raises:
            FileFormatError: always.
        """
        raise FileFormatError(f"{self.where}: {message}")

    # Inputs.

    def tensor(self, slot: int = 0) -> Tensor:
        """Input ``slot``, which the network must compute."""
        value = self._value(slot)
        if not isinstance(value, Tensor):
            self.refuse(f"its input {self._input_name(slot)} is a constant where the network's tensor is expected; {SIMPLIFY}")
        return value

    def constant(self, slot: int) -> Constant:
        """Input ``slot``, which must be known before the network runs."""
        value = self._value(slot)
        if isinstance(value, Tensor):
            self.refuse(
                f"its input {self._input_name(slot)} is computed by the network; only a constant is supported there. Replace the node, or cut out "
                "the part before it with onnx.utils.extract_model"
            )
        return value

    def has(self, slot: int) -> bool:
        """Whether input ``slot`` is given, and not empty."""
        value = self.inputs[slot] if slot < len(self.inputs) else None
        return value is not None and (isinstance(value, Tensor) or value.size > 0)

    def parameters(self, slot: int) -> npt.NDArray[np.float32]:
        """The constant input ``slot`` as 32-bit floats."""
        constant = self.constant(slot)
        if not is_real(constant):
            self.refuse(f"its input {self._input_name(slot)} holds {constant.dtype}; parameters must be floating-point numbers")
        return constant.astype(np.float32, copy=False)

    def vector(self, slot: int, length: int) -> npt.NDArray[np.float32]:
        """The constant input ``slot`` with one number for each channel."""
        constant = self.parameters(slot)
        if constant.shape != (length,):
            self.reject(f"its input {self._input_name(slot)} has dimensions {written(constant.shape)}; {length} are expected")
        return constant

    def _value(self, slot: int) -> Value:
        value = self.inputs[slot] if slot < len(self.inputs) else None
        if value is None:
            self.reject(f"its input {slot} is missing")
        return value

    def _input_name(self, slot: int) -> str:
        return f"{slot} ({short_repr(self.proto.input[slot])})"

    # Attributes.

    @cached_property
    def _attributes(self) -> dict[str, Any]:
        return {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in self.proto.attribute}

    def attribute(self, name: str, default: Any) -> Any:
        """The value of an attribute, or ``default``."""
        return self._attributes.get(name, default)

    def integer(self, name: str, default: int) -> int:
        return int(self.attribute(name, default))

    def flag(self, name: str, default: int) -> bool:
        """An attribute that is 0 or 1; runtimes disagree about others."""
        value = self.integer(name, default)
        self.one_of(name, value, (0, 1))
        return value == 1

    def number(self, name: str, default: float) -> float:
        """A floating-point attribute, which must be finite."""
        value = float(self.attribute(name, default))
        if not np.isfinite(value):
            self.refuse(f"{name} is {value}; it must be finite")
        return value

    def text(self, name: str, default: str) -> str:
        value = self.attribute(name, default)
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)

    def integers(self, name: str, default: Sequence[int] = ()) -> list[int]:
        return [int(value) for value in self.attribute(name, default)]

    def figures(self, name: str, slot: int) -> list[int] | None:
        """Integers from the attribute ``name`` (older operator sets) or the input ``slot`` (newer ones); None without either."""
        if name in self._attributes:
            return self.integers(name)
        return self.whole_numbers(slot) if self.has(slot) else None

    def whole_numbers(self, slot: int) -> list[int]:
        """The constant input ``slot``: an integer or a short list of them."""
        constant = self.constant(slot)
        if constant.ndim > 1 or constant.size > np.iinfo(np.int8).max or not np.issubdtype(constant.dtype, np.integer):
            self.reject(f"its input {self._input_name(slot)} must be a short list of integers; found {constant.dtype} of {written(constant.shape)}")
        return [int(value) for value in constant.reshape(-1)]

    def axis(self, axis: int, rank: int) -> int:
        """An axis counted from the front."""
        if not -rank <= axis < rank:
            self.reject(f"axis {axis} is outside a tensor of {rank} dimensions")
        return axis % rank

    def one_of(self, name: str, found: Any, allowed: Sequence[Any]) -> None:
        """Refuse a setting that is not allowed."""
        if found not in allowed:
            self.refuse(f"{name} is {short_repr(found)}; supported: {', '.join(map(str, allowed))}")

    def no_further_outputs(self, what: str) -> None:
        """Refuse a node whose second or later output is read."""
        if any(self.wanted[1:]):
            self.refuse(f"{what} is read; only its first output is supported. Export the model for inference")


def where(file: str, proto: onnx.NodeProto) -> str:
    """The start of messages about a node: file, name (its first output's, if it has none) and type."""
    name = proto.name or next(iter(proto.output), "")
    return f"{file}: node {short_repr(str(name))} ({proto.op_type})"
