"""Edges by number: the tensors between units, the graph's input and output included."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from iopopt.network.shapes import Dim, Shape
from iopopt.network.unit import Read, Unit


class LiveTensor(NamedTuple):
    """The tensor of unit ``producer`` is live while the operators ``during`` run, which are between it and its last consumer."""

    producer: int
    during: range


@dataclass(frozen=True, eq=False)
class TensorEdge:
    """The tensor that unit ``producer`` passes to unit ``consumer`` as its input ``slot``.

    Attributes:
        producer, consumer: by number, as :class:`iopopt.Graph` counts them.
        p, q: the units themselves.
        first: whether this is the first edge out of its producer; a reduce-scatter happens once, with this edge.
    """

    producer: int
    consumer: int
    slot: int
    p: Unit
    q: Unit
    first: bool = True

    @cached_property
    def read(self) -> Read:
        """What the consumer reads of the tensor."""
        return self.q.reads[self.slot]

    @cached_property
    def shape(self) -> Shape:
        """The part of the tensor that is transferred: what the consumer reads, or all channels after a mixing step."""
        return self.read.tensor if self.p.mixes_channels else self.read.part

    @cached_property
    def pre_pool_shape(self) -> Shape:
        """Its pre-pool shape at the producer, which is that of partial sums."""
        return self.p.pre_pool_shape._replace(channels=self.shape.channels)

    @cached_property
    def pre_pool_end(self) -> int:
        """The end of the producer's pre-pool rows that the consumer's fields reach."""
        pool = self.p.pool
        return min(self.p.pre_pool_shape.height, (self.q.field.end - 1) * pool.stride - pool.before + pool.extent)

    def reads_part(self, dim: Dim | None) -> bool:
        """Whether a share of the consumer needs only some of the channels."""
        return not self.p.mixes_channels and self.q.reads_part(dim)

    def channels_per_granule(self, dim: Dim) -> int:
        """How many channels a granule of the consumer's share needs, if it reads only some."""
        return self.q.granularities[dim] * self.shape.channels // self.q.sizes[dim]

    @cached_property
    def key(self) -> tuple[object, ...]:
        """Equal for edges that cost the same in every plan."""
        return self.p.key, self.q.key, self.slot, self.first
