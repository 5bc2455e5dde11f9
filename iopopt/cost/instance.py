"""Instances: a graph on a cluster, with its source and its sink as terminal units, so that every edge has two placements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from iopopt.cluster.cluster import Cluster, Device, as_cluster
from iopopt.network.graph import Graph, as_graph
from iopopt.network.tensor_edge import TensorEdge
from iopopt.network.unit import Unit
from iopopt.plan.placement import Placement
from iopopt.plan.plan import Plan


@dataclass(frozen=True)
class Instance:
    """A graph on a cluster.

    Units are known by number: the operators in order, then the sink, then the source.
    """

    graph: Graph
    cluster: Cluster

    @classmethod
    def of(cls, graph: Graph, devices: Cluster | Sequence[Device]) -> Instance:
        """The instance of a graph on a cluster, or on devices with the cluster defaults: where every entry point checks what it was given.

        Warns:
            UnitWarning: if a figure of the cluster looks as if it were in another unit.

        Raises:
            GraphError: if ``graph`` is no Graph.
            ClusterError: if ``devices`` is neither.
        """
        return cls(as_graph(graph), as_cluster(devices))

    @property
    def units(self) -> tuple[Unit, ...]:
        """The operators, the sink and the source."""
        return self.graph.units

    @property
    def operators(self) -> tuple[Unit, ...]:
        """The units that a plan places."""
        return self.graph.placed_units

    @cached_property
    def edges_into(self) -> tuple[tuple[TensorEdge, ...], ...]:
        """The edges that are priced, by consumer, including the sink; an input that every device has is not priced."""
        if self.cluster.source is not None:
            return self.graph.edges_into
        source = self.graph.source
        return tuple(tuple(edge for edge in edges if edge.producer != source) for edges in self.graph.edges_into)

    def edges_from(self, producer: int) -> tuple[TensorEdge, ...]:
        """The priced edges out of a unit, the first consumer's first."""
        priced = producer != self.graph.source or self.cluster.source is not None
        return self.graph.edges_from[producer] if priced else ()

    @cached_property
    def terminals(self) -> tuple[Placement, Placement]:
        """The placements of the sink and the source; an input that every device has is never transferred and counts as the first device's."""
        return Placement.whole(self.cluster.sink), Placement.whole(self.cluster.source or 0)

    def placements(self, plan: Plan) -> tuple[Placement, ...]:
        """The placement of every unit."""
        return (*(plan[operator.name] for operator in self.graph.operators), *self.terminals)

    @cached_property
    def input_holders(self) -> tuple[int, ...]:
        """The devices that have the input from the start."""
        return tuple(range(len(self.cluster))) if self.cluster.source is None else (self.cluster.source,)
