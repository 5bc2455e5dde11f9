"""The exact program for one team: equations (1) to (8) of ``cost_model.md`` over dimensions and integer shares.

Symbols: x_id says that operator i takes node d (equation 2), n_idj are its integer shares (equations 3 to 5), y_a that arc a of an edge
is taken, T_g and Com_g are compute and communication time of a *group* g of arcs, A_j the largest activation demand of device j (equation 1).
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Sequence

import numpy as np

from iopopt.cost.instance import Instance
from iopopt.cost.stopwatch import NO_LIMIT, Stopwatch
from iopopt.cost.transfers import edge_rounds
from iopopt.milp.affine import total
from iopopt.milp.arcs import Node, all_nodes, arc_of, node_of
from iopopt.milp.compute_times import ComputeTimes
from iopopt.milp.deadline import keep_deadline
from iopopt.milp.edge_costs import EdgeCosts
from iopopt.milp.edge_variables import EdgeVariables, End, Port, add_edge, link_incoming
from iopopt.milp.energy_rows import EnergyGoal, minimise_energy
from iopopt.milp.joint_costs import add_joint_costs
from iopopt.milp.memory_goal import MemoryGoal
from iopopt.milp.memory_rows import Top, add_memory
from iopopt.milp.operator_variables import OperatorVariables, add_operators, taken_by
from iopopt.milp.program import FloatArray, Program, ProgramBuilder
from iopopt.network.tensor_edge import TensorEdge
from iopopt.plan.placement import Placement
from iopopt.plan.plan import Plan
from iopopt.plan.splits import ALL_SPLITS, Splits


class Formulation:
    """The program of one instance and team, and the translation between plans and its points.

    Args:
        team: the devices over which a split operator is split, in the order of their intervals; with one device nothing is split.
        scale_s: the unit of times, and of the objective if that is the latency, seconds; a latency near the optimum keeps the numbers near 1.
        goal: minimise the energy or the memory, in its own unit, within a deadline; None for the latency.
        reserve_bytes: held back from every memory limit; 0 is equation (1).
        cutoff: plans of a larger latency in seconds, or of a larger value by the goal, are excluded.
        nodes: the admissible nodes of each operator, and of the fused blocks that end with it (:func:`all_nodes`); all without blocks by default.
        without: ideas to leave out (:data:`iopopt.milp.ideas.IDEAS`).
        splits: those that plans may have; ``nodes`` must have no others.
        watch: the time that there is to build it.

    Attributes:
        unit: of the objective, seconds or that of the goal.

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
        cutoff: float | None = None,
        goal: EnergyGoal | MemoryGoal | None = None,
        nodes: Sequence[Sequence[Node]] | None = None,
        without: Collection[str] = (),
        splits: Splits = ALL_SPLITS,
        watch: Stopwatch = NO_LIMIT,
    ) -> None:
        self.instance, self.team, self.scale_s, self._splits = instance, tuple(team), scale_s, splits
        self.unit = scale_s if goal is None else goal.unit
        self._builder, self._without = ProgramBuilder(watch), without
        self._placed = add_operators(self._builder, instance, nodes or all_nodes(instance, self.team, splits=splits), self.team, splits)
        self._ends = [*map(End.of, self._placed), *(End({node_of(placement): None}) for placement in instance.terminals)]
        self._edges: dict[tuple[int, ...], EdgeVariables] = {}
        self._ports = [[self._add_port(edge) for edge in edges] for edges in instance.edges_into]
        self._out_of = [[port for ports in self._ports for port in ports if port.edge.producer == i] for i in range(len(self._placed))]
        self._charge_edges()
        compute = ComputeTimes(self._builder, instance.cluster, self.team, scale_s, without)
        for i, out_of in enumerate(self._out_of):
            self._one_reduce(out_of)
            for operator in self._placed[i]:
                compute.add(operator, self._into(i) if operator.unit.span == 1 else [], out_of)
        tops: list[Top] = []
        if goal is not None:
            keep_deadline(self._builder, scale_s, goal.latest_s)
        if isinstance(goal, EnergyGoal):
            operators = (operator for at_operator in self._placed for operator in at_operator)
            minimise_energy(self._builder, instance.cluster, scale_s, goal, operators, self._edges.values())
        elif goal is not None:
            tops = goal.minimise(self._builder, instance.cluster)
        two_phase = [ports[0].two_phase for ports in self._out_of]
        add_memory(self._builder, instance, self._placed, two_phase, reserve_bytes=reserve_bytes, tops=tops)
        if cutoff is not None:
            self._builder.cost_at_most(("cutoff",), cutoff / self.unit)
        self.program: Program = self._builder.build()

    def plan(self, x: FloatArray) -> Plan:
        """The plan of a point of the program."""
        taken = taken_by(self._placed, x)
        placements = [self._placement(operator, node, self._out_of[end][0], x) for end, operator, node in taken]
        return Plan.of(self.instance.graph, placements, [node.span for _, _, node in taken])

    def integer_point(self, plan: Plan) -> dict[int, float]:
        """The integral variables of the point of ``plan``, a plan of this team."""
        point = {int(variable): 0.0 for variable in np.flatnonzero(self.program.integer)}
        instance = Instance(self.instance.graph, self.instance.cluster, plan.spans(self.instance.graph))
        placements, ends = instance.placements(plan), self._last_operators(plan)
        for end, unit, placement in zip(ends, instance.placed, placements, strict=False):
            point.update(self._ends[end].at(node_of(placement, unit.span)).point(placement))
        point.update((variable, 1.0) for variable in self._flows_of(instance, placements, ends) if variable in point)
        return point

    # Blocks.

    def _blocks_over(self, i: int) -> list[tuple[range, OperatorVariables]]:
        """The blocks of which an operator is a member, with their members."""
        every = ((end, way) for end in range(i, len(self._placed)) for way in self._placed[end])
        return [(range(end - way.unit.span + 1, end + 1), way) for end, way in every if way.unit.span > 1 and end - way.unit.span < i]

    # Translation.

    def _last_operators(self, plan: Plan) -> list[int]:
        """The last operator of each unit of a plan, then the sink and the source."""
        graph = self.instance.graph
        lengths = plan.spans(graph) or (1,) * len(graph)
        return [*(stop - 1 for stop in itertools.accumulate(lengths)), graph.sink, graph.source]

    def _flows_of(self, instance: Instance, placements: Sequence[Placement], ends: Sequence[int]) -> Iterator[int]:
        """The flow variables of the arcs that a plan takes, by the rows of the table under which the evaluator prices each edge."""
        for edge in (edge for edges in instance.edges_into for edge in edges):
            p, q = placements[edge.producer], placements[edge.consumer]
            (kind,) = edge_rounds(edge, p, q, self.instance.cluster.bytes_per_element)[-1].kinds
            variables = self._edges[ends[edge.producer], ends[edge.consumer], edge.q.span, edge.slot]
            yield variables.flow[arc_of(p, q, kind, (edge.p.span, edge.q.span))]

    def _placement(self, operator: OperatorVariables, node: Node, port: Port, x: FloatArray) -> Placement:
        """The placement of an operator or block at a node; ``port`` is one out of it."""
        flows = {variable: float(x[variable]) for edge in port.edges for variable in edge.flow.values()}
        two_phase = node.dim == "IC" and port.reduces_in_two_phases(node, flows)
        return operator.placement(node, x, "two_phase" if two_phase else "direct")

    # Edges: flow conservation, and equation (8).

    def _add_port(self, edge: TensorEdge) -> Port:
        """The edges by which an operator may read a tensor, by itself or as the member of a block that fetches it."""
        p, consumer, absorbs, edges = self._ends[edge.producer], edge.consumer, False, []
        alone = self._ends[consumer]
        own = {node: owner for node, owner in alone.owners.items() if node.span == 1}
        if own:
            edges.append(self._add_edge(edge, p, End(own), consumer))
        for members, block in self._blocks_over(consumer) if consumer < len(self._placed) else ():
            if edge.producer in members:
                continue
            if self.instance.graph.fetches(members, consumer, edge.slot):
                into = TensorEdge(edge.producer, members[-1], 0, edge.p, block.unit, edge.first)
                edges.append(self._add_edge(into, p, End.of([block]), members[-1]))
            else:
                absorbs = True
        return Port(self._builder, edge, p, edges, absorbs=absorbs)

    def _add_edge(self, edge: TensorEdge, p: End, q: End, consumer: int) -> EdgeVariables:
        found = add_edge(self._builder, edge, p, q, len(self.team), self._splits)
        self._edges[edge.producer, consumer, edge.q.span, edge.slot] = found
        return found

    def _into(self, consumer: int) -> list[EdgeVariables]:
        """The edges into an operator by itself, or into the sink."""
        return [edge for port in self._ports[consumer] for edge in port.edges if edge.edge.q.span == 1]

    def _charge_edges(self) -> None:
        """The cost of every arc, and the shares on which it depends."""
        cluster = self.instance.cluster
        for consumer, ports in enumerate(self._ports):
            joint = len(ports) > 1
            for edge in (edge for port in ports for edge in port.edges):
                alone = edge.edge.q.span == 1
                EdgeCosts(self._builder, cluster, self.team, self.scale_s, edge, joint=joint and alone, without=self._without).add()
                link_incoming(self._builder, edge)
            for port in ports:
                port.link_outgoing(self._builder)
            if joint:
                name = self.instance.units[consumer].name
                add_joint_costs(self._builder, cluster, self.scale_s, name, self._into(consumer), without=self._without)

    def _one_reduce(self, ports: Sequence[Port]) -> None:
        """One kind of reduce for all consumers, except where the tensor is absorbed."""
        for port in ports[1:]:
            if not port.two_phase.terms:
                continue
            absorbed = total(port.absorbed_at(node) for node in port.p.nodes if node.dim == "IC")
            if absorbed.terms:
                self._builder.at_most(("reduce", *port.label, "at most"), port.two_phase, ports[0].two_phase)
                self._builder.at_least(("reduce", *port.label, "at least"), port.two_phase + absorbed, ports[0].two_phase)
            else:
                self._builder.equal(("reduce", *port.label), port.two_phase, ports[0].two_phase)
