"""Equation (7) in the programme: the compute time of every operator, by group of the arcs out of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from iopopt.cluster import Cluster
from iopopt.milp.arcs import Arc, Node
from iopopt.milp.bounds import best_makespan_s
from iopopt.milp.edge import Edge, Group
from iopopt.milp.program import Affine, ProgramBuilder, plus, scaled, times, total
from iopopt.milp.stage import Stage

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
        self._times: dict[tuple[str, Node], Times] = {}

    def add(self, stage: Stage, incoming: Sequence[Edge], outgoing: Edge) -> None:
        """The times of one operator, with the edges into it and one out of it; operators come in topological order."""
        for node, choice in stage.choice.items():
            if node.dim is None and stage.operator.flops:
                assert node.device is not None
                self._builder.add_cost(choice, stage.operator.flops / self._cluster.devices[node.device].flops_per_s / self._scale_s)
            elif node.dim is not None:
                groups = outgoing.outgoing.get(node) or [Group([choice], stage.shares[node])]
                if stage.operator.flops:
                    self._add_times(
                        stage, node, _line(stage, node, best_makespan_s(stage.operator, node.dim, self._cluster, self._team)), groups, cost=1
                    )
                else:
                    self._add_shadow(stage, node, incoming, groups)

    def _add_times(self, stage: Stage, node: Node, line: Line, groups: Sequence[Group], cost: float) -> Times:
        label = f"{stage.operator.name},{node}"
        variables = [self._builder.variable(f"T[{label},{number}]", cost=cost) for number in range(len(groups))]
        for time, (number, group) in zip(variables, enumerate(groups), strict=True):
            for copy, j in zip(group.copies, self._team, strict=True):
                speed = self._cluster.devices[j].flops_per_s * self._scale_s
                flops = plus(times(line.each / speed, copy), times(line.one / speed, *group.flows))
                self._builder.at_least(f"eq7[{label},{number},{j}]", times(1, time), flops)
            self._builder.at_least(f"makespan[{label},{number}]", times(1, time), times(line.floor_s / self._scale_s, *group.flows))
        found = self._times[stage.operator.name, node] = Times(line, groups, variables)
        return found

    def _add_shadow(self, stage: Stage, node: Node, incoming: Sequence[Edge], groups: Sequence[Group]) -> None:
        """The times of the operator before, where its shares are taken over; beyond any of them where they come from elsewhere."""
        edge = next((edge for edge in incoming if self._gives_shares(edge, stage, node)), None)
        if edge is None:
            return
        assert edge.producer is not None  # the input has no times
        before = self._times[edge.producer.operator.name, node]
        kept = [flow for arc, flow in edge.flow.items() if arc.source == arc.target == node and arc.mode in _KEEPING]
        limit = [times(1, *_times_of(before, kept)), *(self._slowest(before.line, edge, arc) for arc in edge.flow if arc.target == node)]
        shadow = self._add_times(stage, node, before.line, groups, cost=0)
        self._builder.at_most(f"shadow[{stage.operator.name},{node}]", times(1, *shadow.times), total(limit))

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
        if arc.mode == "direct" and arc.target.dim == "H" and edge.handover.conv_shape == edge.handover.shape:
            return plus(times(taking_part, flow), scaled(self._per_transfer(line, edge) / count, moved))
        return times(max(self._alone_s(line, self._team), line.floor_s / self._scale_s), flow)

    def _alone_s(self, line: Line, devices: Iterable[int | None]) -> float:
        """The time of the slowest of these devices for all of the operator, in units of the objective."""
        return max((line.one + line.each * line.size) / (self._cluster.devices[j].flops_per_s * self._scale_s) for j in devices if j is not None)

    def _gives_shares(self, edge: Edge, stage: Stage, node: Node) -> bool:
        """Whether the operator takes over shares unchanged from a producer that has times."""
        p = edge.producer
        if p is None or (p.operator.name, node) not in self._times or p.size(node) != stage.size(node) or p.unit(node) != stage.unit(node):
            return False
        same_rows = (stage.operator.K, stage.operator.S, stage.operator.P) == (1, 1, 0)
        return same_rows if node.dim == "H" else any(arc.mode == "interleaved" for arc in edge.flow if arc.target == node)

    def _per_transfer(self, line: Line, edge: Edge) -> float:
        """How much longer a device would compute, for each second in which it receives further rows."""
        row = self._cluster.bytes_per_element * edge.handover.shape.channels * edge.handover.shape.width
        devices = [self._cluster.devices[j] for j in self._team]
        return max(line.each * device.bandwidth_bytes_per_s / (device.flops_per_s * row) for device in devices)


def _line(stage: Stage, node: Node, floor_s: float) -> Line:
    operator, size = stage.operator, stage.size(node)
    if node.dim == "H":
        pool, row = operator.pool.rows, operator.flops / operator.conv_shape.height
        return Line(row * (pool.extent - pool.stride), row * pool.stride, size, floor_s)
    return Line(0.0, operator.flops / size, size, floor_s)


def _times_of(before: Times, flows: Sequence[int]) -> list[int]:
    """The times of the groups in which these arcs are; of all groups where the times are kept by arcs of another edge."""
    grouped = [time for group, time in zip(before.groups, before.times, strict=True) if set(group.flows) & set(flows)]
    return grouped or list(before.times)
