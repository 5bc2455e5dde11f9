"""Equation (8): the table of ``cost_model.md``, as pairwise transfers.

:func:`kinds_between` gives the rows of the table that may apply between two placements, :class:`Volumes` the bytes that each participant owns,
needs or misses, and :func:`transfers` the transfers. The evaluator and the program use all three, on numbers and on linear expressions; the
vectorised form (:mod:`iopopt.cost.edge_arrays`) uses the first, and the arithmetic of rows.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from functools import cache, cached_property
from typing import Any, Generic, NamedTuple

from iopopt.cost.rows import NUMBERS, Arithmetic, Place, Rows, V, count, missing_rows, needed_rows, pre_pool_rows
from iopopt.cost.streams import input_rounds
from iopopt.network.shapes import Dim
from iopopt.network.tensor_edge import TensorEdge
from iopopt.network.unit import Unit
from iopopt.plan.placement import Placement, Strategy
from iopopt.plan.shares import even_shares
from iopopt.schedule.rounds import Round, Transfer, TransferKind

_NOTHING = (TransferKind.INTERLEAVED, TransferKind.ROW_ALIGNED)


def kinds_between(edge: TensorEdge, p: Strategy, q: Strategy, *, same_participants: bool) -> tuple[TransferKind, ...]:
    """The rows of the table that may apply, in their order: the last applies in any case, one before it only if the shares fit."""
    return _kinds(p, q, same_participants, edge.q.field.overlap <= 0, edge.reads_part(q.dim))


@cache
def _kinds(p: Strategy, q: Strategy, same_participants: bool, disjoint_fields: bool, reads_part: bool) -> tuple[TransferKind, ...]:
    if p == Strategy.WHOLE:
        return (TransferKind.SEND,)
    if p == Strategy.IC:
        return (TransferKind.REDUCE,)
    if same_participants and p == q == Strategy.H:
        return (TransferKind.ROW_ALIGNED, TransferKind.HALO_EXCHANGE) if disjoint_fields else (TransferKind.HALO_EXCHANGE,)
    if same_participants and p != Strategy.H and reads_part:
        return (TransferKind.INTERLEAVED, TransferKind.ALL_GATHER)
    return (TransferKind.ALL_GATHER,)


class Side(NamedTuple, Generic[V]):
    """One end of an edge: a dimension (None: whole), the participants in their order, and their shares in granules."""

    dim: Dim | None
    devices: Sequence[int]
    shares: Sequence[V]
    starts: Sequence[V]

    def interval(self, rank: int, granularity: int = 1) -> Rows[V]:
        """The interval of a participant, in granules or in rows and channels."""
        start: Any = self.starts[rank]
        stop: Any = start + self.shares[rank]
        return Rows(start, stop) if granularity == 1 else Rows(start * granularity, stop * granularity)

    def place(self, rank: int) -> Place:
        """Whether a participant is the first or the last in the order."""
        return Place(rank == 0, rank == len(self.devices) - 1)


class Volumes(Generic[V]):
    """The bytes that participants of an edge own, need and miss; of the pre-pool tensor if ``partial``."""

    def __init__(self, edge: TensorEdge, e: int, p: Side[V], q: Side[V], of: Arithmetic[V], *, partial: bool) -> None:
        self._edge, self._p, self._q, self._of, self._partial = edge, p, q, of, partial
        self._shape = edge.pre_pool_shape if partial else edge.shape
        self._e, self._row = e, e * self._shape.channels * self._shape.width
        self._known: dict[int, V] = {}

    def owned(self, rank: int) -> V:
        """What a participant of p owns of the whole tensor."""
        assert self._p.dim is not None  # a whole tensor is sent, not all-gathered
        share: Any = self._p.shares[rank]
        result: V = share * (self._e * self._edge.p.out_shape.elements / self._edge.p.granules(self._p.dim))
        return result

    def needed(self, rank: int) -> V:
        """What a participant of q needs of the tensor, or of one device's partial sums."""
        if rank not in self._known:
            self._known[rank] = self._needed(rank)
        return self._known[rank]

    def _needed(self, rank: int) -> V:
        edge, q = self._edge, self._q
        if q.dim == "H" and edge.read.by_rows:
            rows = self.needed_rows(rank)
            if self._partial:
                rows = pre_pool_rows(edge.p.pool, edge.pre_pool_end, rows, q.place(rank), self._of)
            held: Any = count(rows, self._of)
            return held * self._row  # type: ignore[no-any-return]
        if q.dim is not None and edge.reads_part(q.dim):
            share: Any = q.shares[rank]
            return share * (self._e * self._shape.height * self._shape.width * edge.channels_per_granule(q.dim))  # type: ignore[no-any-return]
        return self._of.constant(self._e * self._shape.elements)

    def needed_rows(self, rank: int) -> Rows[V]:
        """The input rows of a participant of q, which is split by rows."""
        return needed_rows(self._edge.q.field, self._q.interval(rank), self._q.place(rank), self._of)

    def owned_rows(self, rank: int) -> Rows[V]:
        """The rows that a participant of p owns, which is split by rows."""
        return self._p.interval(rank, self._edge.p.granularities["H"])

    def missing(self, rank: int) -> tuple[V, V]:
        """What a participant needs above and below the rows that it owns."""
        rows: Any = missing_rows(self.owned_rows(rank), self.needed_rows(rank), self._of)
        return rows[0] * self._row, rows[1] * self._row

    @cached_property
    def slices(self) -> tuple[int, ...]:
        """c_k: the even slices of its output channels that the participants of p complete in a reduce-scatter."""
        return even_shares(self._edge.p.sizes["OC"], len(self._p.devices))

    def slice_sums(self, rank: int) -> V:
        """One device's partial sums of the slice that a participant of p completes."""
        pre = self._e * self._edge.p.pre_pool_shape.elements
        return self._of.constant(pre * self.slices[rank] / self._edge.p.sizes["OC"])


def transfers(kind: TransferKind, p: Sequence[int], q: Sequence[int], volumes: Volumes[V]) -> list[Transfer[V]]:
    """Every transfer of an edge between the participants ``p`` and ``q``."""
    if kind in _NOTHING:
        return []
    if kind is TransferKind.HALO_EXCHANGE:
        return list(_between_neighbours(q, volumes))
    if kind in (TransferKind.ALL_GATHER, TransferKind.GATHER):
        owned = [volumes.owned(rank) for rank in range(len(p))]
        return [(k, j, part) for k, part in zip(p, owned, strict=True) for j in q if j != k]
    receivers, received = (p, volumes.slice_sums) if kind is TransferKind.REDUCE_SCATTER else (q, volumes.needed)
    return [(k, j, part) for j, part in zip(receivers, map(received, range(len(receivers))), strict=True) for k in p if k != j]


def _between_neighbours(devices: Sequence[int], volumes: Volumes[V]) -> Iterator[Transfer[V]]:
    """Rows move only between neighbours, even if a field extends past one."""
    for rank, j in enumerate(devices):
        above, below = volumes.missing(rank)
        if rank > 0:
            yield devices[rank - 1], j, above
        if rank < len(devices) - 1:
            yield devices[rank + 1], j, below


def edge_rounds(edge: TensorEdge, p: Placement, q: Placement, e: int) -> tuple[Round, ...]:
    """The rounds of an edge: one, or those of a stream, preceded on the first edge out of p by a reduce-scatter, if p uses a two-phase reduce that is
    not streamed, or by a gather."""
    owned, strategy, completing = placement_side(p, edge.p), p.strategy, None
    if p.gather is not None:
        gathered = placement_side(p.handed_on, edge.p)
        completing = _round_of(TransferKind.GATHER, edge, owned, gathered, e) if edge.first else None
        owned, strategy = gathered, Strategy.WHOLE
    elif p.strategy == Strategy.IC_TWO_PHASE:
        completing = _round_of(TransferKind.REDUCE_SCATTER, edge, owned, owned, e) if edge.first and not p.streams_sums else None
        slices: Sequence[float] = even_shares(edge.p.sizes["OC"], len(p.devices))
        owned, strategy = Side("OC", p.devices, slices, [0, *itertools.accumulate(slices[:-1])]), Strategy.OC
    last = input_rounds(edge.p, p, q, e) if q.streams_input else (_round(edge, strategy, owned, q.strategy, placement_side(q, edge.q), e),)
    return last if completing is None else (completing, *last)


def _round(edge: TensorEdge, p_strategy: Strategy, p: Side[float], q_strategy: Strategy, q: Side[float], e: int) -> Round:
    *if_fitting, kind = kinds_between(edge, p_strategy, q_strategy, same_participants=p.devices == q.devices)
    return _round_of(if_fitting[0] if if_fitting and _fits(if_fitting[0], edge, p, q) else kind, edge, p, q, e)


def _round_of(kind: TransferKind, edge: TensorEdge, p: Side[float], q: Side[float], e: int) -> Round:
    volumes = Volumes(edge, e, p, q, NUMBERS, partial=kind is TransferKind.REDUCE)
    return Round((kind,), tuple(transfers(kind, p.devices, q.devices, volumes)))


def _fits(kind: TransferKind, edge: TensorEdge, p: Side[float], q: Side[float]) -> bool:
    """Whether every participant owns what it needs."""
    if kind is TransferKind.ROW_ALIGNED:
        volumes = Volumes(edge, 1, p, q, NUMBERS, partial=False)
        return not any(any(volumes.missing(rank)) for rank in range(len(q.devices)))
    assert q.dim is not None  # a whole consumer reads everything
    owns, needs = edge.p.granularities["OC"], edge.channels_per_granule(q.dim)
    return all(own * owns == need * needs for own, need in zip(p.shares, q.shares, strict=True))


def placement_side(placement: Placement, unit: Unit) -> Side[float]:
    """A placement of a unit as one end of an edge."""
    dim = placement.dim
    granularity = 1 if dim is None else unit.granularities[dim]
    if granularity == 1:
        return Side(dim, placement.devices, placement.shares, placement.starts)
    return Side(dim, placement.devices, [share // granularity for share in placement.shares], [start // granularity for start in placement.starts])
