"""What each arc costs at least, whatever the shares: bounds that need no solver, by which nodes are ruled out before there is one."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from iopopt.cluster.cluster import Cluster
from iopopt.cost.communication import Phase, TensorEdge, edge_phases
from iopopt.milp.arcs import Arc, Node, completes, reads_part, shares_of_even_slices
from iopopt.milp.bounds import best_makespan_s
from iopopt.network.operators import Operator
from iopopt.plan.placement import Placement

_LARGEST_FLOOR_SEARCH = 100_000


def follows_shares(handover: TensorEdge, target: Node) -> bool:
    """Whether what a participant of the target needs depends on its share."""
    return (target.dim == "H" and handover.by_rows) or reads_part(handover, target)


def is_constant(handover: TensorEdge, arc: Arc) -> bool:
    """Whether no share moves the cost of the arc."""
    return completes(arc) or (arc.mode in ("send", "direct") and not follows_shares(handover, arc.target))


def constant_phases(handover: TensorEdge, arc: Arc, team: Sequence[int], bytes_per_element: int) -> tuple[Phase, ...]:
    """The rounds of a constant arc, by the evaluator, at some shares of its ends."""
    p = _representative(handover.producer, arc.source, team, two_phase=completes(arc))
    if arc.mode == "two_phase_interleaved":
        assert arc.target.dim is not None
        assert handover.consumer is not None  # the sink reads everything
        units = shares_of_even_slices(handover.consumer, arc.target, len(team))
        assert units is not None  # else there is no such arc
        unit = handover.consumer.granularity(arc.target.dim)
        q = Placement.split(arc.target.dim, team, [unit * share for share in units])
    else:
        q = _representative(handover.consumer, arc.target, team, two_phase=False)
    return edge_phases(handover, p, q, bytes_per_element)


def _representative(operator: Operator | None, node: Node, team: Sequence[int], *, two_phase: bool) -> Placement:
    """Some placement of the node: everything on the last of the team, which never is an even cut."""
    if node.dim is None:
        assert node.device is not None
        return Placement.whole(node.device)
    assert operator is not None
    shares = [0] * (len(team) - 1) + [operator.size(node.dim)]
    return Placement.split(node.dim, team, shares, "two_phase" if two_phase else "direct")


def halo_floor_s(handover: TensorEdge, cluster: Cluster, team: Sequence[int]) -> float:
    """The least largest t_com of a halo: across each inner boundary at least K - S whole rows pass, one way or the other."""
    consumer = handover.consumer
    assert consumer is not None  # the sink is whole
    row = cluster.bytes_per_element * handover.shape.channels * handover.shape.width
    boundaries, overlap = len(team) - 1, max(0, int(consumer.K - consumer.S))
    if (overlap + 1) ** boundaries > _LARGEST_FLOOR_SEARCH:
        return 0.0
    neighbours = [2 if 0 < rank < boundaries else 1 for rank in range(boundaries + 1)]
    bandwidth = [cluster.devices[j].bandwidth_bytes_per_s for j in team]
    setup = [setup_s(cluster, count) for count in neighbours]

    def slowest(upward: tuple[int, ...]) -> float:
        down = [overlap - rows for rows in upward]  # received by the participant above each boundary, from below it
        received = [a + b for a, b in zip((0, *upward), (*down, 0), strict=True)]
        sent = [a + b for a, b in zip((0, *down), (*upward, 0), strict=True)]
        return max(row * max(r, s) / b + t for r, s, b, t in zip(received, sent, bandwidth, setup, strict=True))

    return min(slowest(upward) for upward in itertools.product(range(overlap + 1), repeat=boundaries))


def setup_s(cluster: Cluster, connections: int) -> float:
    """N_j t_est, with N_j as the cluster counts it."""
    return cluster.connection_setup_s * (connections if cluster.connections == "peer" else min(1, connections))


def least_arc_s(handover: TensorEdge, arc: Arc, cluster: Cluster, team: Sequence[int], *, first: bool) -> float:
    """What the arc adds to the latency at least; over the ``first`` edge out of its operator also what shares that are cheap to gather
    add to the compute time of that operator, beyond its least."""
    if is_constant(handover, arc):
        phases = constant_phases(handover, arc, team, cluster.bytes_per_element)
        return sum(phase.time_s(cluster) for phase in (phases if first else phases[-1:]))
    others = len(team) - 1
    if arc.mode == "halo":
        return halo_floor_s(handover, cluster, team)
    if arc.mode == "send":  # everyone in the team opens a connection, but for the owner
        return setup_s(cluster, 1)
    if arc.mode == "direct":
        bandwidth = sum(cluster.devices[j].bandwidth_bytes_per_s for j in team)
        return others * cluster.bytes_per_element * _least_needed_elements(handover, arc.target) / bandwidth + setup_s(cluster, others)
    if arc.mode == "gather":
        return _least_gather_s(handover, arc, cluster, team, first=first)
    return 0.0


def _least_needed_elements(handover: TensorEdge, target: Node) -> int:
    """How much of one device's partial sums the participants of the target need between them, at least."""
    producer, consumer, maps = handover.producer, handover.consumer, handover.pre_pool_shape
    assert producer is not None  # an input comes without partial sums
    assert consumer is not None  # the sink needs everything, a constant
    if target.dim != "H":
        return maps.elements
    gapless = consumer.K >= consumer.S and producer.pre_pool_shape == producer.out_shape
    last = int((consumer.out_shape.height - 1) * consumer.S - consumer.P + consumer.K)
    return maps.channels * maps.width * min(maps.height, last) if gapless else 0


def _least_gather_s(handover: TensorEdge, arc: Arc, cluster: Cluster, team: Sequence[int], *, first: bool) -> float:
    """R_j = post - owned_j: for the whole team that is post (|team| - 1) in all; one device may own all, but then it computed all."""
    producer = handover.producer
    assert producer is not None  # the input is whole
    assert arc.source.dim is not None  # or it would be sent
    post = cluster.bytes_per_element * producer.out_shape.elements
    if arc.target.dim is not None:
        bandwidth = sum(cluster.devices[j].bandwidth_bytes_per_s for j in team)
        return post * (len(team) - 1) / bandwidth + setup_s(cluster, len(team) - 1)
    assert arc.target.device is not None
    receiver = cluster.devices[arc.target.device]
    whole_s, setup = post / receiver.bandwidth_bytes_per_s, setup_s(cluster, len(set(team) - {arc.target.device}))
    if arc.target.device not in team:
        return whole_s + setup
    least_s = best_makespan_s(producer, arc.source.dim, cluster, team)
    alone_s = _least_alone_s(producer, arc) / receiver.flops_per_s if first else 0.0
    if alone_s <= least_s:
        return setup
    part = least_s / alone_s  # what the receiver can own without computing longer than the rest
    return min(whole_s * (1 - part), alone_s - least_s) + setup


def _least_alone_s(producer: Operator, arc: Arc) -> float:
    """FLOPs of which a device that owns a part of the tensor has computed at least that part."""
    if arc.source.dim == "H":
        pool = producer.pool.rows
        return producer.flops * min(pool.stride, pool.extent) * producer.out_shape.height / producer.pre_pool_shape.height
    return float(producer.flops)
