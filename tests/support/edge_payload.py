"""Where the bytes that a run moves must equal those that the cost model counts, edge by edge and device by device.

A tensor with several consumers crosses to each of them, and an operator's edges are counted together. The model cuts the rows that a
participant needs at the tensor's edge above the first participant and below the last only, gives an empty share a field like any other,
and hands rows on from neighbour to neighbour. A run moves the rows that lie inside the tensor, nothing for an empty share, and each row
straight from its owner. Both agree where none of this matters; elsewhere a run may receive less, never more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from iopopt import Cluster, Graph, Operator, Placement, Plan, Shard
from iopopt.cost.evaluation import schedule_of_plan
from iopopt.network.unit import SINK

if TYPE_CHECKING:
    from iopopt.executor.execution import Execution

Span = tuple[int, int]


class EdgePayload(NamedTuple):
    """Bytes of the edges into one operator on one device: measured and by the model, and whether the received and the sent ones must be equal."""

    edge: str
    device: int
    received: int
    modelled_received: float
    received_exactly: bool
    sent: int
    modelled_sent: float
    sent_exactly: bool


class EdgeTraffic(NamedTuple):
    """What the model counts for the edges into one operator on one device, bytes, and whether a run must move just as much."""

    received: float
    sent: float
    received_exactly: bool
    sent_exactly: bool


def modelled_traffic(graph: Graph, cluster: Cluster, plan: Plan) -> dict[tuple[str, int], EdgeTraffic]:
    """By operator, or the sink, and device; free of the executor."""
    exact, traffic = _exact_edges(graph, cluster, plan), {}
    for step in schedule_of_plan(graph, cluster, plan).steps:
        for device in range(len(cluster)):
            received = sum(round_.loads.received.get(device, 0) for round_ in step.rounds)
            sent = sum(round_.loads.sent.get(device, 0) for round_ in step.rounds)
            traffic[step.name, device] = EdgeTraffic(received, sent, *exact[step.name])
    return traffic


def edge_payloads(graph: Graph, cluster: Cluster, plan: Plan, execution: Execution) -> list[EdgePayload]:
    """A row for each operator, and the sink, and device."""
    modelled, rows = modelled_traffic(graph, cluster, plan), []
    for row in execution.traffic:
        model = modelled[row.edge, row.device]
        received, sent = (row.received_bytes, model.received, model.received_exactly), (row.sent_bytes, model.sent, model.sent_exactly)
        rows.append(EdgePayload(row.edge, row.device, *received, *sent))
    return rows


def fields_inside(operator: Operator, shard: Shard) -> bool:
    """Whether the fields of a shard of rows, both of the pool and the composite one, reach nowhere beyond the tensor."""
    pool, lo = operator.pool.rows, shard.start * operator.S - operator.P
    pool_lo = shard.start * pool.stride - pool.before
    pool_hi, hi = (shard.stop - 1) * pool.stride - pool.before + pool.extent, (shard.stop - 1) * operator.S - operator.P + operator.K
    return min(lo, pool_lo) >= 0 and hi <= operator.in_shape.height and pool_hi <= operator.pre_pool_shape.height


def assert_payload(graph: Graph, cluster: Cluster, plan: Plan, execution: Execution) -> bool:
    """Received bytes equal the model's wherever they must and never exceed them, each edge and the total; returns whether all must."""
    rows = edge_payloads(graph, cluster, plan, execution)
    for row in rows:
        assert row.received <= row.modelled_received, row
        assert row.received == row.modelled_received or not row.received_exactly, row
        assert row.sent == row.modelled_sent or not row.sent_exactly, row
    modelled, everywhere = execution.evaluation.transferred_bytes, all(row.received_exactly for row in rows)
    assert sum(row.received for row in rows) == sum(row.sent for row in rows) == execution.transferred_bytes
    assert execution.transferred_bytes <= modelled
    assert execution.transferred_bytes == modelled or not everywhere
    return everywhere


def _exact_edges(graph: Graph, cluster: Cluster, plan: Plan) -> dict[str, tuple[bool, bool]]:
    """For each operator's edges together, whether received and whether sent bytes must equal the model's."""
    result = {SINK: (True, True)}
    for consumer, edges in zip(graph.operators, graph.edges_into, strict=False):
        exact = []
        for edge in edges:
            if edge.producer != graph.source:
                producer = graph.operators[edge.producer]
                exact.append(_exact(producer, plan[producer.name], consumer, plan[consumer.name], edge.slot))
            elif cluster.source is not None:  # else nothing is moved or counted
                exact.append(_exact(None, Placement.whole(cluster.source), consumer, plan[consumer.name], edge.slot))
        result[consumer.name] = all(received for received, _ in exact), all(sent for _, sent in exact)
    return result


def _exact(producer: Operator | None, p: Placement, consumer: Operator, q: Placement, slot: int) -> tuple[bool, bool]:
    if q.dim != "H":
        return True, True
    if 0 in q.shares or consumer.is_gate(slot):
        return 0 not in q.shares, 0 not in q.shares
    fields = [(int(shard.start * consumer.S - consumer.P), int((shard.stop - 1) * consumer.S - consumer.P + consumer.K)) for shard in q.shards]
    if not _inside(fields, consumer.in_shape.height):
        return False, False
    needs = _cut_at_ends(fields, consumer.in_shape.height)
    if producer is None or p.handed_on.is_whole:
        return True, True
    if p.dim == "IC" and p.reduce == "direct":
        pool = producer.pool.rows
        sums = [(lo * pool.stride - pool.before, (hi - 1) * pool.stride - pool.before + pool.extent) for lo, hi in needs]
        exact = all(lo < hi for lo, hi in needs) and _inside(sums, producer.pre_pool_shape.height)
        return exact, exact
    if p.dim == "H" and p.devices == q.devices:
        touching = all(shard.start <= hi and lo <= shard.stop for shard, (lo, hi) in zip(p.shards, needs, strict=True))
        return touching, touching and _from_neighbours(p, needs)
    exact = all(lo < hi for lo, hi in needs)  # an all-gather leaves out who needs no row that there is
    return exact, exact


def _inside(spans: list[Span], height: int) -> bool:
    """Whether only the first span reaches beyond the tensor above, and only the last below."""
    return all(lo >= 0 for lo, _ in spans[1:]) and all(hi <= height for _, hi in spans[:-1])


def _cut_at_ends(spans: list[Span], height: int) -> list[Span]:
    first, *_ = spans
    spans = [(max(0, first[0]), first[1]), *spans[1:]]
    return [*spans[:-1], (spans[-1][0], min(height, spans[-1][1]))]


def _from_neighbours(p: Placement, needs: list[Span]) -> bool:
    """Whether nobody needs rows from beyond the participant before and the one after it."""
    shards = [p.shards[0], *p.shards, p.shards[-1]]
    reach = [(before.start, after.stop) for before, after in zip(shards, shards[2:], strict=False)]
    return all(first <= lo and hi <= last for (first, last), (lo, hi) in zip(reach, needs, strict=True))
