"""Equation (8) in the program: the cost of the arcs of one edge, and the shares that it depends on."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Collection, Iterable, Sequence

from iopopt.cluster.cluster import Cluster
from iopopt.cost.evaluation import round_time_s
from iopopt.cost.transfers import Side, Volumes, transfers
from iopopt.milp.affine import Affine, AffineRows, times, total
from iopopt.milp.arc_bounds import constant_rounds, halo_floor_s, is_constant, setup_s
from iopopt.milp.arcs import Arc, Name, Node, shares_of_even_slices
from iopopt.milp.edge_variables import EdgeVariables, Group, Load
from iopopt.milp.operator_variables import Copies
from iopopt.milp.program import ProgramBuilder
from iopopt.schedule.rounds import Round, Transfer, TransferKind

_FOLLOWS_P = (TransferKind.ALL_GATHER, TransferKind.HALO_EXCHANGE, TransferKind.ROW_ALIGNED, TransferKind.INTERLEAVED)
"""Kinds whose cost or condition depends on the producer's shares."""


class EdgeCosts:
    """Adds the cost of every arc of one edge to the program.

    An arc whose cost is independent of all shares is priced by the evaluator. The others get a time ``Com_g`` and constraints that keep it at
    least the t_com of every device, linear in the group's own copies of the shares.

    Args:
        joint: whether the consumer has further edges: then :mod:`iopopt.milp.joint_costs` charges the sum of their loads, and only
            reduce-scatters are charged here.
        without: ideas to leave out (:data:`iopopt.milp.ideas.IDEAS`).
    """

    def __init__(
        self,
        builder: ProgramBuilder,
        cluster: Cluster,
        team: Sequence[int],
        scale_s: float,
        edge: EdgeVariables,
        *,
        joint: bool,
        without: Collection[str] = (),
    ) -> None:
        self._builder, self._cluster, self._team, self._scale_s = builder, cluster, tuple(team), scale_s
        self._variables, self._edge, self._label, self._e = edge, edge.edge, edge.label, cluster.bytes_per_element
        self._joint, self._without = joint, without

    def add(self) -> None:
        for key, arcs in itertools.groupby(sorted(self._variables.flow, key=self._order), key=self._group_key):
            self._add_group(key, list(arcs))

    def _group_key(self, arc: Arc) -> Name:
        """Arcs with the same key share copies: an all-gather to the whole team costs the same for any dimension of the target."""
        to_team = arc.kind is TransferKind.ALL_GATHER and not arc.two_phase and arc.target.dim is not None and not self._joint
        return (arc.source, "team", arc.way) if to_team else arc.name

    def _order(self, arc: Arc) -> tuple[str, ...]:
        return tuple(str(word) for word in self._group_key(arc))

    def _add_group(self, key: Name, arcs: list[Arc]) -> None:
        flows = [self._variables.flow[arc] for arc in arcs]
        if is_constant(self._edge, arcs[0]):
            self._constant(arcs[0], flows[0])
            if arcs[0].kind is TransferKind.INTERLEAVED:
                self._pin_even(key, arcs[0].target, flows)
        elif arcs[0].kind is TransferKind.INTERLEAVED:
            self._interleaved(key, arcs[0], flows)
        else:
            self._by_shares(key, arcs[0], flows)

    # Constant arcs.

    def _constant(self, arc: Arc, flow: int) -> None:
        *scatter, last = constant_rounds(self._edge, arc, self._team, self._e)
        for first in scatter:
            seconds = self._constant_seconds(first)
            self._builder.add_cost(flow, seconds)
            self._variables.scatters.append(self._constant_load(arc, flow, first, seconds))
        seconds = self._constant_seconds(last)
        if not self._joint:
            self._builder.add_cost(flow, seconds)
        if seconds:
            self._variables.loads.append(self._constant_load(arc, flow, last, seconds))

    def _constant_seconds(self, round_: Round) -> float:
        return round_time_s(round_, self._cluster) / self._scale_s

    def _constant_load(self, arc: Arc, flow: int, round_: Round, seconds: float) -> Load:
        received, sent = ({j: times(volume, flow) for j, volume in volumes.items()} for volumes in round_.loads[:2])
        return Load(arc.target, [flow], times(seconds, flow), received, sent, round_.loads.connections)

    # Arcs whose cost depends on the shares of either end.

    def _by_shares(self, key: Name, arc: Arc, flows: list[int]) -> None:
        """The transfers of the table, linear in the shares."""
        volumes = self._volumes(key, arc, flows)
        if arc.kind is TransferKind.ROW_ALIGNED:
            self._align(key, volumes)
            return
        q = self._team if arc.target.dim is not None else [arc.target.device]
        p = self._team if arc.source.dim is not None else [arc.source.device]
        time = self._charge(key, arc.target, flows, transfers(arc.kind, p, q, volumes))  # type: ignore[arg-type]
        if arc.kind is TransferKind.HALO_EXCHANGE and "halo_floors" not in self._without:
            floor_s = halo_floor_s(self._edge, self._cluster, self._team)
            self._builder.at_least(("floor", *self._label, *key), times(1, time), times(floor_s / self._scale_s, *flows))

    def _volumes(self, key: Name, arc: Arc, flows: list[int]) -> Volumes[Affine]:
        none: Side[Affine] = Side(None, (), (), ())
        p = self._side(arc.source, self._outgoing(key, arc.source, flows)) if arc.kind in _FOLLOWS_P else none
        # An all-gather is the same for any shares of the consumer.
        q = self._side(arc.target, self._incoming(key, arc.target, flows)) if arc.kind is not TransferKind.ALL_GATHER else none
        of = AffineRows(self._builder, flows, (*self._label, *key))
        return Volumes(self._edge, self._e, p, q, of, partial=arc.kind is TransferKind.REDUCE)

    def _side(self, node: Node, copies: Copies) -> Side[Affine]:
        shares = [times(1, copy) for copy in copies]
        return Side(node.dim, self._team, shares, [times(1, *copies[:rank]) for rank in range(len(copies))])

    def _align(self, key: Name, volumes: Volumes[Affine]) -> None:
        """Row-aligned: nobody misses a row, so nothing is sent."""
        for rank, j in enumerate(self._team):
            needed, owned = volumes.needed_rows(rank), volumes.owned_rows(rank)
            self._builder.at_least(("above", *self._label, *key, j), needed.start, owned.start)
            self._builder.at_most(("below", *self._label, *key, j), needed.stop, owned.stop)

    def _interleaved(self, key: Name, arc: Arc, flows: list[int]) -> None:
        """Each participant owns the channels that it needs; with equal granules one copy of the shares serves both operators."""
        owned = self._outgoing(key, arc.source, flows)
        granularity, needs = self._variables.p.at(arc.source).granularity(arc.source), self._needs(arc.target)
        if granularity == needs:
            self._variables.incoming.setdefault(arc.target, []).append(Group(flows, owned))
            return
        needed = self._incoming(key, arc.target, flows)
        for j, own, need in zip(self._team, owned, needed, strict=True):
            self._builder.equal(("interleaved", *self._label, *key, j), times(granularity, own), times(needs, need))

    def _needs(self, target: Node) -> int:
        """The input channels that a granule of a split node's shares needs."""
        assert target.dim is not None
        return self._edge.channels_per_granule(target.dim)

    def _pin_even(self, key: Name, target: Node, flows: list[int]) -> None:
        """After a reduce-scatter the interleaved consumer has the shares of the even slices."""
        shares = shares_of_even_slices(self._edge, target, len(self._team))
        assert shares is not None  # otherwise the arc does not exist
        for j, copy, share in zip(self._team, self._incoming(key, target, flows), shares, strict=True):
            self._builder.equal(("even", *self._label, *key, j), times(1, copy), times(share, *flows))

    # Bookkeeping.

    def _outgoing(self, key: Name, node: Node, flows: list[int]) -> Copies:
        copies = self._variables.p.at(node).copies(self._builder, node, (*self._variables.seen_from("source"), *key[1:]), flows)
        self._variables.outgoing.setdefault(node, []).append(Group(flows, copies))
        return copies

    def _incoming(self, key: Name, node: Node, flows: list[int]) -> Copies:
        copies = self._variables.q.at(node).copies(self._builder, node, (*self._variables.seen_from("target"), key[0], *key[2:]), flows)
        self._variables.incoming.setdefault(node, []).append(Group(flows, copies))
        return copies

    def _charge(self, key: Name, target: Node, flows: list[int], exchanged: Iterable[Transfer[Affine]]) -> int:
        """Com_g >= max(R_j, S_j) / b_j + N_j t_est for every device; returns Com_g."""
        time = self._builder.variable(("t_com", *self._label, *key), cost=0 if self._joint else 1)
        into: dict[int, list[Affine]] = {}
        out_of: dict[int, list[Affine]] = {}
        for k, j, volume in exchanged:
            into.setdefault(j, []).append(volume)
            out_of.setdefault(k, []).append(volume)
        received, sent = ({j: total(parts) for j, parts in volumes.items()} for volumes in (into, out_of))
        connections = Counter({j: len(parts) for j, parts in into.items()})
        for j in sorted(received.keys() | sent.keys()):
            per_byte = 1 / (self._cluster.devices[j].bandwidth_bytes_per_s * self._scale_s)
            setup = times(setup_s(self._cluster, connections[j]) / self._scale_s, *flows)
            for way, volumes in (("R", received), ("S", sent)):
                if j in volumes:
                    self._builder.at_least(("eq8", *self._label, *key, way, j), times(1, time), volumes[j] * per_byte + setup)
        self._variables.loads.append(Load(target, flows, times(1, time), received, sent, connections))
        return time
