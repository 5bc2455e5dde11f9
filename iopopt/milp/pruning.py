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
from functools import cached_property
from typing import NamedTuple

import numpy as np

from iopopt.cost.elimination import Array, Table, min_marginals
from iopopt.cost.evaluation import evaluate
from iopopt.cost.instance import Instance
from iopopt.cost.stopwatch import NO_LIMIT, Stopwatch, TimeUpError
from iopopt.errors import InstanceTooLargeError
from iopopt.milp.arc_bounds import least_arc_s
from iopopt.milp.arcs import Node, arcs_between, node_of, nodes_of
from iopopt.milp.bounds import best_makespan_s
from iopopt.network.tensor_edge import TensorEdge
from iopopt.network.unit import Unit
from iopopt.plan.placement import Placement
from iopopt.plan.plan import Plan
from iopopt.plan.splits import ALL_SPLITS, Splits

_MOST_TOGETHER = 200_000
"""The largest table for all edges into one operator together, entries."""

_MOST_ENTRIES = 3_000_000
"""The largest table of elimination, entries."""

_FORBIDDEN = 4.0
"""The cost of what is no plan, as a multiple of a known latency: bounds beyond it are of no use, and more would cost digits."""

_SLACK = 1e-9
"""The margin for rounding errors of sums, relative: a node is ruled out if its bound exceeds the known latency by more than this."""


@dataclass(frozen=True)
class NodeBounds:
    """For each node of each operator, and of the fused blocks that end with it, a bound on the latency of every plan of the team that takes it.

    Attributes:
        nodes: of each operator.
        bounds_s: their bounds, in the same order.
        inside_s: for each operator, a bound on the latency of every plan in which it is a member of a fused block, but not the last; infinite where
            that cannot be. Empty without blocks.
    """

    nodes: Sequence[Sequence[Node]]
    bounds_s: Sequence[Array]
    inside_s: Sequence[float] = ()

    @property
    def least_s(self) -> float:
        """A bound on the latency of all plans, because every plan takes some node of each operator; lowered slightly to absorb rounding."""
        inside = self.inside_s or [math.inf] * len(self.bounds_s)
        return max(min(float(bounds.min()), least) for bounds, least in zip(self.bounds_s, inside, strict=True)) * (1 - _SLACK)

    def nodes_within(self, latency_s: float) -> list[list[Node]]:
        """The nodes of plans that may be as fast as ``latency_s``."""
        limit = latency_s * (1 + _SLACK)
        return [
            [node for node, bound in zip(ways, least, strict=True) if bound <= limit] for ways, least in zip(self.nodes, self.bounds_s, strict=True)
        ]


def bound_nodes(
    instance: Instance, team: Sequence[int], watch: Stopwatch = NO_LIMIT, longest_block: int = 1, splits: Splits = ALL_SPLITS
) -> NodeBounds:
    """The bounds of every node of every operator, and of every fused block of at most ``longest_block`` operators; over ``splits``, at any shares.

    A block is a node of each of its members: tables of the edges inside make them take it together.

    Dropping costs keeps the bounds valid. If elimination would need too large a table (dense networks), only the first edge into each
    operator counts; if the time is up before the end, only compute times count.
    """
    tables = _Tables(instance, team, watch, longest_block, splits)
    domains, computing = [len(places) for places in tables.places], tables.compute_tables()
    try:
        bounds = _with_edges(domains, computing, tables, watch)
    except TimeUpError:
        bounds = min_marginals(domains, computing)
    ending = [np.array([place.members[-1] == i for place in places]) for i, places in enumerate(tables.places)]
    return NodeBounds(
        [[place.node for place in places if place.members[-1] == i] for i, places in enumerate(tables.places)],
        [of_operator[ends] for of_operator, ends in zip(bounds, ending, strict=True)],
        [float(of_operator[~ends].min(initial=math.inf)) for of_operator, ends in zip(bounds, ending, strict=True)],
    )


def _with_edges(domains: Sequence[int], computing: Sequence[Table], tables: _Tables, watch: Stopwatch) -> list[Array]:
    """The min-marginals of compute times and of all edges, or of the first edge into each operator.

    Raises:
        TimeUpError: if the time is up before the end.
    """
    try:
        return min_marginals(domains, [*computing, *tables.edge_tables()], most_entries=_MOST_ENTRIES, watch=watch)
    except InstanceTooLargeError:
        return min_marginals(domains, [*computing, *tables.first_edge_tables()], watch=watch)


class _Place(NamedTuple):
    """A node of an operator, or of a fused block of which it is a member; with the operators that the node places."""

    node: Node
    members: range


class _Tables:
    """Bounds as cost tables over the places of operators; edges that differ only in name are bounded once."""

    def __init__(self, instance: Instance, team: Sequence[int], watch: Stopwatch, longest_block: int = 1, splits: Splits = ALL_SPLITS) -> None:
        self._instance, self._cluster, self._team, self._watch, self._splits = instance, instance.cluster, tuple(team), watch, splits
        self.places = [[_Place(node, range(i, i + 1)) for node in self._nodes(unit)] for i, unit in enumerate(instance.placed)]
        for members in instance.graph.blocks(longest_block) if len(self._team) > 1 else ():
            for i in members:
                self.places[i] += [_Place(node, members) for node in self._nodes(instance.graph.block(members))]
        self._known: dict[object, float] = {}
        self._edges: dict[object, Array] = {}

    @cached_property
    def _forbidden_s(self) -> float:
        """The cost of what is no plan."""
        known = Plan.of(self._instance.graph, [Placement.whole(0)] * len(self._instance.graph))
        return _FORBIDDEN * (evaluate(self._instance.graph, self._cluster, known).latency_s or 1.0)

    def _nodes(self, unit: Unit) -> list[Node]:
        return nodes_of(unit, len(self._cluster), self._team, self._splits)

    def compute_tables(self) -> list[Table]:
        """Bounds on t_cmp of each operator, including the edge to the sink; they are few enough to be made whatever the time."""
        seconds = [np.array([self._compute_s(i, place) for place in places]) for i, places in enumerate(self.places)]
        for edge in self._instance.edges_into[self._instance.sink]:
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
        if math.prod(len(self.places[end]) for end in self._ends(edges)) <= _MOST_TOGETHER:
            return [self._together(edges)]
        # The maximum is at least the mean, which needs no joint table.
        return [Table(table.variables, table.costs / len(edges)) for table in (self._together([edge]) for edge in edges)]

    def _ends(self, edges: Sequence[TensorEdge]) -> list[int]:
        """The operators at the ends of edges into one operator."""
        return sorted({end for edge in edges for end in (edge.producer, edge.consumer)} - {self._instance.source})

    def _together(self, edges: Sequence[TensorEdge]) -> Table:
        """The largest t_com of some edges into one operator."""
        ends = self._ends(edges)
        costs = np.zeros([len(self.places[end]) for end in ends])
        for edge in edges:
            self._watch.check()
            axes = tuple(slice(None) if end in (edge.producer, edge.consumer) else None for end in ends)
            seconds = self._edge_s(edge)
            costs = np.maximum(costs, (seconds[0] if edge.producer == self._instance.source else seconds)[axes])
        return Table(tuple(ends), costs)

    def _compute_s(self, i: int, place: _Place) -> float:
        """A bound on t_cmp at a place; that of a block counts at its last member."""
        node, members = place
        if node.dim is None:
            assert node.device is not None
            return self._instance.units[i].flops / self._cluster.devices[node.device].flops_per_s
        if i != members[-1]:
            return 0.0
        unit = self._instance.units[i] if len(members) == 1 else self._instance.graph.block(members)
        key = unit.key, node.dim
        if key not in self._known:
            self._known[key] = best_makespan_s(unit, node.dim, self._cluster, self._team)
        return self._known[key]

    def _edge_s(self, edge: TensorEdge) -> Array:
        """Bounds on t_com of one edge, by place of the producer and of the consumer; source and sink have one place each."""
        sources, targets = self._places(edge.producer), self._places(edge.consumer)
        key = edge.key, self._shape(sources, edge), self._shape(targets, edge)
        if key not in self._edges:
            costs = [self._least_s(edge, p, q) for p, q in itertools.product(sources, targets)]
            self._edges[key] = np.array(costs).reshape(len(sources), len(targets))
        return self._edges[key]

    def _shape(self, places: Sequence[_Place], edge: TensorEdge) -> object:
        """What the table of an edge depends on, besides the units at its ends: which blocks there are, counted from the consumer."""
        if len(places[-1].members) == 1:  # blocks come last
            return None
        graph = self._instance.graph
        blocks = [place.members for place in places if len(place.members) > 1]
        return tuple((members.start - edge.consumer, graph.block(members).key) for members in blocks), edge.producer - edge.consumer

    def _places(self, number: int) -> Sequence[_Place]:
        if number < self._instance.sink:
            return self.places[number]
        return [_Place(node_of(self._instance.terminals[number - self._instance.sink]), range(number, number + 1))]

    def _least_s(self, edge: TensorEdge, p: _Place, q: _Place) -> float:
        """A bound on t_com between two places: prohibitive where only one end is in a block that has both, nothing within it."""
        if len(p.members) > 1 or len(q.members) > 1:
            if p.members == q.members:
                return 0.0
            if edge.producer in q.members or edge.consumer in p.members or edge.producer != p.members[-1]:
                return self._forbidden_s
        if len(q.members) > 1:
            graph = self._instance.graph
            if not graph.fetches(q.members, edge.consumer, edge.slot):
                return 0.0
            edge = TensorEdge(edge.producer, q.members[-1], 0, edge.p, graph.block(q.members), edge.first)
        key = edge.key, p.node, q.node
        if key not in self._known:
            arcs = arcs_between(p.node, edge, q.node, len(self._team), self._splits)
            self._known[key] = min(least_arc_s(edge, arc, self._cluster, self._team) for arc in arcs)
        return self._known[key]
