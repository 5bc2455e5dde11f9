"""Nodes that no plan faster than a known one can take, ruled out before the program is built.

Lower bounds on the compute time at each node and on the cost of each edge between two nodes form a problem over nodes alone, which elimination
solves in milliseconds. If its minimum with an operator at some node (the min-marginal) exceeds the latency of a known plan, that node can be
left out: on deep networks most of them. These bounds need no back end, so they hold whatever a back end makes of the program.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from iopopt.cost.elimination import Array, Table, min_marginals
from iopopt.cost.instance import Instance
from iopopt.cost.stopwatch import NO_LIMIT, Stopwatch, TimeUpError
from iopopt.errors import InstanceTooLargeError
from iopopt.milp.arc_bounds import least_arc_s
from iopopt.milp.arcs import Node, arcs_between, node_of, nodes_of
from iopopt.milp.bounds import best_makespan_s
from iopopt.network.tensor_edge import TensorEdge
from iopopt.network.unit import Unit

_MOST_TOGETHER = 200_000
"""The largest table for all edges into one operator together, entries."""

_MOST_ENTRIES = 3_000_000
"""The largest table of elimination, entries."""

_SLACK = 1e-9
"""The margin for rounding errors of sums, relative: a node is ruled out if its bound exceeds the known latency by more than this."""


@dataclass(frozen=True)
class NodeBounds:
    """For each node of each operator, a bound on the latency of every plan of the team that takes it.

    Attributes:
        nodes: of each operator.
        bounds_s: their bounds, in the same order.
    """

    nodes: Sequence[Sequence[Node]]
    bounds_s: Sequence[Array]

    @property
    def least_s(self) -> float:
        """A bound on the latency of all plans, because every plan takes some node of each operator; lowered slightly to absorb rounding."""
        return max(float(bounds.min()) for bounds in self.bounds_s) * (1 - _SLACK)

    def nodes_within(self, latency_s: float) -> list[list[Node]]:
        """The nodes of plans that may be as fast as ``latency_s``."""
        limit = latency_s * (1 + _SLACK)
        return [
            [node for node, bound in zip(ways, least, strict=True) if bound <= limit] for ways, least in zip(self.nodes, self.bounds_s, strict=True)
        ]


def bound_nodes(instance: Instance, team: Sequence[int], watch: Stopwatch = NO_LIMIT) -> NodeBounds:
    """The bounds of every node of every operator.

    Dropping costs keeps the bounds valid. If elimination would need too large a table (dense networks), only the first edge into each
    operator counts; if the time is up before the end, only compute times count.
    """
    tables = _Tables(instance, team, watch)
    domains, computing = [len(nodes) for nodes in tables.nodes], tables.compute_tables()
    try:
        bounds = _with_edges(domains, computing, tables, watch)
    except TimeUpError:
        bounds = min_marginals(domains, computing)
    return NodeBounds(tables.nodes, bounds)


def _with_edges(domains: Sequence[int], computing: Sequence[Table], tables: _Tables, watch: Stopwatch) -> list[Array]:
    """The min-marginals of compute times and of all edges, or of the first edge into each operator.

    Raises:
        TimeUpError: if the time is up before the end.
    """
    try:
        return min_marginals(domains, [*computing, *tables.edge_tables()], most_entries=_MOST_ENTRIES, watch=watch)
    except InstanceTooLargeError:
        return min_marginals(domains, [*computing, *tables.first_edge_tables()], watch=watch)


class _Tables:
    """Bounds as cost tables over the nodes of operators; edges that differ only in name are bounded once."""

    def __init__(self, instance: Instance, team: Sequence[int], watch: Stopwatch) -> None:
        self._instance, self._cluster, self._team, self._watch = instance, instance.cluster, tuple(team), watch
        self.nodes = [nodes_of(unit, len(self._cluster), self._team) for unit in instance.operators]
        self._known: dict[object, Array] = {}

    def compute_tables(self) -> list[Table]:
        """Bounds on t_cmp of each operator, including the edge to the sink; they are few enough to be made whatever the time."""
        parts = zip(self._instance.operators, self.nodes, strict=True)
        seconds = [np.array([self._compute_s(unit, node) for node in nodes]) for unit, nodes in parts]
        for edge in self._instance.edges_into[self._instance.graph.sink]:
            seconds[edge.producer] += self._edge_s(edge)[:, 0]
        return [Table((i,), costs) for i, costs in enumerate(seconds)]

    def edge_tables(self) -> list[Table]:
        """Bounds on t_com of each consumer: all edges into it take at least as long as each alone."""
        return [table for edges in self._instance.edges_into[:-1] for table in self._incoming(edges)]

    def first_edge_tables(self) -> list[Table]:
        """The same for the first edge into each consumer, which form a forest."""
        first = (edges[0] for edges in self._instance.graph.edges_into[:-1])
        return [self._together([edge]) for edge in first if edge in self._instance.edges_into[edge.consumer]]

    def _incoming(self, edges: Sequence[TensorEdge]) -> list[Table]:
        if not edges:
            return []
        if math.prod(len(self.nodes[end]) for end in self._ends(edges)) <= _MOST_TOGETHER:
            return [self._together(edges)]
        # The maximum is at least the mean, which needs no joint table.
        return [Table(table.variables, table.costs / len(edges)) for table in (self._together([edge]) for edge in edges)]

    def _ends(self, edges: Sequence[TensorEdge]) -> list[int]:
        """The operators at the ends of edges into one operator."""
        return sorted({end for edge in edges for end in (edge.producer, edge.consumer)} - {self._instance.graph.source})

    def _together(self, edges: Sequence[TensorEdge]) -> Table:
        """The largest t_com of some edges into one operator."""
        ends = self._ends(edges)
        costs = np.zeros([len(self.nodes[end]) for end in ends])
        for edge in edges:
            self._watch.check()
            axes = tuple(slice(None) if end in (edge.producer, edge.consumer) else None for end in ends)
            seconds = self._edge_s(edge)
            costs = np.maximum(costs, (seconds[0] if edge.producer == self._instance.graph.source else seconds)[axes])
        return Table(tuple(ends), costs)

    def _compute_s(self, unit: Unit, node: Node) -> float:
        if node.dim is None:
            assert node.device is not None
            return unit.flops / self._cluster.devices[node.device].flops_per_s
        return best_makespan_s(unit, node.dim, self._cluster, self._team)

    def _edge_s(self, edge: TensorEdge) -> Array:
        """Bounds on t_com of one edge, by node of the producer and of the consumer; source and sink have one node each."""
        if edge.key not in self._known:
            sources, targets = self._nodes(edge.producer), self._nodes(edge.consumer)
            costs = [self._least_s(edge, p, q) for p, q in itertools.product(sources, targets)]
            self._known[edge.key] = np.array(costs).reshape(len(sources), len(targets))
        return self._known[edge.key]

    def _nodes(self, number: int) -> Sequence[Node]:
        graph = self._instance.graph
        if number < graph.sink:
            return self.nodes[number]
        return [node_of(self._instance.terminals[number - graph.sink])]

    def _least_s(self, edge: TensorEdge, p: Node, q: Node) -> float:
        return min(least_arc_s(edge, arc, self._cluster, self._team) for arc in arcs_between(p, edge, q, len(self._team)))
