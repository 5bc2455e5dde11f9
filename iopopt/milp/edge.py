"""One edge p -> q in the program: a flow over its arcs, and the copies of both operators' shares that its arcs use.

Disaggregation is what makes the relaxation tight: each *group* of arcs has copies of the share variables that its cost depends on, so
a cost is linear in its own copies and no big constant appears.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from iopopt.cost.communication import TensorEdge
from iopopt.milp.arcs import Arc, Node, arcs_between, completes, whole
from iopopt.milp.program import Affine, ProgramBuilder, constant, times
from iopopt.milp.stage import Copies, Stage, add_copies

End = Literal["source", "target"]


class Group(NamedTuple):
    """Arcs that share one copy of an operator's shares: in force, these sum to the dimension."""

    flows: Sequence[int]
    copies: Copies


@dataclass(frozen=True)
class Load:
    """What arcs into one node put on the devices: R_j and S_j in bytes, N_j, and the time t_com if nothing else were under way."""

    target: Node
    flows: Sequence[int]
    time: Affine
    received: Mapping[int, Affine]
    sent: Mapping[int, Affine]
    connections: Mapping[int, int]


@dataclass(frozen=True)
class Edge:
    """The variables of one edge.

    Attributes:
        producer: the stage of p; None for the graph's input.
        consumer: that of q; None for the sink.
        first: whether it is the first edge out of p, to which a two-phase reduce charges its first phase.
        flow: y_a of each arc.
        outgoing: groups of arcs out of each split node of p that depend on its shares.
        incoming: groups of arcs into each split node of q that do.
        loads: what the arcs put on the devices.
    """

    label: str
    handover: TensorEdge
    producer: Stage | None
    consumer: Stage | None
    first: bool
    flow: dict[Arc, int]
    outgoing: dict[Node, list[Group]] = field(default_factory=dict)
    incoming: dict[Node, list[Group]] = field(default_factory=dict)
    loads: list[Load] = field(default_factory=list)

    def flows_at(self, end: End, node: Node) -> list[int]:
        """The flow variables of the arcs out of, or into, a node."""
        return [variable for arc, variable in self.flow.items() if getattr(arc, end) == node]

    @property
    def completions(self) -> Affine:
        """1 where p adds up its partial sums in two phases."""
        return times(1, *(variable for arc, variable in self.flow.items() if completes(arc)))


def add_edge(
    builder: ProgramBuilder,
    handover: TensorEdge,
    ends: tuple[Stage | None, Stage | None],
    source: int | None,
    sink: int,
    team_size: int,
    *,
    first: bool,
) -> Edge:
    """The flow over the arcs of one edge, which leaves the chosen node of p and enters that of q.

    A flow is integral where parallel arcs join the same two nodes: left continuous, half an interleaved and half a gathered tensor would
    cost less than either.
    """
    p, q = ends
    sources = list(p.choice) if p else [whole(source or 0)]
    targets = list(q.choice) if q else [whole(sink)]
    slot = f".{handover.slot}" if handover.slot else ""
    label = f"{p.operator.name if p else 'source'}>{q.operator.name if q else 'sink'}{slot}"
    flow: dict[Arc, int] = {}
    for one, other in itertools.product(sources, targets):
        parallel = list(arcs_between(one, handover, other, team_size))
        for arc in parallel:
            flow[arc] = builder.variable(f"y[{label},{one},{other},{arc.mode}]", upper=1, integer=len(parallel) > 1)
    edge = Edge(label, handover, p, q, first, flow)
    _conserve(builder, edge, "source", sources, p)
    _conserve(builder, edge, "target", targets, q)
    return edge


def _conserve(builder: ProgramBuilder, edge: Edge, end: End, nodes: Sequence[Node], stage: Stage | None) -> None:
    for node in nodes:
        taken = times(1, stage.choice[node]) if stage else constant(1)
        builder.equal(f"flow[{edge.label},{end},{node}]", times(1, *edge.flows_at(end, node)), taken)


def link_copies(builder: ProgramBuilder, edge: Edge) -> None:
    """At each end of the edge copies add up to the shares of their operator."""
    _link_end(builder, edge, "source", edge.producer, edge.outgoing)
    _link_end(builder, edge, "target", edge.consumer, edge.incoming)


def _link_end(builder: ProgramBuilder, edge: Edge, end: End, stage: Stage | None, groups_by_node: dict[Node, list[Group]]) -> None:
    for node, groups in groups_by_node.items():
        assert stage is not None  # source and sink have no shares
        covered = {flow for group in groups for flow in group.flows}
        rest = [flow for flow in edge.flows_at(end, node) if flow not in covered]
        if rest:
            groups.append(Group(rest, add_copies(builder, stage, node, f"{edge.label},{end}-rest", rest)))
        for rank, share in enumerate(stage.shares[node]):
            name = f"copies[{stage.operator.name},{node},{edge.label},{end},{rank}]"
            builder.equal(name, times(1, share), times(1, *(group.copies[rank] for group in groups)))
