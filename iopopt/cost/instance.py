"""Instances: a graph on a cluster, with its source and its sink as terminal units, so that every edge has two placements."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from iopopt.cluster.cluster import Cluster, Device, as_cluster
from iopopt.network.graph import Graph, as_graph
from iopopt.network.tensor_edge import LiveTensor, TensorEdge
from iopopt.network.unit import Unit
from iopopt.network.unit_graph import UnitGraph
from iopopt.plan.placement import Placement
from iopopt.plan.plan import Plan


@dataclass(frozen=True)
class Instance:
    """A graph on a cluster.

    Units are known by number: those that a plan places in order, then the sink, then the source.

    Attributes:
        spans: how many operators each placed unit has; None if it is always one.
    """

    graph: Graph
    cluster: Cluster
    spans: tuple[int, ...] | None = None

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

    def covered(self, spans: Sequence[int]) -> Instance:
        """The same instance whose units are runs of so many operators: single ones and fused blocks."""
        return Instance(self.graph, self.cluster, tuple(spans))

    @cached_property
    def network(self) -> UnitGraph:
        """The units and the edges between them."""
        return self.graph.unfused if self.spans is None else self.graph.covered(self.spans)

    @property
    def units(self) -> tuple[Unit, ...]:
        """The placed units, the sink and the source."""
        return self.network.units

    @property
    def placed(self) -> tuple[Unit, ...]:
        """The units that a plan places: operators and fused blocks."""
        return self.network.placed

    @property
    def sink(self) -> int:
        """The number of the unit that stands for the graph's output."""
        return self.network.sink

    @property
    def source(self) -> int:
        """The number of the unit that stands for the graph's input."""
        return self.network.source

    @property
    def live_tensors(self) -> tuple[LiveTensor, ...]:
        """The tensors between units that are live while other units run."""
        return self.network.live_tensors

    @cached_property
    def edges_into(self) -> tuple[tuple[TensorEdge, ...], ...]:
        """The edges that are priced, by consumer, including the sink; an input that every device has is not priced."""
        if self.cluster.source is not None:
            return self.network.edges_into
        return tuple(tuple(edge for edge in edges if edge.producer != self.source) for edges in self.network.edges_into)

    def edges_from(self, producer: int) -> tuple[TensorEdge, ...]:
        """The priced edges out of a unit, the first consumer's first."""
        priced = producer != self.source or self.cluster.source is not None
        return self.network.edges_from[producer] if priced else ()

    @cached_property
    def terminals(self) -> tuple[Placement, Placement]:
        """The placements of the sink and the source; an input that every device has is never transferred and counts as the first device's."""
        return Placement.whole(self.cluster.sink), Placement.whole(self.cluster.source or 0)

    def placements(self, plan: Plan) -> tuple[Placement, ...]:
        """The placement of every unit, of a plan whose runs of operators are this instance's units."""
        ends = range(len(self.graph)) if self.spans is None else (stop - 1 for stop in itertools.accumulate(self.spans))
        return (*(plan[self.graph.operators[end].name] for end in ends), *self.terminals)

    @cached_property
    def input_holders(self) -> tuple[int, ...]:
        """The devices that have the input from the start."""
        return tuple(range(len(self.cluster))) if self.cluster.source is None else (self.cluster.source,)
