"""Equation (8) for many plans at once. Arrays have the axes (device j, edge, plan).

The table and the arithmetic of rows are those of :mod:`iopopt.cost.transfers` and :mod:`iopopt.cost.rows`. Sums over pairs are in closed
form, because the bytes of a transfer depend on only one of its ends: on the receiver, or in an all-gather on the sender.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from iopopt.cost.rows import Place, Rows, count, missing_rows, needed_rows, pre_pool_rows
from iopopt.cost.transfers import kinds_between
from iopopt.cost.unit_arrays import Columns, column, even_slices
from iopopt.network.tensor_edge import TensorEdge
from iopopt.network.unit import Field, PoolRows
from iopopt.plan.batch import Array, Mask, PlanBatch, along_order
from iopopt.plan.placement import Strategy
from iopopt.schedule.rounds import TransferKind

_CODES = {kind: code for code, kind in enumerate(TransferKind)}
_DIMS = tuple(strategy.dim for strategy in Strategy)


class _Arrays:
    """The arithmetic of rows on arrays; constants are columns already."""

    def constant(self, value: Any) -> Any:
        return value

    def choose(self, condition: Mask, yes: Array, no: Array) -> Array:
        return np.where(condition, yes, no)

    def at_least_zero(self, value: Array) -> Array:
        return np.maximum(value, 0)


_ARRAYS = _Arrays()


class EdgeArrays:
    """Figures of edges as columns, and the rows of the table that may apply to each pair of strategies."""

    def __init__(self, edges: Sequence[TensorEdge], e: int) -> None:
        shapes, tensors, sums = zip(*((edge.shape, edge.p.out_shape, edge.pre_pool_shape) for edge in edges), strict=True)
        self.tensor = column([e * shape.elements for shape in tensors])
        self.OC, self.H_o = column([shape.channels for shape in tensors]), column([shape.height for shape in tensors])
        self.whole, self.row = column([e * shape.elements for shape in shapes]), column([e * shape.channels * shape.width for shape in shapes])
        self.sums, self.sums_row = column([e * shape.elements for shape in sums]), column([e * shape.channels * shape.width for shape in sums])
        self.field = Field(*(column(figures) for figures in zip(*(edge.q.field for edge in edges), strict=True)))  # type: ignore[arg-type]
        self.pool = PoolRows(*(column(figures) for figures in zip(*(edge.p.pool for edge in edges), strict=True)))  # type: ignore[arg-type]
        self.pre_pool_end = column([edge.pre_pool_end for edge in edges])
        granularity = column([edge.q.granularities["H"] for edge in edges])
        self.granularity = granularity if (granularity > 1).any() else None
        self.by_rows = np.array([[edge.read.by_rows] for edge in edges])
        self._rows = np.arange(len(edges))[:, None]
        self._sizes = np.array([[1 if dim is None else edge.q.sizes[dim] for dim in _DIMS] for edge in edges], float).reshape(-1)
        self._part_read = np.array([[edge.reads_part(dim) for dim in _DIMS] for edge in edges]).reshape(-1)
        kinds = [[kinds_between(edge, p, q, same_participants=same) for p in Strategy for q in Strategy for same in (False, True)] for edge in edges]
        self._preferred, self._fallback = (np.array([[_CODES[of[end]] for of in row] for row in kinds]).reshape(-1) for end in (0, -1))

    def at(self, numbers: Columns) -> EdgeArrays:
        """The figures of the edges of these numbers, of shape (edges, plans): in each plan another edge may stand in one place."""
        taken = copy(self)
        for name, figures in vars(self).items():
            if isinstance(figures, tuple):
                setattr(taken, name, type(figures)(*(part[numbers, 0] for part in figures)))
            elif isinstance(figures, np.ndarray) and figures.ndim == 2:
                setattr(taken, name, figures[numbers, 0])
        return taken

    def part_read(self, q: Side) -> tuple[Mask, Array]:
        """Whether a share of each consumer needs only some of the channels, and the share as a fraction of its dimension."""
        places = q.strategies + len(_DIMS) * self._rows
        return self._part_read[places], q.shares / self._sizes[places]

    def kinds(self, p: Side, q: Side) -> tuple[Columns, Columns]:
        """The codes of the first and of the last row of the table that may apply."""
        same = (p.ranks == q.ranks).all(axis=0)
        count = len(Strategy)
        places = (self._rows * count + p.strategies) * (2 * count) + 2 * q.strategies + same
        return self._preferred[places], self._fallback[places]


class Side:
    """One end of each edge: who takes part, and where in the order of participants."""

    def __init__(self, batch: PlanBatch) -> None:
        self.strategies, self.shares, self.mine, self.ranks = batch.strategies, batch.shares, batch.participants, batch.ranks
        self.in_order = batch.order is None
        self.count = self.mine.sum(axis=0)
        self.others = self.count - self.mine
        self.first, self.last = batch.first, batch.last
        self.stop = self.along_order(_running_sum, self.shares)
        self.start = self.stop - self.shares
        self.two_phase = self.strategies == Strategy.IC_TWO_PHASE

    def take(self, units: npt.NDArray[np.int64]) -> Side:
        """The ends at these units, one for each edge, or of shape (edges, plans) where they differ from plan to plan."""
        taken = object.__new__(Side)
        places = (units,) if units.ndim == 1 else (units, np.arange(units.shape[1]))
        for name, array in vars(self).items():
            setattr(taken, name, array if name == "in_order" else array[:, *places] if array.ndim == 3 else array[places])
        return taken

    def along_order(self, function: Callable[..., Array], *values: Array | Mask) -> Array:
        """A function along the participants in their order."""
        return along_order(None if self.in_order else self.ranks, function, *values)

    def even_slices(self, OC: Array) -> Array:
        """c_k: the even slices of the output channels that a reduce-scatter completes."""
        return even_slices(OC, self.count, self.ranks)

    @property
    def place(self) -> Place:
        """Whether each participant is the first, and whether it is the last."""
        return Place(self.first, self.last)


def _running_sum(values: Array) -> Array:
    return np.asarray(np.cumsum(values, axis=0))


class _Volumes:
    """What participants own, need and miss, bytes; 0 for devices that take no part."""

    def __init__(self, edge: EdgeArrays, p: Side, q: Side) -> None:
        self._edge, self._p, self._q = edge, p, q
        self._by_rows = (q.strategies == Strategy.H) & edge.by_rows
        self._reads_part, self._part = edge.part_read(q)
        self.channel_part = np.where(self._reads_part, self._part, 1.0)

    @cached_property
    def owned_part(self) -> Array:
        """The fraction of its dimension that each participant of p owns; of the even slices after a reduce-scatter."""
        p, edge = self._p, self._edge
        shares = np.where(p.two_phase, p.even_slices(edge.OC), p.shares) if p.two_phase.any() else p.shares
        return np.asarray(shares / np.where(p.strategies == Strategy.H, edge.H_o, edge.OC))

    @cached_property
    def owned(self) -> Array:
        return np.asarray(self._edge.tensor * self.owned_part * self._p.mine)

    @cached_property
    def _rows(self) -> Rows[Array]:
        q, granularity = self._q, self._edge.granularity
        share = Rows(q.start, q.stop) if granularity is None else Rows(q.start / granularity, q.stop / granularity)
        return needed_rows(self._edge.field, share, q.place, _ARRAYS)

    def needed(self) -> Array:
        """What each participant of q needs of the tensor."""
        by_channels = self._edge.whole * self.channel_part
        if not self._by_rows.any():
            return np.asarray(by_channels * self._q.mine)
        return np.asarray(np.where(self._by_rows, self._edge.row * count(self._rows, _ARRAYS), by_channels) * self._q.mine)

    def needed_sums(self) -> Array:
        """What each participant of q needs of one device's partial sums."""
        by_channels = self._edge.sums * self.channel_part
        if not self._by_rows.any():
            return np.asarray(by_channels * self._q.mine)
        rows = pre_pool_rows(self._edge.pool, self._edge.pre_pool_end, self._rows, self._q.place, _ARRAYS)
        return np.asarray(np.where(self._by_rows, self._edge.sums_row * count(rows, _ARRAYS), by_channels) * self._q.mine)

    @cached_property
    def missing(self) -> tuple[Array, Array]:
        """Rows that each participant misses above and below; only valid if both ends have the same participants."""
        above, below = missing_rows(Rows(self._p.start, self._p.stop), self._rows, _ARRAYS)
        return above * self._q.mine, below * self._q.mine


def volumes(edge: EdgeArrays, p: Side, q: Side) -> tuple[Array, Array, Array]:
    """R_j, S_j and N_j of the last round, which is the only one unless p uses a two-phase reduce."""
    of = _Volumes(edge, p, q)
    preferred, fallback = edge.kinds(p, q)
    interleaved = preferred == _CODES[TransferKind.INTERLEAVED]
    if interleaved.any():
        # Equal fractions of integers are equal floats: a quotient is rounded once.
        interleaved &= (of.owned_part == of.channel_part).all(axis=0)
    halo, gather, reduce = (fallback == _CODES[kind] for kind in (TransferKind.HALO_EXCHANGE, TransferKind.ALL_GATHER, TransferKind.REDUCE))
    needs = np.where(reduce, of.needed_sums(), of.needed()) if reduce.any() else of.needed()
    received, sent, connections = needs * p.others, p.mine * (needs.sum(axis=0) - needs), q.mine * p.others
    if gather.any():
        received = np.where(gather, (edge.tensor - of.owned) * q.mine, received)
        sent = np.where(gather, of.owned * q.others, sent)
    if halo.any():
        above, below = of.missing
        passed_on = q.along_order(_passed_on, above, below, q.mine)
        received = np.where(halo, edge.row * (above + below), received)
        sent = np.where(halo, edge.row * passed_on * q.mine, sent)
        connections = np.where(halo, q.mine * (2 - q.first - q.last), connections)
        aligned = (preferred == _CODES[TransferKind.ROW_ALIGNED]) & ~((above > 0) | (below > 0)).any(axis=0)
        interleaved |= aligned
    if interleaved.any():
        busy = ~interleaved
        received, sent, connections = received * busy, sent * busy, connections * busy
    return received, sent, connections.astype(float)


def _passed_on(above: Array, below: Array, mine: Mask) -> Array:
    """The rows that each participant sends: those that the previous one misses below and those that the next one misses above."""
    sent = np.zeros_like(above)
    for missed, order in ((below, range(len(sent))), (above, range(len(sent) - 1, -1, -1))):
        carried = np.zeros_like(above[0])
        for j in order:
            sent[j] += carried
            carried = np.where(mine[j], missed[j], carried)
    return sent


def scatter_volumes(pre: Array, OC: Array, p: Side) -> tuple[Array, Array, Array]:
    """R_k, S_k and N_k of a reduce-scatter; 0 where p has none."""
    slices = pre * p.even_slices(OC) / OC
    mine = p.mine & p.two_phase
    return np.where(mine, slices * p.others, 0), np.where(mine, pre - slices, 0), np.where(mine, p.others, 0)


def gather_volumes(post: Array, H_o: Array, batch: PlanBatch) -> tuple[Array, Array, Array]:
    """R_k, S_k and N_k of a gather; 0 where there is none."""
    senders = batch.participants & ~batch.gatherers & batch.gatherers.any(axis=0)
    sent = np.where(senders, post * batch.shares / H_o, 0)
    return batch.gatherers * sent.sum(axis=0), sent, batch.gatherers * senders.sum(axis=0).astype(float)
