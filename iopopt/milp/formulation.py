"""The exact program for one team: equations (1) to (8) of ``cost_model.md`` over dimensions and integer shares.

Symbols: x_id says that operator i takes node d (equation 2), n_idj are its integer shares (equations 3 to 5), y_a that arc a of an edge
is taken, T_g and Com_g are compute and communication time of a *group* g of arcs, A_j the largest activation demand of device j (equation 1).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from iopopt.cluster.cluster import Cluster
from iopopt.cost.communication import TensorEdge, edge_phases
from iopopt.milp.arcs import Arc, Node, completes, mode_of, node_of, nodes_of
from iopopt.milp.compute_times import ComputeTimes
from iopopt.milp.edge import Edge, add_edge, link_copies
from iopopt.milp.edge_costs import EdgeCosts
from iopopt.milp.joint_costs import add_joint_costs
from iopopt.milp.memory_rows import add_memory
from iopopt.milp.program import FloatArray, Program, ProgramBuilder, constant
from iopopt.milp.stage import Stage, add_stages
from iopopt.network.graph import Graph, Link
from iopopt.plan.placement import Placement, Reduce
from iopopt.plan.plan import Plan


class Formulation:
    """The program of one graph, cluster and team, and the translation between plans and its points.

    Args:
        team: the devices over which a split operator is split, ascending; with one device nothing is split.
        scale_s: the unit of the objective, seconds; a latency near the optimum keeps the numbers near 1.
        reserve_bytes: held back from every memory limit; 0 is equation (1).
        cutoff_s: no plan slower than this is looked for, seconds.
        nodes: what each operator may be; every node of its own unless given.
    """

    def __init__(
        self,
        graph: Graph,
        cluster: Cluster,
        team: Sequence[int],
        scale_s: float,
        *,
        reserve_bytes: float = 0.0,
        cutoff_s: float | None = None,
        nodes: Sequence[Sequence[Node]] | None = None,
    ) -> None:
        self.graph, self.cluster, self.team, self.scale_s = graph, cluster, tuple(team), scale_s
        self._builder = ProgramBuilder()
        nodes = nodes or [nodes_of(operator, len(cluster), self.team) for operator in graph.operators]
        self._stages = add_stages(self._builder, graph, nodes, self.team)
        self._edges = {link: self._add_edge(link) for link in graph.links if link.producer is not None or cluster.source is not None}
        self._sink_edge = self._add_sink_edge()
        incoming = [[self._edges[link] for link in links if link in self._edges] for links in graph.links_into]
        for operator, edges in zip(graph.operators, incoming, strict=True):
            self._charge_edges(operator.name, edges)
        self._charge_edges("sink", [self._sink_edge])
        compute = ComputeTimes(self._builder, cluster, self.team, scale_s)
        for stage, into, out in zip(self._stages, incoming, self._outgoing_edges(), strict=True):
            self._one_reduce(stage, out)
            compute.add(stage, into, out)
        completions = [edges[0].completions for edges in self._outgoing_edges()]
        limits = [constant(device.memory_bytes - reserve_bytes) for device in cluster.devices]
        add_memory(self._builder, graph, self._stages, cluster, self.team, limits, completions)
        if cutoff_s is not None:
            self._builder.cost_at_most("cutoff", cutoff_s / scale_s)
        self.program: Program = self._builder.build()

    def plan(self, x: FloatArray) -> Plan:
        """The plan that a point of the program stands for."""
        return Plan.of(self.graph, [self._placement(stage, edges[0], x) for stage, edges in zip(self._stages, self._outgoing_edges(), strict=True)])

    def integer_point(self, plan: Plan) -> dict[int, float]:
        """The integral variables of the point that stands for ``plan``, a plan of this team."""
        point = {int(variable): 0.0 for variable in np.flatnonzero(self.program.integer)}
        for stage in self._stages:
            placement = plan[stage.operator.name]
            node = node_of(placement)
            point[stage.choice[node]] = 1.0
            if node.dim is not None:
                point.update((variable, share / stage.granularity(node)) for variable, share in zip(stage.shares[node], placement.shares, strict=True))
        point.update((variable, 1.0) for variable in self._flows_of(plan) if variable in point)
        return point

    # Translation.

    def _flows_of(self, plan: Plan) -> Iterator[int]:
        """The flow variables of the arcs that a plan takes, by the case under which the evaluator prices each edge."""
        placements = [plan[operator.name] for operator in self.graph.operators]
        source = Placement.whole(self.cluster.source or 0)
        ends = [
            (edge, source if link.producer is None else placements[link.producer], placements[link.consumer]) for link, edge in self._edges.items()
        ]
        for edge, p, q in [*ends, (self._sink_edge, placements[-1], Placement.whole(self.cluster.sink))]:
            case = edge_phases(edge.handover, p, q, self.cluster.bytes_per_element)[-1].case
            yield edge.flow[Arc(node_of(p), node_of(q), mode_of(case, p))]

    def _placement(self, stage: Stage, edge: Edge, x: FloatArray) -> Placement:
        """The placement of an operator; ``edge`` is one out of it."""
        node = max(stage.choice, key=lambda candidate: float(x[stage.choice[candidate]]))
        if node.dim is None:
            assert node.device is not None
            return Placement.whole(node.device)
        return Placement.split(node.dim, self.team, stage.split_shares(node, x), _reduce(edge, node, x))

    # Edges: flow conservation, and equation (8).

    def _add_edge(self, link: Link) -> Edge:
        graph, p = self.graph, None if link.producer is None else self._stages[link.producer]
        handover = TensorEdge(p.operator if p else None, graph.operators[link.consumer], link.slot)
        first = link.producer is None or link == graph.links_from[link.producer][0]
        ends = (p, self._stages[link.consumer])
        return add_edge(self._builder, handover, ends, self.cluster.source, self.cluster.sink, len(self.team), first=first)

    def _add_sink_edge(self) -> Edge:
        handover, ends = TensorEdge(self.graph.output, None), (self._stages[-1], None)
        return add_edge(self._builder, handover, ends, self.cluster.source, self.cluster.sink, len(self.team), first=True)

    def _outgoing_edges(self) -> list[list[Edge]]:
        """The edges out of each operator, the first consumer's first; the sink's out of the last."""
        return [*([self._edges[link] for link in links] for links in self.graph.links_from[:-1]), [self._sink_edge]]

    def _charge_edges(self, label: str, edges: Sequence[Edge]) -> None:
        """The cost of every arc into one consumer."""
        joint = len(edges) > 1
        for edge in edges:
            EdgeCosts(self._builder, self.cluster, self.team, self.scale_s, edge, joint=joint).add()
            link_copies(self._builder, edge)
        if joint:
            add_joint_costs(self._builder, self.cluster, self.scale_s, label, edges)

    def _one_reduce(self, stage: Stage, edges: Sequence[Edge]) -> None:
        """Partial sums are added up in one way for all consumers."""
        for edge in edges[1:]:
            if edge.completions[0]:
                self._builder.equal(f"reduce[{stage.operator.name},{edge.label}]", edge.completions, edges[0].completions)


def _reduce(edge: Edge, node: Node, x: FloatArray) -> Reduce:
    """How the partial sums of an input-channel split travel: the mode of the arc taken out of it."""
    flows = {arc: float(x[variable]) for arc, variable in edge.flow.items() if arc.source == node}
    return "two_phase" if completes(max(flows, key=lambda arc: flows[arc])) else "direct"
