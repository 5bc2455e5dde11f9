"""Lower bounds on the cost of each arc for any shares, without a solver; :mod:`iopopt.milp.pruning` rules out nodes with them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from iopopt.cluster.cluster import Cluster
from iopopt.cost.evaluation import round_time_s
from iopopt.cost.transfers import edge_rounds
from iopopt.milp.arcs import Arc, Node, shares_of_even_slices
from iopopt.milp.bounds import best_makespan_s
from iopopt.network.tensor_edge import TensorEdge
from iopopt.network.unit import Unit
from iopopt.plan.placement import Placement
from iopopt.schedule.rounds import Round, TransferKind


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


def least_arc_s(edge: TensorEdge, arc: Arc, cluster: Cluster, team: Sequence[int]) -> float:
    """A lower bound on what the arc adds to the latency, for any shares.

    Shares that are cheap to all-gather make the producer slow, because one device then computes most of it. On the first edge out of the
    producer the bound includes this compute time in excess of the best makespan; on other edges it would count twice.
    """
    if is_constant(edge, arc):
        return sum(round_time_s(round_, cluster) for round_ in constant_rounds(edge, arc, team, cluster.bytes_per_element))
    others = len(team) - 1
    if arc.kind is TransferKind.HALO_EXCHANGE:
        return halo_floor_s(edge, cluster, team)
    if arc.kind is TransferKind.SEND:  # every team member except the owner opens a connection
        return setup_s(cluster, 1)
    if arc.kind is TransferKind.REDUCE:
        bandwidth = sum(cluster.devices[j].bandwidth_bytes_per_s for j in team)
        return others * cluster.bytes_per_element * _least_needed_elements(edge, arc.target) / bandwidth + setup_s(cluster, others)
    if arc.kind is TransferKind.ALL_GATHER:
        return _least_gather_s(edge, arc, cluster, team)
    return 0.0


def _least_needed_elements(edge: TensorEdge, target: Node) -> int:
    """A lower bound on the sum, over the participants of the target, of the elements that each needs of one device's partial sums."""
    maps = edge.pre_pool_shape
    if target.dim != "H":
        return maps.elements
    gapless = edge.q.field.overlap >= 0 and edge.p.pre_pool_shape == edge.p.out_shape
    return maps.channels * maps.width * edge.q.field.end if gapless else 0


def _least_gather_s(edge: TensorEdge, arc: Arc, cluster: Cluster, team: Sequence[int]) -> float:
    """A lower bound on an all-gather, in which device j receives R_j = post - owned_j bytes.

    If the whole team receives, the sum over the team is post (|team| - 1). If one device receives, it may own all of the tensor, but then it
    has computed all of it; the bound is the smaller of the two costs, transfer and additional computation.
    """
    assert arc.source.dim is not None  # otherwise the arc is a send
    post = cluster.bytes_per_element * edge.p.out_shape.elements
    if arc.target.dim is not None:
        bandwidth = sum(cluster.devices[j].bandwidth_bytes_per_s for j in team)
        return post * (len(team) - 1) / bandwidth + setup_s(cluster, len(team) - 1)
    assert arc.target.device is not None
    receiver = cluster.devices[arc.target.device]
    whole_s, setup = post / receiver.bandwidth_bytes_per_s, setup_s(cluster, len(set(team) - {arc.target.device}))
    if arc.target.device not in team:
        return whole_s + setup
    least_s = best_makespan_s(edge.p, arc.source.dim, cluster, team)
    alone_s = _least_alone_flops(edge.p, arc) / receiver.flops_per_s if edge.first else 0.0
    if alone_s <= least_s:
        return setup
    part = least_s / alone_s  # what the receiver can own within the best makespan
    return min(whole_s * (1 - part), alone_s - least_s) + setup


def _least_alone_flops(producer: Unit, arc: Arc) -> float:
    """FLOPs such that a device that owns a fraction of the tensor has computed at least that fraction of them."""
    if arc.source.span > 1:
        return 0.0  # members of a block compute fewer rows at the map's edges
    if arc.source.dim == "H":
        pool = producer.pool
        return producer.flops * min(pool.stride, pool.extent) * producer.out_shape.height / producer.pre_pool_shape.height
    return float(producer.flops)
