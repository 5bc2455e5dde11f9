"""What one operator or fused block computes, holds and needs, as the statement reads: shapes, rows and channels, equation (7), w_ij and a_ij.

The first half of ``naive_pricing``, which puts the units together. Rows are pairs of integers, bytes and seconds exact fractions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from iopopt import Graph, Operator
from iopopt.network.epilogue import Mixing, Pool
from iopopt.network.operators.operator import INPUT
from iopopt.network.operators.slice import Slice
from iopopt.network.shapes import Shape, Window


@dataclass(frozen=True)
class End:
    """One end of an edge: the tensor between them, and who makes or reads it how. No operator: the source or the sink.

    A fused block has the operator whose tensor it makes, its last one.
    """

    operator: Operator | None
    dim: str | None
    shares: dict[int, int]
    block: Block | None = None

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


# Shapes and windows.


def extent(window: Window) -> int:
    return (window.kernel - 1) * window.dilation + 1


def _positions(window: Window, size: int) -> int:
    return len(range(0, size + window.before + window.after - extent(window) + 1, window.stride)) * window.upsampling


def pre_pool_shape(operator: Operator) -> Shape:
    return Shape(operator.out_channels, _positions(operator.rows, operator.in_shape.height), _positions(operator.columns, operator.in_shape.width))


def out_shape(operator: Operator) -> Shape:
    conv, pool = pre_pool_shape(operator), operator.pool
    return Shape(conv.channels, _positions(pool.rows, conv.height), _positions(pool.columns, conv.width))


def elements(shape: Shape) -> int:
    return shape.channels * shape.height * shape.width


def field(operator: Operator) -> tuple[Fraction, Fraction, Fraction]:
    """K, S and P of the operator and its pool together."""
    if operator.kind == "upsample":
        each = Fraction(1, operator.rows.upsampling)
        return (each, each, Fraction(0)) if operator.function == "nearest" else (2 + each, each, Fraction(1))
    s, pool = operator.rows.stride, operator.pool.rows
    K, S, P = extent(operator.rows) + (extent(pool) - 1) * s, s * pool.stride, operator.rows.before + pool.before * s
    return Fraction(K), Fraction(S), Fraction(P)


def row_count(first: int | Fraction, last: int | Fraction) -> int:
    """How many whole rows [first, last) are."""
    assert first == int(first)
    assert last == int(last)
    return len(range(int(first), int(last)))


# Which channels and inputs an operator reads.


def _is_gate(operator: Operator, slot: int) -> bool:
    """One element for each channel, of an add or mul whose others have more."""
    shapes = [operator.in_shape, *operator.more_inputs]
    return operator.kind in ("add", "mul") and shapes[slot][1:] == (1, 1) and any(shape[1:] != (1, 1) for shape in shapes)


def _read_shape(operator: Operator, slot: int) -> Shape:
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


def interval_of_channels(q: End, j: int) -> set[int] | None:
    """The input channels that j needs where it needs an interval of them."""
    if q.operator is not None and q.dim == "IC":
        return set(range(*q.intervals[j]))
    if q.operator is not None and q.dim == "OC" and _is_channel_local(q.operator):
        return {channel for output in range(*q.intervals[j]) for channel in _inputs_of(q.operator, output)}
    return None


def mixes(p: End) -> bool:
    return p.operator is not None and any(isinstance(step, Mixing) for step in p.operator.epilogue)


def needed_channels(edge: Edge, j: int) -> set[int]:
    """The channels of the tensor that j reads; all of them behind a mixing step."""
    q, everything = edge.q, set(range(edge.tensor.channels))
    if mixes(edge.p):
        return everything
    if q.block is not None:
        only = _only_reader(q.block)
        return set(range(only.first_channel, only.first_channel + only.out_channels)) if isinstance(only, Slice) else everything
    if q.operator is not None and q.operator.kind == "slice":
        return set(range(q.operator.first_channel, q.operator.first_channel + q.operator.out_channels))
    interval = interval_of_channels(q, j)
    return everything if interval is None else interval


def needs_rows(edge: Edge) -> bool:
    """Whether q needs rows of the tensor, and not all of them."""
    if edge.q.block is not None:
        return True
    return edge.q.operator is not None and edge.q.dim == "H" and not _is_gate(edge.q.operator, edge.slot)


def needed_rows(edge: Edge, j: int) -> tuple[int | Fraction, int | Fraction]:
    """[lo, hi), cut at the tensor's edge for the first and the last participant only; all rows unless q is split by rows."""
    q = edge.q
    if not needs_rows(edge):
        return 0, edge.tensor.height
    if q.block is not None:
        return block_rows(q, j).held[q.block.outside]
    assert q.operator is not None
    (a, b), (K, S, P) = q.intervals[j], field(q.operator)
    lo, hi = a * S - P, (b - 1) * S - P + K
    return (max(lo, 0) if j == q.devices[0] else lo), (min(hi, edge.tensor.height) if j == q.devices[-1] else hi)


# Fused blocks.


@dataclass(frozen=True)
class Block:
    """The members of a fused block in order, the shape of every tensor that they read, and which tensors each reads."""

    members: tuple[Operator, ...]
    shapes: dict[str, Shape]
    reads: dict[str, list[str]]

    @property
    def outside(self) -> str:
        """The one tensor that no member makes."""
        (name,) = self.shapes.keys() - {member.name for member in self.members}
        return name


@dataclass(frozen=True)
class BlockRows:
    """The rows, [lower, upper), of one participant: before the pool of each member, of the inputs that it needs itself, and of each tensor."""

    before_pool: dict[str, tuple[int, int]]
    needed: dict[str, tuple[int, int]]
    held: dict[str, tuple[int, int]]


def naive_block(graph: Graph, members: Sequence[Operator]) -> Block:
    """A run of operators that is a fused block."""
    reads = {member.name: [edge.producer for edge in graph.edges if edge.consumer == member.name] for member in members}
    names = {name for producers in reads.values() for name in producers}
    return Block(tuple(members), {name: graph.input_shape if name == INPUT else out_shape(graph[name]) for name in names}, reads)


def is_block(graph: Graph, members: Sequence[Operator]) -> bool:
    """Whether these operators, which follow each other, may be fused and split."""
    names = [member.name for member in members]
    outside = {edge.producer for edge in graph.edges if edge.consumer in names and edge.producer not in names}
    read_outside = {edge.producer for edge in graph.edges if edge.producer in names and edge.consumer not in names}
    if len(members) < 2 or len(outside) != 1 or not read_outside <= {names[-1]} or not all(map(_may_be_fused, members)):
        return False
    block = naive_block(graph, members)
    strides = [{math.prod(field(member)[1] for member in path) for path in _paths(block, tensor)} for tensor in block.shapes]
    return all(len(products) == 1 for products in strides) and out_shape(members[-1]).height >= 2


def naive_blocks(graph: Graph, longest: int) -> list[range]:
    """The members of every fused block of at most so many operators."""
    return [
        range(start, start + length)
        for start in range(len(graph))
        for length in range(2, min(longest, len(graph) - start) + 1)
        if is_block(graph, graph.operators[start : start + length])
    ]


def _may_be_fused(operator: Operator) -> bool:
    """Not fully connected, an upsampling or a global pool, and without a gate."""
    is_global = operator.kind == "pool" and extent(operator.rows) >= operator.in_shape.height
    for step in operator.epilogue:
        is_global = is_global or (isinstance(step, Pool) and extent(step.rows) >= pre_pool_shape(operator).height)
    return operator.kind not in ("fc", "upsample") and not is_global and not any(_is_gate(operator, slot) for slot in _slots(operator))


def _paths(block: Block, tensor: str) -> list[list[Operator]]:
    """Every way from a tensor to the block's end, as the operators on it."""
    if tensor == block.members[-1].name:
        return [[]]
    return [[reader, *path] for reader in block.members if tensor in block.reads[reader.name] for path in _paths(block, reader.name)]


def block_field(block: Block) -> tuple[Fraction, Fraction, Fraction]:
    """K, S and P over all paths from the tensor outside to the block's end."""
    fields = []
    for path in _paths(block, block.outside):
        lower, upper, stride = Fraction(0), Fraction(1), Fraction(1)  # the first row of the block's output
        for member in reversed(path):
            K, S, P = field(member)
            lower, upper, stride = lower * S - P, (upper - 1) * S - P + K, stride * S
        fields.append((lower, upper, stride))
    P, (S,) = -min(lower for lower, _, _ in fields), {stride for _, _, stride in fields}
    return max(upper for _, upper, _ in fields) + P, S, P


def block_rows(end: End, j: int) -> BlockRows:
    """From the rows of the last operator backwards, cut at the edges of tensors for the first and the last participant."""
    assert end.block is not None

    def cut(lower: int, upper: int, height: int) -> tuple[int, int]:
        return max(lower, 0) if j == end.devices[0] else lower, min(upper, height) if j == end.devices[-1] else upper

    before_pool: dict[str, tuple[int, int]] = {}
    needed: dict[str, tuple[int, int]] = {}
    held = {end.block.members[-1].name: end.intervals[j]}
    for member in reversed(end.block.members):
        (a, b), pool, (K, S, P) = held[member.name], member.pool.rows, map(int, field(member))
        before_pool[member.name] = cut(
            a * pool.stride - pool.before, (b - 1) * pool.stride - pool.before + extent(pool), pre_pool_shape(member).height
        )
        needed[member.name] = lower, upper = cut(a * S - P, (b - 1) * S - P + K, member.in_shape.height)
        for name in end.block.reads[member.name]:
            least, greatest = held.get(name, (lower, upper))
            held[name] = min(least, lower), max(greatest, upper)
    return BlockRows(before_pool, needed, held)


def _only_reader(block: Block) -> Operator | None:
    """The member that reads the tensor outside, if there is only one."""
    readers = [member for member in block.members if block.outside in block.reads[member.name]]
    return readers[0] if len(readers) == 1 else None


def _block_activations(e: int, end: End, j: int) -> int:
    """a_ij: the most that is there while one member runs."""
    block, rows = end.block, block_rows(end, j)
    assert block is not None
    most = 0
    for number, member in enumerate(block.members):
        there = {block.outside, *(earlier.name for earlier in block.members[:number])}
        read_later = {name for later in block.members[number + 1 :] for name in block.reads[later.name]}
        held = {*block.reads[member.name], *(there & read_later)}
        conv = pre_pool_shape(member)
        before_pool = conv.channels * conv.width * row_count(*rows.before_pool[member.name])
        tensors = sum(_held_channels(block, name) * block.shapes[name].width * row_count(*rows.held[name]) for name in held)
        most = max(most, e * (before_pool + tensors))
    return most


def _held_channels(block: Block, name: str) -> int:
    """All channels; of the tensor outside only those of a slice where that is its only reader."""
    only = _only_reader(block)
    return only.out_channels if name == block.outside and isinstance(only, Slice) else block.shapes[name].channels


# Equation (7).


def flops(end: End, j: int) -> Fraction:
    """C_ij of equation (7)."""
    operator = end.operator
    assert operator is not None
    if end.block is not None:
        rows = block_rows(end, j).before_pool
        return sum((_flops_of_a_row(member) * row_count(*rows[member.name]) for member in end.block.members), Fraction(0))
    conv, n, pool = pre_pool_shape(operator), end.shares[j], operator.pool.rows
    macs = _kernel_elements(operator) * conv.height * conv.width
    if end.dim is None:
        return Fraction(2 * macs)
    if end.dim == "H":
        return _flops_of_a_row(operator) * row_count(0, (n - 1) * pool.stride + extent(pool))
    return Fraction(2 * macs * n, conv.channels if end.dim == "OC" else operator.in_shape.channels)


def _flops_of_a_row(operator: Operator) -> Fraction:
    """F / H_c."""
    return Fraction(2 * _kernel_elements(operator) * pre_pool_shape(operator).width)


def _kernel_elements(operator: Operator) -> int:
    """Every output channel has a filter over the input channels of its group; nothing else than a conv or fc has one."""
    if operator.kind not in ("conv", "fc"):
        return 0
    return operator.out_channels * len(_inputs_of(operator, 0)) * operator.rows.kernel * operator.columns.kernel


def _parameters(operator: Operator) -> int:
    """Elements of W and B."""
    return _kernel_elements(operator) + (operator.out_channels if operator.bias and operator.kind in ("conv", "fc") else 0)


def touched(e: int, end: End, j: int) -> Fraction:
    """D_ij of equation (7): weights, inputs and outputs before the pool, of a block member by member."""
    if end.block is None:
        return sum(demand(e, end, j), Fraction(0))
    rows, total = block_rows(end, j), 0
    for member in end.block.members:
        inputs, output = [_read_shape(member, slot) for slot in _slots(member)], pre_pool_shape(member)
        read = sum(shape.channels * shape.width for shape in inputs) * row_count(*rows.needed[member.name])
        total += e * (_parameters(member) + read + output.channels * output.width * row_count(*rows.before_pool[member.name]))
    return Fraction(total)


# Equation (1): w_ij and a_ij.


def demand(e: int, end: End, j: int) -> tuple[Fraction, Fraction]:
    """w_ij and a_ij."""
    operator = end.operator
    assert operator is not None
    if j not in end.shares:
        return Fraction(0), Fraction(0)
    if end.block is not None:
        return Fraction(sum(e * _parameters(member) for member in end.block.members)), Fraction(_block_activations(e, end, j))
    n, conv, (K, S, _), pool = Fraction(end.shares[j]), pre_pool_shape(operator), field(operator), operator.pool.rows
    C = operator.in_shape.channels
    W = Fraction(e * _kernel_elements(operator))
    B = Fraction(e * _parameters(operator)) - W
    reads = [_read_shape(operator, slot) for slot in _slots(operator)]
    whole_in, pre = Fraction(e * sum(elements(shape) for shape in reads)), Fraction(e * elements(conv))
    if end.dim is None:
        return W + B, whole_in + pre
    if end.dim == "H":
        in_rows, conv_rows = row_count(0, (n - 1) * S + K), row_count(0, (n - 1) * pool.stride + extent(pool))
        held = [
            e * elements(reads[slot]) if _is_gate(operator, slot) else e * reads[slot].channels * reads[slot].width * in_rows
            for slot in _slots(operator)
        ]
        return W + B, Fraction(sum(held) + e * conv.channels * conv.width * conv_rows)
    if end.dim == "OC":
        interval = interval_of_channels(end, j)
        read = Fraction(1) if interval is None else Fraction(len(interval), C)
        return (W + B) * n / conv.channels, whole_in * read + pre * n / conv.channels
    return W * n / C + B, whole_in * n / C + pre
