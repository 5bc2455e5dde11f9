"""Edges of tiny random instances with every way in which their tensor can pass: all placements of both ends, priced by the evaluator.

The bounds and arcs of :mod:`iopopt.milp` are reached through the functions of this module alone.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from support.random_branches import random_branched_graph
from support.random_instances import random_cluster, random_graph

from iopopt import Cluster, Device, Graph, GraphBuilder, Operator, Placement
from iopopt.cost.evaluation import round_time_s
from iopopt.cost.instance import Instance
from iopopt.cost.transfers import edge_rounds
from iopopt.cost.work import share_work
from iopopt.methods.exhaustive import all_placements
from iopopt.milp.arc_bounds import constant_rounds, is_constant, least_arc_s
from iopopt.milp.arcs import Arc, Node, arc_of, arcs_between, node_of, nodes_of, shares_of_even_slices, split
from iopopt.milp.share_ranges import WHOLE, ShareRanges, share_ranges
from iopopt.network.epilogue import Mixing
from iopopt.network.shapes import Dim
from iopopt.network.tensor_edge import TensorEdge
from iopopt.network.unit import Unit
from iopopt.schedule.rounds import Round, TransferKind

MODES = {"send", "interleaved", "row-aligned", "halo exchange", "all-gather", "reduce", "two-phase all-gather", "two-phase interleaved"}
"""Every sort of arc: its kind, and whether it lies behind a reduce-scatter."""


class Passage(NamedTuple):
    """The tensor passes from placement ``p`` to ``q``: the rounds of its edge, and their times."""

    p: Placement
    q: Placement
    rounds: tuple[Round, ...]
    times_s: tuple[float, ...]

    @property
    def loads(self) -> tuple[object, ...]:
        """Bytes received and sent, and connections, by device and round; what is 0 is left out."""
        return tuple(tuple(_positive(part) for part in round_.loads) for round_ in self.rounds)


@dataclass(frozen=True)
class TinyEdge:
    """One edge of an instance, with what it costs over a team; an edge that is or is not the first out of its producer can be made of it."""

    instance: Instance
    team: tuple[int, ...]
    edge: TensorEdge
    _known: dict[tuple[Node, Node], dict[Arc, list[Passage]]] = field(default_factory=dict, repr=False)

    @property
    def cluster(self) -> Cluster:
        return self.instance.cluster

    @cached_property
    def _either(self) -> dict[bool, TensorEdge]:
        """The edge as if it were, and as if it were not, the first out of its producer."""
        return {first: replace(self.edge, first=first) for first in (False, True)}

    @property
    def sources(self) -> list[Node]:
        """The nodes that the tensor comes from."""
        return self._nodes(self.edge.producer)

    @property
    def targets(self) -> list[Node]:
        """The nodes that it goes to."""
        return self._nodes(self.edge.consumer)

    def _nodes(self, number: int) -> list[Node]:
        graph = self.instance.graph
        if number < graph.sink:
            return nodes_of(graph.units[number], len(self.cluster), self.team)
        return [node_of(self.instance.terminals[number - graph.sink])]

    @property
    def arcs(self) -> list[Arc]:
        """The arcs that the program has of this edge."""
        pairs = itertools.product(self.sources, self.targets)
        return [arc for source, target in pairs for arc in arcs_between(source, self.edge, target, len(self.team))]

    @property
    def pairs(self) -> int:
        """How many pairs of placements there are."""
        return len(self._before) * len(self._after)

    @cached_property
    def _before(self) -> list[Placement]:
        return self._placements(self.edge.producer)

    @cached_property
    def _after(self) -> list[Placement]:
        return self._placements(self.edge.consumer)

    def _placements(self, number: int) -> list[Placement]:
        graph = self.instance.graph
        if number < graph.sink:
            return list(all_placements(graph.units[number], self.cluster, self.team))
        return [self.instance.terminals[number - graph.sink]]

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
                for q in after:
                    rounds = edge_rounds(self._either[True], p, q, self.cluster.bytes_per_element)
                    times_s = tuple(round_time_s(round_, self.cluster) for round_ in rounds)
                    (kind,) = rounds[-1].kinds
                    found.setdefault(arc_of(p, q, kind), []).append(Passage(p, q, rounds, times_s))
            self._known[source, target] = found
        return self._known[source, target]

    def floor_s(self, arc: Arc, *, first: bool) -> float:
        """What the arc is said to cost at least, for any shares."""
        return float(self.floors_s(arc, 0, first=first).item())

    def floors_s(self, arc: Arc, levels: int, *, first: bool) -> npt.NDArray[np.float64]:
        """What the arc is said to cost at least, by range of the producer's and of the consumer's shares."""
        p, q = self.ranges(arc, levels)
        return least_arc_s(self._either[first], arc, self.cluster, self.team, p, q)

    def ranges(self, arc: Arc, levels: int) -> tuple[ShareRanges, ShareRanges]:
        """The ranges of shares at both ends of an arc."""
        ends = (self.edge.p, arc.source), (self.edge.q, arc.target)
        p, q = (WHOLE if node.dim is None else share_ranges(unit.granules(node.dim), len(self.team), levels) for unit, node in ends)
        return p, q

    def least_s(self, arc: Arc, *, first: bool) -> float:
        """What it does cost at least: over the first edge out of the producer reduce-scatters count too."""
        return min(sum(of.times_s) if first else of.times_s[-1] for of in self.passages_of(arc))

    def passages_of(self, arc: Arc) -> list[Passage]:
        """Every pair of placements that takes an arc."""
        return self._between(arc.source, arc.target)[arc]

    def is_constant(self, arc: Arc) -> bool:
        """Whether it is said that no share moves the cost of the arc."""
        return is_constant(self.edge, arc)

    def constant_loads(self, arc: Arc) -> tuple[object, ...]:
        """The loads of a constant arc, as :attr:`Passage.loads`."""
        rounds = constant_rounds(self._either[True], arc, self.team, self.cluster.bytes_per_element)
        return Passage(Placement.whole(0), Placement.whole(0), rounds, ()).loads


def compute_s(unit: Unit, placement: Placement, cluster: Cluster) -> float:
    """max_j t_cmp of equation (7)."""
    return max(cluster.devices[j].compute_s(*work) for j, work in share_work(unit, placement, cluster.bytes_per_element))


@lru_cache(maxsize=4096)
def least_makespan_s(unit: Unit, dim: str, cluster: Cluster, team: tuple[int, ...]) -> float:
    """The least compute time over all shares of a dimension, by enumeration."""
    return min(compute_s(unit, way, cluster) for way in all_placements(unit, cluster, team) if way.dim == dim)


def edges_of(graph: Graph, cluster: Cluster, team: Sequence[int]) -> Iterator[TinyEdge]:
    """The edges of a graph, the source's and the sink's included."""
    for edges in graph.edges_into:
        for edge in edges:
            yield TinyEdge(Instance(graph, cluster), tuple(team), edge)


@lru_cache(maxsize=8)
def tiny_edges(instances: int, *, most_pairs: int = 1000, seed: int = 0) -> list[TinyEdge]:
    """The edges of random chains and branched graphs, in turn, on two to four devices, of which not too many pairs of placements exist."""
    found = []
    for number in range(instances):
        rng = random.Random(f"{seed}/{number}")
        graph = random_branched_graph(rng, tiny=True) if number % 2 else random_graph(rng, operators=rng.choice([2, 3]), tiny=True)
        cluster = random_cluster(rng, devices=rng.choice([2, 3, 3, 4]))
        team = random_order_of_team(rng, len(cluster), number // 2)
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


def even_slices_of(edge: TensorEdge, dim: Dim, devices: int) -> tuple[int, ...] | None:
    """The shares, in granules, that are said to need just the slices of a reduce-scatter."""
    return shares_of_even_slices(edge, split(dim), devices)


def modes_of(arcs: Iterable[Arc]) -> set[str]:
    return {mode_of(arc) for arc in arcs}


def mode_of(arc: Arc) -> str:
    """The kind of an arc, and whether it lies behind a reduce-scatter."""
    return f"{'two-phase ' if arc.two_phase else ''}{arc.kind}"


def arc_in_mode(source: Node, target: Node, mode: str) -> Arc:
    """The arc between two nodes of such a mode."""
    return Arc(source, target, TransferKind(mode.removeprefix("two-phase ")), mode.startswith("two-phase "))


def random_order_of_team(rng: random.Random, device_count: int, number: int) -> tuple[int, ...]:
    """Two devices or more where there are as many; in ascending order where ``number`` is even, in any where it is odd."""
    team = rng.sample(range(device_count), rng.randint(min(2, device_count), device_count))
    return tuple(team if number % 2 else sorted(team))


def rows_needed(operator: Operator, q: Placement) -> list[tuple[int, int]]:
    """[a S - P, (b - 1) S - P + K): the input rows of each participant's rows [a, b), cut above the first and below the last only."""
    spans = [(int(shard.start * operator.S - operator.P), int((shard.stop - 1) * operator.S - operator.P + operator.K)) for shard in q.shards]
    spans[0] = 0, spans[0][1]
    spans[-1] = spans[-1][0], min(operator.in_shape.height, spans[-1][1])
    return spans


def _positive(amounts: object) -> tuple[object, ...]:
    assert hasattr(amounts, "items")
    return tuple(sorted((device, round(float(amount), 9)) for device, amount in amounts.items() if amount))
