"""The cost model a second time, as its statement reads: one device at a time, in exact fractions, rows as Python ranges.

It shares no code with the package's evaluator beyond the types, and it is meant to be slow and obvious.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from iopopt import Cluster, Graph, Operator, Placement, Plan
from iopopt.network.epilogue import Mixing
from iopopt.network.operators.operator import INPUT
from iopopt.network.shapes import Shape, Window

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


@dataclass(frozen=True)
class Edge:
    """p -> q: ``tensor`` is input ``slot`` of q."""

    p: End
    q: End
    tensor: Shape
    slot: int


def naive_price(graph: Graph, cluster: Cluster, plan: Plan) -> NaivePrice:
    """Equations (1) and (6) to (8)."""
    ends = {operator.name: _end(operator, plan[operator.name]) for operator in graph.operators}
    compute, communication, received, connections = [], [], Fraction(0), 0
    for consumer, (scatters, transfers) in zip([*graph.operators, None], naive_transfers(graph, cluster, plan), strict=True):
        rounds = [*(_round(cluster, [scatter]) for scatter in scatters), _round(cluster, transfers)]
        communication.append(sum((time for time, _, _ in rounds), Fraction(0)))
        received += sum(more for _, more, _ in rounds)
        connections += sum(more for _, _, more in rounds)
        if consumer is not None:
            q = ends[consumer.name]
            compute.append(max(_flops(consumer, q, j) / Fraction(cluster.devices[j].flops_per_s) for j in q.devices))
    return NaivePrice(
        latency_s=float(sum(compute) + sum(communication)),
        compute_s=[float(time) for time in compute],
        communication_s=[float(time) for time in communication[:-1]],
        sink_s=float(communication[-1]),
        memory_bytes=[float(_memory(graph, cluster, plan, j)) for j in range(len(cluster))],
        transferred_bytes=float(received),
        connections=connections,
    )


def naive_transfers(graph: Graph, cluster: Cluster, plan: Plan) -> list[tuple[list[Transfers], list[Transfers]]]:
    """For each operator in order, and then the sink: its reduce-scatters, and the only or second round of each of its edges."""
    e = cluster.bytes_per_element
    ends = {operator.name: _end(operator, plan[operator.name]) for operator in graph.operators}
    completed: set[str] = set()
    found = []
    for consumer in [*graph.operators, None]:  # the sink comes last
        q = End(None, None, {cluster.sink: 1}) if consumer is None else ends[consumer.name]
        scatters, edges = [], []
        for slot, name in enumerate(_producers(graph, consumer)):
            if name == INPUT:
                if cluster.source is not None:
                    edges.append(Edge(End(None, None, {cluster.source: 1}), q, graph.input_shape, slot))
                continue
            p, operator = ends[name], graph[name]
            if plan[name].reduce == "two_phase":
                slices = _slices(p, operator)
                if name not in completed:
                    completed.add(name)
                    scatters.append(_first_phase(e, operator, slices))
                p = End(operator, "OC", slices)
            edges.append(Edge(p, q, _output(operator), slot))
        found.append((scatters, [_transfers(e, edge) for edge in edges]))
    return found


def _producers(graph: Graph, consumer: Operator | None) -> list[str]:
    """What the consumer reads, input by input; the sink (None) reads the tensor that nobody else reads."""
    if consumer is not None:
        return [edge.producer for edge in graph.edges if edge.consumer == consumer.name]
    read = [edge.producer for edge in graph.edges]
    return [operator.name for operator in graph.operators if operator.name not in read]


def _end(operator: Operator, placement: Placement) -> End:
    return End(operator, placement.dim, {shard.device: shard.stop - shard.start for shard in placement.shards})


# Shapes and windows.


def _extent(window: Window) -> int:
    return (window.kernel - 1) * window.dilation + 1


def _positions(window: Window, size: int) -> int:
    return len(range(0, size + window.before + window.after - _extent(window) + 1, window.stride)) * window.upsampling


def _before_pool(operator: Operator) -> Shape:
    return Shape(operator.out_channels, _positions(operator.rows, operator.in_shape.height), _positions(operator.columns, operator.in_shape.width))


def _output(operator: Operator) -> Shape:
    conv, pool = _before_pool(operator), operator.pool
    return Shape(conv.channels, _positions(pool.rows, conv.height), _positions(pool.columns, conv.width))


def _elements(shape: Shape) -> int:
    return shape.channels * shape.height * shape.width


def _field(operator: Operator) -> tuple[Fraction, Fraction, Fraction]:
    """K, S and P of the operator and its pool together."""
    if operator.kind == "upsample":
        each = Fraction(1, operator.rows.upsampling)
        return (each, each, Fraction(0)) if operator.function == "nearest" else (2 + each, each, Fraction(1))
    s, pool = operator.rows.stride, operator.pool.rows
    K, S, P = _extent(operator.rows) + (_extent(pool) - 1) * s, s * pool.stride, operator.rows.before + pool.before * s
    return Fraction(K), Fraction(S), Fraction(P)


def _rows(first: int | Fraction, last: int | Fraction) -> int:
    """How many whole rows [first, last) are."""
    assert first == int(first)
    assert last == int(last)
    return len(range(int(first), int(last)))


# Which channels and inputs an operator reads.


def _is_gate(operator: Operator, slot: int) -> bool:
    """One element for each channel, of an add or mul whose others have more."""
    shapes = [operator.in_shape, *operator.more_inputs]
    return operator.kind in ("add", "mul") and shapes[slot][1:] == (1, 1) and any(shape[1:] != (1, 1) for shape in shapes)


def _read(operator: Operator, slot: int) -> Shape:
    """What the operator reads of an input: all of it, or a slice's own channels."""
    shape = [operator.in_shape, *operator.more_inputs][slot]
    return Shape(operator.out_channels, shape.height, shape.width) if operator.kind == "slice" else shape


def _slots(operator: Operator) -> range:
    return range(1 + len(operator.more_inputs))


def _is_channel_local(operator: Operator) -> bool:
    return operator.groups > 1 or operator.kind in ("pool", "elementwise", "add", "mul", "upsample")


def _inputs_of(operator: Operator, output: int) -> range:
    """The input channels that one output channel of a convolution or of a channel-local operator reads: those of its group."""
    groups = operator.groups if operator.kind in ("conv", "fc") else operator.out_channels
    inputs = operator.in_shape.channels // groups
    group = next(g for g in range(groups) if output < (g + 1) * (operator.out_channels // groups))
    return range(group * inputs, (group + 1) * inputs)


def _interval_of_channels(q: End, j: int) -> set[int] | None:
    """The input channels that j needs where it needs an interval of them."""
    if q.operator is not None and q.dim == "IC":
        return set(range(*q.intervals[j]))
    if q.operator is not None and q.dim == "OC" and _is_channel_local(q.operator):
        return {channel for output in range(*q.intervals[j]) for channel in _inputs_of(q.operator, output)}
    return None


def _mixes(p: End) -> bool:
    return p.operator is not None and any(isinstance(step, Mixing) for step in p.operator.epilogue)


def _needed_channels(edge: Edge, j: int) -> set[int]:
    """The channels of the tensor that j reads; all of them behind a mixing step."""
    q, everything = edge.q, set(range(edge.tensor.channels))
    if _mixes(edge.p):
        return everything
    if q.operator is not None and q.operator.kind == "slice":
        return set(range(q.operator.first_channel, q.operator.first_channel + q.operator.out_channels))
    interval = _interval_of_channels(q, j)
    return everything if interval is None else interval


def _needs_rows(edge: Edge) -> bool:
    """Whether q needs rows of the tensor, and not all of them."""
    return edge.q.operator is not None and edge.q.dim == "H" and not _is_gate(edge.q.operator, edge.slot)


def _needed_rows(edge: Edge, j: int) -> tuple[int | Fraction, int | Fraction]:
    """[lo, hi), cut at the tensor's edge for the first and the last participant only; all rows unless q is split by rows."""
    q = edge.q
    if not _needs_rows(edge):
        return 0, edge.tensor.height
    assert q.operator is not None
    (a, b), (K, S, P) = q.intervals[j], _field(q.operator)
    lo, hi = a * S - P, (b - 1) * S - P + K
    return (max(lo, 0) if j == q.devices[0] else lo), (min(hi, edge.tensor.height) if j == q.devices[-1] else hi)


# Equation (7).


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
    """Every output channel has a filter over the input channels of its group; nothing else than a conv or fc has one."""
    if operator.kind not in ("conv", "fc"):
        return 0
    return operator.out_channels * len(_inputs_of(operator, 0)) * operator.rows.kernel * operator.columns.kernel


# Equation (1).


def _memory(graph: Graph, cluster: Cluster, plan: Plan, j: int) -> Fraction:
    """Equation (1) for one device."""
    weights, most = Fraction(0), Fraction(0)
    for i, operator in enumerate(graph.operators):
        w, a = _demand(cluster.bytes_per_element, operator, _end(operator, plan[operator.name]), j)
        weights, most = weights + w, max(most, a + _kept(graph, cluster, plan, i, j))
    return weights + most


def _demand(e: int, operator: Operator, end: End, j: int) -> tuple[Fraction, Fraction]:
    """w_ij and a_ij."""
    if j not in end.shares:
        return Fraction(0), Fraction(0)
    n, conv, (K, S, _), pool = Fraction(end.shares[j]), _before_pool(operator), _field(operator), operator.pool.rows
    C = operator.in_shape.channels
    W = Fraction(e * _kernel_elements(operator))
    B = Fraction(e * conv.channels if operator.bias and operator.kind in ("conv", "fc") else 0)
    reads = [_read(operator, slot) for slot in _slots(operator)]
    whole_in, pre = Fraction(e * sum(_elements(shape) for shape in reads)), Fraction(e * _elements(conv))
    if end.dim is None:
        return W + B, whole_in + pre
    if end.dim == "H":
        in_rows, conv_rows = _rows(0, (n - 1) * S + K), _rows(0, (n - 1) * pool.stride + _extent(pool))
        held = [
            e * _elements(reads[slot]) if _is_gate(operator, slot) else e * reads[slot].channels * reads[slot].width * in_rows
            for slot in _slots(operator)
        ]
        return W + B, Fraction(sum(held) + e * conv.channels * conv.width * conv_rows)
    if end.dim == "OC":
        interval = _interval_of_channels(end, j)
        read = Fraction(1) if interval is None else Fraction(len(interval), C)
        return (W + B) * n / conv.channels, whole_in * read + pre * n / conv.channels
    return W * n / C + B, whole_in * n / C + pre


def _kept(graph: Graph, cluster: Cluster, plan: Plan, i: int, j: int) -> Fraction:
    """What j keeps while operator i runs, of tensors that were there before it and have a consumer behind it."""
    e, kept = cluster.bytes_per_element, Fraction(0)
    names = [operator.name for operator in graph.operators]
    for p in [INPUT, *names[:i]]:
        last = max(names.index(edge.consumer) for edge in graph.edges if edge.producer == p)
        if last <= i:
            continue
        if p == INPUT:
            kept += e * _elements(graph.input_shape) if cluster.source in (None, j) else 0
            continue
        operator, placement = graph[p], plan[p]
        end, post, pre = _end(operator, placement), Fraction(e * _elements(_output(operator))), Fraction(e * _elements(_before_pool(operator)))
        if j not in end.shares:
            continue
        if end.dim is None:
            kept += post
        elif end.dim == "H":
            kept += post * end.shares[j] / _output(operator).height
        elif end.dim == "OC":
            kept += post * end.shares[j] / operator.out_channels
        elif placement.reduce == "two_phase":
            kept += post * _slices(end, operator)[j] / operator.out_channels
        else:
            kept += pre
    return kept


# Equation (8).


def _slices(p: End, operator: Operator) -> dict[int, int]:
    """c_k: the output channels that each participant of a two-phase reduce completes."""
    each, one_more = divmod(operator.out_channels, len(p.devices))
    return {k: each + 1 if rank < one_more else each for rank, k in enumerate(p.devices)}


def _first_phase(e: int, operator: Operator, slices: dict[int, int]) -> Transfers:
    count, pre = len(slices), Fraction(e * _elements(_before_pool(operator)))
    parts = {k: pre * slices[k] / operator.out_channels for k in slices}
    return {k: parts[k] * (count - 1) for k in parts}, {k: pre - parts[k] for k in parts}, dict.fromkeys(parts, count - 1)


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
        R = {j: Fraction(0) if j == o else Fraction(e * len(_needed_channels(edge, j)) * _rows(*_needed_rows(edge, j)) * tensor.width) for j in G_q}
        return R, {o: sum(R.values(), Fraction(0))}, {j: 0 if j == o else 1 for j in G_q}
    if p.dim == "OC" and same and not _mixes(p) and all(set(range(*p.intervals[j])) == _interval_of_channels(q, j) for j in G_q):
        return nothing
    if p.dim == "H" and same and _needs_rows(edge):
        return _halo(e, edge) or nothing
    if p.dim == "IC":
        assert p.operator is not None
        sums = {j: _partial_sums(e, edge, p.operator, j) for j in G_q}
        others = {j: len([k for k in G_p if k != j]) for j in G_q}
        return {j: sums[j] * others[j] for j in G_q}, {k: sum((sums[j] for j in G_q if j != k), Fraction(0)) for k in G_p}, others
    post, size = Fraction(e * _elements(tensor)), sum(p.shares.values())
    owns = {k: post * p.shares[k] / size for k in G_p}
    R = {j: post - (owns[j] if j in G_p else 0) for j in G_q}
    return R, {k: owns[k] * len([j for j in G_q if j != k]) for k in G_p}, {j: len([k for k in G_p if k != j]) for j in G_q}


def _halo(e: int, edge: Edge) -> Transfers | None:
    """Rows from neighbour to neighbour; None where they are aligned."""
    p, q = edge.p, edge.q
    assert q.operator is not None
    needed, owned = {j: _needed_rows(edge, j) for j in q.devices}, p.intervals
    above = {j: _rows(needed[j][0], owned[j][0]) for j in q.devices}
    below = {j: _rows(owned[j][1], needed[j][1]) for j in q.devices}
    K, S, _ = _field(q.operator)
    if K <= S and not any(above.values()) and not any(below.values()):
        return None
    received, sent, neighbours = {}, {}, {}
    for rank, j in enumerate(q.devices):
        row = e * len(_needed_channels(edge, j)) * edge.tensor.width
        previous, following = q.devices[:rank][-1:], q.devices[rank + 1 :][:1]
        received[j] = Fraction(row * (above[j] + below[j]))
        sent[j] = Fraction(row * (sum(below[i] for i in previous) + sum(above[i] for i in following)))
        neighbours[j] = len(previous) + len(following)
    return received, sent, neighbours


def _partial_sums(e: int, edge: Edge, producer: Operator, j: int) -> Fraction:
    """One device's partial sums of what j needs, on the tensor before the pool."""
    conv, pool = _before_pool(producer), producer.pool.rows
    top, bottom = 0, conv.height
    if _needs_rows(edge):
        lo, hi = (int(row) for row in _needed_rows(edge, j))
        top, bottom = lo * pool.stride - pool.before, (hi - 1) * pool.stride - pool.before + _extent(pool)
        top = max(top, 0) if j == edge.q.devices[0] else top
        bottom = min(bottom, conv.height) if j == edge.q.devices[-1] else bottom
    return Fraction(e * len(_needed_channels(edge, j)) * conv.width * _rows(top, bottom))
