"""The exact program for one team: equations (1) to (8) of ``cost_model.md`` over dimensions and integer shares.

Symbols: x_id says that operator i takes node d (equation 2), n_idj are its integer shares (equations 3 to 5), y_a that arc a of an edge
is taken, T_g and Com_g are compute and communication time of a *group* g of arcs, A_j the largest activation demand of device j (equation 1).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import numpy as np

from iopopt.cost.instance import Instance
from iopopt.cost.stopwatch import NO_LIMIT, Stopwatch
from iopopt.cost.transfers import edge_rounds
from iopopt.milp.affine import constant
from iopopt.milp.arcs import Node, arc_of, node_of, nodes_of
from iopopt.milp.compute_times import ComputeTimes
from iopopt.milp.edge_costs import EdgeCosts
from iopopt.milp.edge_variables import EdgeVariables, End, add_edge, link_copies
from iopopt.milp.joint_costs import add_joint_costs
from iopopt.milp.memory_rows import add_memory
from iopopt.milp.operator_variables import OperatorVariables, add_operator
from iopopt.milp.program import FloatArray, Program, ProgramBuilder
from iopopt.plan.placement import Placement
from iopopt.plan.plan import Plan


class Formulation:
    """The program of one instance and team, and the translation between plans and its points.

    Args:
        team: the devices over which a split operator is split, in the order of their intervals; with one device nothing is split.
        scale_s: the unit of the objective, seconds; a latency near the optimum keeps the numbers near 1.
        reserve_bytes: held back from every memory limit; 0 is equation (1).
        cutoff_s: plans slower than this are excluded, seconds.
        nodes: the admissible nodes of each operator; all by default.
        without: ideas to leave out (:data:`iopopt.milp.ideas.IDEAS`).
        watch: the time that there is to build it.

    Raises:
        TimeUpError: if the time is up before the program is complete.
    """

    def __init__(
        self,
        instance: Instance,
        team: Sequence[int],
        scale_s: float,
        *,
        reserve_bytes: float = 0.0,
        cutoff_s: float | None = None,
        nodes: Sequence[Sequence[Node]] | None = None,
        without: Collection[str] = (),
        watch: Stopwatch = NO_LIMIT,
    ) -> None:
        self.instance, self.team, self.scale_s = instance, tuple(team), scale_s
        self._builder, self._without = ProgramBuilder(watch), without
        nodes = nodes or [nodes_of(unit, len(instance.cluster), self.team) for unit in instance.operators]
        self._operators = [add_operator(self._builder, unit, ways, self.team) for unit, ways in zip(instance.operators, nodes, strict=True)]
        terminals = (End([node_of(placement)], None) for placement in instance.terminals)
        self._ends = [*(End(list(operator.choice), operator) for operator in self._operators), *terminals]
        self._into = [
            [add_edge(self._builder, edge, self._ends[edge.producer], self._ends[edge.consumer], len(self.team)) for edge in edges]
            for edges in instance.edges_into
        ]
        self._out_of = [[edge for edges in self._into for edge in edges if edge.edge.producer == i] for i in range(len(self._operators))]
        for unit, edges in zip(instance.units, self._into, strict=False):
            self._charge_edges(unit.name, edges)
        compute = ComputeTimes(self._builder, instance.cluster, self.team, scale_s, without)
        for operator, into, out_of in zip(self._operators, self._into, self._out_of, strict=False):
            self._one_reduce(operator, out_of)
            compute.add(operator, into, out_of)
        limits = [constant(device.memory_bytes - reserve_bytes) for device in instance.cluster.devices]
        add_memory(self._builder, instance, self._operators, limits, [edges[0].two_phase for edges in self._out_of])
        if cutoff_s is not None:
            self._builder.cost_at_most(("cutoff",), cutoff_s / scale_s)
        self.program: Program = self._builder.build()

    def plan(self, x: FloatArray) -> Plan:
        """The plan of a point of the program."""
        placements = [self._placement(operator, edges[0], x) for operator, edges in zip(self._operators, self._out_of, strict=True)]
        return Plan.of(self.instance.graph, placements)

    def integer_point(self, plan: Plan) -> dict[int, float]:
        """The integral variables of the point of ``plan``, a plan of this team."""
        point = {int(variable): 0.0 for variable in np.flatnonzero(self.program.integer)}
        placements = self.instance.placements(plan)
        for operator, placement in zip(self._operators, placements, strict=False):
            node = node_of(placement)
            point[operator.choice[node]] = 1.0
            if node.dim is not None:
                shares = zip(operator.shares[node], placement.shares, strict=True)
                point.update((variable, share / operator.granularity(node)) for variable, share in shares)
        point.update((variable, 1.0) for variable in self._flows_of(placements) if variable in point)
        return point

    # Translation.

    def _flows_of(self, placements: Sequence[Placement]) -> Iterator[int]:
        """The flow variables of the arcs that a plan takes, by the rows of the table under which the evaluator prices each edge."""
        for variables in (edge for edges in self._into for edge in edges):
            edge = variables.edge
            p, q = placements[edge.producer], placements[edge.consumer]
            (kind,) = edge_rounds(edge, p, q, self.instance.cluster.bytes_per_element)[-1].kinds
            yield variables.flow[arc_of(p, q, kind)]

    def _placement(self, operator: OperatorVariables, edge: EdgeVariables, x: FloatArray) -> Placement:
        """The placement of an operator; ``edge`` is one out of it."""
        node = operator.chosen(x)
        flows = {variable: float(x[variable]) for variable in edge.flow.values()}
        return operator.placement(node, x, "two_phase" if edge.reduces_in_two_phases(node, flows) else "direct")

    # Edges: flow conservation, and equation (8).

    def _charge_edges(self, label: str, edges: Sequence[EdgeVariables]) -> None:
        """The cost of every arc into one consumer."""
        joint, cluster = len(edges) > 1, self.instance.cluster
        for edge in edges:
            EdgeCosts(self._builder, cluster, self.team, self.scale_s, edge, joint=joint, without=self._without).add()
            link_copies(self._builder, edge)
        if joint:
            add_joint_costs(self._builder, cluster, self.scale_s, label, edges, without=self._without)

    def _one_reduce(self, operator: OperatorVariables, edges: Sequence[EdgeVariables]) -> None:
        """One kind of reduce for all consumers."""
        for edge in edges[1:]:
            if edge.two_phase.terms:
                self._builder.equal(("reduce", *edge.label), edge.two_phase, edges[0].two_phase)
