"""One operator or fused block in the program: its choice of node (equation 2) and its integer shares (equations 3 to 5), in granules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from iopopt.cluster.cluster import Cluster
from iopopt.cost.instance import Instance
from iopopt.milp.affine import constant, times
from iopopt.milp.arcs import Name, Node, node_of
from iopopt.milp.program import FloatArray, ProgramBuilder
from iopopt.network.unit import Unit
from iopopt.plan.placement import Placement, Reduce
from iopopt.plan.splits import Splits

Copies = Sequence[int]
"""The variables of the operator's shares, or of one copy of them, in team order."""


@dataclass(frozen=True)
class OperatorVariables:
    """The variables of one operator, or of one fused block.

    Attributes:
        unit: the operator or block.
        choice: x_id, by node.
        shares: n_idj of each split node in granules, in team order.
        only: the shares of each node that has no others, in granules; a node that is not here may have any.
    """

    unit: Unit
    team: Sequence[int]
    choice: dict[Node, int]
    shares: dict[Node, Copies]
    only: Mapping[Node, Sequence[int]] = field(default_factory=dict)

    def size(self, node: Node) -> int:
        """The sum of the shares of a split node, in granules."""
        assert node.dim is not None
        return self.unit.granules(node.dim)

    def granularity(self, node: Node) -> int:
        """The rows or channels of one granule of a split node's shares."""
        assert node.dim is not None
        return self.unit.granularities[node.dim]

    def share_of(self, node: Node, j: int) -> int | None:
        """The variable of device j's share of a split node; None where it takes no part."""
        return self.shares[node][self.team.index(j)] if node.dim is not None and j in self.team else None

    def placement(self, node: Node, x: FloatArray, reduce: Reduce) -> Placement:
        """The placement of a point of the program, at this node."""
        if node.dim is None:
            assert node.device is not None
            return Placement.whole(node.device)
        shares = [self.granularity(node) * round(float(x[variable])) for variable in self.shares[node]]
        return Placement.split(node.dim, self.team, shares, reduce)

    def point(self, placement: Placement) -> dict[int, float]:
        """The values of the integral variables at a placement."""
        node = node_of(placement, self.unit.span)
        shares = () if node.dim is None else zip(self.shares[node], placement.shares, strict=True)
        return {self.choice[node]: 1.0, **{variable: share / self.granularity(node) for variable, share in shares}}

    def copies(self, builder: ProgramBuilder, node: Node, label: Name, flows: Sequence[int]) -> Copies:
        """A copy of the shares of ``node`` that is active while one of ``flows`` is."""
        name = (self.unit.name, node, *label)
        copies = [builder.variable(("n", *name, j)) for j in self.team]
        self._sum_up(builder, name, node, copies, flows)
        return copies

    def add_shares(self, builder: ProgramBuilder, node: Node) -> None:
        """The shares of a split node, with equations (3) to (5)."""
        name = self.unit.name, node
        self.shares[node] = [builder.variable(("n", *name, j), upper=self.size(node), integer=True) for j in self.team]
        self._sum_up(builder, name, node, self.shares[node], [self.choice[node]])

    def _sum_up(self, builder: ProgramBuilder, name: Name, node: Node, copies: Copies, flows: Sequence[int]) -> None:
        """The shares of a node, or copies of them, sum to the dimension while one of ``flows`` is 1; where a node has one choice of shares,
        they are those."""
        if node not in self.only:
            builder.equal(("eq3-5", *name), times(1, *copies), times(self.size(node), *flows))
            return
        for j, copy, share in zip(self.team, copies, self.only[node], strict=True):
            builder.equal(("eq3-5", *name, j), times(1, copy), times(share, *flows))


def add_operator(
    builder: ProgramBuilder, unit: Unit, nodes: Sequence[Node], team: Sequence[int], only: Mapping[Node, Sequence[int]] = MappingProxyType({})
) -> OperatorVariables:
    """The variables of an operator over its ``nodes``, with equations (3) to (5); ``only`` has the shares of nodes that have no others."""
    choice = {node: builder.variable(("x", unit.name, node), upper=1, integer=True) for node in nodes}
    operator = OperatorVariables(unit, tuple(team), choice, {}, only)
    for node in nodes:
        if node.dim is not None:
            operator.add_shares(builder, node)
    return operator


def only_shares(splits: Splits, unit: Unit, nodes: Iterable[Node], cluster: Cluster, team: Sequence[int]) -> dict[Node, Sequence[int]]:
    """The shares, in granules, of the nodes for which ``splits`` leave no choice."""
    found = {node: splits.only_shares(unit, node.dim, cluster, team) for node in nodes if node.dim is not None}
    return {node: [share // unit.granularities[node.dim] for share in shares] for node, shares in found.items() if shares and node.dim}


def add_operators(
    builder: ProgramBuilder, instance: Instance, nodes: Sequence[Sequence[Node]], team: Sequence[int], splits: Splits
) -> list[list[OperatorVariables]]:
    """For each operator the variables of the operator and of the blocks that end with it, with equations (2) to (5); ``nodes`` are theirs."""
    graph = instance.graph
    placed: list[list[OperatorVariables]] = []
    for i, ways in enumerate(nodes):
        by_span = {span: [node for node in ways if node.span == span] for span in sorted({node.span for node in ways})}
        units = {span: graph.units[i] if span == 1 else graph.block(range(i - span + 1, i + 1)) for span in by_span}
        only = {span: only_shares(splits, units[span], of_span, instance.cluster, team) for span, of_span in by_span.items()}
        placed.append([add_operator(builder, units[span], of_span, team, only[span]) for span, of_span in by_span.items()])
    for i, unit in enumerate(instance.placed):
        choose_one(builder, unit.name, [way for end in range(i, len(placed)) for way in placed[end] if end - way.unit.span < i])
    return placed


class Taken(NamedTuple):
    """What a point of the program takes: the last operator of a unit by number, the unit's variables, and its node."""

    end: int
    operator: OperatorVariables
    node: Node


def taken_by(placed: Sequence[Sequence[OperatorVariables]], x: FloatArray) -> list[Taken]:
    """The units that a point takes, in order; ``placed`` are the variables of :func:`add_operators`."""
    found: list[Taken] = []
    end = len(placed) - 1
    while end >= 0:
        ways = [(float(x[variable]), operator, node) for operator in placed[end] for node, variable in operator.choice.items()]
        _, operator, node = max(ways, key=lambda way: way[0])
        found.insert(0, Taken(end, operator, node))
        end -= node.span
    return found


def choose_one(builder: ProgramBuilder, name: str, ways: Iterable[OperatorVariables]) -> None:
    """Equation (2) of the operator ``name``: one node, of the operator itself or of a block of which it is a member."""
    builder.equal(("eq2", name), times(1, *(variable for way in ways for variable in way.choice.values())), constant(1))
