"""Networks written in Python, layer by layer, branches included."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from iopopt.errors import GraphError
from iopopt.network.epilogue import Activation, EpilogueStep, Mixing, Normalisation, Pool, PoolFunction
from iopopt.network.graph import Edge, Graph
from iopopt.network.operators import KINDS
from iopopt.network.operators.operator import INPUT, Operator
from iopopt.network.records import is_integer, short_repr
from iopopt.network.shapes import Shape, Window


class GraphBuilder:
    """Builds a network layer by layer; activations, normalisations and pools join the operator before them.

    >>> net = GraphBuilder("tiny", (3, 32, 32))
    >>> net.conv(16, kernel=3, padding=1).relu().max_pool(2)   # doctest: +ELLIPSIS
    <iopopt.network.builder.GraphBuilder object at ...>
    >>> skip = net.tip
    >>> graph = net.conv(16, kernel=3, padding=1).add(skip, net.tip).relu().fc(10).build()
    >>> graph.parameters
    43738

    Each call works on the current tensor: the newest one, or the one that :meth:`at` returned to. ``tip`` names it, for a later
    ``at``, ``add``, ``mul`` or ``concat``. A named tensor is finished: a later step becomes a separate operator.
    """

    def __init__(self, name: str, input_shape: Sequence[int]) -> None:
        if not isinstance(input_shape, Sequence) or isinstance(input_shape, str) or len(input_shape) != 3:
            raise GraphError(f"graph {name!r}: input shape {short_repr(input_shape)} must be (channels, height, width)")
        self._name = name
        self._input_shape = Shape(*input_shape)
        self._operators: dict[str, Operator] = {}
        self._edges: list[Edge] = []
        self._at = INPUT
        self._named: set[str] = {INPUT}

    # The current tensor.

    @property
    def shape(self) -> Shape:
        """The feature map that the next operator reads."""
        return self._shape_of(self._at)

    @property
    def tip(self) -> str:
        """The name of the current tensor, which is that of its operator (``"input"`` for the graph's input); from now on it is finished."""
        self._named.add(self._at)
        return self._at

    @property
    def at_hand(self) -> Operator | None:
        """The operator that made the current tensor, None for the graph's input; unlike :attr:`tip`, it leaves the tensor open to steps."""
        return self._operators.get(self._at)

    def at(self, tensor: str) -> GraphBuilder:
        """Make a tensor current: the next call reads it.

        Raises:
            GraphError: if no tensor has that name.
        """
        self._shape_of(tensor)
        self._at = tensor
        return self

    # Operators.

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
        return self.operator("conv", out_channels, name=name, rows=rows, columns=columns, groups=groups, bias=bias)

    def fc(self, out_features: int, *, bias: bool = True, name: str | None = None) -> GraphBuilder:
        """A fully connected operator over the flattened feature map."""
        return self.operator("fc", out_features, name=name, bias=bias)

    def add(self, *tensors: str, name: str | None = None) -> GraphBuilder:
        """The sum of tensors of one shape; one may be a gate with one element for each channel."""
        return self._join("add", self._gates_last(tensors), name)

    def mul(self, *tensors: str, name: str | None = None) -> GraphBuilder:
        """The product of tensors of one shape; one may be a gate with one element for each channel (squeeze and excitation)."""
        return self._join("mul", self._gates_last(tensors), name)

    def concat(self, *tensors: str, name: str | None = None) -> GraphBuilder:
        """The channels of several tensors, one after another."""
        return self._join("concat", tensors, name)

    def slice(self, start: int, stop: int, *, name: str | None = None) -> GraphBuilder:
        """The channels [start, stop)."""
        return self.operator("slice", stop - start, name=name, first_channel=start)

    def upsample(self, factor: int | tuple[int, int], *, linear: bool = False, name: str | None = None) -> GraphBuilder:
        """Repeat rows and columns, or interpolate between them."""
        kernel = 3 if linear else 1
        rows, columns = (Window(kernel, 1, kernel // 2, kernel // 2, 1, times) for times in _pair(factor))
        return self.operator("upsample", self.shape.channels, name=name, rows=rows, columns=columns, function="linear" if linear else "nearest")

    def space_to_depth(self, block: int, *, name: str | None = None) -> GraphBuilder:
        """Blocks of ``block`` x ``block`` pixels become channels: pixel (y, x) of channel c becomes channel (y block + x) C + c."""
        return self.operator("space_to_depth", self.shape.channels * block**2, name=name, rows=Window(block, block), columns=Window(block, block))

    def operator(self, kind: str, out_channels: int, *, name: str | None = None, **figures: Any) -> GraphBuilder:
        """Any operator with one input: its kind (one of :data:`iopopt.network.operators.KINDS`) and the fields of its class.

        Raises:
            GraphError: if the kind is unknown, or a figure is unknown, missing or does not fit.
        """
        return self._append(kind, (self._at,), name, out_channels=out_channels, **figures)

    # Steps.

    def relu(self) -> GraphBuilder:
        return self.activation("relu")

    def activation(self, function: str, *parameters: float) -> GraphBuilder:
        """An elementwise function of :class:`iopopt.network.epilogue.Activation`, such as ``"sigmoid"``, or ``"clip"`` with 0 and 6."""
        return self.step(Activation(function, parameters))

    def batch_norm(self) -> GraphBuilder:
        return self.step(Normalisation())

    def max_pool(self, kernel: int, stride: int | None = None, padding: int = 0, *, ceil: bool = False) -> GraphBuilder:
        """Max pooling; the stride is the kernel unless given; ``ceil`` counts a last window that extends past the edge."""
        return self._pool("max", kernel, stride, padding, ceil)

    def average_pool(self, kernel: int, stride: int | None = None, padding: int = 0, *, ceil: bool = False) -> GraphBuilder:
        """Average pooling; elements past the edge count as zeros."""
        return self._pool("average", kernel, stride, padding, ceil)

    def global_average_pool(self) -> GraphBuilder:
        """The average of each channel, as a separate operator: in an epilogue it would leave its convolution only one row to split."""
        rows, columns = (Window(size, size) for size in self.shape[1:])
        return self.operator("pool", self.shape.channels, rows=rows, columns=columns, function="average")

    def softmax(self) -> GraphBuilder:
        return self.step(Mixing("softmax"))

    def step(self, step: EpilogueStep, *, name: str | None = None) -> GraphBuilder:
        """Add a step to the epilogue of the current operator, or as a separate operator (``name``) after it.

        The step becomes a separate operator if the tensor is the input, is named or already read, if the epilogue ends with a mixing
        step, and if it is a pool after an operator that has no kernel or already has a pool.

        Raises:
            GraphError: if the map is too small for the step.
        """
        if not isinstance(step, EpilogueStep):
            raise GraphError(f"graph {self._name!r}: {short_repr(step)} is not an epilogue step; use activation() for a function by name")
        if self._joins(step):
            operator = self._operators[self._at]
            self._operators[self._at] = dataclasses.replace(operator, epilogue=(*operator.epilogue, step))
            return self
        if isinstance(step, Pool):
            return self.operator("pool", self.shape.channels, name=name, rows=step.rows, columns=step.columns, function=step.function)
        return self.operator("elementwise", self.shape.channels, name=name, epilogue=(step,))

    def build(self) -> Graph:
        return Graph(self._name, self._input_shape, tuple(self._operators.values()), tuple(self._edges))

    def _joins(self, step: EpilogueStep) -> bool:
        if self._at in self._named or self._operators[self._at].mixes_channels:
            return False
        operator = self._operators[self._at]
        pooled = any(isinstance(other, Pool) for other in operator.epilogue)
        return not isinstance(step, Pool) or (operator.has_kernel and not pooled)

    def _pool(self, function: PoolFunction, kernel: int, stride: int | None, padding: int, ceil: bool) -> GraphBuilder:
        windows = _windows(kernel, kernel if stride is None else stride, padding, 1)
        if ceil:
            windows = tuple(ceiled(window, size) for window, size in zip(windows, self.shape[1:], strict=True))  # type: ignore[assignment]
        return self.step(Pool(function, *windows))

    def _gates_last(self, tensors: Sequence[str]) -> Sequence[str]:
        """The tensors with gates after the maps that they are for."""
        return sorted(tensors, key=lambda tensor: -self._shape_of(tensor).elements)

    def _join(self, kind: str, tensors: Sequence[str], name: str | None) -> GraphBuilder:
        if len(tensors) < 2:
            raise GraphError(f"graph {self._name!r}: {kind} joins two or more tensors, found {short_repr(tensors)}")
        return self._append(kind, tensors, name, more_inputs=tuple(self._shape_of(tensor) for tensor in tensors[1:]))

    def _append(self, kind: str, tensors: Sequence[str], name: str | None, **figures: Any) -> GraphBuilder:
        operator = _operator(kind, name or self._free_name(kind), self._shape_of(tensors[0]), figures)
        if operator.name in self._operators:
            raise GraphError(f"graph {self._name!r}: operator names repeat: {operator.name}")
        self._operators[operator.name] = operator
        self._edges += [Edge(tensor, operator.name) for tensor in tensors]
        self._named.update(tensors)  # a tensor that is read is finished
        self._at = operator.name
        return self

    def _free_name(self, kind: str) -> str:
        first = sum(operator.kind == kind for operator in self._operators.values()) + 1
        return next(name for name in (f"{kind}{number}" for number in itertools.count(first)) if name not in self._operators)

    def _shape_of(self, tensor: str) -> Shape:
        if tensor == INPUT:
            return self._input_shape
        if not isinstance(tensor, str) or tensor not in self._operators:
            raise GraphError(f"graph {self._name!r}: no tensor is named {short_repr(tensor)}; a tensor has the name of its operator, or 'input'")
        return self._operators[tensor].out_shape


def _operator(kind: str, name: str, in_shape: Shape, figures: Mapping[str, Any]) -> Operator:
    """An operator from the name of its kind and the fields of its class; ``out_channels`` may be given for every kind."""
    if not isinstance(kind, str) or kind not in KINDS:
        raise GraphError(f"operator {name!r}: kind is {short_repr(kind)}; allowed are {', '.join(KINDS)}")
    fields = {item.name: item for item in dataclasses.fields(KINDS[kind]) if item.name not in ("name", "in_shape")}
    taken = {key: value for key, value in figures.items() if key in fields}
    takes = f"this {kind} takes {', '.join(fields)}"
    for figure in sorted(figures.keys() - fields.keys() - {"out_channels"}):
        raise GraphError(f"operator {name!r}: unknown figure {figure!r}; {takes}")
    for figure, item in fields.items():
        if figure not in taken and item.default is dataclasses.MISSING:
            raise GraphError(f"operator {name!r}: {figure!r} is missing; {takes}")
    operator, channels = KINDS[kind](name, in_shape, **taken), figures.get("out_channels")
    if channels is not None and operator.out_channels != channels:
        raise GraphError(f"operator {name!r}: this {kind} has {operator.out_channels} output channels, not {short_repr(channels)}")
    return operator


def ceiled(window: Window, size: int) -> Window:
    """The window with enough padding after it to count a last position that starts inside and extends past the edge."""
    overhang = -(size + window.before + window.after - window.extent) % window.stride
    starts_inside = (window.output_size(size)) * window.stride < size + window.before
    return dataclasses.replace(window, after=window.after + overhang) if overhang and starts_inside else window


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
    raise GraphError(f"window: {short_repr(value)} is neither an integer nor a pair (rows, columns)")
