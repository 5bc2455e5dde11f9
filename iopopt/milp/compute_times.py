"""Equation (7) in the program: the compute time of every operator, by group of the arcs out of it.

Arcs that depend on the operator's shares form groups, each with its own copies of the shares (:mod:`iopopt.milp.edge_variables`). A plan takes
one group of each edge; the copies, and the times, of all other groups are 0.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from iopopt.cluster.cluster import Cluster
from iopopt.cost.work import whole_work
from iopopt.milp.affine import Affine, times, total
from iopopt.milp.arcs import Arc, Node
from iopopt.milp.bounds import best_makespan_s
from iopopt.milp.edge_variables import EdgeVariables, Group, Port
from iopopt.milp.operator_variables import OperatorVariables
from iopopt.milp.program import ProgramBuilder
from iopopt.network.terms import Line
from iopopt.network.unit import Unit
from iopopt.plan.shares import roofline_lines
from iopopt.schedule.rounds import TransferKind

_SHARES_FOLLOW = (TransferKind.ROW_ALIGNED, TransferKind.INTERLEAVED, TransferKind.HALO_EXCHANGE)
"""Kinds under which the consumer's shares follow the producer's, exactly or up to exchanged rows."""


class ShareWork(NamedTuple):
    """What the participants of a split node compute, or could compute while they touch their bytes (:func:`roofline_lines`), FLOPs: the maximum of
    lines over a share in granules, and 0; the shares sum to ``size`` granules.

    The 0 needs no line, because T_g >= 0. ``lines`` are those of each participant, in team order, by rising slope.
    ``floor_s`` is the least max_j t_cmp over integer shares.
    """

    lines: Sequence[Sequence[Line]]
    size: int
    floor_s: float

    def at(self, rank: int, share: int) -> float:
        """The FLOPs of a participant with a share of so many granules."""
        return max(0.0, *(line.constant + line.slope * share for line in self.lines[rank]))


class Times(NamedTuple):
    """The work of one node, and T_g of each group of the arcs of one edge out of it."""

    work: ShareWork
    groups: Sequence[Group]
    times: Sequence[int]


class ComputeTimes:
    """Adds T_g >= t_cmp of every participant and T_g >= the best makespan, on each group's own copies of the shares.

    Uneven shares make the all-gather to the device with the largest share cheap, but the operator slow. The rows above express this, because
    T_g and the cost of the all-gather are on the same copies. They do not if an operator without FLOPs (a sum, a pool, an activation) is in
    between: its own time is 0, or what little it takes to touch its bytes, although its shares follow those of a producer that is slow. The
    relaxation would then split the all-gather over several arcs, each with all shares on its receiver, at no cost.

    Such operators therefore get *surrogate* times: variables outside the objective that are at most the producer's time, and at least
    t_cmp of the producer on the operator's own copies. If rows are exchanged between the two, the limit includes the transfer time.

    Args:
        without: ideas to leave out (:data:`iopopt.milp.ideas.IDEAS`).
    """

    def __init__(self, builder: ProgramBuilder, cluster: Cluster, team: Sequence[int], scale_s: float, without: Collection[str] = ()) -> None:
        self._builder, self._cluster, self._team, self._scale_s = builder, cluster, tuple(team), scale_s
        self._without = without
        self._times: dict[tuple[str, Node], list[Times]] = {}

    def add(self, operator: OperatorVariables, incoming: Sequence[EdgeVariables], outgoing: Sequence[Port]) -> None:
        """Add the times of one operator or block, from the edges into it and out of it, in topological order."""
        for node, choice in operator.choice.items():
            if node.dim is None:
                assert node.device is not None
                work = whole_work(operator.unit, self._cluster.bytes_per_element)
                self._builder.add_cost(choice, self._cluster.devices[node.device].compute_s(*work) / self._scale_s)
            else:
                whole = [Group([choice], operator.shares[node])]
                grouped = [whole] if "gather_cuts" in self._without else [port.groups_at(node) or whole for port in outgoing]
                self._add_node(operator, node, incoming, grouped)

    def _add_node(self, operator: OperatorVariables, node: Node, incoming: Sequence[EdgeVariables], groupings: Sequence[Sequence[Group]]) -> None:
        """Add the times of one split node: those for the groups of its first outgoing edge count, those of other edges are surrogates."""
        if operator.unit.flops:
            work = self._work(operator, node)
            own = self._add_times(operator, node, work, groupings[0], cost=1)
            self._add_surrogates(operator, node, work, times(1, *own.times), groupings[1:])
            return
        if "surrogate_times" not in self._without:
            for edge in incoming:
                if self._gives_shares(edge, operator, node):
                    self._add_surrogates(operator, node, *self._limit(edge, node), groupings)
        if any(self._cluster.devices[j].memory_bytes_per_s for j in self._team):  # after the surrogates, which later operators refer to first
            self._add_times(operator, node, self._work(operator, node), groupings[0], cost=1)

    def _work(self, operator: OperatorVariables, node: Node) -> ShareWork:
        assert node.dim is not None
        devices = [self._cluster.devices[j] for j in self._team]
        lines = roofline_lines(operator.unit, node.dim, devices, self._cluster.bytes_per_element)
        return ShareWork(lines, operator.size(node), best_makespan_s(operator.unit, node.dim, self._cluster, self._team))

    def _add_surrogates(self, operator: OperatorVariables, node: Node, work: ShareWork, limit: Affine, groupings: Sequence[Sequence[Group]]) -> None:
        """Add surrogate times for each edge's groups, with a sum of at most ``limit``.

        A single group is redundant and left out, except for the first edge, whose times later operators may refer to.
        """
        for groups in groupings:
            if len(groups) > 1 or (operator.unit.name, node) not in self._times:
                surrogate = self._add_times(operator, node, work, groups, cost=0)
                self._builder.at_most(
                    ("surrogate", operator.unit.name, node, str(len(self._times[operator.unit.name, node]) - 1)), times(1, *surrogate.times), limit
                )

    def _add_times(self, operator: OperatorVariables, node: Node, work: ShareWork, groups: Sequence[Group], cost: float) -> Times:
        label = (operator.unit.name, node, str(len(self._times.get((operator.unit.name, node), ()))))
        family = ("t_compute", *label[:2]) if cost else ("t_surrogate", *label)
        variables = [self._builder.variable((*family, str(number)), cost=cost) for number in range(len(groups))]
        for time, (number, group) in zip(variables, enumerate(groups), strict=True):
            for copy, j, of_rank in zip(group.copies, self._team, work.lines, strict=True):
                speed = self._cluster.devices[j].flops_per_s * self._scale_s
                for part, line in enumerate(of_rank):
                    flops = times(line.slope / speed, copy) + times(line.constant / speed, *group.flows)
                    self._builder.at_least(("eq7", *label, str(number), j, str(part)), times(1, time), flops)
            if "makespan_cuts" not in self._without:
                self._builder.at_least(("makespan", *label, str(number)), times(1, time), times(work.floor_s / self._scale_s, *group.flows))
        found = Times(work, groups, variables)
        self._times.setdefault((operator.unit.name, node), []).append(found)
        return found

    def _limit(self, edge: EdgeVariables, node: Node) -> tuple[ShareWork, Affine]:
        """The producer's work as a function of the consumer's shares, and a limit on the time that it takes with them.

        The limit is the producer's time on arcs by which the consumer's shares follow the producer's, plus what :meth:`_slowest` adds for
        each arc into the node. For arcs with unrelated shares this is a constant above any time, so that the limit does not bind.
        """
        kept = [flow for arc, flow in edge.flow.items() if arc.source == arc.target == node and arc.kind in _SHARES_FOLLOW]
        producer = _times_of(self._times[edge.p.at(node).unit.name, node], kept)
        work = _scaled_work(producer.work, edge.q.at(node), node)
        return work, total([times(1, *producer.times), *(self._slowest(work, edge, arc) for arc in edge.flow if arc.target == node)])

    def _slowest(self, work: ShareWork, edge: EdgeVariables, arc: Arc) -> Affine:
        """An upper bound on the compute time that the share which an arc gives a device adds to the producer's time.

        Every row that a device receives takes time to arrive, so the transfer time bounds the additional share. Only the owner of a whole
        tensor has rows at no cost.
        """
        flow, count = edge.flow[arc], len(self._team) - 1
        moved = total(load.time for load in edge.loads if list(load.flows) == [flow])
        if arc.kind in _SHARES_FOLLOW and not arc.two_phase and arc.source == arc.target:
            return moved * self._per_transfer(work, edge)
        taking_part = self._longest(work, self._team, 0)
        if arc.kind is TransferKind.SEND and arc.target.dim == "H":
            return times(taking_part + self._longest(work, [arc.source.device], work.size), flow) + moved * self._per_transfer(work, edge)
        if arc.kind is TransferKind.REDUCE and arc.target.dim == "H" and edge.edge.pre_pool_shape == edge.edge.shape:
            return times(taking_part, flow) + moved * (self._per_transfer(work, edge) / count)
        return times(max(self._longest(work, self._team, work.size), work.floor_s / self._scale_s), flow)

    def _longest(self, work: ShareWork, devices: Collection[int | None], share: int) -> float:
        """The time that a share takes the slowest of these devices, of those that take part, in units of the objective."""
        speeds = [(rank, self._cluster.devices[j].flops_per_s * self._scale_s) for rank, j in enumerate(self._team) if j in devices]
        return max((work.at(rank, share) / speed for rank, speed in speeds), default=0.0)

    def _gives_shares(self, edge: EdgeVariables, operator: OperatorVariables, node: Node) -> bool:
        """Whether the producer has times, and a device's share of the operator is at most its share of the producer plus what it receives."""
        p = edge.p.get(node)
        if p is None or (p.unit.name, node) not in self._times or p.granularity(node) != operator.granularity(node):
            return False
        if node.dim == "H":
            return p.granularity(node) == 1 and _covers(operator.unit)
        interleaved = (arc for arc in edge.flow if arc.target == node and arc.kind is TransferKind.INTERLEAVED and not arc.two_phase)
        return p.size(node) == operator.size(node) and any(interleaved)

    def _per_transfer(self, work: ShareWork, edge: EdgeVariables) -> float:
        """The additional compute time for each second in which a device receives rows, at most."""
        tensor = edge.edge
        row = self._cluster.bytes_per_element * tensor.shape.channels * tensor.shape.width * tensor.q.field.stride
        steepest = ((of_rank[-1].slope, self._cluster.devices[j]) for of_rank, j in zip(work.lines, self._team, strict=True))
        return max(slope * device.bandwidth_bytes_per_s / (device.flops_per_s * row) for slope, device in steepest)


def _covers(unit: Unit) -> bool:
    """Whether n output rows always need at least n S input rows, even where the field is cut at the input's edges.

    This holds if the field extends past each edge by no more than its overlap K - S.
    """
    field, last = unit.field, unit.granules("H") * unit.field.stride
    beyond = last + unit.field.overlap - unit.field.above - unit.reads[0].tensor.height
    return field.overlap >= field.above and beyond <= field.overlap


def _scaled_work(work: ShareWork, operator: OperatorVariables, node: Node) -> ShareWork:
    """The producer's work as a function of the consumer's shares: S rows of the producer for each row of the consumer."""
    field = operator.unit.field
    if node.dim != "H" or (field.stride == 1 and field.overlap == 0):
        return work
    return ShareWork([[Line(line.constant, line.slope * field.stride) for line in of_rank] for of_rank in work.lines], operator.size(node), 0.0)


def _times_of(alternatives: Sequence[Times], flows: Sequence[int]) -> Times:
    """The first of the alternatives with groups that contain these arcs, restricted to these groups; without a match, the first."""
    for of in alternatives:
        grouped = [(group, time) for group, time in zip(of.groups, of.times, strict=True) if set(group.flows) & set(flows)]
        if grouped:
            return of._replace(groups=[group for group, _ in grouped], times=[time for _, time in grouped])
    return alternatives[0]
