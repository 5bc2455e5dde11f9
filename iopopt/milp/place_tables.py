"""Lower bounds on compute times and edges as cost tables over the nodes of operators, for :mod:`iopopt.milp.pruning`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np

from iopopt.cost.elimination import Array, Table
from iopopt.cost.evaluation import evaluate
from iopopt.cost.instance import Instance
from iopopt.cost.stopwatch import Stopwatch
from iopopt.cost.work import whole_work, work_of
from iopopt.errors import InstanceTooLargeError
from iopopt.milp.arc_bounds import least_arc_s
from iopopt.milp.arcs import Node, arcs_between, node_of, nodes_of
from iopopt.milp.bounds import best_makespan_s
from iopopt.milp.share_ranges import WHOLE, ShareRanges, share_ranges, single_range
from iopopt.network.tensor_edge import TensorEdge
from iopopt.network.terms import positions
from iopopt.network.unit import Unit
from iopopt.plan.placement import Placement
from iopopt.plan.plan import Plan
from iopopt.plan.splits import Splits

_MOST_TOGETHER = 2_000_000
"""The largest table for all edges into one operator together, entries."""

_FORBIDDEN = 4.0
"""The cost of what is no plan, as a multiple of a known latency: bounds beyond it are of no use, and more would cost digits."""


class Place(NamedTuple):
    """A node of an operator, or of a fused block of which it is a member; with the operators that the node places."""

    node: Node
    members: range


Places = list[list[Place]]
"""The places of each operator."""


def all_places(instance: Instance, team: Sequence[int], longest_block: int, splits: Splits) -> Places:
    """The nodes of every operator, and of every fused block at each of its members."""
    devices = len(instance.cluster)
    places = [[Place(node, range(i, i + 1)) for node in nodes_of(unit, devices, team, splits)] for i, unit in enumerate(instance.placed)]
    for members in instance.graph.blocks(longest_block) if len(team) > 1 else ():
        for i in members:
            places[i] += [Place(node, members) for node in nodes_of(instance.graph.block(members), devices, team, splits)]
    return places


class PlaceTables:
    """Bounds as cost tables over the ranges of shares of the places of operators; edges that differ only in name are bounded once.

    Args:
        splits: the ways to split, and the shares, that plans may have.
        levels: by how many levels shares are divided where there is a choice.

    Attributes:
        domains: how many ranges the places of each operator have together.
    """

    def __init__(self, instance: Instance, team: Sequence[int], places: Places, splits: Splits, levels: int, watch: Stopwatch) -> None:
        self._instance, self._cluster, self._team, self._splits, self._watch = instance, instance.cluster, tuple(team), splits, watch
        self._places_of, self._levels = places, levels
        self._counts = [[len(self._ranges(place)) for place in of] for of in places]
        self.domains = [sum(counts) for counts in self._counts]
        self._known: dict[object, Array] = {}
        self._edges: dict[object, Array] = {}

    def by_place(self, bounds: Sequence[Array]) -> list[Array]:
        """The least of the bounds of each place's ranges."""
        starts = [np.cumsum([0, *counts[:-1]]) for counts in self._counts]
        return [np.minimum.reduceat(of_operator, first) for of_operator, first in zip(bounds, starts, strict=True)]

    def _ranges(self, place: Place) -> ShareRanges:
        dim, unit = place.node.dim, self._unit(place)
        if dim is None:
            return WHOLE
        only = self._splits.only_shares(unit, dim, self._cluster, self._team)
        if only is not None:
            return single_range([share // unit.granularities[dim] for share in only])
        return share_ranges(unit.granules(dim), len(self._team), self._levels)

    def _unit(self, place: Place) -> Unit:
        return self._instance.units[place.members[0]] if len(place.members) == 1 else self._instance.graph.block(place.members)

    @cached_property
    def _forbidden_s(self) -> float:
        """The cost of what is no plan."""
        known = Plan.of(self._instance.graph, [Placement.whole(0)] * len(self._instance.graph))
        return _FORBIDDEN * (evaluate(self._instance.graph, self._cluster, known).latency_s or 1.0)

    def compute_tables(self) -> list[Table]:
        """Bounds on t_cmp of each operator, including the edge to the sink; they are few enough to be made whatever the time."""
        seconds = [np.concatenate([self._compute_s(i, place) for place in places]) for i, places in enumerate(self._places_of)]
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
        if math.prod(self.domains[end] for end in self._ends(edges)) <= _MOST_TOGETHER:
            return [self._together(edges)]
        if self._levels:
            raise InstanceTooLargeError("pruning: the table of all edges into an operator would be too large")
        # The maximum is at least the mean, which needs no joint table.
        return [Table(table.variables, table.costs / len(edges)) for table in (self._together([edge]) for edge in edges)]

    def _ends(self, edges: Sequence[TensorEdge]) -> list[int]:
        """The operators at the ends of edges into one operator."""
        return sorted({end for edge in edges for end in (edge.producer, edge.consumer)} - {self._instance.source})

    def _together(self, edges: Sequence[TensorEdge]) -> Table:
        """The largest t_com of some edges into one operator."""
        ends = self._ends(edges)
        costs = np.zeros([self.domains[end] for end in ends])
        for edge in edges:
            self._watch.check()
            axes = tuple(slice(None) if end in (edge.producer, edge.consumer) else None for end in ends)
            seconds = self._edge_s(edge)
            costs = np.maximum(costs, (seconds[0] if edge.producer == self._instance.source else seconds)[axes])
        return Table(tuple(ends), costs)

    def _compute_s(self, i: int, place: Place) -> Array:
        """Bounds on t_cmp at a place, by range; those of a block count at its last member."""
        node, members = place
        if node.dim is None:
            assert node.device is not None
            work = whole_work(self._instance.units[i], self._cluster.bytes_per_element)
            return np.array([self._cluster.devices[node.device].compute_s(*work)])
        if i != members[-1]:
            return np.zeros(len(self._ranges(place)))
        key = self._unit(place).key, node.dim
        if key not in self._known:
            self._known[key] = np.array(list(self._makespans_s(place)))
        return self._known[key]

    def _makespans_s(self, place: Place) -> Iterator[float]:
        """Of the shares in each range the makespan is at least the best of all, and what the least share of each participant takes."""
        unit, dim = self._unit(place), place.node.dim
        assert dim is not None
        best_s, e = best_makespan_s(unit, dim, self._cluster, self._team), self._cluster.bytes_per_element
        for shares in self._ranges(place).low * unit.granularities[dim]:
            alone = zip(self._team, shares.tolist(), positions(len(self._team)), strict=True)
            yield max(best_s, *(self._cluster.devices[j].compute_s(*work_of(unit, dim, share, rank, e)) for j, share, rank in alone))

    def _edge_s(self, edge: TensorEdge) -> Array:
        """Bounds on t_com of one edge, by range of the producer's and of the consumer's shares; source and sink have one each."""
        sources, targets = self._places(edge.producer), self._places(edge.consumer)
        key = edge.key, self._shape(sources, edge), self._shape(targets, edge)
        if key not in self._edges:
            costs = [np.concatenate([self._least_s(edge, p, q) for q in targets], axis=1) for p in sources]
            self._edges[key] = np.minimum(np.concatenate(costs), self._forbidden_s)
        return self._edges[key]

    def _shape(self, places: Sequence[Place], edge: TensorEdge) -> object:
        """What the table of an edge depends on, besides the units at its ends: the nodes, and the blocks as counted from the consumer."""
        nodes = tuple(place.node for place in places)
        if len(places[-1].members) == 1:  # blocks come last
            return nodes
        graph = self._instance.graph
        blocks = [place.members for place in places if len(place.members) > 1]
        return nodes, tuple((members.start - edge.consumer, graph.block(members).key) for members in blocks), edge.producer - edge.consumer

    def _places(self, number: int) -> Sequence[Place]:
        if number < self._instance.sink:
            return self._places_of[number]
        return [Place(node_of(self._instance.terminals[number - self._instance.sink]), range(number, number + 1))]

    def _least_s(self, edge: TensorEdge, p: Place, q: Place) -> Array:
        """Bounds on t_com between two places: prohibitive where only one end is in a block that has both, nothing within it at the same shares."""
        shape = len(self._ranges(p)), len(self._ranges(q))
        if len(p.members) > 1 or len(q.members) > 1:
            if p.members == q.members:
                return np.where(np.eye(*shape, dtype=bool), 0.0, np.inf)
            if edge.producer in q.members or edge.consumer in p.members or edge.producer != p.members[-1]:
                return np.full(shape, np.inf)
        if len(q.members) > 1:
            graph = self._instance.graph
            if not graph.fetches(q.members, edge.consumer, edge.slot):
                return np.zeros(shape)
            edge = TensorEdge(edge.producer, q.members[-1], 0, edge.p, graph.block(q.members), edge.first)
        key = edge.key, p.node, q.node
        if key not in self._known:
            arcs = arcs_between(p.node, edge, q.node, len(self._team), self._splits)
            ends = self._ranges(p), self._ranges(q)
            self._known[key] = np.minimum.reduce([least_arc_s(edge, arc, self._cluster, self._team, *ends) for arc in arcs])
        return self._known[key]
