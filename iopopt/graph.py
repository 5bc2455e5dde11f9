"""Networks: operators and the edges between them.

The symbols of the cost model (``iopopt/cost_model.md``) are properties of :class:`Operator`: ``K``, ``S`` and ``P`` of the
composite field, ``H_c`` before and ``H_o`` after the pool, MACs and weights.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from iopopt.errors import FileFormatError, GraphError
from iopopt.records import check_keys, check_schema, is_integer, shown, typed, typed_fields

if TYPE_CHECKING:
    import pandas as pd

Dim = Literal["H", "OC", "IC"]
"""The three dimensions of equation (2): rows, output channels, input channels."""

INPUT = "input"
"""The reserved name under which edges refer to the graph's input tensor."""


class Shape(NamedTuple):
    """A feature map: channels, height, width."""

    channels: int
    height: int
    width: int

    @property
    def elements(self) -> int:
        return self.channels * self.height * self.width

    def __str__(self) -> str:
        return f"{self.channels}x{self.height}x{self.width}"


@dataclass(frozen=True)
class Window:
    """A sliding window along one axis: ``before`` and ``after`` are the padding above (left) and below (right)."""

    kernel: int = 1
    stride: int = 1
    before: int = 0
    after: int = 0
    dilation: int = 1

    def __post_init__(self) -> None:
        for name, least in (("kernel", 1), ("stride", 1), ("before", 0), ("after", 0), ("dilation", 1)):
            value = getattr(self, name)
            if not is_integer(value) or value < least:
                raise GraphError(f"window: {name} is {shown(value)}; it must be an integer of at least {least}")

    @property
    def extent(self) -> int:
        """The rows under the dilated kernel."""
        return (self.kernel - 1) * self.dilation + 1

    def output_size(self, size: int) -> int:
        """How many positions the window takes over ``size`` rows; 0 or less where it does not fit."""
        return (size + self.before + self.after - self.extent) // self.stride + 1


@dataclass(frozen=True)
class Activation:
    """An elementwise function, such as ``relu`` or ``tanh``."""

    function: str = "relu"


@dataclass(frozen=True)
class Normalisation:
    """Batch normalisation, per channel (two parameters a channel)."""

    function: str = "batch"


@dataclass(frozen=True)
class Pool:
    """Max or average pooling on the same device as its operator."""

    function: Literal["max", "average"] = "max"
    rows: Window = field(default_factory=lambda: Window(2, 2))
    columns: Window = field(default_factory=lambda: Window(2, 2))

    def __post_init__(self) -> None:
        if self.function not in ("max", "average"):
            raise GraphError(f"pool: function is {shown(self.function)}; allowed are 'max' and 'average'")


EpilogueStep = Activation | Normalisation | Pool
_NO_POOL = Pool("max", Window(), Window())
_KINDS = ("conv", "fc")


@dataclass(frozen=True)
class Operator:
    """A convolution or fully connected operator with the epilogue that runs behind it on the same device.

    A fully connected operator is a convolution whose kernel is its whole input map: it has one output row, and after a flatten
    its input channels are still the channels of the feature map, so that an IC split of it can match an OC split before it.

    Raises:
        GraphError: if a figure is out of range or a window does not fit.
    """

    name: str
    kind: str
    in_shape: Shape
    out_channels: int
    rows: Window = field(default_factory=Window)
    columns: Window = field(default_factory=Window)
    groups: int = 1
    bias: bool = True
    epilogue: tuple[EpilogueStep, ...] = ()

    def __post_init__(self) -> None:
        named = isinstance(self.name, str) and self.name not in ("", INPUT)
        self._require(named, f"the name {shown(self.name)} is no text, empty or reserved")
        self._require(self.kind in _KINDS, f"kind is {self.kind!r}; allowed are {', '.join(_KINDS)}")
        positive = all(is_integer(size) and size > 0 for size in (*self.in_shape, self.out_channels, self.groups))
        self._require(positive, f"input {self.in_shape}, {self.out_channels} output channels and {self.groups} groups must be positive integers")
        divides = self.in_shape.channels % self.groups == 0 and self.out_channels % self.groups == 0
        self._require(
            divides, f"{self.groups} groups divide neither or only one of {self.in_shape.channels} input and {self.out_channels} output channels"
        )
        self._require(sum(isinstance(step, Pool) for step in self.epilogue) <= 1, "an epilogue holds one pool at most")
        for what, shape in (("its window", self.conv_shape), ("its pool", self.out_shape)):
            self._require(min(shape) > 0, f"input {self.in_shape} is too small for {what}: the result would be {shape}")

    def _require(self, holds: bool, message: str) -> None:
        if not holds:
            raise GraphError(f"operator {self.name!r}: {message}")

    # Shapes.

    @cached_property
    def pool(self) -> Pool:
        """The pool of the epilogue, or one of kernel and stride 1 where there is none."""
        return next((step for step in self.epilogue if isinstance(step, Pool)), _NO_POOL)

    @cached_property
    def conv_shape(self) -> Shape:
        """(OC, H_c, W_c): the output before the pool."""
        height, width = self.in_shape.height, self.in_shape.width
        return Shape(self.out_channels, self.rows.output_size(height), self.columns.output_size(width))

    @cached_property
    def out_shape(self) -> Shape:
        """(OC, H_o, W_o): the output after the pool."""
        conv = self.conv_shape
        return Shape(self.out_channels, self.pool.rows.output_size(conv.height), self.pool.columns.output_size(conv.width))

    # The composite receptive field of convolution and pool, in rows.

    @cached_property
    def K(self) -> int:
        """Rows of input under one output row: k + (k_p - 1) s."""
        return self.rows.extent + (self.pool.rows.extent - 1) * self.rows.stride

    @cached_property
    def S(self) -> int:
        """Input rows between two output rows: s s_p."""
        return self.rows.stride * self.pool.rows.stride

    @cached_property
    def P(self) -> int:
        """Padding rows above: p + p_p s."""
        return self.rows.before + self.pool.rows.before * self.rows.stride

    # Work and parameters.

    @cached_property
    def kernel_elements(self) -> int:
        return self.out_channels * (self.in_shape.channels // self.groups) * self.rows.kernel * self.columns.kernel

    @cached_property
    def bias_elements(self) -> int:
        return self.out_channels if self.bias else 0

    @cached_property
    def parameters(self) -> int:
        """Kernel, bias and normalisation parameters."""
        normalisations = sum(isinstance(step, Normalisation) for step in self.epilogue)
        return self.kernel_elements + self.bias_elements + 2 * self.out_channels * normalisations

    @cached_property
    def macs(self) -> int:
        """Multiply-accumulates of the kernel; bias and epilogue are not counted."""
        return self.kernel_elements * self.conv_shape.height * self.conv_shape.width

    @property
    def flops(self) -> int:
        """F_i = 2 x MACs."""
        return 2 * self.macs

    def size(self, dim: Dim) -> int:
        """The extent that the shares of ``dim`` sum to (equations 3 to 5): H_o, OC or C_in."""
        return {"H": self.out_shape.height, "OC": self.out_channels, "IC": self.in_shape.channels}[dim]

    @cached_property
    def splittable_dims(self) -> tuple[Dim, ...]:
        """The dimensions in which the operator may be split over several devices: rows need at least two of them, IC a single group."""
        rows: tuple[Dim, ...] = ("H",) if self.out_shape.height >= 2 else ()
        return (*rows, "OC") if self.is_channel_local else (*rows, "OC", "IC")

    # Channels.

    @property
    def is_channel_local(self) -> bool:
        """Whether the output channels fall into groups that read some of the input channels each."""
        return self.groups > 1

    @cached_property
    def channel_unit(self) -> int:
        """What an OC share is a multiple of: the output channels of one group, OC / g, if the operator is channel-local."""
        return self.out_channels // self.groups if self.is_channel_local else 1

    def unit(self, dim: Dim) -> int:
        """What every share of ``dim`` is a multiple of."""
        return self.channel_unit if dim == "OC" else 1

    def reads_part(self, dim: Dim | None) -> bool:
        """Whether a share of ``dim`` needs but some of the input channels: one of IC does, and one of OC if the operator is channel-local."""
        return dim == "IC" or (dim == "OC" and self.is_channel_local)

    def input_channels(self, dim: Dim | None, share: int) -> int:
        """How many input channels a share of ``dim``, or the whole operator (None), needs."""
        channels = self.in_shape.channels
        return share * channels // self.size(dim) if dim and self.reads_part(dim) else channels


class Edge(NamedTuple):
    """The tensor of ``producer`` (an operator's name, or ``"input"``) is read by ``consumer``."""

    producer: str
    consumer: str


@dataclass(frozen=True)
class Graph:
    """Operators in topological order and the edges between them; without ``edges`` they form a chain from the input.

    Raises:
        GraphError: if names repeat, an edge points backwards or nowhere, shapes disagree, or there is not exactly one output.
    """

    name: str
    input_shape: Shape
    operators: tuple[Operator, ...]
    edges: tuple[Edge, ...] = ()

    def __post_init__(self) -> None:
        names = [operator.name for operator in self.operators]
        self._require(bool(names), "there is no operator")
        duplicates = {name for name in names if names.count(name) > 1} if len(set(names)) < len(names) else set()
        self._require(not duplicates, f"operator names repeat: {', '.join(sorted(duplicates))}")
        if not self.edges:
            object.__setattr__(self, "edges", tuple(Edge(p, q) for p, q in itertools.pairwise([INPUT, *names])))
        self._check_edges()

    def _require(self, holds: bool, message: str) -> None:
        if not holds:
            raise GraphError(f"graph {self.name!r}: {message}")

    def _check_edges(self) -> None:
        seen = {INPUT: self.input_shape}
        by_consumer: dict[str, list[str]] = {operator.name: [] for operator in self.operators}
        for producer, consumer in self.edges:
            for end in {producer, consumer} - {INPUT}:
                self._require(end in by_consumer, f"edge {producer} -> {consumer}: there is no operator {end!r}")
            self._require(consumer != INPUT, f"edge {producer} -> {consumer}: nothing can feed the input")
            by_consumer[consumer].append(producer)
        for operator in self.operators:
            producers = by_consumer[operator.name]
            self._require(len(producers) == 1, f"operator {operator.name!r} reads {len(producers)} tensors; a {operator.kind} reads one")
            for producer in producers:
                self._require(producer in seen, f"edge {producer} -> {operator.name} points backwards: operators stand in topological order")
                agrees = seen[producer] == operator.in_shape
                self._require(agrees, f"{producer} gives {seen[producer]}, but {operator.name} reads {operator.in_shape}")
            seen[operator.name] = operator.out_shape
        outputs = set(by_consumer) - {edge.producer for edge in self.edges}
        self._require(len(outputs) == 1, f"{len(outputs)} operators have no consumer ({', '.join(sorted(outputs))}); exactly one is the output")

    def __getitem__(self, name: str) -> Operator:
        return self._by_name[name]

    def __len__(self) -> int:
        return len(self.operators)

    @cached_property
    def _by_name(self) -> Mapping[str, Operator]:
        return {operator.name: operator for operator in self.operators}

    @cached_property
    def is_chain(self) -> bool:
        """Whether every operator reads the one before it."""
        names = [INPUT, *(operator.name for operator in self.operators)]
        return set(self.edges) == set(itertools.pairwise(names))

    @property
    def output(self) -> Operator:
        """The operator whose tensor is the result: the last."""
        return self.operators[-1]

    @cached_property
    def parameters(self) -> int:
        return sum(operator.parameters for operator in self.operators)

    @cached_property
    def macs(self) -> int:
        return sum(operator.macs for operator in self.operators)

    def whole_memory_bytes(self, bytes_per_element: int = 4) -> tuple[int, int]:
        """Weights and biases of the whole model, and the largest ``in + pre`` of an operator, in bytes (equation 1)."""
        weights = sum(operator.kernel_elements + operator.bias_elements for operator in self.operators)
        activations = max(operator.in_shape.elements + operator.conv_shape.elements for operator in self.operators)
        return bytes_per_element * weights, bytes_per_element * activations

    def summary(self) -> pd.DataFrame:
        """One row for each operator: shapes, what it can be split by, parameters, MACs."""
        import pandas as pd

        return pd.DataFrame(
            {
                "operator": operator.name,
                "kind": operator.kind,
                "input": str(operator.in_shape),
                "output": str(operator.out_shape),
                "splits": " ".join(f"{dim}:{operator.size(dim)}" for dim in operator.splittable_dims),
                "parameters": operator.parameters,
                "macs": operator.macs,
            }
            for operator in self.operators
        )

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready record; :meth:`from_dict` reads it back."""
        return {
            "schema_version": 1,
            "name": self.name,
            "input_shape": list(self.input_shape),
            "operators": [_operator_record(operator) for operator in self.operators],
            "edges": [list(edge) for edge in self.edges],
        }

    @classmethod
    def from_dict(cls, record: Any, where: str = "graph") -> Graph:
        """Read a record of :meth:`to_dict`.

        Raises:
            FileFormatError: if a key is missing, unknown or of the wrong type; the message begins with ``where``.
            GraphError: if the network itself is not well formed.
        """
        check_schema(record, where, 1)
        check_keys(record, where, {"schema_version", "name", "input_shape", "operators"}, {"edges"})
        if not isinstance(record["operators"], list):
            raise FileFormatError(f"{where}: 'operators' is {shown(record['operators'])}; it must be a list")
        operators = [_operator_from(item, f"{where}: operators[{number}]") for number, item in enumerate(record["operators"])]
        edges = typed(record.get("edges", []), tuple[tuple[str, ...], ...], f"{where}: 'edges'")
        if any(len(edge) != 2 for edge in edges):
            raise FileFormatError(f"{where}: 'edges' must be a list of pairs [producer, consumer]")
        name = typed(record["name"], str, f"{where}: 'name'")
        return cls(name, _shape_from(record["input_shape"], f"{where}: 'input_shape'"), tuple(operators), tuple(Edge(*edge) for edge in edges))


def _operator_record(operator: Operator) -> dict[str, Any]:
    record = {item.name: getattr(operator, item.name) for item in dataclasses.fields(operator)}
    record["in_shape"] = list(operator.in_shape)
    record["rows"], record["columns"] = dataclasses.asdict(operator.rows), dataclasses.asdict(operator.columns)
    record["epilogue"] = [{"step": type(step).__name__.lower(), **dataclasses.asdict(step)} for step in operator.epilogue]
    return record


def _operator_from(record: Any, where: str) -> Operator:
    required, optional = _field_names(Operator)
    check_keys(record, where, required, optional)
    nested = {"in_shape", "rows", "columns", "epilogue"}
    values = typed_fields({key: value for key, value in record.items() if key not in nested}, Operator, where)
    values["in_shape"] = _shape_from(record["in_shape"], f"{where}: 'in_shape'")
    for axis in {"rows", "columns"} & record.keys():
        values[axis] = _window_from(record[axis], f"{where}.{axis}")
    epilogue = record.get("epilogue", [])
    if not isinstance(epilogue, list):
        raise FileFormatError(f"{where}: 'epilogue' is {shown(epilogue)}; it must be a list")
    values["epilogue"] = tuple(_step_from(step, f"{where}.epilogue[{number}]") for number, step in enumerate(epilogue))
    return Operator(**values)


def _step_from(record: Any, where: str) -> EpilogueStep:
    steps: dict[str, type[EpilogueStep]] = {step.__name__.lower(): step for step in (Activation, Normalisation, Pool)}
    if not isinstance(record, Mapping) or not isinstance(record.get("step"), str) or record["step"] not in steps:
        raise FileFormatError(f"{where}: {shown(record)} is no epilogue step; it needs 'step', one of {', '.join(sorted(steps))}")
    step = steps[record["step"]]
    fields = {key: value for key, value in record.items() if key != "step"}
    check_keys(fields, where, *_field_names(step))
    axes = {"rows", "columns"} & fields.keys()
    values = typed_fields({key: value for key, value in fields.items() if key not in axes}, step, where)
    for axis in axes:
        values[axis] = _window_from(fields[axis], f"{where}.{axis}")
    return step(**values)


def _window_from(record: Any, where: str) -> Window:
    check_keys(record, where, *_field_names(Window))
    return Window(**typed_fields(record, Window, where))


def _field_names(cls: type[Any]) -> tuple[set[str], set[str]]:
    """Required and optional keys of a dataclass."""
    missing = dataclasses.MISSING
    required = {item.name for item in dataclasses.fields(cls) if item.default is missing and item.default_factory is missing}
    return required, {item.name for item in dataclasses.fields(cls)} - required


def _shape_from(value: Any, where: str) -> Shape:
    sizes = typed(value, tuple[int, ...], where)
    if len(sizes) != 3:
        raise FileFormatError(f"{where} is {shown(value)}; it must be [channels, height, width]")
    return Shape(*sizes)
