"""Nodes that no plan faster than a known one can take: ruled out before there is a program, by bounds on operators and arcs.

What an operator computes at least at each node, and what an edge costs at least between two nodes, makes a problem over nodes alone, which
elimination solves in milliseconds. Where its least total with an operator at some node exceeds the latency of a known plan, that
node can be left out: on deep networks most of them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from iopopt.cluster.cluster import Cluster
from iopopt.cost.communication import TensorEdge
from iopopt.cost.elimination import Array, Table, min_marginals
from iopopt.errors import InstanceTooLargeError
from iopopt.milp.arc_bounds import least_arc_s
from iopopt.milp.arcs import Node, arcs_between, nodes_of, whole
from iopopt.milp.bounds import best_makespan_s
from iopopt.network.graph import Graph, Link
from iopopt.network.operators import Operator

_MOST_TOGETHER = 200_000
"""The largest table for all edges into one operator together, entries."""

_MOST_ENTRIES = 3_000_000
"""The largest table of elimination, entries."""

_SLACK = 1e-9
"""What rounding may do to a sum, relative: so much slower than the known plan a node must be to be ruled out."""


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
        """A bound on the latency of all plans, for every plan takes some node of each operator; a little below, lest rounding lift it above."""
        return max(float(bounds.min()) for bounds in self.bounds_s) * (1 - _SLACK)

    def within(self, latency_s: float) -> list[list[Node]]:
        """The nodes that a plan may take and be as fast as ``latency_s``."""
        limit = latency_s * (1 + _SLACK)
        return [
            [node for node, bound in zip(ways, least, strict=True) if bound <= limit] for ways, least in zip(self.nodes, self.bounds_s, strict=True)
        ]


def bound_nodes(graph: Graph, cluster: Cluster, team: Sequence[int]) -> NodeBounds:
    """The bounds of every node of every operator.

    Where elimination would need too large a table (networks in which everything reads everything before it), each operator counts its
    first edge alone; leaving out costs leaves a bound.
    """
    tables, nodes = _Tables(graph, cluster, team), [nodes_of(operator, len(cluster), team) for operator in graph.operators]
    domains, computing = [len(ways) for ways in nodes], tables.computing()
    try:
        bounds = min_marginals(domains, [*computing, *tables.handing_over()], most_entries=_MOST_ENTRIES)
    except InstanceTooLargeError:
        bounds = min_marginals(domains, [*computing, *tables.handing_over_first()])
    return NodeBounds(nodes, bounds)


class _Tables:
    """Bounds as cost tables over the nodes of operators; edges and operators that differ in names alone are bounded once."""

    def __init__(self, graph: Graph, cluster: Cluster, team: Sequence[int]) -> None:
        self._graph, self._cluster, self._team = graph, cluster, tuple(team)
        self._known: dict[object, Array] = {}

    def computing(self) -> list[Table]:
        """t_cmp at least, by operator, and the edge to the sink."""
        seconds = [np.array([self._compute_s(operator, node) for node in self._nodes(operator)]) for operator in self._graph.operators]
        output = self._graph.output
        seconds[-1] += self._edge(TensorEdge(output, None), self._nodes(output), [whole(self._cluster.sink)], first=True)[:, 0]
        return [Table((i,), costs) for i, costs in enumerate(seconds)]

    def handing_over(self) -> list[Table]:
        """t_com at least, by consumer: all edges into it take no less than each alone."""
        return [table for links in self._graph.links_into for table in self._incoming(links)]

    def handing_over_first(self) -> list[Table]:
        """The same of the first edge into each consumer: a forest."""
        return [self._together(links[:1]) for links in self._graph.links_into if self._is_priced(links[0])]

    def _incoming(self, links: Sequence[Link]) -> list[Table]:
        priced = [link for link in links if self._is_priced(link)]
        ends = {link.producer for link in links} | {links[0].consumer}
        entries = math.prod(len(self._nodes(self._graph.operators[end])) for end in ends if end is not None)
        if not priced:
            return []
        if entries <= _MOST_TOGETHER:
            return [self._together(priced)]
        # The largest is no less than the mean, which needs no table over all of them.
        return [Table(table.variables, table.costs / len(priced)) for table in (self._together([link]) for link in priced)]

    def _together(self, links: Sequence[Link]) -> Table:
        """The largest t_com of some edges into one operator."""
        ends = sorted({links[0].consumer, *(link.producer for link in links if link.producer is not None)})
        costs = np.zeros([len(self._nodes(self._graph.operators[end])) for end in ends])
        for link in links:
            axes = tuple(slice(None) if end in (link.producer, link.consumer) else None for end in ends)
            costs = np.maximum(costs, self._link_s(link)[axes])
        return Table(tuple(ends), costs)

    def _link_s(self, link: Link) -> Array:
        """By node of the producer (none for the input) and of the consumer."""
        consumer = self._graph.operators[link.consumer]
        if link.producer is None:
            from_source = self._edge(TensorEdge(None, consumer, link.slot), [whole(self._cluster.source or 0)], self._nodes(consumer), first=True)
            return from_source.reshape(-1)
        producer = self._graph.operators[link.producer]
        first = link == self._graph.links_from[link.producer][0]
        return self._edge(TensorEdge(producer, consumer, link.slot), self._nodes(producer), self._nodes(consumer), first=first)

    def _is_priced(self, link: Link) -> bool:
        return link.producer is not None or self._cluster.source is not None

    def _nodes(self, operator: Operator) -> list[Node]:
        return nodes_of(operator, len(self._cluster), self._team)

    def _compute_s(self, operator: Operator, node: Node) -> float:
        if node.dim is None:
            assert node.device is not None
            return operator.flops / self._cluster.devices[node.device].flops_per_s
        return best_makespan_s(operator, node.dim, self._cluster, self._team)

    def _edge(self, handover: TensorEdge, sources: Sequence[Node], targets: Sequence[Node], *, first: bool) -> Array:
        key = (handover.producer and handover.producer.structural_key, handover.consumer and handover.consumer.structural_key, handover.slot, first)
        if key not in self._known:
            costs = [self._least_s(handover, p, q, first=first) for p, q in itertools.product(sources, targets)]
            self._known[key] = np.array(costs).reshape(len(sources), len(targets))
        return self._known[key]

    def _least_s(self, handover: TensorEdge, p: Node, q: Node, *, first: bool) -> float:
        arcs = arcs_between(p, handover, q, len(self._team))
        return min(least_arc_s(handover, arc, self._cluster, self._team, first=first) for arc in arcs)
