"""Networks written in Python, layer by layer."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Literal

from iopopt.errors import GraphError
from iopopt.graph import Activation, EpilogueStep, Graph, Normalisation, Operator, Pool, Shape, Window
from iopopt.records import is_integer, shown


class GraphBuilder:
    """Writes a network down layer by layer; activations, normalisations and pools join the operator before them.

    >>> net = GraphBuilder("tiny", (3, 32, 32))
    >>> net.conv(16, kernel=3, padding=1).relu().max_pool(2)   # doctest: +ELLIPSIS
    <iopopt.graph_builder.GraphBuilder object at ...>
    >>> graph = net.fc(10).build()
    >>> graph.parameters
    41418
    """

    def __init__(self, name: str, input_shape: Sequence[int]) -> None:
        if len(input_shape) != 3:
            raise GraphError(f"graph {name!r}: input shape {shown(input_shape)} must be (channels, height, width)")
        self._name = name
        self._input_shape = Shape(*input_shape)
        self._operators: list[Operator] = []

    @property
    def shape(self) -> Shape:
        """The feature map that the next operator reads."""
        return self._operators[-1].out_shape if self._operators else self._input_shape

    def conv(
        self,
        out_channels: int,
        kernel: int | tuple[int, int],
        *,
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        bias: bool = True,
        name: str | None = None,
    ) -> GraphBuilder:
        """A convolution; pairs are (rows, columns)."""
        rows, columns = _windows(kernel, stride, padding, dilation)
        return self._append("conv", out_channels, rows, columns, groups, bias, name)

    def fc(self, out_features: int, *, bias: bool = True, name: str | None = None) -> GraphBuilder:
        """A fully connected operator over the flattened feature map."""
        shape = self.shape
        return self._append("fc", out_features, Window(shape.height), Window(shape.width), 1, bias, name)

    def relu(self) -> GraphBuilder:
        return self.step(Activation("relu"))

    def batch_norm(self) -> GraphBuilder:
        return self.step(Normalisation())

    def max_pool(self, kernel: int, stride: int | None = None, padding: int = 0) -> GraphBuilder:
        """Max pooling; the stride is the kernel unless given."""
        return self._pool("max", kernel, stride, padding)

    def average_pool(self, kernel: int, stride: int | None = None, padding: int = 0) -> GraphBuilder:
        """Average pooling; the stride is the kernel unless given."""
        return self._pool("average", kernel, stride, padding)

    def step(self, step: EpilogueStep) -> GraphBuilder:
        """Add a step to the epilogue of the last operator.

        Raises:
            GraphError: if there is no operator yet, or the map is too small for the step.
        """
        if not self._operators:
            raise GraphError(f"graph {self._name!r}: {type(step).__name__.lower()} needs an operator before it")
        last = self._operators[-1]
        self._operators[-1] = dataclasses.replace(last, epilogue=(*last.epilogue, step))
        return self

    def build(self) -> Graph:
        return Graph(self._name, self._input_shape, tuple(self._operators))

    def _pool(self, function: Literal["max", "average"], kernel: int, stride: int | None, padding: int) -> GraphBuilder:
        rows, columns = _windows(kernel, kernel if stride is None else stride, padding, 1)
        return self.step(Pool(function, rows, columns))

    def _append(self, kind: str, channels: int, rows: Window, columns: Window, groups: int, bias: bool, name: str | None) -> GraphBuilder:
        number = sum(operator.kind == kind for operator in self._operators) + 1
        self._operators.append(Operator(name or f"{kind}{number}", kind, self.shape, channels, rows, columns, groups, bias))
        return self


def _windows(
    kernel: int | tuple[int, int], stride: int | tuple[int, int], padding: int | tuple[int, int], dilation: int | tuple[int, int]
) -> tuple[Window, Window]:
    """The windows along rows and columns, from figures given once or as (rows, columns)."""
    (k_rows, k_columns), (s_rows, s_columns), (p_rows, p_columns), (d_rows, d_columns) = map(_pair, (kernel, stride, padding, dilation))
    return Window(k_rows, s_rows, p_rows, p_rows, d_rows), Window(k_columns, s_columns, p_columns, p_columns, d_columns)


def _pair(value: int | tuple[int, int]) -> tuple[int, int]:
    if is_integer(value):
        return value, value  # type: ignore[return-value]
    if isinstance(value, (tuple, list)) and len(value) == 2:
        return value[0], value[1]
    raise GraphError(f"window: {shown(value)} is neither an integer nor a pair (rows, columns)")
