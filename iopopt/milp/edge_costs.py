"""Equation (8) in the program: what the arcs of one edge cost, and which shares they depend on."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from iopopt.cluster.cluster import Cluster
from iopopt.cost.communication import Phase
from iopopt.milp.arc_bounds import constant_phases, halo_floor_s, is_constant, setup_s
from iopopt.milp.arcs import Arc, Node, shares_of_even_slices
from iopopt.milp.edge import Edge, Group, Load
from iopopt.milp.program import Affine, ProgramBuilder, constant, plus, scaled, times, total
from iopopt.milp.stage import Copies, Stage, add_copies


class EdgeCosts:
    """Adds the cost of every arc of one edge to the program.

    An arc whose cost no share moves is priced by the evaluator itself. The others get a time ``Com_g`` and rows that hold it above the
    t_com of every device, linear in the group's own copies of the shares.

    Args:
        joint: whether the consumer has further edges: then the sum of the loads over all of them is charged elsewhere, and only first
            phases are here.
    """

    def __init__(self, builder: ProgramBuilder, cluster: Cluster, team: Sequence[int], scale_s: float, edge: Edge, *, joint: bool) -> None:
        self._builder, self._cluster, self._team, self._scale_s = builder, cluster, tuple(team), scale_s
        self._edge, self._joint, self._label, self._e = edge, joint, edge.label, cluster.bytes_per_element
        self._handover = edge.handover

    def add(self) -> None:
        for key, arcs in itertools.groupby(sorted(self._edge.flow, key=self._group_key), key=self._group_key):
            self._add_group(key, list(arcs))

    def _group_key(self, arc: Arc) -> str:
        """Arcs of one key share copies: gathers to the whole team cost the same whatever the target's dimension."""
        to_team = arc.mode == "gather" and arc.target.dim is not None and not self._joint
        return f"{arc.source}>{'team' if to_team else arc.target},{arc.mode}"

    def _add_group(self, key: str, arcs: list[Arc]) -> None:
        source, target, mode = arcs[0]
        flows = [self._edge.flow[arc] for arc in arcs]
        if mode == "gather":
            self._gather(key, source, target, flows)
        elif mode == "halo":
            self._halo(key, source, target, flows)
        elif mode == "aligned":
            self._aligned(key, source, target, flows)
        elif mode == "interleaved":
            self._interleaved(key, source, target, flows)
        elif not is_constant(self._handover, arcs[0]):
            self._by_need(key, arcs[0], flows)
        else:
            self._constant(arcs[0], flows[0])
            if mode == "two_phase_interleaved":
                self._pin_even(key, target, flows)

    @property
    def _p(self) -> Stage:
        assert self._edge.producer is not None  # the input's arcs have no shares of their own
        return self._edge.producer

    @property
    def _q(self) -> Stage:
        assert self._edge.consumer is not None  # nor have the sink's
        return self._edge.consumer

    # Arcs that no share moves.

    def _constant(self, arc: Arc, flow: int) -> None:
        *completion, phase = constant_phases(self._handover, arc, self._team, self._e)
        if self._edge.first:
            self._builder.add_cost(flow, sum(first.time_s(self._cluster) for first in completion) / self._scale_s)
        self._charge_constant(arc, flow, phase)

    def _charge_constant(self, arc: Arc, flow: int, phase: Phase) -> None:
        seconds = phase.time_s(self._cluster) / self._scale_s
        if not self._joint:
            self._builder.add_cost(flow, seconds)
        if seconds:
            received, sent = ({j: times(volume, flow) for j, volume in volumes.items()} for volumes in (phase.received, phase.sent))
            self._edge.loads.append(Load(arc.target, [flow], times(seconds, flow), received, sent, phase.connections))

    # Arcs whose cost follows the producer's shares.

    def _gather(self, key: str, source: Node, target: Node, flows: list[int]) -> None:
        """Concatenate: R_j = post - owned_j and S_k = owned_k times the receivers but k."""
        copies = self._outgoing(key, source, flows)
        post, size = self._e * self._p.operator.out_shape.elements, self._p.size(source)
        receivers = set(self._team) if target.dim else {target.device}
        owned = {j: times(post / size, copies[rank]) for rank, j in enumerate(self._team)}
        received = {j: plus(times(post, *flows), scaled(-1, owned.get(j, constant(0)))) for j in receivers if j is not None}
        sent = {k: scaled(len(receivers - {k}), part) for k, part in owned.items()}
        self._charge(key, target, flows, received, sent, {j: len(set(self._team) - {j}) for j in received})

    # Arcs whose cost follows the consumer's shares.

    def _by_need(self, key: str, arc: Arc, flows: list[int]) -> None:
        """A whole producer sends, or a direct reduce adds up, what the rows or channels of each participant need."""
        copies = self._incoming(key, arc.target, flows)
        if arc.target.dim == "H":
            needs = self._row_needs(key, arc, flows, copies)
        else:
            maps = self._handover.pre_pool_shape if arc.mode == "direct" else self._handover.shape
            unit_bytes = self._e * maps.height * maps.width * self._unit_channels(arc.target)
            needs = {j: times(unit_bytes, copies[rank]) for rank, j in enumerate(self._team)}
        if arc.mode == "send":
            self._charge_send(key, arc, flows, needs)
        else:
            others = len(self._team) - 1
            received = {j: scaled(others, need) for j, need in needs.items()}
            sent = {k: total(need for j, need in needs.items() if j != k) for k in self._team}
            self._charge(key, arc.target, flows, received, sent, dict.fromkeys(self._team, others))

    def _charge_send(self, key: str, arc: Arc, flows: list[int], needs: dict[int, Affine]) -> None:
        assert arc.source.device is not None
        received = {j: need for j, need in needs.items() if j != arc.source.device}
        sent = {arc.source.device: total(received.values())}
        self._charge(key, arc.target, flows, received, sent, dict.fromkeys(received, 1))

    def _unit_channels(self, target: Node) -> int:
        """The input channels that one unit of a split node's shares needs."""
        return self._q.operator.input_channels(target.dim, self._q.granularity(target), self._handover.slot)

    def _row_needs(self, key: str, arc: Arc, flows: list[int], copies: Copies) -> dict[int, Affine]:
        """Bytes under each participant's rows: of p's output, or of its tensor before the pool where partial sums are added up."""
        spans = [self._field(rank, flows, copies) for rank in range(len(self._team))]
        maps = self._handover.shape
        if arc.mode == "direct":
            maps = self._handover.pre_pool_shape
            spans = [self._before_pool(rank, lo, hi, flows) for rank, (lo, hi) in enumerate(spans)]
        rows = [plus(hi, scaled(-1, lo)) for lo, hi in spans]
        row = self._e * maps.channels * maps.width
        return {j: scaled(row, self._at_least_zero(f"{key},{j}", rows[rank])) for rank, j in enumerate(self._team)}

    def _field(self, rank: int, flows: list[int], copies: Copies) -> tuple[Affine, Affine]:
        """[lo, hi) of the composite field, cut above the first participant and below the last."""
        consumer = self._q.operator
        K, S, P = consumer.K, consumer.S, consumer.P
        unit = float(S * consumer.granularity("H"))  # input rows from one unit of output rows to the next
        start, stop = times(unit, *copies[:rank]), times(unit, *copies[: rank + 1])
        lo = plus(start, times(-P, *flows)) if rank > 0 else constant(0)
        hi = plus(stop, times(float(K - S - P), *flows))
        if rank == len(copies) - 1:
            hi = times(self._last_row, *flows)
        return lo, hi

    @property
    def _last_row(self) -> int:
        """Where the composite field of all rows ends, cut below."""
        consumer = self._q.operator
        return min(consumer.in_shape.height, int((consumer.out_shape.height - 1) * consumer.S - consumer.P + consumer.K))

    def _before_pool(self, rank: int, lo: Affine, hi: Affine, flows: list[int]) -> tuple[Affine, Affine]:
        """The rows before p's pool under its output rows [lo, hi), cut likewise."""
        producer = self._p.operator
        pool = producer.pool.rows
        top = plus(scaled(pool.stride, lo), times(-pool.before, *flows)) if rank > 0 else constant(0)
        bottom = plus(scaled(pool.stride, hi), times(pool.extent - pool.stride - pool.before, *flows))
        if rank == len(self._team) - 1:
            last = (self._last_row - 1) * pool.stride - pool.before + pool.extent
            bottom = times(min(producer.pre_pool_shape.height, last), *flows)
        return top, bottom

    def _at_least_zero(self, label: str, rows: Affine) -> Affine:
        """A count of rows is never below 0: a variable of its own stands for it."""
        variable = self._builder.variable(f"rows[{self._label},{label}]")
        self._builder.at_least(f"rows[{self._label},{label}]", times(1, variable), rows)
        return times(1, variable)

    # Arcs whose cost follows both.

    def _halo(self, key: str, source: Node, target: Node, flows: list[int]) -> None:
        """Neighbours hand rows on: each participant's rows above and below what it owns."""
        owned = self._outgoing(key, source, flows)
        needed = self._incoming(key, target, flows)
        above: list[Affine] = []
        below: list[Affine] = []
        for rank in range(len(self._team)):
            lo, hi = self._field(rank, flows, needed)
            start, stop = self._owned_rows(rank, source, owned)
            above.append(self._at_least_zero(f"{key},above{rank}", plus(start, scaled(-1, lo))))
            below.append(self._at_least_zero(f"{key},below{rank}", plus(hi, scaled(-1, stop))))
        last = len(self._team) - 1
        row = self._e * self._handover.shape.channels * self._handover.shape.width
        received, sent, neighbours = {}, {}, {}
        for rank, j in enumerate(self._team):
            received[j] = scaled(row, plus(above[rank], below[rank]))
            handed = ([below[rank - 1]] if rank > 0 else []) + ([above[rank + 1]] if rank < last else [])
            sent[j] = scaled(row, total(handed))
            neighbours[j] = len(handed)
        time = self._charge(key, target, flows, received, sent, neighbours)
        self._builder.at_least(
            f"floor[{self._label},{key}]", times(1, time), times(halo_floor_s(self._handover, self._cluster, self._team) / self._scale_s, *flows)
        )

    def _owned_rows(self, rank: int, source: Node, copies: Copies) -> tuple[Affine, Affine]:
        """[A, A'): the rows of p's output that a participant owns."""
        unit = self._p.granularity(source)
        return times(unit, *copies[:rank]), times(unit, *copies[: rank + 1])

    def _aligned(self, key: str, source: Node, target: Node, flows: list[int]) -> None:
        """Row-aligned: nobody misses a row, so nothing is sent."""
        owned = self._outgoing(key, source, flows)
        needed = self._incoming(key, target, flows)
        for rank in range(len(self._team)):
            lo, hi = self._field(rank, flows, needed)
            start, stop = self._owned_rows(rank, source, owned)
            self._builder.at_least(f"above[{self._label},{key},{rank}]", lo, start)
            self._builder.at_most(f"below[{self._label},{key},{rank}]", hi, stop)

    def _interleaved(self, key: str, source: Node, target: Node, flows: list[int]) -> None:
        """OC, then a split of which each share needs the channels that lie there: in equal units one copy serves both operators."""
        owned = self._outgoing(key, source, flows)
        unit, needed_by_unit = self._p.granularity(source), self._unit_channels(target)
        if unit == needed_by_unit:
            self._edge.incoming.setdefault(target, []).append(Group(flows, owned))
            return
        needed = self._incoming(key, target, flows)
        for rank, (own, need) in enumerate(zip(owned, needed, strict=True)):
            self._builder.equal(f"interleaved[{self._label},{key},{rank}]", times(unit, own), times(needed_by_unit, need))

    def _pin_even(self, key: str, target: Node, flows: list[int]) -> None:
        """After a two-phase reduce the interleaved successor has the shares of the even slices that were completed."""
        copies = self._incoming(key, target, flows)
        for rank, share in enumerate(self._even_units(target)):
            self._builder.equal(f"even[{self._label},{key},{rank}]", times(1, copies[rank]), times(share, *flows))

    def _even_units(self, target: Node) -> tuple[int, ...]:
        """The successor's shares of the completed slices, in units."""
        shares = shares_of_even_slices(self._q.operator, target, len(self._team))
        assert shares is not None  # else there is no such arc
        return shares

    # Bookkeeping.

    def _outgoing(self, key: str, node: Node, flows: list[int]) -> Copies:
        copies = add_copies(self._builder, self._p, node, f"{self._label},out>{key}", flows)
        self._edge.outgoing.setdefault(node, []).append(Group(flows, copies))
        return copies

    def _incoming(self, key: str, node: Node, flows: list[int]) -> Copies:
        copies = add_copies(self._builder, self._q, node, f"{self._label},in>{key}", flows)
        self._edge.incoming.setdefault(node, []).append(Group(flows, copies))
        return copies

    def _charge(
        self,
        key: str,
        target: Node,
        flows: list[int],
        received: Mapping[int, Affine],
        sent: Mapping[int, Affine],
        connections: Mapping[int, int],
    ) -> int:
        """Com_g >= max(R_j, S_j) / b_j + N_j t_est for every device; returns Com_g."""
        time = self._builder.variable(f"Com[{self._label},{key}]", cost=0 if self._joint else 1)
        for j in sorted(received.keys() | sent.keys()):
            bandwidth = self._cluster.devices[j].bandwidth_bytes_per_s * self._scale_s
            setup = times(setup_s(self._cluster, connections.get(j, 0)) / self._scale_s, *flows)
            for way, volumes in (("R", received), ("S", sent)):
                if j in volumes:
                    self._builder.at_least(f"eq8[{self._label},{key},{way}{j}]", times(1, time), plus(scaled(1 / bandwidth, volumes[j]), setup))
        self._edge.loads.append(Load(target, flows, times(1, time), received, sent, connections))
        return time
