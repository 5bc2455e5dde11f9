"""The ways to pass a tensor from one placement to the next: the arcs of the program.

Every row of the table of equation (8) is an arc from a *node* of the producer to a node of the consumer. A node is a dimension over the
team, or the whole operator on one device. Arcs whose cost depends on shares form a *group* with its own copies of those shares; see
:mod:`iopopt.milp.formulation`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from iopopt.cost.instance import Instance
from iopopt.cost.transfers import kinds_between
from iopopt.network.shapes import Dim
from iopopt.network.tensor_edge import TensorEdge
from iopopt.network.unit import Unit
from iopopt.plan.placement import Placement, Strategy
from iopopt.plan.shares import even_shares
from iopopt.plan.splits import ALL_SPLITS, Splits
from iopopt.schedule.rounds import TransferKind


class Node(NamedTuple):
    """What a placement is to the program: a dimension over the team, or whole (``dim`` None) on ``device``.

    ``span`` is how many operators it places: more than 1 for a fused block, which is a node of its last operator.
    """

    dim: Dim | None
    device: int | None
    span: int = 1

    def __str__(self) -> str:
        fused = f"{self.span}" if self.span > 1 else ""
        return f"{self.dim}{fused}" if self.dim else f"whole{self.device}"


Name = tuple[str | int | Node, ...]
"""What a variable or a row of the program is called: its family, then operators by name, nodes, devices by index, and further words."""


class Arc(NamedTuple):
    """One way of passing a tensor from ``source`` to ``target``; after a reduce-scatter if ``two_phase``."""

    source: Node
    target: Node
    kind: TransferKind
    two_phase: bool = False

    @property
    def way(self) -> str:
        """How the tensor is passed."""
        return f"two-phase {self.kind}" if self.two_phase else str(self.kind)

    @property
    def name(self) -> Name:
        """The arc's part of the names of variables and rows."""
        return self.source, self.target, self.way


def whole(device: int) -> Node:
    return Node(None, device)


def split(dim: Dim, span: int = 1) -> Node:
    return Node(dim, None, span)


def nodes_of(unit: Unit, device_count: int, team: Sequence[int], splits: Splits = ALL_SPLITS) -> list[Node]:
    """Whole on any device, or split over the team by each dimension that can be; a fused block is never whole."""
    wholes = map(whole, range(device_count)) if unit.span == 1 else ()
    return [*wholes, *(split(dim, unit.span) for dim in splits.dims(unit) if len(team) > 1)]


def all_nodes(instance: Instance, team: Sequence[int], longest_block: int = 1, splits: Splits = ALL_SPLITS) -> list[list[Node]]:
    """The nodes of every operator, and at its last operator that of every fused block of at most so many."""
    nodes = [nodes_of(unit, len(instance.cluster), team, splits) for unit in instance.placed]
    for members in instance.graph.blocks(longest_block):
        nodes[members[-1]] += nodes_of(instance.graph.block(members), len(instance.cluster), team, splits)
    return nodes


def node_of(placement: Placement, span: int = 1) -> Node:
    """The node that a placement over the team, or on one device, belongs to; of ``span`` operators."""
    return whole(placement.devices[0]) if placement.dim is None else split(placement.dim, span)


def arc_of(p: Placement, q: Placement, kind: TransferKind, spans: tuple[int, int] = (1, 1)) -> Arc:
    """The arc that a plan takes, from the row of the table under which the evaluator prices its last round.

    ``spans`` are the numbers of operators that the two placements place.
    """
    return Arc(node_of(p, spans[0]), node_of(q, spans[1]), kind, p.strategy == Strategy.IC_TWO_PHASE)


def arcs_between(source: Node, edge: TensorEdge, target: Node, team_size: int, splits: Splits = ALL_SPLITS) -> Iterator[Arc]:
    """Every arc from ``source`` to ``target``; parallel ones are alternatives of which a plan takes one.

    An IC split has a direct or a two-phase reduce; to the edges into the target its own reduce makes no difference.
    """
    (into, *_) = splits.of_dim(target.dim)
    for strategy in splits.of_dim(source.dim):
        two_phase = strategy == Strategy.IC_TWO_PHASE
        for kind in reversed(kinds_between(edge, strategy, into, same_participants=True)):
            # The slices of a reduce-scatter are fixed: only shares that need exactly these interleave.
            if not (two_phase and kind is TransferKind.INTERLEAVED and shares_of_even_slices(edge, target, team_size) is None):
                yield Arc(source, target, kind, two_phase)


def shares_of_even_slices(edge: TensorEdge, target: Node, team_size: int) -> tuple[int, ...] | None:
    """The shares that need exactly the slices of a reduce-scatter, in granules of ``target``; None if the slices are not whole granules."""
    assert target.dim is not None  # a whole consumer reads everything
    slices, each = even_shares(edge.read.tensor.channels, team_size), edge.channels_per_granule(target.dim)
    return None if any(part % each for part in slices) else tuple(part // each for part in slices)
