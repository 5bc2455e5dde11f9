"""Networks: operators and the edges between them."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from iopopt.errors import FileFormatError, GraphError
from iopopt.network.html import graph_html
from iopopt.network.operator_records import operator_from, operator_record, shape_from
from iopopt.network.operator_texts import short_count
from iopopt.network.operators.operator import INPUT, Operator
from iopopt.network.records import as_list, check_keys, check_schema, foreign, short_repr, typed
from iopopt.network.shapes import Shape
from iopopt.network.tensor_edge import LiveTensor, TensorEdge
from iopopt.network.unit import Unit, sink_unit, source_unit

if TYPE_CHECKING:
    import pandas as pd


class Edge(NamedTuple):
    """The tensor of ``producer`` (an operator's name, or ``"input"``) is read by ``consumer``."""

    producer: str
    consumer: str


MOST_COUNTED = 2**53
"""The most elements, weights or MACs of one operator: beyond this, floats do not hold every integer, and prices would not be exact."""


@dataclass(frozen=True, repr=False)
class Graph:
    """Operators in topological order and the edges between them; without ``edges`` they form a chain from the input.

    Raises:
        GraphError: if names repeat, an edge points backwards or nowhere, shapes disagree, there is not exactly one output, or an operator is
            too large to be counted exactly.
    """

    name: str
    input_shape: Shape
    operators: tuple[Operator, ...]
    edges: tuple[Edge, ...] = ()

    def __post_init__(self) -> None:
        names = [operator.name for operator in self.operators]
        self._require(bool(names), "it has no operators")
        repeated = sorted(name for name, count in Counter(names).items() if count > 1)
        self._require(not repeated, f"operator names repeat: {', '.join(repeated)}")
        for operator in self.operators:
            self._check_counts(operator)
        if not self.edges:
            object.__setattr__(self, "edges", tuple(Edge(p, q) for p, q in itertools.pairwise([INPUT, *names])))
        self._check_edges()

    def _require(self, holds: bool, message: str) -> None:
        if not holds:
            raise GraphError(f"graph {self.name!r}: {message}")

    def _check_counts(self, operator: Operator) -> None:
        counts = {
            "elements": max(operator.in_elements, operator.pre_pool_shape.elements, operator.out_shape.elements),
            "parameters": operator.parameters,
            "MACs": operator.macs,
        }
        for what, count in counts.items():
            self._require(count <= MOST_COUNTED, f"operator {operator.name!r} has {short_repr(count)} {what}; at most 2**53 are counted exactly")

    def _check_edges(self) -> None:
        seen = {INPUT: self.input_shape}
        producers: dict[str, list[str]] = {operator.name: [] for operator in self.operators}
        for producer, consumer in self.edges:
            for end in {producer, consumer} - {INPUT}:
                self._require(end in producers, f"edge {producer} -> {consumer}: no operator is named {end!r}")
            self._require(consumer != INPUT, f"edge {producer} -> {consumer}: nothing can feed the input")
            producers[consumer].append(producer)
        for operator in self.operators:
            self._check_inputs(operator, producers[operator.name], seen)
            seen[operator.name] = operator.out_shape
        outputs = set(producers) - {edge.producer for edge in self.edges}
        self._require(len(outputs) == 1, f"{len(outputs)} operators have no consumer ({', '.join(sorted(outputs))}); exactly one is the output")

    def _check_inputs(self, operator: Operator, producers: Sequence[str], seen: Mapping[str, Shape]) -> None:
        """Each input of the operator is the output of one before it, of the shape that it reads."""
        expected = operator.in_shapes
        reads = f"operator {operator.name!r} reads {len(producers)} tensors; this {operator.kind} reads {len(expected)}"
        self._require(len(producers) == len(expected), reads)
        for producer, shape in zip(producers, expected, strict=True):
            self._require(producer in seen, f"edge {producer} -> {operator.name} points backwards: operators must be in topological order")
            self._require(seen[producer] == shape, f"{producer} gives {seen[producer]}, but {operator.name} reads {shape}")

    def __repr__(self) -> str:
        shapes = f"{self.input_shape} to {self.output.out_shape}"
        return f"Graph({short_repr(self.name, 30)}: {shapes}, {len(self)} operators, {short_count(self.macs) or 0} MACs)"

    def _repr_html_(self) -> str:
        return graph_html(self)

    def __getitem__(self, name: str) -> Operator:
        return self._by_name[name]

    def __len__(self) -> int:
        return len(self.operators)

    @cached_property
    def _by_name(self) -> Mapping[str, Operator]:
        return {operator.name: operator for operator in self.operators}

    # Units and edges by number: the operators in order, then the sink, then the source.

    @property
    def sink(self) -> int:
        """The number of the unit that stands for the graph's output."""
        return len(self.operators)

    @property
    def source(self) -> int:
        """The number of the unit that stands for the graph's input."""
        return len(self.operators) + 1

    @cached_property
    def units(self) -> tuple[Unit, ...]:
        """The operators, the sink and the source, as the cost model knows them."""
        return (*(operator.unit for operator in self.operators), sink_unit(self.output.out_shape), source_unit(self.input_shape))

    @property
    def placed_units(self) -> tuple[Unit, ...]:
        """The units that a plan places: the operators."""
        return self.units[: self.sink]

    @cached_property
    def edges_into(self) -> tuple[tuple[TensorEdge, ...], ...]:
        """The edges into each operator, in the order of its inputs, and into the sink."""
        numbers = {INPUT: self.source, **{operator.name: i for i, operator in enumerate(self.operators)}}
        read: list[list[int]] = [[] for _ in self.operators]
        for producer, consumer in self.edges:
            read[numbers[consumer]].append(numbers[producer])
        read.append([self.sink - 1])
        seen: set[int] = set()
        edges = []
        for consumer_number, producers in enumerate(read):
            into = []
            for slot, producer_number in enumerate(producers):
                p, q = self.units[producer_number], self.units[consumer_number]
                into.append(TensorEdge(producer_number, consumer_number, slot, p, q, producer_number not in seen))
                seen.add(producer_number)
            edges.append(tuple(into))
        return tuple(edges)

    @cached_property
    def edges_from(self) -> tuple[tuple[TensorEdge, ...], ...]:
        """The edges out of each unit by number, the first consumer's first; the sink has none."""
        by_producer: list[list[TensorEdge]] = [[] for _ in self.units]
        for edge in itertools.chain.from_iterable(self.edges_into):
            by_producer[edge.producer].append(edge)
        return tuple(map(tuple, by_producer))

    @cached_property
    def live_tensors(self) -> tuple[LiveTensor, ...]:
        """The live tensors: their owners hold them while the operators before their last consumer run (equation 1)."""
        last = {edge.producer: edge.consumer for edges in self.edges_into[: self.sink] for edge in edges}
        spans = [LiveTensor(producer, range(0 if producer == self.source else producer + 1, consumer)) for producer, consumer in last.items()]
        return tuple(live for live in spans if live.during)

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
        """Weights and biases of the whole model, and the largest sum of an operator's activations and live tensors, in bytes (equation 1)."""
        weights = sum(operator.kernel_elements + operator.bias_elements for operator in self.operators)
        held = [0] * len(self)
        for producer, during in self.live_tensors:
            for i in during:
                held[i] += self.units[producer].out_shape.elements
        activations = max(operator.in_elements + operator.pre_pool_shape.elements + live for operator, live in zip(self.operators, held, strict=True))
        return bytes_per_element * weights, bytes_per_element * activations

    def summary(self) -> pd.DataFrame:
        """One row for each operator: shapes, possible splits, parameters, MACs."""
        import pandas as pd

        return pd.DataFrame(
            {
                "operator": operator.name,
                "kind": operator.kind,
                "input": " + ".join(map(str, operator.in_shapes)),
                "output": str(operator.out_shape),
                "splits": " ".join(f"{dim}:{operator.size(dim)}" for dim in operator.splittable_dims),
                "parameters": operator.parameters,
                "macs": operator.macs,
            }
            for operator in self.operators
        )

    def to_dict(self) -> dict[str, Any]:
        """A record of JSON's types; :meth:`from_dict` reads it back."""
        return {
            "schema_version": 1,
            "name": self.name,
            "input_shape": list(self.input_shape),
            "operators": [operator_record(operator) for operator in self.operators],
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
        listed = as_list(record["operators"], f"{where}: 'operators'")
        operators = [operator_from(item, f"{where}: operators[{number}]") for number, item in enumerate(listed)]
        edges = typed(record.get("edges", []), tuple[tuple[str, ...], ...], f"{where}: 'edges'")
        if any(len(edge) != 2 for edge in edges):
            raise FileFormatError(f"{where}: 'edges' must be a list of pairs [producer, consumer]")
        name = typed(record["name"], str, f"{where}: 'name'")
        return cls(name, shape_from(record["input_shape"], f"{where}: 'input_shape'"), tuple(operators), tuple(Edge(*edge) for edge in edges))


def as_graph(graph: Graph) -> Graph:
    """The graph unchanged: the check of what was given as one.

    Raises:
        GraphError: if it is no Graph; the message says what makes one of it.
    """
    if isinstance(graph, Graph):
        return graph
    advice = f"load_model({short_repr(graph)}) makes one" if isinstance(graph, str) else "load_model makes one of a name or file"
    advice = "Graph.from_dict makes one of a record" if isinstance(graph, Mapping) else advice
    raise GraphError(f"graph: found {foreign(graph)}; a Graph is expected ({advice})")
