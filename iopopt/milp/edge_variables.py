"""One edge p -> q in the program: a flow over its arcs, and the copies of both operators' shares that its arcs use.

Disaggregation is what makes the relaxation tight: each *group* of arcs has copies of the share variables that its cost depends on, so
a cost is linear in its own copies and no big constant appears.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from iopopt.milp.affine import Affine, constant, times
from iopopt.milp.arcs import Arc, Name, Node, arcs_between
from iopopt.milp.operator_variables import Copies, OperatorVariables
from iopopt.milp.program import ProgramBuilder
from iopopt.network.tensor_edge import TensorEdge

Direction = Literal["source", "target"]


class Group(NamedTuple):
    """Arcs that share one copy of an operator's shares; when active, the copies sum to the dimension."""

    flows: Sequence[int]
    copies: Copies


@dataclass(frozen=True)
class Load:
    """The loads of arcs into one node: R_j and S_j in bytes, N_j, and t_com of this edge alone."""

    target: Node
    flows: Sequence[int]
    time: Affine
    received: Mapping[int, Affine]
    sent: Mapping[int, Affine]
    connections: Mapping[int, int]


class End(NamedTuple):
    """One end of an edge: its nodes, and the variables of its operator; source and sink have none, because their devices are fixed."""

    nodes: Sequence[Node]
    operator: OperatorVariables | None

    @property
    def variables(self) -> OperatorVariables:
        """The variables of the operator; only for an end that is one."""
        assert self.operator is not None  # no cost depends on shares of the source or the sink
        return self.operator


@dataclass(frozen=True)
class EdgeVariables:
    """The variables of one edge.

    Attributes:
        p, q: the ends.
        flow: y_a of each arc.
        outgoing: groups of arcs out of each split node of p that depend on its shares.
        incoming: groups of arcs into each split node of q that do.
        loads: the loads of the arcs on the devices.
    """

    edge: TensorEdge
    p: End
    q: End
    flow: dict[Arc, int]
    outgoing: dict[Node, list[Group]] = field(default_factory=dict)
    incoming: dict[Node, list[Group]] = field(default_factory=dict)
    loads: list[Load] = field(default_factory=list)

    @property
    def label(self) -> Name:
        """The edge's part of the names of variables and rows."""
        return _label(self.edge)

    def seen_from(self, direction: Direction) -> Name:
        """The edge in names that begin with the operator at one of its ends."""
        return ("to", *self.label[1:]) if direction == "source" else ("from", self.label[0], *self.label[2:])

    def flows_at(self, direction: Direction, node: Node) -> list[int]:
        """The flow variables of the arcs out of, or into, a node."""
        return [variable for arc, variable in self.flow.items() if getattr(arc, direction) == node]

    @property
    def two_phase(self) -> Affine:
        """1 if p uses a two-phase reduce."""
        return times(1, *(variable for arc, variable in self.flow.items() if arc.two_phase))

    def reduces_in_two_phases(self, node: Node, flows: Mapping[int, float]) -> bool:
        """Whether the arc taken out of a node of p comes after a reduce-scatter."""
        taken = {arc: flows[variable] for arc, variable in self.flow.items() if arc.source == node}
        return max(taken, key=lambda arc: taken[arc]).two_phase


def _label(edge: TensorEdge) -> Name:
    return (edge.p.name, edge.q.name, *([f"input{edge.slot}"] if edge.slot else []))


def add_edge(builder: ProgramBuilder, edge: TensorEdge, p: End, q: End, team_size: int) -> EdgeVariables:
    """The flow over the arcs of one edge, which leaves the chosen node of p and enters that of q.

    A flow is integral if parallel arcs join the same two nodes: if it were continuous, half an interleaved and half an all-gathered tensor
    would cost less than either.
    """
    flow: dict[Arc, int] = {}
    for one, other in itertools.product(p.nodes, q.nodes):
        parallel = list(arcs_between(one, edge, other, team_size))
        for arc in parallel:
            flow[arc] = builder.variable(("y", *_label(edge), *arc.name), upper=1, integer=len(parallel) > 1)
    variables = EdgeVariables(edge, p, q, flow)
    _conserve(builder, variables, "source", p)
    _conserve(builder, variables, "target", q)
    return variables


def _conserve(builder: ProgramBuilder, edge: EdgeVariables, direction: Direction, end: End) -> None:
    for node in end.nodes:
        taken = times(1, end.operator.choice[node]) if end.operator else constant(1)
        builder.equal(("flow", *edge.label, direction, node), times(1, *edge.flows_at(direction, node)), taken)


def link_copies(builder: ProgramBuilder, edge: EdgeVariables) -> None:
    """At each end of the edge the copies sum to the shares of their operator."""
    _link_end(builder, edge, "source", edge.p, edge.outgoing)
    _link_end(builder, edge, "target", edge.q, edge.incoming)


def _link_end(builder: ProgramBuilder, edge: EdgeVariables, direction: Direction, end: End, groups_by_node: dict[Node, list[Group]]) -> None:
    for node, groups in groups_by_node.items():
        operator = end.variables
        covered = {flow for group in groups for flow in group.flows}
        rest = [flow for flow in edge.flows_at(direction, node) if flow not in covered]
        if rest:
            groups.append(Group(rest, operator.copies(builder, node, (*edge.seen_from(direction), "rest"), rest)))
        for rank, (j, share) in enumerate(zip(operator.team, operator.shares[node], strict=True)):
            name = ("copies", operator.unit.name, node, *edge.seen_from(direction), j)
            builder.equal(name, times(1, share), times(1, *(group.copies[rank] for group in groups)))
