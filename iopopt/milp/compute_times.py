"""Equation (7) in the program: the compute time of every operator, by group of the arcs out of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from iopopt.cluster.cluster import Cluster
from iopopt.milp.arcs import Arc, Node
from iopopt.milp.bounds import best_makespan_s
from iopopt.milp.edge import Edge, Group
from iopopt.milp.program import Affine, ProgramBuilder, plus, scaled, times, total
from iopopt.milp.stage import Stage
from iopopt.network.operators import Operator

_KEEPING = ("aligned", "interleaved", "halo")
"""Modes under which shares are taken over, as they are or but for what is handed on."""


class Line(NamedTuple):
    """C_ij of a split node: FLOPs for taking part and FLOPs for each unit of the share; the node's shares sum to ``size`` units.

    Below 0 it is cut by T_g >= 0. ``floor_s`` is the least max_j C_ij / f_j over integer shares.
    """

    one: float
    each: float
    size: int
    floor_s: float


class Times(NamedTuple):
    """T_g of each group of arcs out of one node."""

    line: Line
    groups: Sequence[Group]
    times: Sequence[int]


class ComputeTimes:
    """Adds T_g >= C_ij / f_j and T_g >= the best makespan, on each group's own copies of the shares.

    An operator without FLOPs takes no time, but a share that is cheap to gather is as slow to compute for the operator that it took its
    shares from. Such operators (sums, pools, activations behind a convolution) therefore get *shadow* times: not in the objective, never
    above the time of the operator before, and above C_ij / f_j of that operator on their own copies. Without them the relaxation gathers
    to each device in part, from shares that lie with it altogether. Rows that are handed on between the two take the time to hand them on.
    """

    def __init__(self, builder: ProgramBuilder, cluster: Cluster, team: Sequence[int], scale_s: float) -> None:
        self._builder, self._cluster, self._team, self._scale_s = builder, cluster, tuple(team), scale_s
        self._times: dict[tuple[str, Node], list[Times]] = {}

    def add(self, stage: Stage, incoming: Sequence[Edge], outgoing: Sequence[Edge]) -> None:
        """The times of one operator, with the edges into it and out of it; operators come in topological order."""
        for node, choice in stage.choice.items():
            if node.dim is None and stage.operator.flops:
                assert node.device is not None
                self._builder.add_cost(choice, stage.operator.flops / self._cluster.devices[node.device].flops_per_s / self._scale_s)
            elif node.dim is not None:
                self._add_node(stage, node, incoming, [edge.outgoing.get(node) or [Group([choice], stage.shares[node])] for edge in outgoing])

    def _add_node(self, stage: Stage, node: Node, incoming: Sequence[Edge], groupings: Sequence[Sequence[Group]]) -> None:
        """The times of one split node, by the arcs of the first edge out of it; those by the arcs of other edges are shadows of these."""
        assert node.dim is not None
        if stage.operator.flops:
            line = _line(stage, node, best_makespan_s(stage.operator, node.dim, self._cluster, self._team))
            own = self._add_times(stage, node, line, groupings[0], cost=1)
            self._add_shadows(stage, node, line, times(1, *own.times), groupings[1:])
        else:
            for edge in incoming:
                if self._gives_shares(edge, stage, node):
                    self._add_shadows(stage, node, *self._limit(edge, node), groupings)

    def _add_shadows(self, stage: Stage, node: Node, line: Line, limit: Affine, groupings: Sequence[Sequence[Group]]) -> None:
        """Times by the arcs of each edge, at most ``limit`` in all; one group alone says nothing new, but others may build on it."""
        for groups in groupings:
            if len(groups) > 1 or (stage.operator.name, node) not in self._times:
                shadow = self._add_times(stage, node, line, groups, cost=0)
                self._builder.at_most(f"shadow[{stage.operator.name},{node},{shadow.times[0]}]", times(1, *shadow.times), limit)

    def _add_times(self, stage: Stage, node: Node, line: Line, groups: Sequence[Group], cost: float) -> Times:
        label = f"{stage.operator.name},{node},{len(self._times.get((stage.operator.name, node), ()))}"
        variables = [self._builder.variable(f"T[{label},{number}]", cost=cost) for number in range(len(groups))]
        for time, (number, group) in zip(variables, enumerate(groups), strict=True):
            for copy, j in zip(group.copies, self._team, strict=True):
                speed = self._cluster.devices[j].flops_per_s * self._scale_s
                flops = plus(times(line.each / speed, copy), times(line.one / speed, *group.flows))
                self._builder.at_least(f"eq7[{label},{number},{j}]", times(1, time), flops)
            self._builder.at_least(f"makespan[{label},{number}]", times(1, time), times(line.floor_s / self._scale_s, *group.flows))
        found = Times(line, groups, variables)
        self._times.setdefault((stage.operator.name, node), []).append(found)
        return found

    def _limit(self, edge: Edge, node: Node) -> tuple[Line, Affine]:
        """What the operator before computes by, in the shares of the one behind, and its time where these follow its own; more than any
        time where they come from elsewhere."""
        assert edge.producer is not None  # the input has no times
        assert edge.consumer is not None  # the sink has no shares
        kept = [flow for arc, flow in edge.flow.items() if arc.source == arc.target == node and arc.mode in _KEEPING]
        before = _times_of(self._times[edge.producer.operator.name, node], kept)
        line = _scaled_line(before.line, edge.consumer, node)
        return line, total([times(1, *before.times), *(self._slowest(line, edge, arc) for arc in edge.flow if arc.target == node)])

    def _slowest(self, line: Line, edge: Edge, arc: Arc) -> Affine:
        """How much longer than before a device would compute, with the share that it may get over an arc.

        Each row that a device receives takes time to arrive, so what it gets is bounded by the time of the transfer; only the owner of
        a whole tensor has it for nothing.
        """
        flow, count = edge.flow[arc], len(self._team) - 1
        moved = total(load.time for load in edge.loads if list(load.flows) == [flow])
        if arc.mode in _KEEPING:
            return scaled(self._per_transfer(line, edge), moved)
        taking_part = max(0.0, self._alone_s(line._replace(each=0.0), self._team))
        if arc.mode == "send" and arc.target.dim == "H":
            return plus(times(taking_part + self._alone_s(line, [arc.source.device]), flow), scaled(self._per_transfer(line, edge), moved))
        if arc.mode == "direct" and arc.target.dim == "H" and edge.handover.pre_pool_shape == edge.handover.shape:
            return plus(times(taking_part, flow), scaled(self._per_transfer(line, edge) / count, moved))
        return times(max(self._alone_s(line, self._team), line.floor_s / self._scale_s), flow)

    def _alone_s(self, line: Line, devices: Iterable[int | None]) -> float:
        """The time of the slowest of these devices for all of the operator, in units of the objective."""
        return max((line.one + line.each * line.size) / (self._cluster.devices[j].flops_per_s * self._scale_s) for j in devices if j is not None)

    def _gives_shares(self, edge: Edge, stage: Stage, node: Node) -> bool:
        """Whether a device has of the operator's shares at most what it had of the producer's, which has times, and what it then received."""
        p = edge.producer
        if p is None or (p.operator.name, node) not in self._times or p.granularity(node) != stage.granularity(node):
            return False
        if node.dim == "H":
            return p.granularity(node) == 1 and _covers(stage.operator)
        return p.size(node) == stage.size(node) and any(arc.mode == "interleaved" for arc in edge.flow if arc.target == node)

    def _per_transfer(self, line: Line, edge: Edge) -> float:
        """How much longer a device would compute, for each second in which it receives further rows."""
        assert edge.consumer is not None  # the sink has no shares
        row = self._cluster.bytes_per_element * edge.handover.shape.channels * edge.handover.shape.width * float(edge.consumer.operator.S)
        devices = [self._cluster.devices[j] for j in self._team]
        return max(line.each * device.bandwidth_bytes_per_s / (device.flops_per_s * row) for device in devices)


def _covers(operator: Operator) -> bool:
    """Whether n rows of the output need n S rows of the input at least, cut at its edges: the field reaches no further beyond them than
    it overlaps."""
    overlap = operator.K - operator.S
    beyond = (operator.out_shape.height - 1) * operator.S - operator.P + operator.K - operator.in_shape.height
    return overlap >= operator.P and beyond <= overlap


def _scaled_line(line: Line, stage: Stage, node: Node) -> Line:
    """The line of the operator before, by the shares of the one behind: S rows of the one for each of the other."""
    if node.dim != "H" or stage.operator.K == stage.operator.S == 1:
        return line
    return Line(line.one, line.each * float(stage.operator.S), stage.size(node), 0.0)


def _line(stage: Stage, node: Node, floor_s: float) -> Line:
    operator, size = stage.operator, stage.size(node)
    if node.dim == "H":
        pool, row = operator.pool.rows, operator.flops / operator.pre_pool_shape.height
        return Line(row * (pool.extent - pool.stride), row * pool.stride, size, floor_s)
    return Line(0.0, operator.flops / size, size, floor_s)


def _times_of(before: Sequence[Times], flows: Sequence[int]) -> Times:
    """The first times by arcs among which these are, in the groups that have them; the first of all where there are none."""
    for of in before:
        grouped = [(group, time) for group, time in zip(of.groups, of.times, strict=True) if set(group.flows) & set(flows)]
        if grouped:
            return of._replace(groups=[group for group, _ in grouped], times=[time for _, time in grouped])
    return before[0]
