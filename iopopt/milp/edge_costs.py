"""Equation (8) in the programme: what the arcs of one edge cost, and which shares they depend on."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from iopopt.cluster import Cluster
from iopopt.communication import Handover, edge_phases
from iopopt.milp.handover import Arc, Node, shares_of_even_slices
from iopopt.milp.program import Affine, ProgramBuilder, constant, plus, scaled, times, total
from iopopt.milp.stage import Copies, Group, Stage, add_copies
from iopopt.operators import Operator
from iopopt.plan import Placement

_LARGEST_FLOOR_SEARCH = 100_000


class EdgeCosts:
    """Adds the cost of every arc of one edge to the programme.

    An arc whose cost no share moves is priced by the evaluator itself. The others get a time ``Com_g`` and rows that hold it above the
    t_com of every device, linear in the group's own copies of the shares.

    Args:
        flow: the flow variable y_a of each arc.
        producer: None for the graph's input.
        consumer: None for its output.
    """

    def __init__(
        self,
        builder: ProgramBuilder,
        cluster: Cluster,
        team: Sequence[int],
        scale_s: float,
        label: str,
        producer: Stage | None,
        consumer: Stage | None,
        flow: Mapping[Arc, int],
    ) -> None:
        self._builder, self._cluster, self._team, self._scale_s, self._label = builder, cluster, tuple(team), scale_s, label
        self._p, self._q, self._flow, self._e = producer, consumer, flow, cluster.bytes_per_element

    def add(self) -> None:
        for key, arcs in itertools.groupby(sorted(self._flow, key=self._group_key), key=self._group_key):
            self._add_group(key, list(arcs))

    def _group_key(self, arc: Arc) -> str:
        """Arcs of one key share copies: gathers to the whole team cost the same whatever the target's dimension."""
        to_team = arc.mode == "gather" and arc.target.dim is not None
        return f"{arc.source}>{'team' if to_team else arc.target},{arc.mode}"

    def _add_group(self, key: str, arcs: list[Arc]) -> None:
        source, target, mode = arcs[0]
        flows = [self._flow[arc] for arc in arcs]
        if mode == "gather":
            self._gather(key, source, target, flows)
        elif mode == "halo":
            self._halo(key, source, target, flows)
        elif mode == "aligned":
            self._aligned(key, source, target, flows)
        elif mode == "interleaved":
            self._interleaved(key, source, target, flows)
        elif mode in ("send", "direct") and self._q is not None and (target.dim == "H" or self._q.operator.reads_part(target.dim)):
            self._by_need(key, arcs[0], flows)
        else:
            self._constant(arcs[0], flows[0])
            if mode == "two_phase_interleaved":
                self._pin_even(key, target, flows)

    # Arcs that no share moves.

    def _constant(self, arc: Arc, flow: int) -> None:
        producer, consumer = self._operators
        p = self._representative(producer, arc.source, "two_phase" if arc.mode.startswith("two_phase") else "direct")
        if arc.mode == "two_phase_interleaved":
            assert self._q is not None
            assert arc.target.dim is not None
            unit = self._q.unit(arc.target)
            q = Placement.split(arc.target.dim, self._team, [unit * share for share in self._even_units(arc.target)])
        else:
            q = self._representative(consumer, arc.target, "direct")
        phases = edge_phases(Handover(producer, consumer), p, q, self._e)
        self._builder.add_cost(flow, sum(phase.time_s(self._cluster) for phase in phases) / self._scale_s)

    def _representative(self, operator: Operator | None, node: Node, reduce: str) -> Placement:
        """Some placement of the node: everything on the last of the team, which never is an even cut."""
        if node.dim is None:
            assert node.device is not None
            return Placement.whole(node.device)
        assert operator is not None
        shares = [0] * (len(self._team) - 1) + [operator.size(node.dim)]
        return Placement.split(node.dim, self._team, shares, "two_phase" if reduce == "two_phase" else "direct")

    @property
    def _operators(self) -> tuple[Operator | None, Operator | None]:
        return self._p.operator if self._p else None, self._q.operator if self._q else None

    # Arcs whose cost follows the producer's shares.

    def _gather(self, key: str, source: Node, target: Node, flows: list[int]) -> None:
        """Concatenate: R_j = post - owned_j and S_k = owned_k times the receivers but k."""
        assert self._p is not None
        copies = self._outgoing(key, source, flows)
        post, size = self._e * self._p.operator.out_shape.elements, self._p.size(source)
        receivers = set(self._team) if target.dim else {target.device}
        owned = {j: times(post / size, copies[rank]) for rank, j in enumerate(self._team)}
        received = {j: plus(times(post, *flows), scaled(-1, owned.get(j, constant(0)))) for j in receivers if j is not None}
        sent = {k: scaled(len(receivers - {k}), part) for k, part in owned.items()}
        self._charge(key, flows, received, sent, {j: len(set(self._team) - {j}) for j in received})

    # Arcs whose cost follows the consumer's shares.

    def _by_need(self, key: str, arc: Arc, flows: list[int]) -> None:
        """A whole producer sends, or a direct reduce adds up, what the rows or channels of each participant need."""
        assert self._q is not None
        copies = self._incoming(key, arc.target, flows)
        if arc.target.dim == "H":
            needs = self._row_needs(key, arc, flows, copies)
        else:
            producer, shape = self._operators[0], self._q.operator.in_shape
            maps = producer.conv_shape if producer and arc.mode == "direct" else shape
            unit_bytes = self._e * maps.height * maps.width * self._q.input_channels(arc.target)
            needs = {j: times(unit_bytes, copies[rank]) for rank, j in enumerate(self._team)}
        if arc.mode == "send":
            self._charge_send(key, arc.source, flows, needs)
        else:
            others = len(self._team) - 1
            received = {j: scaled(others, need) for j, need in needs.items()}
            sent = {k: total(need for j, need in needs.items() if j != k) for k in self._team}
            self._charge(key, flows, received, sent, dict.fromkeys(self._team, others))

    def _charge_send(self, key: str, source: Node, flows: list[int], needs: dict[int, Affine]) -> None:
        assert source.device is not None
        received = {j: need for j, need in needs.items() if j != source.device}
        sent = {source.device: total(received.values())}
        self._charge(key, flows, received, sent, dict.fromkeys(received, 1))

    def _row_needs(self, key: str, arc: Arc, flows: list[int], copies: Copies) -> dict[int, Affine]:
        """Bytes under each participant's rows: of p's output, or of its tensor before the pool where partial sums are added up."""
        assert self._q is not None
        producer, consumer = self._operators
        assert consumer is not None
        spans = [self._field(rank, flows, copies) for rank in range(len(self._team))]
        row = self._e * consumer.in_shape.channels * consumer.in_shape.width
        if producer is not None and arc.mode == "direct":
            row = self._e * producer.out_channels * producer.conv_shape.width
            spans = [self._before_pool(producer, rank, lo, hi, flows) for rank, (lo, hi) in enumerate(spans)]
        rows = [plus(hi, scaled(-1, lo)) for lo, hi in spans]
        return {j: scaled(row, self._at_least_zero(f"{key},{j}", rows[rank])) for rank, j in enumerate(self._team)}

    def _field(self, rank: int, flows: list[int], copies: Copies) -> tuple[Affine, Affine]:
        """[lo, hi) of the composite field, cut above the first participant and below the last."""
        consumer = self._operators[1]
        assert consumer is not None
        K, S, P = consumer.K, consumer.S, consumer.P
        start, stop = times(S, *copies[:rank]), times(S, *copies[: rank + 1])
        lo = plus(start, times(-P, *flows)) if rank > 0 else constant(0)
        hi = plus(stop, times(K - S - P, *flows))
        if rank == len(copies) - 1:
            hi = times(min(consumer.in_shape.height, (consumer.out_shape.height - 1) * S - P + K), *flows)
        return lo, hi

    def _before_pool(self, producer: Operator, rank: int, lo: Affine, hi: Affine, flows: list[int]) -> tuple[Affine, Affine]:
        """The rows before p's pool under its output rows [lo, hi), cut likewise."""
        pool = producer.pool.rows
        top = plus(scaled(pool.stride, lo), times(-pool.before, *flows)) if rank > 0 else constant(0)
        bottom = plus(scaled(pool.stride, hi), times(pool.extent - pool.stride - pool.before, *flows))
        if rank == len(self._team) - 1:
            reach = hi[0][0].coefficient
            last = (reach - 1) * pool.stride - pool.before + pool.extent
            bottom = times(min(producer.conv_shape.height, last), *flows)
        return top, bottom

    def _at_least_zero(self, label: str, rows: Affine) -> Affine:
        """A count of rows is never below 0: a variable of its own stands for it."""
        variable = self._builder.variable(f"rows[{self._label},{label}]")
        self._builder.at_least(f"rows[{self._label},{label}]", times(1, variable), rows)
        return times(1, variable)

    # Arcs whose cost follows both.

    def _halo(self, key: str, source: Node, target: Node, flows: list[int]) -> None:
        """Neighbours hand rows on: each participant's rows above and below what it owns."""
        assert self._p is not None
        owned = self._outgoing(key, source, flows)
        needed = self._incoming(key, target, flows)
        above: list[Affine] = []
        below: list[Affine] = []
        for rank in range(len(self._team)):
            lo, hi = self._field(rank, flows, needed)
            above.append(self._at_least_zero(f"{key},above{rank}", plus(times(1, *owned[:rank]), scaled(-1, lo))))
            below.append(self._at_least_zero(f"{key},below{rank}", plus(hi, times(-1, *owned[: rank + 1]))))
        last = len(self._team) - 1
        row = self._e * self._p.operator.out_channels * self._p.operator.out_shape.width
        received, sent, neighbours = {}, {}, {}
        for rank, j in enumerate(self._team):
            received[j] = scaled(row, plus(above[rank], below[rank]))
            handed = ([below[rank - 1]] if rank > 0 else []) + ([above[rank + 1]] if rank < last else [])
            sent[j] = scaled(row, total(handed))
            neighbours[j] = len(handed)
        time = self._charge(key, flows, received, sent, neighbours)
        self._builder.at_least(f"floor[{self._label},{key}]", times(1, time), times(self._halo_floor_s(row) / self._scale_s, *flows))

    def _halo_floor_s(self, row: float) -> float:
        """The least largest t_com of a halo: across each inner boundary at least K - S whole rows pass, one way or the other."""
        consumer = self._operators[1]
        assert consumer is not None
        boundaries, overlap = len(self._team) - 1, max(0, consumer.K - consumer.S)
        if (overlap + 1) ** boundaries > _LARGEST_FLOOR_SEARCH:
            return 0.0
        neighbours = [2 if 0 < rank < boundaries else 1 for rank in range(boundaries + 1)]
        bandwidth = [self._cluster.devices[j].bandwidth_bytes_per_s for j in self._team]
        setup = [self._capped(count) * self._cluster.connection_setup_s for count in neighbours]

        def slowest(upward: tuple[int, ...]) -> float:
            down = [overlap - rows for rows in upward]  # received by the participant above each boundary, from below it
            received = [a + b for a, b in zip((0, *upward), (*down, 0), strict=True)]
            sent = [a + b for a, b in zip((0, *down), (*upward, 0), strict=True)]
            return max(row * max(r, s) / b + t for r, s, b, t in zip(received, sent, bandwidth, setup, strict=True))

        return min(slowest(upward) for upward in itertools.product(range(overlap + 1), repeat=boundaries))

    def _aligned(self, key: str, source: Node, target: Node, flows: list[int]) -> None:
        """Row-aligned: nobody misses a row, so nothing is sent."""
        owned = self._outgoing(key, source, flows)
        needed = self._incoming(key, target, flows)
        for rank in range(len(self._team)):
            lo, hi = self._field(rank, flows, needed)
            self._builder.at_least(f"above[{self._label},{key},{rank}]", lo, times(1, *owned[:rank]))
            self._builder.at_most(f"below[{self._label},{key},{rank}]", hi, times(1, *owned[: rank + 1]))

    def _interleaved(self, key: str, source: Node, target: Node, flows: list[int]) -> None:
        """OC, then a split of which each share needs the channels that lie there: in equal units one copy serves both operators."""
        owned = self._outgoing(key, source, flows)
        assert self._p is not None
        assert self._q is not None
        unit, needed_by_unit = self._p.unit(source), self._q.input_channels(target)
        if unit == needed_by_unit:
            self._q.incoming.setdefault(target, []).append(Group(flows, owned))
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
        assert self._q is not None
        shares = shares_of_even_slices(self._q.operator, target, len(self._team))
        assert shares is not None  # else there is no such arc
        return shares

    # Bookkeeping.

    def _outgoing(self, key: str, node: Node, flows: list[int]) -> Copies:
        assert self._p is not None
        copies = add_copies(self._builder, self._p, node, f"out>{key}", flows)
        self._p.outgoing.setdefault(node, []).append(Group(flows, copies))
        return copies

    def _incoming(self, key: str, node: Node, flows: list[int]) -> Copies:
        assert self._q is not None
        copies = add_copies(self._builder, self._q, node, f"in>{key}", flows)
        self._q.incoming.setdefault(node, []).append(Group(flows, copies))
        return copies

    def _charge(self, key: str, flows: list[int], received: Mapping[int, Affine], sent: Mapping[int, Affine], connections: Mapping[int, int]) -> int:
        """Com_g >= max(R_j, S_j) / b_j + N_j t_est for every device; returns Com_g."""
        time = self._builder.variable(f"Com[{self._label},{key}]", cost=1)
        for j in sorted(received.keys() | sent.keys()):
            bandwidth = self._cluster.devices[j].bandwidth_bytes_per_s * self._scale_s
            setup = times(self._capped(connections.get(j, 0)) * self._cluster.connection_setup_s / self._scale_s, *flows)
            for way, volumes in (("R", received), ("S", sent)):
                if j in volumes:
                    self._builder.at_least(f"eq8[{self._label},{key},{way}{j}]", times(1, time), plus(scaled(1 / bandwidth, volumes[j]), setup))
        return time

    def _capped(self, connections: int) -> int:
        return connections if self._cluster.connections == "peer" else min(1, connections)
