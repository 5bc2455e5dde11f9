"""Lower bounds on the cost of each arc for shares in given ranges, without a solver; :mod:`iopopt.milp.pruning` rules out nodes with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from iopopt.cluster.cluster import Cluster
from iopopt.cost.evaluation import round_time_s
from iopopt.cost.transfers import edge_rounds
from iopopt.milp.arcs import Arc, Node, shares_of_even_slices
from iopopt.milp.share_ranges import Granules, ShareRanges
from iopopt.network.tensor_edge import TensorEdge
from iopopt.network.unit import Unit
from iopopt.plan.placement import Placement
from iopopt.schedule.rounds import Round, TransferKind

FloatArray = npt.NDArray[np.float64]


def follows_shares(edge: TensorEdge, target: Node) -> bool:
    """Whether what a participant of the target needs depends on its share."""
    return (target.dim == "H" and edge.read.by_rows) or edge.reads_part(target.dim)


def is_constant(edge: TensorEdge, arc: Arc) -> bool:
    """Whether the cost of the arc is independent of all shares."""
    return arc.two_phase or (arc.kind in (TransferKind.SEND, TransferKind.REDUCE) and not follows_shares(edge, arc.target))


def constant_rounds(edge: TensorEdge, arc: Arc, team: Sequence[int], bytes_per_element: int) -> tuple[Round, ...]:
    """The rounds of a constant arc, from the evaluator, for arbitrary shares of its ends."""
    p = _representative(edge.p, arc.source, team, two_phase=arc.two_phase)
    q = _representative(edge.q, arc.target, team, two_phase=False)
    if arc.kind is TransferKind.INTERLEAVED:
        assert arc.target.dim is not None  # a whole consumer reads everything
        granules = shares_of_even_slices(edge, arc.target, len(team))
        assert granules is not None  # otherwise the arc does not exist
        q = Placement.split(arc.target.dim, team, [edge.q.granularities[arc.target.dim] * share for share in granules])
    return edge_rounds(edge, p, q, bytes_per_element)


def _representative(unit: Unit, node: Node, team: Sequence[int], *, two_phase: bool) -> Placement:
    """A placement of the node: everything on the last device of the team, which is never an even split."""
    if node.dim is None:
        assert node.device is not None
        return Placement.whole(node.device)
    shares = [0] * (len(team) - 1) + [unit.sizes[node.dim]]
    return Placement.split(node.dim, team, shares, "two_phase" if two_phase else "direct")


def halo_floor_s(edge: TensorEdge, cluster: Cluster, team: Sequence[int]) -> float:
    """A lower bound on t_com of a halo exchange, the maximum over devices: at least K - S rows cross each boundary between two shares.

    They may go in either direction, so all ways to divide the K - S rows at each boundary are tried, by dynamic programming from one boundary
    to the next.
    """
    row = cluster.bytes_per_element * edge.shape.channels * edge.shape.width
    upward = np.arange(max(0, edge.q.field.overlap) + 1)  # the rows that cross a boundary towards the devices above it, of those that must cross
    downward, none = upward[::-1], np.zeros(1)
    least = none  # by the rows that cross the boundary above a device upwards: the least maximum over the devices before it
    for rank, j in enumerate(team):
        sent_up, received_from_above = (upward, downward) if rank > 0 else (none, none)
        received_from_below, sent_down = (upward, downward) if rank < len(team) - 1 else (none, none)
        received = received_from_above[:, None] + received_from_below
        sent = sent_up[:, None] + sent_down
        setup = setup_s(cluster, 2 if 0 < rank < len(team) - 1 else 1)
        seconds = row * np.maximum(received, sent) / cluster.devices[j].bandwidth_bytes_per_s + setup
        least = np.maximum(least[:, None], seconds).min(axis=0)
    return float(least[0])


def setup_s(cluster: Cluster, connections: int) -> float:
    """N_j t_est, with N_j as the cluster counts it."""
    return cluster.connection_setup_s * (connections if cluster.connections == "peer" else min(1, connections))


def least_arc_s(edge: TensorEdge, arc: Arc, cluster: Cluster, team: Sequence[int], p: ShareRanges, q: ShareRanges) -> FloatArray:
    """Lower bounds on t_com of the arc, by the range of shares of the producer (axis 0) and of the consumer (axis 1); infinite where it cannot be."""
    bounds = _Bounds(edge, arc, cluster, tuple(team), p, q)
    return np.broadcast_to(bounds.seconds(), (len(p), len(q)))


@dataclass(frozen=True)
class _Bounds:
    """The bounds of one arc; arrays over ranges of the producer, of the consumer, and over the participants, as far as they depend on them."""

    edge: TensorEdge
    arc: Arc
    cluster: Cluster
    team: tuple[int, ...]
    p: ShareRanges
    q: ShareRanges

    def seconds(self) -> FloatArray:
        kind = self.arc.kind
        if kind is TransferKind.INTERLEAVED:
            return np.where(self._interleaves(), self._constant_s() if self.arc.two_phase else 0.0, np.inf)
        if is_constant(self.edge, self.arc):
            return np.array(self._constant_s())
        if kind is TransferKind.ROW_ALIGNED:
            return np.where((self._missing_rows() <= 0).all(axis=-1), 0.0, np.inf)
        if kind is TransferKind.HALO_EXCHANGE:
            return self._halo_s()
        if kind is TransferKind.SEND:
            return self._send_s()
        if kind is TransferKind.REDUCE:
            return self._reduce_s()
        return self._gather_s() if self.arc.target.device is None else self._gather_to_one_s(self.arc.target.device)

    def _constant_s(self) -> float:
        rounds = constant_rounds(self.edge, self.arc, self.team, self.cluster.bytes_per_element)
        return sum(round_time_s(round_, self.cluster) for round_ in rounds)

    def _interleaves(self) -> npt.NDArray[np.bool_]:
        """Whether some shares of both ranges own and need the same channels."""
        assert self.arc.target.dim is not None  # a whole consumer reads everything
        if self.arc.two_phase:
            even = np.array(shares_of_even_slices(self.edge, self.arc.target, len(self.team)))
            return np.asarray(((self.q.low <= even) & (even <= self.q.high)).all(axis=-1))
        owns, needs = self.edge.p.granularities["OC"], self.edge.channels_per_granule(self.arc.target.dim)
        most_owned, least_owned = (self.p.high * owns)[:, None], (self.p.low * owns)[:, None]
        return np.asarray(((least_owned <= self.q.high * needs) & (self.q.low * needs <= most_owned)).all(axis=-1))

    # Rows.

    @property
    def _row_bytes(self) -> int:
        return self.cluster.bytes_per_element * self.edge.shape.channels * self.edge.shape.width

    def _needed_rows(self, granules: Granules) -> Granules:
        """The input rows of a participant with so many granules (:func:`iopopt.cost.rows.needed_rows`), below 0 where windows leave gaps."""
        field, size = self.edge.q.field, self.edge.q.granules("H")
        rows = granules * field.stride + field.overlap
        rows[:, 0] -= field.above
        rows[:, -1] = field.end - (size - granules[:, -1]) * field.stride + field.above
        return rows

    def _owned_rows(self, granules: Granules) -> Granules:
        """The rows that a participant with so many granules owns, without those at the end of the map that nobody needs."""
        rows = granules * self.edge.p.granularities["H"]
        rows[:, -1] -= self.edge.read.tensor.height - self.edge.q.field.end
        return rows

    def _missing_rows(self) -> Granules:
        """The least rows that a participant needs beyond those that it owns."""
        return np.asarray(self._needed_rows(self.q.low) - self._owned_rows(self.p.high)[:, None])

    def _spare_rows(self) -> Granules:
        """The least rows that a participant sends: those that it owns and does not need, and the K - S that it shares with each neighbour."""
        shared = self.edge.q.field.overlap * self._neighbours()
        return np.asarray(self._owned_rows(self.p.low)[:, None] - self._needed_rows(self.q.high) + shared)

    def _neighbours(self) -> Granules:
        last = len(self.team) - 1
        return np.array([(rank > 0) + (rank < last) for rank in range(len(self.team))])

    def _halo_s(self) -> FloatArray:
        """Rows that were one participant's and become another's have to move; K - S rows cross each boundary in any case."""
        moved = np.maximum(0, np.maximum(self._missing_rows(), self._spare_rows())) * self._row_bytes
        setup = np.array([setup_s(self.cluster, int(count)) for count in self._neighbours()])
        return np.asarray(np.maximum((moved / self._bandwidths + setup).max(axis=-1), halo_floor_s(self.edge, self.cluster, self.team)))

    # Everything else.

    @property
    def _bandwidths(self) -> FloatArray:
        return np.array([self.cluster.devices[j].bandwidth_bytes_per_s for j in self.team])

    def _send_s(self) -> FloatArray:
        """The owner sends what the others need; each of them opens a connection."""
        owner = self.arc.source.device
        assert owner is not None
        sent = self._sent_bytes(owner)
        received_s = sent / sum(self.cluster.devices[j].bandwidth_bytes_per_s for j in self.team if j != owner)
        return np.maximum(sent / self.cluster.devices[owner].bandwidth_bytes_per_s, received_s + setup_s(self.cluster, 1))

    def _sent_bytes(self, owner: int) -> FloatArray:
        """The least that the participants other than the owner need together."""
        edge, dim = self.edge, self.arc.target.dim
        assert dim is not None  # otherwise the arc is constant
        own = self.team.index(owner) if owner in self.team else None
        if dim == "H" and edge.read.by_rows:
            of_all = edge.q.field.end + edge.q.field.overlap * (len(self.team) - 1)
            of_owner = 0 if own is None else np.maximum(0, self._needed_rows(self.q.high)[:, own])
            others = [rank for rank in range(len(self.team)) if rank != own]
            of_others = np.maximum(0, self._needed_rows(self.q.low)[:, others]).sum(axis=1)
            return np.asarray(np.maximum(of_others, of_all - of_owner) * float(self._row_bytes))
        granule = self.cluster.bytes_per_element * edge.shape.height * edge.shape.width * edge.channels_per_granule(dim)
        of_owner = 0 if own is None else self.q.high[:, own]
        return np.asarray((edge.q.granules(dim) - of_owner) * float(granule))

    def _owned_parts(self, granules: Granules) -> FloatArray:
        """The parts of the tensor that participants with so many granules own."""
        assert self.arc.source.dim is not None  # otherwise the arc is a send
        return granules / self.edge.p.granules(self.arc.source.dim)

    @property
    def _tensor_bytes(self) -> int:
        return self.cluster.bytes_per_element * self.edge.p.out_shape.elements

    def _gather_s(self) -> FloatArray:
        """In an all-gather to the team everybody receives what it does not own, and sends what it owns to all others."""
        others = len(self.team) - 1
        moved = np.maximum(1 - self._owned_parts(self.p.high), others * self._owned_parts(self.p.low))
        of_all = np.maximum((moved / self._bandwidths).max(axis=1), others / self._bandwidths.sum())
        return np.asarray(self._tensor_bytes * of_all + setup_s(self.cluster, others))[:, None]

    def _gather_to_one_s(self, receiver: int) -> FloatArray:
        """One device receives what it does not own."""
        missing = 1 - self._owned_parts(self.p.high)[:, self.team.index(receiver)] if receiver in self.team else np.ones(len(self.p))
        moved_s = self._tensor_bytes * missing / self.cluster.devices[receiver].bandwidth_bytes_per_s
        return np.asarray(moved_s + setup_s(self.cluster, len(set(self.team) - {receiver})))[:, None]

    # Partial sums.

    def _reduce_s(self) -> FloatArray:
        """Every participant receives the partial sums of what it needs from all others."""
        others = len(self.team) - 1
        needed = np.maximum((self._partial_bytes(self.q.low) / self._bandwidths).max(axis=1), self._all_partial_bytes() / self._bandwidths.sum())
        return np.asarray(others * needed + setup_s(self.cluster, others))

    def _partial_bytes(self, granules: Granules) -> FloatArray:
        """The bytes of one device's partial sums that participants with so many granules need."""
        edge, dim, maps = self.edge, self.arc.target.dim, self.edge.pre_pool_shape
        assert dim is not None  # otherwise the arc is constant
        if dim == "H" and edge.read.by_rows:
            return np.maximum(0, self._pre_pool_rows(granules)) * float(self.cluster.bytes_per_element * maps.channels * maps.width)
        return np.asarray(granules * float(self.cluster.bytes_per_element * maps.height * maps.width * edge.channels_per_granule(dim)))

    def _pre_pool_rows(self, granules: Granules) -> Granules:
        """The rows of partial sums under a participant's input rows (:func:`iopopt.cost.rows.pre_pool_rows`), below 0 where windows leave gaps."""
        pool, end = self.edge.p.pool, self.edge.q.field.end
        rows = self._needed_rows(granules) * pool.stride + pool.extent - pool.stride
        rows[:, 0] -= pool.before
        rows[:, -1] += self.edge.pre_pool_end - (end - 1) * pool.stride + pool.before - pool.extent
        return rows

    def _all_partial_bytes(self) -> float:
        """The least that all participants need together; what neighbours share, or leave out, is the same for any shares."""
        edge, dim, maps = self.edge, self.arc.target.dim, self.edge.pre_pool_shape
        if not (dim == "H" and edge.read.by_rows):
            return float(self.cluster.bytes_per_element * maps.elements)
        any_shares = np.array([[edge.q.granules("H")] + [0] * (len(self.team) - 1)])
        return max(0, int(self._pre_pool_rows(any_shares).sum())) * float(self.cluster.bytes_per_element * maps.channels * maps.width)
