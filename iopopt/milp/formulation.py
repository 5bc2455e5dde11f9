"""The exact programme for one team: equations (1) to (8) of ``cost_model.md`` over dimensions and integer shares.

Symbols: x_id says that operator i takes node d (equation 2), n_idj are its integer shares (equations 3 to 5), y_a that arc a is taken,
T_g and Com_g are compute and communication time of a *group* g of arcs, A_j the largest activation demand of device j (equation 1).

Disaggregation is what makes the relaxation tight: each group has copies of the share variables that its cost depends on, so a cost
is linear in its own copies and no big constant appears. Where parallel arcs join the same two nodes the choice is binary: left
continuous, half an interleaved and half a gathered tensor would cost less than either.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from iopopt.cluster import Cluster
from iopopt.evaluation import Evaluation
from iopopt.graph import Graph
from iopopt.milp.bounds import best_makespan_s
from iopopt.milp.edge_costs import EdgeCosts
from iopopt.milp.handover import Arc, Node, arcs_between, mode_of, node_of, whole
from iopopt.milp.memory_rows import add_memory
from iopopt.milp.program import FloatArray, Program, ProgramBuilder, constant, plus, times
from iopopt.milp.stage import Group, Stage, add_stages, link_copies
from iopopt.operators import Operator
from iopopt.plan import Placement, Plan, Reduce

Flow = Mapping[Arc, int]


class Formulation:
    """The programme of one graph, cluster and team, and the translation between plans and its points.

    Args:
        team: the devices over which a split operator is split, ascending; with one device nothing is split.
        scale_s: the unit of the objective, seconds; a latency near the optimum keeps the numbers near 1.
        reserve_bytes: held back from every memory limit; 0 is equation (1).
        cutoff_s: no plan slower than this is looked for, seconds.
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
    ) -> None:
        self.graph, self.cluster, self.team, self.scale_s = graph, cluster, tuple(team), scale_s
        self._builder = ProgramBuilder()
        self._stages = add_stages(self._builder, graph, cluster, self.team)
        self._flows = [self._add_edge(number) for number in range(len(graph) + 1)]
        for number, stage in enumerate(self._stages):
            incoming, outgoing = self._flows[number : number + 2]
            link_copies(self._builder, stage, _by_node(incoming, "target"), _by_node(outgoing, "source"))
            self._add_compute(stage)
        add_memory(self._builder, self._stages, cluster, self.team, lambda j: constant(cluster.devices[j].memory_bytes - reserve_bytes))
        if cutoff_s is not None:
            self._builder.cost_at_most("cutoff", cutoff_s / scale_s)
        self.program: Program = self._builder.build()

    def plan(self, x: FloatArray) -> Plan:
        """The plan that a point of the programme stands for."""
        return Plan.of(self.graph, [self._placement(number, x) for number in range(len(self.graph))])

    def integer_point(self, plan: Plan, evaluation: Evaluation) -> dict[int, float]:
        """The integral variables of the point that stands for ``plan``, a plan of this team that ``evaluation`` prices."""
        point = {int(variable): 0.0 for variable in np.flatnonzero(self.program.integer)}
        for stage in self._stages:
            placement = plan[stage.operator.name]
            node = node_of(placement)
            point[stage.choice[node]] = 1.0
            if node.dim is not None:
                point.update((variable, share / stage.unit(node)) for variable, share in zip(stage.shares[node], placement.shares, strict=True))
        point.update((variable, 1.0) for variable in self._flows_of(plan, evaluation) if variable in point)
        return point

    # Translation.

    def _flows_of(self, plan: Plan, evaluation: Evaluation) -> Iterator[int]:
        """The flow variables of the arcs that the evaluator saw the plan take."""
        placements = [plan[operator.name] for operator in self.graph.operators]
        cases = [*(cost.cases for cost in evaluation.operators[1:]), evaluation.sink_cases]
        targets = [*map(node_of, placements[1:]), whole(self.cluster.sink)]
        for flow, placement, case, target in zip(self._flows[1:], placements, cases, targets, strict=True):
            yield flow[Arc(node_of(placement), target, mode_of(case, placement))]
        if self.cluster.source is not None:
            yield self._flows[0][Arc(whole(self.cluster.source), node_of(placements[0]), "send")]

    def _placement(self, number: int, x: FloatArray) -> Placement:
        stage = self._stages[number]
        node = max(stage.choice, key=lambda candidate: float(x[stage.choice[candidate]]))
        if node.dim is None:
            assert node.device is not None
            return Placement.whole(node.device)
        return Placement.split(node.dim, self.team, stage.split_shares(node, x), self._reduce(number, node, x))

    def _reduce(self, number: int, node: Node, x: FloatArray) -> Reduce:
        """How the partial sums of an input-channel split travel: the mode of the arc taken out of it."""
        flows = {arc: float(x[variable]) for arc, variable in self._flows[number + 1].items() if arc.source == node}
        return "direct" if max(flows, key=lambda arc: flows[arc]).mode == "direct" else "two_phase"

    # Edges: flow conservation, and equation (8).

    def _add_edge(self, number: int) -> Flow:
        """The arcs into operator ``number``, or into the sink behind the last."""
        if number == 0 and self.cluster.source is None:
            return {}
        p = self._stages[number - 1] if number > 0 else None
        q = self._stages[number] if number < len(self._stages) else None
        sources = list(p.choice) if p else [whole(self.cluster.source or 0)]
        targets = list(q.choice) if q else [whole(self.cluster.sink)]
        label = f"{p.operator.name if p else 'source'}>{q.operator.name if q else 'sink'}"
        flow = self._add_flow(label, sources, q.operator if q else None, targets)
        for side, nodes, stage in (("source", sources, p), ("target", targets, q)):
            by_node = _by_node(flow, side)
            for node in nodes:
                taken = times(1, stage.choice[node]) if stage else constant(1)
                self._builder.equal(f"flow[{label},{side},{node}]", times(1, *by_node[node]), taken)
        EdgeCosts(self._builder, self.cluster, self.team, self.scale_s, label, p, q, flow).add()
        return flow

    def _add_flow(self, label: str, sources: Sequence[Node], consumer: Operator | None, targets: Sequence[Node]) -> Flow:
        """y_a for every arc; integral where parallel arcs are alternatives."""
        flow: dict[Arc, int] = {}
        for source, target in itertools.product(sources, targets):
            parallel = list(arcs_between(source, consumer, target, len(self.team)))
            for arc in parallel:
                flow[arc] = self._builder.variable(f"y[{label},{source},{target},{arc.mode}]", upper=1, integer=len(parallel) > 1)
        return flow

    # Equation (7).

    def _add_compute(self, stage: Stage) -> None:
        """T of each node: a constant where the operator is whole, else by group of outgoing arcs."""
        for node, choice in stage.choice.items():
            if node.dim is None:
                assert node.device is not None
                self._builder.add_cost(choice, stage.operator.flops / self.cluster.devices[node.device].flops_per_s / self.scale_s)
                continue
            groups = stage.outgoing.get(node) or [Group([choice], stage.shares[node])]
            for number, group in enumerate(groups):
                self._add_group_compute(stage, node, f"{stage.operator.name},{node},{number}", group)

    def _add_group_compute(self, stage: Stage, node: Node, label: str, group: Group) -> None:
        """T_g >= C_ij / f_j on the group's copies, and at least the best makespan that integer shares reach."""
        assert node.dim is not None
        makespan = self._builder.variable(f"T[{label}]", cost=1)
        one, each = _flops_line(stage, node)
        for copy, j in zip(group.copies, self.team, strict=True):
            speed = self.cluster.devices[j].flops_per_s * self.scale_s
            self._builder.at_least(f"eq7[{label},{j}]", times(1, makespan), plus(times(each / speed, copy), times(one / speed, *group.flows)))
        floor = best_makespan_s(stage.operator, node.dim, self.cluster, self.team) / self.scale_s
        self._builder.at_least(f"makespan[{label}]", times(1, makespan), times(floor, *group.flows))


def _flops_line(stage: Stage, node: Node) -> tuple[float, float]:
    """C_ij as FLOPs for taking part and FLOPs for each unit of the share; below 0 it is cut by T_g >= 0."""
    operator = stage.operator
    if node.dim == "H":
        pool, row = operator.pool.rows, operator.flops / operator.conv_shape.height
        return row * (pool.extent - pool.stride), row * pool.stride
    return 0.0, operator.flops / stage.size(node)


def _by_node(flow: Flow, side: str) -> dict[Node, list[int]]:
    """The flow variables at each node of one side of an edge."""
    by_node: dict[Node, list[int]] = {}
    for arc, variable in flow.items():
        by_node.setdefault(getattr(arc, side), []).append(variable)
    return by_node
