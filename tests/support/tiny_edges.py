"""Edges of tiny random instances with every way in which their tensor can pass: all placements of both ends, priced by the evaluator.

The bounds and arcs of :mod:`iopopt.milp` are reached through the functions of this module alone.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import NamedTuple

from support.random_branches import random_branched_graph
from support.random_instances import random_cluster, random_graph, random_team

from iopopt import Cluster, Device, Graph, GraphBuilder, Operator, Placement
from iopopt.cost.communication import Phase, TensorEdge, edge_phases
from iopopt.cost.workload import share_flops
from iopopt.methods.exhaustive import all_placements
from iopopt.milp.arc_bounds import constant_phases, is_constant, least_arc_s
from iopopt.milp.arcs import Arc, Node, arcs_between, mode_of, node_of, nodes_of, shares_of_even_slices, split, whole
from iopopt.network.operators import Dim, Mixing

MODES = {"send", "interleaved", "aligned", "halo", "gather", "direct", "two_phase", "two_phase_interleaved"}
"""Every mode of an arc."""


class Passage(NamedTuple):
    """The tensor passes from placement ``p`` to ``q``: the phases of its edge, and how far p's compute time is above its operator's least."""

    p: Placement
    q: Placement
    phases: tuple[Phase, ...]
    times_s: tuple[float, ...]
    excess_s: float

    @property
    def loads(self) -> tuple[object, ...]:
        """Bytes received and sent, and connections, by device and phase; what is 0 is left out."""
        return tuple(tuple(_positive(part) for part in (phase.received, phase.sent, phase.connections)) for phase in self.phases)


@dataclass(frozen=True)
class TinyEdge:
    """One edge of an instance: ``producer`` None is the source, ``consumer`` None the sink."""

    cluster: Cluster
    team: tuple[int, ...]
    producer: Operator | None
    consumer: Operator | None
    slot: int = 0
    _known: dict[tuple[Node, Node], dict[Arc, list[Passage]]] = field(default_factory=dict, repr=False)

    @cached_property
    def handover(self) -> TensorEdge:
        return TensorEdge(self.producer, self.consumer, self.slot)

    @property
    def sources(self) -> list[Node]:
        """The nodes that the tensor comes from."""
        return self._nodes(self.producer, self.cluster.source or 0)

    @property
    def targets(self) -> list[Node]:
        """The nodes that it goes to."""
        return self._nodes(self.consumer, self.cluster.sink)

    def _nodes(self, operator: Operator | None, end: int) -> list[Node]:
        return [whole(end)] if operator is None else nodes_of(operator, len(self.cluster), self.team)

    @property
    def arcs(self) -> list[Arc]:
        """The arcs that the program has of this edge."""
        pairs = itertools.product(self.sources, self.targets)
        return [arc for source, target in pairs for arc in arcs_between(source, self.handover, target, len(self.team))]

    @property
    def pairs(self) -> int:
        """How many pairs of placements there are."""
        return len(self._before) * len(self._after)

    @cached_property
    def _before(self) -> list[Placement]:
        return self._placements(self.producer, self.cluster.source or 0)

    @cached_property
    def _after(self) -> list[Placement]:
        return self._placements(self.consumer, self.cluster.sink)

    def _placements(self, operator: Operator | None, end: int) -> list[Placement]:
        return [Placement.whole(end)] if operator is None else list(all_placements(operator, self.cluster, self.team))

    @cached_property
    def passages(self) -> dict[Arc, list[Passage]]:
        """Every pair of placements, by the arc that it takes."""
        by_nodes = (self._between(source, target) for source, target in itertools.product(self.sources, self.targets))
        return {arc: passages for found in by_nodes for arc, passages in found.items()}

    def _between(self, source: Node, target: Node) -> dict[Arc, list[Passage]]:
        """Every pair of placements of two nodes."""
        if (source, target) not in self._known:
            found: dict[Arc, list[Passage]] = {}
            after = [q for q in self._after if node_of(q) == target]
            for p in (way for way in self._before if node_of(way) == source):
                excess_s = self._excess_s(p)
                for q in after:
                    phases = edge_phases(self.handover, p, q, self.cluster.bytes_per_element)
                    times_s = tuple(phase.time_s(self.cluster) for phase in phases)
                    arc = Arc(source, target, mode_of(phases[-1].case, p))
                    found.setdefault(arc, []).append(Passage(p, q, phases, times_s, excess_s))
            self._known[source, target] = found
        return self._known[source, target]

    def _excess_s(self, p: Placement) -> float:
        if self.producer is None or p.dim is None:
            return 0.0
        return compute_s(self.producer, p, self.cluster) - least_makespan_s(self.producer, p.dim, self.cluster, self.team)

    def floor_s(self, arc: Arc, *, first: bool) -> float:
        """What the arc is said to cost at least."""
        return least_arc_s(self.handover, arc, self.cluster, self.team, first=first)

    def least_s(self, arc: Arc, *, first: bool) -> float:
        """What it does cost at least: over the first edge out of the producer first phases and the excess of its compute time count too."""
        passages = self._between(arc.source, arc.target)[arc]
        return min(sum(of.times_s) + of.excess_s if first else of.times_s[-1] for of in passages)

    def is_constant(self, arc: Arc) -> bool:
        """Whether it is said that no share moves the cost of the arc."""
        return is_constant(self.handover, arc)

    def constant_loads(self, arc: Arc) -> tuple[object, ...]:
        """The loads of a constant arc, as :attr:`Passage.loads`."""
        phases = constant_phases(self.handover, arc, self.team, self.cluster.bytes_per_element)
        return Passage(Placement.whole(0), Placement.whole(0), phases, (), 0.0).loads


def compute_s(operator: Operator, placement: Placement, cluster: Cluster) -> float:
    """max_j t_cmp of equation (7)."""
    return max(flops / cluster.devices[j].flops_per_s for j, flops in share_flops(operator, placement))


@lru_cache(maxsize=4096)
def least_makespan_s(operator: Operator, dim: str, cluster: Cluster, team: tuple[int, ...]) -> float:
    """The least compute time over all shares of a dimension, by enumeration."""
    return min(compute_s(operator, way, cluster) for way in all_placements(operator, cluster, team) if way.dim == dim)


def edges_of(graph: Graph, cluster: Cluster, team: Sequence[int]) -> Iterator[TinyEdge]:
    """The edges of a graph, the source's and the sink's included."""
    for link in graph.links:
        producer = None if link.producer is None else graph.operators[link.producer]
        yield TinyEdge(cluster, tuple(team), producer, graph.operators[link.consumer], link.slot)
    yield TinyEdge(cluster, tuple(team), graph.output, None)


@lru_cache(maxsize=8)
def tiny_edges(instances: int, *, most_pairs: int = 1000, seed: int = 0) -> list[TinyEdge]:
    """The edges of random chains and branched graphs, in turn, on two to four devices, of which not too many pairs of placements exist."""
    found = []
    for number in range(instances):
        rng = random.Random(f"{seed}/{number}")
        graph = random_branched_graph(rng, tiny=True) if number % 2 else random_graph(rng, operators=rng.choice([2, 3]), tiny=True)
        cluster = random_cluster(rng, devices=rng.choice([2, 3, 3, 4]))
        team = random_team(rng, len(cluster))
        found += [edge for edge in edges_of(graph, cluster, team) if edge.pairs <= most_pairs]
    return found + mixing_edges()


def mixing_edges() -> list[TinyEdge]:
    """Edges behind steps that mix channels, to operators that would read a part of them, and all of them."""
    net = GraphBuilder("mixing", (2, 2, 1)).conv(2, 1).step(Mixing("softmax")).conv(2, 1, groups=2).step(Mixing("softmax"))
    graph = net.conv(2, 1).step(Mixing("softmax")).slice(1, 2).build()
    return list(edges_of(graph, random_cluster(random.Random(0), devices=3), (0, 2)))


def even_cluster(devices: int, *, flops_per_s: float = 1e3, bandwidth_bytes_per_s: float = 1e3, setup_s: float = 0.125, **changes: object) -> Cluster:
    """Equal devices with ample memory and two bytes an element."""
    equal = (Device(f"d{j}", flops_per_s, 1e9, bandwidth_bytes_per_s) for j in range(devices))
    return Cluster(tuple(equal), connection_setup_s=setup_s, bytes_per_element=2, **changes)  # type: ignore[arg-type]


def even_slices_of(consumer: Operator, dim: Dim, devices: int) -> tuple[int, ...] | None:
    """The shares, in units, that are said to need just the slices of a two-phase reduce."""
    return shares_of_even_slices(consumer, split(dim), devices)


def modes_of(arcs: Iterable[Arc]) -> set[str]:
    return {arc.mode for arc in arcs}


def _positive(amounts: object) -> tuple[object, ...]:
    assert hasattr(amounts, "items")
    return tuple(sorted((device, round(float(amount), 9)) for device, amount in amounts.items() if amount))
