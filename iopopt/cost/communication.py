"""What crosses the network on the edge p -> q: equation (8), case by case as the table of ``cost_model.md`` has them.

The graph's input is an operator whole on the source and its output one whole on the sink, so every edge has two placements.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from iopopt.cluster.cluster import Cluster
from iopopt.network.operators import Operator, Shape
from iopopt.plan.plan import Placement
from iopopt.plan.shares import even_shares

COMPLETION = "completion"
"""What reports call the first phase of a two-phase reduce."""

Span = tuple[int, int]
"""Rows [lo, hi)."""


@dataclass(frozen=True)
class Phase:
    """One round of an edge: R_j and S_k in bytes and N_j, by device; ``case`` is the row of the table that applied."""

    case: str
    received: Mapping[int, float]
    sent: Mapping[int, float]
    connections: Mapping[int, int]

    def capped_connections(self, cluster: Cluster) -> dict[int, int]:
        """N_j as the cluster counts them: each peer, or one for the round."""
        if cluster.connections == "peer":
            return dict(self.connections)
        return {device: min(1, count) for device, count in self.connections.items()}

    def time_s(self, cluster: Cluster) -> float:
        """The largest t_com = max(R_j, S_j) / b_j + N_j t_est of a device."""
        connections = self.capped_connections(cluster)
        return max(
            max(self.received.get(j, 0), self.sent.get(j, 0)) / cluster.devices[j].bandwidth_bytes_per_s
            + connections.get(j, 0) * cluster.connection_setup_s
            for j in self.received.keys() | self.sent.keys()
        )


@dataclass(frozen=True)
class TensorEdge:
    """The tensor of an edge p -> q: who makes it and who reads it, as input ``slot``.

    ``producer`` is None for the graph's input (then p is whole), ``consumer`` None for its output (then q is whole).
    """

    producer: Operator | None
    consumer: Operator | None
    slot: int = 0

    @cached_property
    def shape(self) -> Shape:
        """What is handed over of the tensor: what the consumer reads, or all channels behind a step that mixes them."""
        if self.consumer is not None:
            return self.consumer.read_shape(self.slot) if self.by_channels else self.consumer.in_shapes[self.slot]
        assert self.producer is not None  # a graph has an operator between its input and its output
        return self.producer.out_shape

    @cached_property
    def pre_pool_shape(self) -> Shape:
        """What is read of it, as its producer has it before the pool."""
        assert self.producer is not None  # an input comes without partial sums
        return self.producer.pre_pool_shape._replace(channels=self.shape.channels)

    @cached_property
    def by_rows(self) -> bool:
        """Whether rows of the consumer need rows of this input: not if it is a gate, of which every row needs all."""
        return self.consumer is not None and not self.consumer.is_gate(self.slot)

    @cached_property
    def by_channels(self) -> bool:
        """Whether a part of the channels may be needed alone: not behind a step that mixes them."""
        return self.producer is None or not self.producer.mixes_channels

    def needed_channels(self, q: Placement) -> tuple[int, ...]:
        """How many channels each participant of q needs; where it is not all, the intervals are consecutive from 0 like q's own."""
        if self.consumer is None or not self.by_channels:
            return (self.shape.channels,) * len(q.devices)
        return tuple(self.consumer.input_channels(q.dim, share, self.slot) for share in q.shares)


def edge_phases(handover: TensorEdge, p: Placement, q: Placement, bytes_per_element: int) -> tuple[Phase, ...]:
    """The rounds of the edge: one, or two where p adds up its partial sums in two phases."""
    e, producer, consumer = bytes_per_element, handover.producer, handover.consumer
    if producer is None or p.is_whole:
        return (_from_whole(p.devices[0], _needs(handover, q, e)),)
    if p.reduce == "two_phase":
        completed = Placement.split("OC", p.devices, even_shares(producer.out_channels, len(p.devices)))
        return _completion(producer, completed, e), *edge_phases(handover, completed, q, e)
    same_team = p.devices == q.devices
    part_read = consumer is not None and consumer.reads_part(q.dim) and handover.by_channels
    if p.dim == "OC" and same_team and part_read and p.shares == handover.needed_channels(q):
        return (_nothing("interleaved", q),)
    if consumer is not None and p.dim == q.dim == "H" and same_team:
        return (_halo(handover, p, consumer, q, e),)
    if p.dim == "IC":
        return (_reduce(p, _needs(handover, q, e, partial=True)),)
    return (_concatenate(producer, p, q, e),)


def operator_phases(incoming: Sequence[Phase]) -> tuple[Phase, ...]:
    """The rounds of all edges of one operator: each first phase of a two-phase reduce by itself, all else summed up as one round."""
    completions = [phase for phase in incoming if phase.case == COMPLETION]
    rest = [phase for phase in incoming if phase.case != COMPLETION]
    return (*completions, *([_together(rest)] if rest else []))


def _together(phases: Sequence[Phase]) -> Phase:
    """One round in which every device receives, sends and opens what it does in all of these."""
    if len(phases) == 1:
        return phases[0]
    received, sent, connections = Counter[int](), Counter[int](), Counter[int]()
    for phase in phases:
        for total, part in ((received, phase.received), (sent, phase.sent), (connections, phase.connections)):
            for device, amount in part.items():
                total[device] += amount  # type: ignore[assignment]
    return Phase("+".join(phase.case for phase in phases), received, sent, connections)


def _nothing(case: str, q: Placement) -> Phase:
    zeros = dict.fromkeys(q.devices, 0)
    return Phase(case, zeros, zeros, zeros)


def needed_rows(consumer: Operator, q: Placement) -> list[Span]:
    """[lo, hi): the input rows of each participant's composite field, cut above the first and below the last only."""
    K, S, P = consumer.K, consumer.S, consumer.P
    spans = [(int(shard.start * S - P), int((shard.stop - 1) * S - P + K)) for shard in q.shards]  # whole numbers at whole units
    return _cut(spans, consumer.in_shape.height)


def _cut(spans: list[Span], height: int) -> list[Span]:
    """Spans cut at the tensor's edge above the first participant and below the last."""
    spans = list(spans)
    spans[0] = max(0, spans[0][0]), spans[0][1]
    spans[-1] = spans[-1][0], min(height, spans[-1][1])
    return spans


def _needs(handover: TensorEdge, q: Placement, e: int, *, partial: bool = False) -> dict[int, float]:
    """Bytes that each participant of q needs of p's output, or of one device's ``partial`` sums, which lie before p's pool."""
    maps = handover.pre_pool_shape if partial else handover.shape
    if q.dim == "H" and handover.by_rows:
        assert handover.consumer is not None  # the sink is whole
        spans = needed_rows(handover.consumer, q)
        if partial:
            assert handover.producer is not None  # an input comes without partial sums
            spans = _before_pool(handover.producer, spans)
        return {j: e * maps.channels * maps.width * max(0, hi - lo) for j, (lo, hi) in zip(q.devices, spans, strict=True)}
    return {j: e * maps.height * maps.width * count for j, count in zip(q.devices, handover.needed_channels(q), strict=True)}


def _before_pool(producer: Operator, spans: Sequence[Span]) -> list[Span]:
    """The rows before p's pool under output rows of its."""
    pool = producer.pool.rows
    under = [(lo * pool.stride - pool.before, (hi - 1) * pool.stride - pool.before + pool.extent) for lo, hi in spans]
    return _cut(under, producer.pre_pool_shape.height)


def _from_whole(owner: int, needs: Mapping[int, float]) -> Phase:
    received = {j: 0 if j == owner else need for j, need in needs.items()}
    return Phase("whole", received, {owner: sum(received.values())}, {j: int(j != owner) for j in needs})


def _halo(handover: TensorEdge, p: Placement, consumer: Operator, q: Placement, e: int) -> Phase:
    """Rows handed on between neighbours; nothing where the shares align and the field does not overlap."""
    row = e * handover.shape.channels * handover.shape.width
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
    pre, others = e * producer.pre_pool_shape.elements, len(completed.devices) - 1
    slices = {k: pre * share / producer.out_channels for k, share in zip(completed.devices, completed.shares, strict=True)}
    received = {k: part * others for k, part in slices.items()}
    sent = {k: pre - part for k, part in slices.items()}
    return Phase(COMPLETION, received, sent, dict.fromkeys(slices, others))


def _concatenate(producer: Operator, p: Placement, q: Placement, e: int) -> Phase:
    """Every participant of q gets the whole tensor, whatever its share."""
    assert p.dim is not None  # a whole producer never comes here
    post, size = e * producer.out_shape.elements, producer.size(p.dim)
    owned = {k: post * share / size for k, share in zip(p.devices, p.shares, strict=True)}
    received = {j: post - owned.get(j, 0) for j in q.devices}
    sent = {k: part * len(set(q.devices) - {k}) for k, part in owned.items()}
    return Phase("concatenate", received, sent, {j: len(set(p.devices) - {j}) for j in q.devices})
