"""Fused blocks: a run of operators that participants compute by rows of its last one, with nothing exchanged inside.

Every participant computes all rows that its share needs, also those that others compute too. ``cost_model.md`` states the rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from iopopt.network.operators import Operator
from iopopt.network.shapes import Dim
from iopopt.network.terms import Term, Terms, fixed
from iopopt.network.unit import Field, PoolRows, Read, Unit
from iopopt.network.unit_graph import UnitGraph


class Reach(NamedTuple):
    """The rows of a tensor under the rows [a, b) of the block's last operator: [a ``stride`` - ``above``, b ``stride`` + ``below``).

    They start at 0 for the first participant, and end at ``end`` for the last.
    """

    stride: int
    above: int
    below: int
    end: int

    def behind(self, extent: int, stride: int, before: int, height: int) -> Reach:
        """The rows under these through a window of a map of ``height`` rows."""
        end = min(height, (self.end - 1) * stride - before + extent)
        return Reach(self.stride * stride, self.above * stride + before, self.below * stride + extent - stride - before, end)

    def union(self, other: Reach) -> Reach:
        """The rows under either."""
        return Reach(self.stride, max(self.above, other.above), max(self.below, other.below), max(self.end, other.end))

    def rows(self, elements: float, height: int) -> Term:
        """``elements`` for each of the rows under a share of the last operator's ``height`` rows."""
        inner = self.above + self.below
        return Term(elements, self.stride, inner, self.below, self.end + self.above - height * self.stride)


@dataclass(frozen=True)
class _Run:
    """A run of operators of a graph: its members, and what each reads, by number."""

    operators: Sequence[Operator]
    unfused: UnitGraph
    members: range

    def operator(self, member: int) -> Operator:
        return self.operators[member]

    @property
    def last(self) -> int:
        return self.members[-1]

    @property
    def outside(self) -> list[int]:
        """The tensors from outside, each once."""
        return list(dict.fromkeys(producer for member in self.members for producer in self.unfused.reads[member] if producer not in self.members))

    def reads_within(self, member: int) -> tuple[int | None, ...]:
        """What a member reads, counted from itself; None for the tensor from outside."""
        return tuple(producer - member if producer in self.members else None for producer in self.unfused.reads[member])

    def readers(self, tensor: int) -> list[int]:
        """The members that read a tensor, each once."""
        return [member for member in self.members if tensor in self.unfused.reads[member]]

    def reaches(self) -> dict[int, Reach] | None:
        """The rows needed of every tensor, the outside one included; None if two paths to the end have different strides."""
        height = self.operator(self.last).out_shape.height
        found = {self.last: Reach(1, 0, 0, height)}
        for tensor in [*reversed(self.members[:-1]), *self.outside]:
            ways = [self.through(found[member], self.operator(member)) for member in self.readers(tensor)]
            if len({way.stride for way in ways}) > 1:
                return None
            found[tensor] = _union(ways)
        return found

    @staticmethod
    def through(reach: Reach, operator: Operator) -> Reach:
        """The rows of an operator's inputs under these of its output."""
        return reach.behind(int(operator.K), int(operator.S), operator.P, operator.in_shape.height)


def _union(ways: Iterable[Reach]) -> Reach:
    first, *others = ways
    for way in others:
        first = first.union(way)
    return first


def block_name(names: Sequence[str]) -> str:
    """The name in reports of the block of these operators."""
    return f"{names[0]} to {names[-1]}"


def block_fault(operators: Sequence[Operator], unfused: UnitGraph, members: range) -> str | None:
    """Why these operators are no block; None if they are one.

    Args:
        unfused: the graph without blocks.
    """
    if members.step != 1 or members.start < 0 or members.stop > len(operators):
        return f"{members} is not a run of the {len(operators)} operators, in which they follow each other"
    if len(members) < 2:
        return "a block has at least two operators"
    run = _Run(operators, unfused, members)
    for member in members:
        if not operators[member].fusible:
            kept_out = "fully connected operators, gates, global pools and upsamplings stay outside"
            return f"{operators[member].name!r} ({operators[member].text}) is not fused: {kept_out}"
    if len(run.outside) != 1:
        return f"its operators read {len(run.outside)} tensors from outside; a block reads one"
    for member in members[:-1]:
        if any(edge.consumer not in members for edge in unfused.edges_from[member]):
            return f"the tensor of {operators[member].name!r} is read outside"
        if not unfused.edges_from[member]:
            return f"the tensor of {operators[member].name!r} is read by nobody"
    if operators[run.last].out_shape.height < 2:
        return f"{operators[run.last].name!r} has one row, which cannot be split"
    if run.reaches() is None:
        return "two paths to its end have different products of strides"
    return None


def block_unit(operators: Sequence[Operator], unfused: UnitGraph, members: range) -> Unit:
    """The unit of a block without fault."""
    run = _Run(operators, unfused, members)
    reaches = run.reaches()
    assert reaches is not None  # block_fault has said so
    (outside,) = run.outside
    last, reach = operators[run.last].unit, reaches[outside]
    height = last.out_shape.height
    parameters = sum(operators[member].kernel_elements + operators[member].bias_elements for member in members)
    sizes: dict[Dim, int] = {"H": height, "OC": last.sizes["OC"], "IC": last.sizes["IC"]}
    return Unit(
        name=block_name([operators[member].name for member in members]),
        key=tuple((operators[member].structural_key, run.reads_within(member)) for member in members),
        reads=(_read(run, outside),),
        out_shape=last.out_shape,
        pre_pool_shape=last.pre_pool_shape,
        field=Field(reach.stride, reach.above + reach.below, reach.above, reach.end),
        pool=last.pool,
        sizes=sizes,
        dims=("H",),
        granularities=dict.fromkeys(sizes, 1),
        part_dims=frozenset(),
        mixes_channels=last.mixes_channels,
        flops=sum(operators[member].flops for member in members),
        work={"H": (fixed(0), *(_work(operators[member], reaches[member], height) for member in members if operators[member].flops))},
        touched={"H": (fixed(parameters), *(term for member in members for term in _passed(run, member, reaches, height)))},
        weights={"H": (fixed(parameters),)},
        activations={"H": tuple(_held(run, member, reaches, height) for member in members)},
        output={"H": last.output["H"]},
        span=len(members),
    )


def _read(run: _Run, outside: int) -> Read:
    """What a block reads: all channels of its outside tensor, or those of the slice that is its only reader."""
    tensor = run.unfused.units[outside].out_shape
    (reader, *others) = run.readers(outside)
    part = tensor if others else run.operator(reader).read_shape(0)
    return Read(tensor, part, by_rows=True)


def _pre_pool(operator: Operator, reach: Reach) -> Reach:
    """The rows before the pool under the rows of an operator's output."""
    pool: PoolRows = operator.unit.pool
    return reach.behind(pool.extent, pool.stride, pool.before, operator.pre_pool_shape.height)


def _work(operator: Operator, reach: Reach, height: int) -> Term:
    """F_l / H_c for each row before the pool."""
    return _pre_pool(operator, reach).rows(operator.flops / operator.pre_pool_shape.height, height)


def _held(run: _Run, member: int, reaches: Mapping[int, Reach], height: int) -> Terms:
    """What a participant holds while a member runs: its inputs, its output before the pool, and what later members read of what is there."""
    operator = run.operator(member)
    there = [tensor for tensor in reaches if tensor not in run.members or tensor < member]
    waiting = [tensor for tensor in there if any(reader >= member for reader in run.readers(tensor))]
    inputs = [reaches[tensor].rows(_row_elements(run, tensor), height) for tensor in waiting]
    output = _pre_pool(operator, reaches[member])
    return (*inputs, output.rows(operator.out_channels * operator.pre_pool_shape.width, height))


def _passed(run: _Run, member: int, reaches: Mapping[int, Reach], height: int) -> Terms:
    """The rows of a member's inputs that it needs, and its rows before the pool."""
    operator = run.operator(member)
    needed = run.through(reaches[member], operator)
    output = _pre_pool(operator, reaches[member])
    return (needed.rows(operator.in_row_elements, height), output.rows(operator.out_channels * operator.pre_pool_shape.width, height))


def _row_elements(run: _Run, tensor: int) -> int:
    """The elements of one row of what is held of a tensor."""
    shape = run.unfused.units[tensor].out_shape if tensor in run.members else _read(run, tensor).part
    return shape.channels * shape.width
