"""What crosses the network on the edge p -> q: equation (8), case by case as the table of ``cost_model.md`` has them.

The graph's input is an operator whole on the source and its output one whole on the sink, so every edge has two placements.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from iopopt.cluster import Cluster
from iopopt.graph import Operator
from iopopt.plan import Placement
from iopopt.shares import even_shares


@dataclass(frozen=True)
class Phase:
    """One round of an edge: R_j and S_k in bytes and N_j, by device; ``case`` is the row of the table that applied."""

    case: str
    received: Mapping[int, float]
    sent: Mapping[int, float]
    connections: Mapping[int, int]

    def capped_connections(self, cluster: Cluster) -> dict[int, int]:
        """N_j as the cluster counts them: each peer, or one for the round."""
        cap = len(cluster) if cluster.connections == "peer" else 1
        return {device: min(cap, count) for device, count in self.connections.items()}

    def time_s(self, cluster: Cluster) -> float:
        """The largest t_com = max(R_j, S_j) / b_j + N_j t_est of a device."""
        connections = self.capped_connections(cluster)
        return max(
            max(self.received.get(j, 0), self.sent.get(j, 0)) / cluster.devices[j].bandwidth_bytes_per_s
            + connections.get(j, 0) * cluster.connection_setup_s
            for j in self.received.keys() | self.sent.keys()
        )


def edge_phases(producer: Operator | None, p: Placement, consumer: Operator | None, q: Placement, bytes_per_element: int) -> tuple[Phase, ...]:
    """The rounds of the edge: one, or two where p adds up its partial sums in two phases.

    ``producer`` is None for the graph's input (then p is whole), ``consumer`` None for its output (then q is whole).
    """
    e = bytes_per_element
    if producer is None or p.is_whole:
        return (_from_whole(p.devices[0], _needs(producer, consumer, q, e)),)
    if p.reduce == "two_phase":
        completed = Placement.split("OC", p.devices, even_shares(producer.out_channels, len(p.devices)))
        return _completion(producer, completed, e), *edge_phases(producer, completed, consumer, q, e)
    same_team = p.devices == q.devices
    if consumer is not None and p.dim == "OC" and same_team and p.shares == _needed_channels(consumer, q):
        return (_nothing("interleaved", q),)
    if consumer is not None and p.dim == q.dim == "H" and same_team:
        return (_halo(producer, p, consumer, q, e),)
    if p.dim == "IC":
        return (_reduce(p, _partial_sum_needs(producer, consumer, q, e)),)
    return (_concatenate(producer, p, q, e),)


def _nothing(case: str, q: Placement) -> Phase:
    zeros = dict.fromkeys(q.devices, 0)
    return Phase(case, zeros, zeros, zeros)


def needed_rows(consumer: Operator, q: Placement) -> list[tuple[int, int]]:
    """[lo, hi): the input rows of each participant's composite field, cut above the first and below the last only."""
    spans = [(shard.start * consumer.S - consumer.P, (shard.stop - 1) * consumer.S - consumer.P + consumer.K) for shard in q.shards]
    return _cut(spans, consumer.in_shape.height)


def _needed_channels(consumer: Operator, q: Placement) -> tuple[int, ...]:
    """How many input channels each participant of q needs; where it is not all, the intervals are consecutive from 0 like q's own."""
    return tuple(consumer.input_channels(q.dim, share) for share in q.shares)


def _cut(spans: list[tuple[int, int]], height: int) -> list[tuple[int, int]]:
    """Spans cut at the tensor's edge above the first participant and below the last."""
    spans = list(spans)
    spans[0] = max(0, spans[0][0]), spans[0][1]
    spans[-1] = spans[-1][0], min(height, spans[-1][1])
    return spans


def _needs(producer: Operator | None, consumer: Operator | None, q: Placement, e: int) -> dict[int, float]:
    """Bytes of p's output that each participant of q needs."""
    if consumer is None:
        assert producer is not None  # a graph has an operator between its input and its output
        return dict.fromkeys(q.devices, e * producer.out_shape.elements)
    shape = consumer.in_shape
    if q.dim == "H":
        row = e * shape.channels * shape.width
        return {j: row * max(0, hi - lo) for j, (lo, hi) in zip(q.devices, needed_rows(consumer, q), strict=True)}
    return {j: e * shape.height * shape.width * count for j, count in zip(q.devices, _needed_channels(consumer, q), strict=True)}


def _partial_sum_needs(producer: Operator, consumer: Operator | None, q: Placement, e: int) -> dict[int, float]:
    """Bytes of p's tensor before the pool that each participant of q needs, as one device's partial sums."""
    conv = producer.conv_shape
    if consumer is None:
        return dict.fromkeys(q.devices, e * conv.elements)
    if q.dim == "H":
        pool = producer.pool.rows
        spans = [(lo * pool.stride - pool.before, (hi - 1) * pool.stride - pool.before + pool.extent) for lo, hi in needed_rows(consumer, q)]
        row = e * conv.channels * conv.width
        return {j: row * max(0, hi - lo) for j, (lo, hi) in zip(q.devices, _cut(spans, conv.height), strict=True)}
    return {j: e * conv.height * conv.width * count for j, count in zip(q.devices, _needed_channels(consumer, q), strict=True)}


def _from_whole(owner: int, needs: Mapping[int, float]) -> Phase:
    received = {j: 0 if j == owner else need for j, need in needs.items()}
    return Phase("whole", received, {owner: sum(received.values())}, {j: int(j != owner) for j in needs})


def _halo(producer: Operator, p: Placement, consumer: Operator, q: Placement, e: int) -> Phase:
    """Rows handed on between neighbours; nothing where the shares align and the field does not overlap."""
    row = e * producer.out_channels * producer.out_shape.width
    spans = list(zip(p.shards, needed_rows(consumer, q), strict=True))
    above = [max(0, shard.start - lo) for shard, (lo, _) in spans]
    below = [max(0, hi - shard.stop) for shard, (_, hi) in spans]
    if consumer.K <= consumer.S and not any(above) and not any(below):
        return _nothing("row-aligned", q)
    last = len(p.devices) - 1
    sent = [(below[r - 1] if r > 0 else 0) + (above[r + 1] if r < last else 0) for r in range(last + 1)]
    received = {j: row * (above[r] + below[r]) for r, j in enumerate(p.devices)}
    neighbours = {j: int(r > 0) + int(r < last) for r, j in enumerate(p.devices)}
    return Phase("halo", received, {j: row * sent[r] for r, j in enumerate(p.devices)}, neighbours)


def _reduce(p: Placement, needs: Mapping[int, float]) -> Phase:
    """Every participant of q gets the partial sums of what it needs from each other participant of p."""
    others = {j: len(set(p.devices) - {j}) for j in needs}
    received = {j: need * others[j] for j, need in needs.items()}
    sent = {k: sum(need for j, need in needs.items() if j != k) for k in p.devices}
    return Phase("reduce", received, sent, others)


def _completion(producer: Operator, completed: Placement, e: int) -> Phase:
    """First phase of a two-phase reduce: each participant of p completes an even slice c_k of the output channels."""
    pre, others = e * producer.conv_shape.elements, len(completed.devices) - 1
    slices = {k: pre * share / producer.out_channels for k, share in zip(completed.devices, completed.shares, strict=True)}
    received = {k: part * others for k, part in slices.items()}
    sent = {k: pre - part for k, part in slices.items()}
    return Phase("completion", received, sent, dict.fromkeys(slices, others))


def _concatenate(producer: Operator, p: Placement, q: Placement, e: int) -> Phase:
    """Every participant of q gets the whole tensor, whatever its share."""
    assert p.dim is not None  # a whole producer never comes here
    post, size = e * producer.out_shape.elements, producer.size(p.dim)
    owned = {k: post * share / size for k, share in zip(p.devices, p.shares, strict=True)}
    received = {j: post - owned.get(j, 0) for j in q.devices}
    sent = {k: part * len(set(q.devices) - {k}) for k, part in owned.items()}
    return Phase("concatenate", received, sent, {j: len(set(p.devices) - {j}) for j in q.devices})
