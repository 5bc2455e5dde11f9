"""One operator in the program: its choice of node (equation 2) and its integer shares (equations 3 to 5).

Shares are counted in units of the dimension: rows, channels, or whole groups of output channels where the operator is channel-local.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from iopopt.milp.arcs import Node
from iopopt.milp.program import FloatArray, ProgramBuilder, constant, times
from iopopt.network.graph import Graph
from iopopt.network.operators import Operator

Copies = Sequence[int]
"""The variables of the operator's shares, or of one copy of them, in team order."""


@dataclass(frozen=True)
class Stage:
    """The variables of one operator.

    Attributes:
        choice: x_id, by node.
        shares: n_idj of each split node in its units, in team order.
    """

    operator: Operator
    choice: dict[Node, int]
    shares: dict[Node, Copies]

    def size(self, node: Node) -> int:
        """What the shares of a split node sum to, in its units."""
        assert node.dim is not None
        return self.operator.size(node.dim) // self.granularity(node)

    def unit(self, node: Node) -> int:
        """The rows or channels of one unit of a split node's shares."""
        assert node.dim is not None
        return self.operator.granularity(node.dim)

    def split_shares(self, node: Node, x: FloatArray) -> list[int]:
        """n_ij of a split node, in rows or channels, at a point of the program."""
        return [self.granularity(node) * round(float(x[variable])) for variable in self.shares[node]]


def add_stages(builder: ProgramBuilder, graph: Graph, nodes: Sequence[Sequence[Node]], team: Sequence[int]) -> list[Stage]:
    """The stages of every operator over its ``nodes``, with equations (2) to (5)."""
    return [_add_stage(builder, operator, ways, team) for operator, ways in zip(graph.operators, nodes, strict=True)]


def _add_stage(builder: ProgramBuilder, operator: Operator, nodes: Sequence[Node], team: Sequence[int]) -> Stage:
    choice = {node: builder.variable(f"x[{operator.name},{node}]", upper=1, integer=True) for node in nodes}
    builder.equal(f"eq2[{operator.name}]", times(1, *choice.values()), constant(1))
    stage = Stage(operator, choice, {})
    for node in nodes:
        if node.dim is not None:
            stage.shares[node] = [builder.variable(f"n[{operator.name},{node},{j}]", upper=stage.size(node), integer=True) for j in team]
            builder.equal(f"eq3-5[{operator.name},{node}]", times(1, *stage.shares[node]), times(stage.size(node), choice[node]))
    return stage


def add_copies(builder: ProgramBuilder, stage: Stage, node: Node, label: str, flows: Sequence[int]) -> Copies:
    """A copy of the shares of ``node`` that is in force while one of ``flows`` is."""
    name = f"{stage.operator.name},{node},{label}"
    copies = [builder.variable(f"n[{name},{rank}]") for rank in range(len(stage.shares[node]))]
    builder.equal(f"eq3-5[{name}]", times(1, *copies), times(stage.size(node), *flows))
    return copies
