"""The cost model a second time, as its statement reads: one device at a time, in exact fractions, rows as Python ranges.

It shares no code with the package's evaluator beyond the types, and it is meant to be slow and obvious.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from iopopt import Cluster, Graph, Operator, Placement, Plan
from iopopt.operators import Shape, Window


@dataclass(frozen=True)
class NaivePrice:
    latency_s: float
    compute_s: list[float]
    communication_s: list[float]
    sink_s: float
    memory_bytes: list[float]
    transferred_bytes: float
    connections: int


@dataclass(frozen=True)
class End:
    """One end of an edge: the tensor between them, and who makes or reads it how. No operator: the source or the sink."""

    operator: Operator | None
    dim: str | None
    shares: dict[int, int]

    @property
    def devices(self) -> list[int]:
        return list(self.shares)

    @property
    def intervals(self) -> dict[int, tuple[int, int]]:
        found, start = {}, 0
        for device, share in self.shares.items():
            found[device] = (start, start + share)
            start += share
        return found


def naive_price(graph: Graph, cluster: Cluster, plan: Plan) -> NaivePrice:
    """Equations (1) and (6) to (8)."""
    compute, communication, received, connections = [], [], Fraction(0), 0
    before, tensor = None if cluster.source is None else End(None, None, {cluster.source: 1}), graph.input_shape
    for operator in graph.operators:
        placement = plan[operator.name]
        after = _end(operator, placement)
        time = Fraction(0)
        if before is not None:
            time, more_bytes, more_connections = _edge(cluster, before, after, tensor, placement_reduce(plan, before))
            received, connections = received + more_bytes, connections + more_connections
        communication.append(time)
        compute.append(max(_flops(operator, after, j) / Fraction(cluster.devices[j].flops_per_s) for j in after.devices))
        before, tensor = after, _output(operator)
    assert before is not None
    sink, more_bytes, more_connections = _edge(cluster, before, End(None, None, {cluster.sink: 1}), tensor, placement_reduce(plan, before))
    return NaivePrice(
        latency_s=float(sum(compute) + sum(communication) + sink),
        compute_s=[float(time) for time in compute],
        communication_s=[float(time) for time in communication],
        sink_s=float(sink),
        memory_bytes=[float(_memory(graph, cluster, plan, j)) for j in range(len(cluster))],
        transferred_bytes=float(received + more_bytes),
        connections=connections + more_connections,
    )


def placement_reduce(plan: Plan, end: End) -> str | None:
    return None if end.operator is None else plan[end.operator.name].reduce


def _end(operator: Operator, placement: Placement) -> End:
    return End(operator, placement.dim, {shard.device: shard.stop - shard.start for shard in placement.shards})


def _extent(window: Window) -> int:
    return (window.kernel - 1) * window.dilation + 1


def _positions(window: Window, size: int) -> int:
    return len(range(0, size + window.before + window.after - _extent(window) + 1, window.stride))


def _before_pool(operator: Operator) -> Shape:
    return Shape(operator.out_channels, _positions(operator.rows, operator.in_shape.height), _positions(operator.columns, operator.in_shape.width))


def _output(operator: Operator) -> Shape:
    conv, pool = _before_pool(operator), operator.pool
    return Shape(conv.channels, _positions(pool.rows, conv.height), _positions(pool.columns, conv.width))


def _elements(shape: Shape) -> int:
    return shape.channels * shape.height * shape.width


def _field(operator: Operator) -> tuple[int, int, int]:
    """K, S and P of convolution and pool together."""
    s, pool = operator.rows.stride, operator.pool.rows
    return _extent(operator.rows) + (_extent(pool) - 1) * s, s * pool.stride, operator.rows.before + pool.before * s


def _rows(first: int, last: int) -> int:
    return len(range(first, last))


def _flops(operator: Operator, end: End, j: int) -> Fraction:
    """C_ij of equation (7)."""
    conv, n, pool = _before_pool(operator), end.shares[j], operator.pool.rows
    macs = _kernel_elements(operator) * conv.height * conv.width
    if end.dim is None:
        return Fraction(2 * macs)
    if end.dim == "H":
        return Fraction(2 * macs, conv.height) * _rows(0, (n - 1) * pool.stride + _extent(pool))
    return Fraction(2 * macs * n, conv.channels if end.dim == "OC" else operator.in_shape.channels)


def _kernel_elements(operator: Operator) -> int:
    """Every output channel has a filter over the input channels of its group."""
    return operator.out_channels * len(_inputs_of(operator, 0)) * operator.rows.kernel * operator.columns.kernel


def _inputs_of(operator: Operator, output: int) -> range:
    """The input channels that one output channel reads: those of its group, counted from the first."""
    inputs = operator.in_shape.channels // operator.groups
    group = next(g for g in range(operator.groups) if output < (g + 1) * (operator.out_channels // operator.groups))
    return range(group * inputs, (group + 1) * inputs)


def _needed_channels(q: End, j: int, tensor: Shape) -> set[int]:
    """The channels of the tensor that j reads."""
    if q.operator is not None and q.dim == "IC":
        return set(range(*q.intervals[j]))
    if q.operator is not None and q.dim == "OC" and q.operator.groups > 1:
        return {channel for output in range(*q.intervals[j]) for channel in _inputs_of(q.operator, output)}
    return set(range(tensor.channels))


def _memory(graph: Graph, cluster: Cluster, plan: Plan, j: int) -> Fraction:
    """Equation (1) for one device."""
    e, weights, activations = cluster.bytes_per_element, Fraction(0), Fraction(0)
    for operator in graph.operators:
        end = _end(operator, plan[operator.name])
        if j not in end.shares:
            continue
        n, conv, (K, S, _), pool = Fraction(end.shares[j]), _before_pool(operator), _field(operator), operator.pool.rows
        C, _, W_in = operator.in_shape
        W = Fraction(e * _kernel_elements(operator))
        B = Fraction(e * conv.channels if operator.bias else 0)
        whole_in, pre = Fraction(e * _elements(operator.in_shape)), Fraction(e * _elements(conv))
        if end.dim is None:
            w, a = W + B, whole_in + pre
        elif end.dim == "H":
            in_rows, conv_rows = _rows(0, int((n - 1) * S + K)), _rows(0, int((n - 1) * pool.stride + _extent(pool)))
            w, a = W + B, Fraction(e * C * W_in * in_rows + e * conv.channels * conv.width * conv_rows)
        elif end.dim == "OC":
            read = Fraction(len(_needed_channels(end, j, operator.in_shape)), C)
            w, a = (W + B) * n / conv.channels, whole_in * read + pre * n / conv.channels
        else:
            w, a = W * n / C + B, whole_in * n / C + pre
        weights, activations = weights + w, max(activations, a)
    return weights + activations


def _edge(cluster: Cluster, p: End, q: End, tensor: Shape, reduce: str | None) -> tuple[Fraction, Fraction, int]:
    """Time, bytes and connections of the edge p -> q over ``tensor``, both phases of a two-phase reduce included."""
    if reduce == "two_phase":
        assert p.operator is not None
        count, pre = len(p.devices), Fraction(cluster.bytes_per_element * _elements(_before_pool(p.operator)))
        each, one_more = divmod(tensor.channels, count)
        slices = {k: each + 1 if rank < one_more else each for rank, k in enumerate(p.devices)}
        parts = {k: pre * slices[k] / tensor.channels for k in p.devices}
        first = _round(cluster, {k: parts[k] * (count - 1) for k in parts}, {k: pre - parts[k] for k in parts}, dict.fromkeys(parts, count - 1))
        second = _edge(cluster, End(p.operator, "OC", slices), q, tensor, None)
        return first[0] + second[0], first[1] + second[1], first[2] + second[2]
    return _round(cluster, *_transfers(cluster.bytes_per_element, p, q, tensor))


def _round(cluster: Cluster, R: dict[int, Fraction], S: dict[int, Fraction], N: dict[int, int]) -> tuple[Fraction, Fraction, int]:
    """Equation (8): the slowest device of one round."""
    counted = {j: N[j] if cluster.connections == "peer" else min(1, N[j]) for j in N}
    times = [
        max(R.get(j, Fraction(0)), S.get(j, Fraction(0))) / Fraction(cluster.devices[j].bandwidth_bytes_per_s)
        + counted.get(j, 0) * Fraction(cluster.connection_setup_s)
        for j in {*R, *S}
    ]
    return max(times), sum(R.values(), Fraction(0)), sum(counted.values())


def _transfers(e: int, p: End, q: End, tensor: Shape) -> tuple[dict[int, Fraction], dict[int, Fraction], dict[int, int]]:
    """R, S and N by the table: the first row that applies."""
    G_p, G_q, row = p.devices, q.devices, e * tensor.channels * tensor.width
    post, same = Fraction(e * _elements(tensor)), p.devices == q.devices
    nothing = dict.fromkeys(G_q, Fraction(0)), dict.fromkeys(G_p, Fraction(0)), dict.fromkeys(G_q, 0)
    if p.dim is None:
        (o,) = G_p
        R = {j: Fraction(0) if j == o else _need(e, q, j, tensor) for j in G_q}
        return R, {o: sum(R.values(), Fraction(0))}, {j: 0 if j == o else 1 for j in G_q}
    if p.dim == "OC" and same and all(set(range(*p.intervals[j])) == _needed_channels(q, j, tensor) for j in G_q):
        return nothing
    if p.dim == "H" and q.dim == "H" and same:
        assert q.operator is not None
        needed, owned = {j: _needed_rows(q, j, tensor) for j in G_q}, p.intervals
        above = {j: _rows(needed[j][0], owned[j][0]) for j in G_q}
        below = {j: _rows(owned[j][1], needed[j][1]) for j in G_q}
        K, S, _ = _field(q.operator)
        if K <= S and not any(above.values()) and not any(below.values()):
            return nothing
        sent, neighbours = {}, {}
        for rank, j in enumerate(G_q):
            previous, following = G_q[:rank][-1:], G_q[rank + 1 :][:1]
            sent[j] = Fraction(row * (sum(below[i] for i in previous) + sum(above[i] for i in following)))
            neighbours[j] = len(previous) + len(following)
        return {j: Fraction(row * (above[j] + below[j])) for j in G_q}, sent, neighbours
    if p.dim == "IC":
        assert p.operator is not None
        sums = {j: _partial_sums(e, p.operator, q, j, tensor) for j in G_q}
        others = {j: len([k for k in G_p if k != j]) for j in G_q}
        return {j: sums[j] * others[j] for j in G_q}, {k: sum((sums[j] for j in G_q if j != k), Fraction(0)) for k in G_p}, others
    size = sum(p.shares.values())
    owns = {k: post * p.shares[k] / size for k in G_p}
    R = {j: post - (owns[j] if j in G_p else 0) for j in G_q}
    return R, {k: owns[k] * len([j for j in G_q if j != k]) for k in G_p}, {j: len([k for k in G_p if k != j]) for j in G_q}


def _needed_rows(q: End, j: int, tensor: Shape) -> tuple[int, int]:
    """[lo, hi), cut at the tensor's edge for the first and the last participant only."""
    assert q.operator is not None
    (a, b), (K, S, P) = q.intervals[j], _field(q.operator)
    lo, hi = a * S - P, (b - 1) * S - P + K
    return (max(lo, 0) if j == min(q.devices) else lo), (min(hi, tensor.height) if j == max(q.devices) else hi)


def _need(e: int, q: End, j: int, tensor: Shape) -> Fraction:
    if q.dim == "H":
        return Fraction(e * tensor.channels * tensor.width * _rows(*_needed_rows(q, j, tensor)))
    return Fraction(e * tensor.height * tensor.width * len(_needed_channels(q, j, tensor)))


def _partial_sums(e: int, producer: Operator, q: End, j: int, tensor: Shape) -> Fraction:
    """One device's partial sums of what j needs, on the tensor before the pool."""
    conv, pool = _before_pool(producer), producer.pool.rows
    if q.dim == "H":
        lo, hi = _needed_rows(q, j, tensor)
        top, bottom = lo * pool.stride - pool.before, (hi - 1) * pool.stride - pool.before + _extent(pool)
        top = max(top, 0) if j == min(q.devices) else top
        bottom = min(bottom, conv.height) if j == max(q.devices) else bottom
        return Fraction(e * conv.channels * conv.width * _rows(top, bottom))
    return Fraction(e * conv.height * conv.width * len(_needed_channels(q, j, tensor)))
