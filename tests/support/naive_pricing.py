"""The cost model a second time, as its statement reads: one device at a time, in exact fractions, rows as pairs of integers.

It shares no code with the package's evaluator beyond the types, and it is meant to be slow and obvious.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from support.naive_units import (
    Edge,
    End,
    block_field,
    demand,
    elements,
    extent,
    field,
    flops,
    interval_of_channels,
    mixes,
    naive_block,
    needed_channels,
    needed_rows,
    needs_rows,
    out_shape,
    pre_pool_shape,
    row_count,
    touched,
)

from iopopt import Cluster, Graph, Operator, Plan
from iopopt.network.operators.operator import INPUT

Transfers = tuple[dict[int, Fraction], dict[int, Fraction], dict[int, int]]
"""R, S and N of each device."""


@dataclass(frozen=True)
class NaivePrice:
    latency_s: float
    compute_s: list[float]
    communication_s: list[float]
    sink_s: float
    memory_bytes: list[float]
    transferred_bytes: float
    connections: int


def naive_price(graph: Graph, cluster: Cluster, plan: Plan) -> NaivePrice:
    """Equations (1) and (6) to (8)."""
    ends = naive_ends(graph, plan)
    compute, communication, received, connections = [], [], Fraction(0), 0
    for q, (scatters, transfers) in zip([*ends, None], naive_transfers(graph, cluster, plan), strict=True):
        rounds = [*(_round(cluster, [scatter]) for scatter in scatters), _round(cluster, transfers)]
        communication.append(sum((time for time, _, _ in rounds), Fraction(0)))
        received += sum(more for _, more, _ in rounds)
        connections += sum(more for _, _, more in rounds)
        if q is not None:
            compute.append(max(compute_s(cluster, q, j) for j in q.devices))
    return NaivePrice(
        latency_s=float(sum(compute) + sum(communication)),
        compute_s=[float(time) for time in compute],
        communication_s=[float(time) for time in communication[:-1]],
        sink_s=float(communication[-1]),
        memory_bytes=[float(_memory(graph, cluster, plan, j)) for j in range(len(cluster))],
        transferred_bytes=float(received),
        connections=connections,
    )


def naive_energy_j(graph: Graph, cluster: Cluster, plan: Plan) -> list[float]:
    """The joules of each device: idle power all the time, the other powers for its t_cmp and for its bytes at the rate of its link."""
    latency_s, ends = Fraction(naive_price(graph, cluster, plan).latency_s), naive_ends(graph, plan)
    loads = [load for scatters, transfers in naive_transfers(graph, cluster, plan) for load in (*scatters, *transfers)]
    joules = []
    for j, device in enumerate(cluster.devices):
        idle, compute, transmit, receive = (
            Fraction(watts or 0) for watts in (device.idle_watts, device.compute_watts, device.transmit_watts, device.receive_watts)
        )
        seconds = sum((compute_s(cluster, q, j) for q in ends if j in q.devices), Fraction(0))
        received, sent = (sum((load[side].get(j, Fraction(0)) for load in loads), Fraction(0)) for side in (0, 1))
        joules.append(idle * latency_s + compute * seconds + (transmit * sent + receive * received) / Fraction(device.bandwidth_bytes_per_s))
    return [float(energy) for energy in joules]


def compute_s(cluster: Cluster, q: End, j: int) -> Fraction:
    """Equation (7)."""
    device = cluster.devices[j]
    seconds = [flops(q, j) / Fraction(device.flops_per_s)]
    if device.memory_bytes_per_s is not None:
        seconds.append(touched(cluster.bytes_per_element, q, j) / Fraction(device.memory_bytes_per_s))
    return max(seconds)


def naive_transfers(graph: Graph, cluster: Cluster, plan: Plan) -> list[tuple[list[Transfers], list[Transfers]]]:
    """For each operator or block in order, and then the sink: its reduce-scatters and gathers, and the only or second round of each of its edges."""
    e = cluster.bytes_per_element
    ends = naive_ends(graph, plan)
    makers = {end.operator.name: end for end in ends if end.operator is not None}
    completed: set[str] = set()
    found = []
    for q in [*ends, End(None, None, {cluster.sink: 1})]:
        scatters, edges = [], []
        for slot, name in enumerate(producers_of(graph, q)):
            if name == INPUT:
                if cluster.source is not None:
                    edges.append(Edge(End(None, None, {cluster.source: 1}), q, graph.input_shape, slot))
                continue
            p, operator = makers[name], graph[name]
            host = plan[name].gather
            if host is not None:
                if name not in completed:
                    completed.add(name)
                    scatters.append(_gather(e, p, operator, host))
                p = End(operator, None, {host: 1})
            if plan[name].reduce == "two_phase":
                slices = slices_of(p, operator)
                if name not in completed and plan[name].stream is None:
                    completed.add(name)
                    scatters.append(_first_phase(e, operator, slices))
                p = End(operator, "OC", slices)
            edges.append(Edge(p, q, out_shape(operator), slot))
        stream = None if q.operator is None else plan[q.operator.name].stream
        if stream is not None and q.dim == "OC":
            scatters += [load for edge in edges for load in _fetched_in_messages(e, edge, stream)]
            edges = []
        if stream is not None and q.dim == "IC":
            assert q.operator is not None
            found.append((scatters + _sent_in_messages(e, q.operator, slices_of(q, q.operator), stream), [_transfers(e, edge) for edge in edges]))
        else:
            found.append((scatters, [_transfers(e, edge) for edge in edges]))
    return found


def producers_of(graph: Graph, q: End) -> list[str]:
    """What q reads, input by input; a block has one input, and the sink reads the tensor that nobody else reads."""
    if q.block is not None:
        return [q.block.outside]
    if q.operator is not None:
        return [edge.producer for edge in graph.edges if edge.consumer == q.operator.name]
    read = [edge.producer for edge in graph.edges]
    return [operator.name for operator in graph.operators if operator.name not in read]


def naive_ends(graph: Graph, plan: Plan) -> list[End]:
    """The operators and blocks that the plan places, in order."""
    ends = []
    inner = {name for block in plan.blocks for name in block[:-1]}
    blocks = {block[-1]: naive_block(graph, [graph[name] for name in block]) for block in plan.blocks}
    for operator in graph.operators:
        if operator.name not in inner:
            shares = {shard.device: shard.stop - shard.start for shard in plan[operator.name].shards}
            ends.append(End(operator, plan[operator.name].dim, shares, blocks.get(operator.name)))
    return ends


# Equation (1).


def _memory(graph: Graph, cluster: Cluster, plan: Plan, j: int) -> Fraction:
    """Equation (1) for one device."""
    weights, most = Fraction(0), Fraction(0)
    for i, end in enumerate(naive_ends(graph, plan)):
        w, a = demand(cluster.bytes_per_element, end, j)
        assert end.operator is not None
        if plan[end.operator.name].gather == j:
            a = max(a, Fraction(cluster.bytes_per_element * elements(out_shape(end.operator))))
        if plan[end.operator.name].stream is not None:
            a = _streamed(graph, cluster, plan, i, j)
        weights, most = weights + w, max(most, a + _kept(graph, cluster, plan, i, j))
    return weights + most


def _streamed(graph: Graph, cluster: Cluster, plan: Plan, i: int, j: int) -> Fraction:
    """a_ij of a streamed operator, and what j has of an input that is streamed and that nobody reads later."""
    e, ends = cluster.bytes_per_element, naive_ends(graph, plan)
    end, operator = ends[i], ends[i].operator
    assert operator is not None
    stream, pre, shape = plan[operator.name].stream, pre_pool_shape(operator), operator.in_shape
    assert stream is not None
    if end.dim == "IC":
        slices = slices_of(end, operator)
        if j not in slices:
            return Fraction(0)
        sums = pre.height * pre.width * (min(stream, *(max(slices.values()),)) + slices[j])
        return Fraction(e * elements(shape) * end.shares[j], shape.channels) + e * sums
    (name,) = producers_of(graph, end)
    if name == INPUT:
        owned = dict.fromkeys(range(len(cluster)) if cluster.source is None else [cluster.source], shape.channels)
    elif plan[name].gather is not None or plan[name].dim is None:
        owned = {(plan[name].devices[0] if plan[name].gather is None else plan[name].gather): shape.channels}  # type: ignore[dict-item]
    elif plan[name].dim == "OC":
        owned = dict(zip(plan[name].devices, plan[name].shares, strict=True))
    else:
        owned = slices_of(next(p for p in ends if p.operator is graph[name]), graph[name])
    channel, found = e * shape.height * shape.width, Fraction(0)
    if name not in {read for later in ends[i + 1 :] for read in producers_of(graph, later)}:
        found += channel * owned.get(j, 0)
    if j in end.shares:
        lacking = [channels for k, channels in owned.items() if k != j and j not in (owned if name == INPUT else ())]
        found += channel * min(stream, max(lacking, default=0)) + Fraction(e * elements(pre) * end.shares[j], operator.out_channels)
    return found


def _kept(graph: Graph, cluster: Cluster, plan: Plan, i: int, j: int) -> Fraction:
    """What j keeps while operator or block i runs, of tensors that were there before it and have a consumer behind it."""
    e, kept = cluster.bytes_per_element, Fraction(0)
    ends = naive_ends(graph, plan)
    read_later = {name for end in ends[i + 1 :] for name in producers_of(graph, end)}
    if INPUT in read_later and cluster.source in (None, j):
        kept += e * elements(graph.input_shape)
    for end in ends[:i]:
        operator = end.operator
        assert operator is not None
        host = plan[operator.name].gather
        holders = end.shares if host is None else {host}
        if operator.name not in read_later or j not in holders:
            continue
        post, pre = Fraction(e * elements(out_shape(operator))), Fraction(e * elements(pre_pool_shape(operator)))
        if end.dim is None or host is not None:
            kept += post
        elif end.dim == "H":
            kept += post * end.shares[j] / out_shape(operator).height
        elif end.dim == "OC":
            kept += post * end.shares[j] / operator.out_channels
        elif plan[operator.name].reduce == "two_phase":
            kept += post * slices_of(end, operator)[j] / operator.out_channels
        else:
            kept += pre
    return kept


# Equation (8).


def slices_of(p: End, operator: Operator) -> dict[int, int]:
    """c_k: the output channels that each participant of a two-phase reduce completes."""
    each, one_more = divmod(operator.out_channels, len(p.devices))
    return {k: each + 1 if rank < one_more else each for rank, k in enumerate(p.devices)}


def _first_phase(e: int, operator: Operator, slices: dict[int, int]) -> Transfers:
    count, pre = len(slices), Fraction(e * elements(pre_pool_shape(operator)))
    parts = {k: pre * slices[k] / operator.out_channels for k in slices}
    return {k: parts[k] * (count - 1) for k in parts}, {k: pre - parts[k] for k in parts}, dict.fromkeys(parts, count - 1)


def _gather(e: int, p: End, operator: Operator, host: int) -> Transfers:
    """Every participant but the host itself sends the rows that it owns to the host."""
    rows = {k: Fraction(e * elements(out_shape(operator)) * share, out_shape(operator).height) for k, share in p.shares.items() if k != host}
    return {host: sum(rows.values(), Fraction(0))}, rows, {host: len(rows)}


def _cut(channels: int, stream: int) -> list[int]:
    """The messages of a slice, one after another."""
    found = []
    while sum(found) < channels:
        found.append(min(stream, channels - sum(found)))
    return found


def _fetched_in_messages(e: int, edge: Edge, stream: int) -> list[Transfers]:
    """A round for each message of a streamed input: the participant t places further in the order sends, t = 1, 2, ..."""
    channel, order, found = Fraction(e * edge.tensor.height * edge.tensor.width), edge.q.devices, list[Transfers]()
    if edge.p.dim is None:
        (o,) = edge.p.devices
        others = [j for j in order if j != o]
        for size in _cut(edge.tensor.channels, stream):
            found.append((dict.fromkeys(others, channel * size), {o: channel * size * len(others)}, dict.fromkeys(others, 1)))
        return found
    cuts = {k: _cut(channels, stream) for k, channels in edge.p.shares.items()}
    for t in range(1, len(order)):
        senders = {j: (order + order)[rank + t] for rank, j in enumerate(order)}
        for m in range(max(map(len, cuts.values()))):
            R = {j: channel * cuts[k][m] for j, k in senders.items() if m < len(cuts[k])}
            found.append((R, {senders[j]: size for j, size in R.items()}, dict.fromkeys(R, 1)))
    return found


def _sent_in_messages(e: int, operator: Operator, slices: dict[int, int], stream: int) -> list[Transfers]:
    """A round for each message of partial sums: each participant sends to the one t places further in the order, t = 1, 2, ..."""
    pre, order, found = pre_pool_shape(operator), list(slices), list[Transfers]()
    cuts = {k: _cut(channels, stream) for k, channels in slices.items()}
    for t in range(1, len(order)):
        receivers = {k: (order + order)[rank + t] for rank, k in enumerate(order)}
        for m in range(max(map(len, cuts.values()))):
            S = {k: Fraction(e * pre.height * pre.width * cuts[j][m]) for k, j in receivers.items() if m < len(cuts[j])}
            found.append(({receivers[k]: size for k, size in S.items()}, S, {receivers[k]: 1 for k in S}))
    return found


def _round(cluster: Cluster, transfers: list[Transfers]) -> tuple[Fraction, Fraction, int]:
    """Equation (8): the slowest device where all these transfers are summed; time, bytes and connections."""
    devices = range(len(cluster))
    R = {j: sum((received.get(j, Fraction(0)) for received, _, _ in transfers), Fraction(0)) for j in devices}
    S = {j: sum((sent.get(j, Fraction(0)) for _, sent, _ in transfers), Fraction(0)) for j in devices}
    N = {j: sum(opened.get(j, 0) for _, _, opened in transfers) for j in devices}
    counted = {j: N[j] if cluster.connections == "peer" else min(1, N[j]) for j in devices}
    times = [
        max(R[j], S[j]) / Fraction(cluster.devices[j].bandwidth_bytes_per_s) + counted[j] * Fraction(cluster.connection_setup_s) for j in devices
    ]
    return max(times), sum(R.values(), Fraction(0)), sum(counted.values())


def _transfers(e: int, edge: Edge) -> Transfers:
    """R, S and N by the table: the first row that applies."""
    p, q, tensor = edge.p, edge.q, edge.tensor
    G_p, G_q, same = p.devices, q.devices, p.devices == q.devices
    nothing = dict.fromkeys(G_q, Fraction(0)), dict.fromkeys(G_p, Fraction(0)), dict.fromkeys(G_q, 0)
    if p.dim is None:
        (o,) = G_p
        R = {j: Fraction(0) if j == o else Fraction(e * len(needed_channels(edge, j)) * row_count(*needed_rows(edge, j)) * tensor.width) for j in G_q}
        return R, {o: sum(R.values(), Fraction(0))}, {j: 0 if j == o else 1 for j in G_q}
    if p.dim == "OC" and same and not mixes(p) and all(set(range(*p.intervals[j])) == interval_of_channels(q, j) for j in G_q):
        return nothing
    if p.dim == "H" and same and needs_rows(edge):
        return _halo(e, edge) or nothing
    if p.dim == "IC":
        assert p.operator is not None
        sums = {j: _partial_sums(e, edge, p.operator, j) for j in G_q}
        others = {j: len([k for k in G_p if k != j]) for j in G_q}
        return {j: sums[j] * others[j] for j in G_q}, {k: sum((sums[j] for j in G_q if j != k), Fraction(0)) for k in G_p}, others
    post, size = Fraction(e * elements(tensor)), sum(p.shares.values())
    owns = {k: post * p.shares[k] / size for k in G_p}
    R = {j: post - (owns[j] if j in G_p else 0) for j in G_q}
    return R, {k: owns[k] * len([j for j in G_q if j != k]) for k in G_p}, {j: len([k for k in G_p if k != j]) for j in G_q}


def _halo(e: int, edge: Edge) -> Transfers | None:
    """Rows from neighbour to neighbour; None where they are aligned."""
    p, q = edge.p, edge.q
    assert q.operator is not None
    K, S, _ = field(q.operator) if q.block is None else block_field(q.block)
    needed, owned = {j: needed_rows(edge, j) for j in q.devices}, p.intervals
    above = {j: row_count(needed[j][0], owned[j][0]) for j in q.devices}
    below = {j: row_count(owned[j][1], needed[j][1]) for j in q.devices}
    if K <= S and not any(above.values()) and not any(below.values()):
        return None
    received, sent, neighbours = {}, {}, {}
    for rank, j in enumerate(q.devices):
        row = e * len(needed_channels(edge, j)) * edge.tensor.width
        previous, following = q.devices[:rank][-1:], q.devices[rank + 1 :][:1]
        received[j] = Fraction(row * (above[j] + below[j]))
        sent[j] = Fraction(row * (sum(below[i] for i in previous) + sum(above[i] for i in following)))
        neighbours[j] = len(previous) + len(following)
    return received, sent, neighbours


def _partial_sums(e: int, edge: Edge, producer: Operator, j: int) -> Fraction:
    """One device's partial sums of what j needs, on the tensor before the pool."""
    conv, pool = pre_pool_shape(producer), producer.pool.rows
    top, bottom = 0, conv.height
    if needs_rows(edge):
        lo, hi = (int(row) for row in needed_rows(edge, j))
        top, bottom = lo * pool.stride - pool.before, (hi - 1) * pool.stride - pool.before + extent(pool)
        top = max(top, 0) if j == edge.q.devices[0] else top
        bottom = min(bottom, conv.height) if j == edge.q.devices[-1] else bottom
    return Fraction(e * len(needed_channels(edge, j)) * conv.width * row_count(top, bottom))
