"""Units: what a placement places, as the cost model sees it, independent of the kind of operator.

An operator is a unit (:attr:`iopopt.Operator.unit`). So are the graph's input and its output: they are whole on one device.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from iopopt.network.shapes import Dim, Shape
from iopopt.network.terms import Terms, fixed

SOURCE, SINK = "(source)", "(sink)"
"""The names in reports of the units that represent the graph's input and output."""


class Field(NamedTuple):
    """The composite receptive field in rows, counted in granules of the output, so that every figure is a whole number.

    Attributes:
        stride: input rows from one granule of output rows to the next, S times the granularity.
        overlap: K - S, the rows that the fields of two neighbours share; below 0 they leave rows out.
        above: P, the number of rows by which the first field extends above the map.
        end: where the field of all rows ends, cut at the map's lower edge.
    """

    stride: int = 1
    overlap: int = 0
    above: int = 0
    end: int = 1


class PoolRows(NamedTuple):
    """The pool of the epilogue along the rows: k_p, s_p and p_p; 1, 1 and 0 without one."""

    extent: int = 1
    stride: int = 1
    before: int = 0


class Read(NamedTuple):
    """What a unit reads of one input.

    Attributes:
        tensor: the shape of the whole tensor.
        part: the shape of what is read of it: all, or a slice's own channels.
        by_rows: whether output rows need only rows of it; False for a gate, which every row needs whole.
    """

    tensor: Shape
    part: Shape
    by_rows: bool


@dataclass(frozen=True, eq=False)
class Unit:
    """One unit.

    Attributes:
        name: of the operator.
        key: equal for units that differ only in name.
        reads: what it reads, by input slot.
        out_shape, pre_pool_shape: its output after and before the pool.
        sizes: what the shares of each dimension sum to (equations 3 to 5), including dimensions by which it cannot be split.
        dims: the dimensions by which it can be split (equation 2).
        granularities: what every share of a dimension is a multiple of.
        part_dims: the dimensions of which a share reads only some of the input channels.
        mixes_channels: whether consumers need all channels at a position, because the epilogue ends with a mixing step.
        flops: F_i.
        work: C_ij of equation (7) by dimension, None for the whole unit, of a share in rows or channels; FLOPs.
        touched: D_ij of equation (7) in the same way: the elements that a participant reads and writes once.
        weights: w_ij of equation (1) in the same way, elements.
        activations: a_ij of equation (1), elements: the largest of these.
        output: what a participant owns of the output, elements; for IC, of the even slices of a reduce-scatter.
        span: how many operators it has: more than 1 for a fused block, which is never whole on one device.
    """

    name: str
    key: Hashable
    reads: tuple[Read, ...]
    out_shape: Shape
    pre_pool_shape: Shape
    field: Field
    pool: PoolRows
    sizes: Mapping[Dim, int]
    dims: tuple[Dim, ...]
    granularities: Mapping[Dim, int]
    part_dims: frozenset[Dim]
    mixes_channels: bool
    flops: int
    work: Mapping[Dim | None, Terms]
    touched: Mapping[Dim | None, Terms]
    weights: Mapping[Dim | None, Terms]
    activations: Mapping[Dim | None, tuple[Terms, ...]]
    output: Mapping[Dim | None, Terms]
    span: int = 1

    def granules(self, dim: Dim) -> int:
        """How many granules the shares of a dimension sum to."""
        return self.sizes[dim] // self.granularities[dim]

    def reads_part(self, dim: Dim | None) -> bool:
        """Whether a share of the dimension reads only some of the input channels."""
        return dim in self.part_dims


def source_unit(shape: Shape) -> Unit:
    """The graph's input, whole on the source."""
    return _terminal(SOURCE, (), shape)


def sink_unit(shape: Shape) -> Unit:
    """The graph's output, needed whole on the sink."""
    return _terminal(SINK, (Read(shape, shape, by_rows=False),), shape)


def _terminal(name: str, reads: tuple[Read, ...], shape: Shape) -> Unit:
    sizes: dict[Dim, int] = {"H": shape.height, "OC": shape.channels, "IC": shape.channels}
    none = (fixed(0),)
    return Unit(
        name=name,
        key=(name, shape),
        reads=reads,
        out_shape=shape,
        pre_pool_shape=shape,
        field=Field(end=shape.height),
        pool=PoolRows(),
        sizes=sizes,
        dims=(),
        granularities=dict.fromkeys(sizes, 1),
        part_dims=frozenset(),
        mixes_channels=False,
        flops=0,
        work={None: none},
        touched={None: none},
        weights={None: none},
        activations={None: (none,)},
        output={None: (fixed(shape.elements),)},
    )
