"""One edge p -> q in the program: a flow over its arcs, and the copies of both operators' shares that its arcs use.

Disaggregation is what makes the relaxation tight: each *group* of arcs has copies of the share variables that its cost depends on, so
a cost is linear in its own copies and no big constant appears.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from iopopt.milp.affine import Affine, constant, times, total
from iopopt.milp.arcs import Arc, Name, Node, arcs_between
from iopopt.milp.operator_variables import Copies, OperatorVariables
from iopopt.milp.program import ProgramBuilder
from iopopt.network.tensor_edge import TensorEdge
from iopopt.plan.splits import ALL_SPLITS, Splits

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
    """One end of an edge: its nodes, and for each the variables of the operator or block whose node it is; source and sink have none, because
    their devices are fixed."""

    owners: Mapping[Node, OperatorVariables | None]

    @classmethod
    def of(cls, operators: Sequence[OperatorVariables]) -> End:
        """All nodes of an operator and of the blocks that end with it."""
        return cls({node: operator for operator in operators for node in operator.choice})

    @property
    def nodes(self) -> Collection[Node]:
        return self.owners.keys()

    def at(self, node: Node) -> OperatorVariables:
        """The variables at a node; only for a node that has some."""
        owner = self.owners[node]
        assert owner is not None  # no cost depends on shares of the source or the sink
        return owner

    def get(self, node: Node) -> OperatorVariables | None:
        """The variables at a node, if it is here and has some."""
        return self.owners.get(node)


@dataclass(frozen=True)
class EdgeVariables:
    """The variables of one edge, from a tensor to one operator or block.

    Attributes:
        p, q: the ends.
        flow: y_a of each arc.
        outgoing: groups of arcs out of each split node of p that depend on its shares.
        incoming: groups of arcs into each split node of q that do.
        loads: the loads of the arcs on the devices.
        scatters: the loads of reduce-scatters, which are rounds of their own.
    """

    edge: TensorEdge
    p: End
    q: End
    flow: dict[Arc, int]
    outgoing: dict[Node, list[Group]] = field(default_factory=dict)
    incoming: dict[Node, list[Group]] = field(default_factory=dict)
    loads: list[Load] = field(default_factory=list)
    scatters: list[Load] = field(default_factory=list)

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


def _label(edge: TensorEdge) -> Name:
    return (edge.p.name, edge.q.name, *([f"input{edge.slot}"] if edge.slot else []))


def add_edge(builder: ProgramBuilder, edge: TensorEdge, p: End, q: End, team_size: int, splits: Splits = ALL_SPLITS) -> EdgeVariables:
    """The flow over the arcs of one edge into the chosen node of q; :class:`Port` lets it leave that of p.

    A flow is integral if parallel arcs join the same two nodes: if it were continuous, half an interleaved and half an all-gathered tensor
    would cost less than either.
    """
    flow: dict[Arc, int] = {}
    for one, other in itertools.product(p.nodes, q.nodes):
        parallel = list(arcs_between(one, edge, other, team_size, splits))
        for arc in parallel:
            flow[arc] = builder.variable(("y", *_label(edge), *arc.name), upper=1, integer=len(parallel) > 1)
    variables = EdgeVariables(edge, p, q, flow)
    for node in q.nodes:
        _conserve(builder, (*variables.label, "target", node), variables.flows_at("target", node), q.get(node), node)
    return variables


def _conserve(builder: ProgramBuilder, label: Name, flows: Sequence[int], owner: OperatorVariables | None, node: Node) -> None:
    builder.equal(("flow", *label), times(1, *flows), constant(1) if owner is None else times(1, owner.choice[node]))


def link_incoming(builder: ProgramBuilder, edge: EdgeVariables) -> None:
    """At the consumer the copies sum to its shares."""
    for node, groups in edge.incoming.items():
        _link(builder, edge.seen_from("target"), edge.q.at(node), node, groups, edge.flows_at("target", node))


class Port:
    """One reading of a tensor by one operator: an edge to the operator by itself, and one into each fused block that fetches it there.

    The flow that leaves p goes to one of them. It is *absorbed* where the reader is a member of a block that has fetched the tensor already.

    Attributes:
        edges: to the operator by itself, if it may be, and to blocks.
    """

    def __init__(self, builder: ProgramBuilder, edge: TensorEdge, p: End, edges: Sequence[EdgeVariables], *, absorbs: bool) -> None:
        self.edge, self.p, self.edges = edge, p, edges
        self._absorbed = {node: builder.variable(("absorbed", *self.label, node), upper=1) for node in p.nodes} if absorbs else {}
        for node in p.nodes:
            _conserve(builder, (*self.label, "source", node), self.flows_at(node), p.get(node), node)

    @property
    def label(self) -> Name:
        """The port's part of the names of variables and rows."""
        return _label(self.edge)

    def flows_at(self, node: Node) -> list[int]:
        """The flows out of a node."""
        flows = [flow for edge in self.edges for flow in edge.flows_at("source", node)]
        return flows + ([self._absorbed[node]] if node in self._absorbed else [])

    def groups_at(self, node: Node) -> list[Group]:
        """The groups of arcs out of a split node that depend on its shares."""
        return [group for edge in self.edges for group in edge.outgoing.get(node, ())]

    def absorbed_at(self, node: Node) -> Affine:
        """1 if the tensor of this node is absorbed."""
        return times(1, self._absorbed[node]) if node in self._absorbed else constant(0)

    @property
    def two_phase(self) -> Affine:
        """1 if p uses a two-phase reduce, and the flow is not absorbed."""
        return total(edge.two_phase for edge in self.edges)

    def reduces_in_two_phases(self, node: Node, flows: Mapping[int, float]) -> bool:
        """Whether the arc taken out of a node of p comes after a reduce-scatter."""
        taken = [(flows[flow], arc.two_phase) for edge in self.edges for arc, flow in edge.flow.items() if arc.source == node]
        return max(taken)[1]

    def link_outgoing(self, builder: ProgramBuilder) -> None:
        """At p the copies sum to its shares; what no group covers gets copies of its own."""
        for node in dict.fromkeys(node for edge in self.edges for node in edge.outgoing):
            rest = self.edges[0].outgoing.setdefault(node, [])
            groups, before = self.groups_at(node), len(self.groups_at(node))
            _link(builder, ("to", *self.label[1:]), self.p.at(node), node, groups, self.flows_at(node))
            rest += groups[before:]


def _link(builder: ProgramBuilder, label: Name, operator: OperatorVariables, node: Node, groups: list[Group], flows: Sequence[int]) -> None:
    """The copies of all groups sum to the shares; flows that no group covers become a group of their own."""
    covered = {flow for group in groups for flow in group.flows}
    rest = [flow for flow in flows if flow not in covered]
    if rest:
        groups.append(Group(rest, operator.copies(builder, node, (*label, "rest"), rest)))
    for rank, (j, share) in enumerate(zip(operator.team, operator.shares[node], strict=True)):
        builder.equal(("copies", operator.unit.name, node, *label, j), times(1, share), times(1, *(group.copies[rank] for group in groups)))
