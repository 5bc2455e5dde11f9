"""Equation (8) for many plans at once: :mod:`iopopt.cost.communication` in numpy. Arrays have the axes (device j, edge, plan)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from iopopt.cost.batch_workload import column, even_slices
from iopopt.cost.communication import TensorEdge
from iopopt.plan.batch import Array, Mask, PlanBatch, Strategy


class EdgeConstants:
    """Figures of edges p -> q as columns; None stands for the source as a producer and for the sink as a consumer."""

    def __init__(self, handovers: Sequence[TensorEdge], e: int) -> None:
        producers, consumers = [edge.producer for edge in handovers], [edge.consumer for edge in handovers]
        shapes = [edge.shape for edge in handovers]
        conv = [shape if edge.producer is None else edge.pre_pool_shape for edge, shape in zip(handovers, shapes, strict=True)]
        tensors = [shape if op is None else op.out_shape for op, shape in zip(producers, shapes, strict=True)]
        self.tensor = column(e * shape.elements for shape in tensors)
        self.OC, self.H_o = column(shape.channels for shape in tensors), column(shape.height for shape in tensors)
        self.post, self.row = column(e * shape.elements for shape in shapes), column(e * shape.channels * shape.width for shape in shapes)
        self.pre, self.conv_row = column(e * shape.elements for shape in conv), column(e * shape.channels * shape.width for shape in conv)
        self.H_c = column(shape.height for shape in conv)
        pools = [None if op is None else op.pool.rows for op in producers]
        self.k_p = column(1 if pool is None else pool.extent for pool in pools)
        self.s_p = column(1 if pool is None else pool.stride for pool in pools)
        self.p_p = column(0 if pool is None else pool.before for pool in pools)
        self.K = column(1.0 if op is None else float(op.K) for op in consumers)
        self.S = column(1.0 if op is None else float(op.S) for op in consumers)
        self.P = column(0 if op is None else op.P for op in consumers)
        self.consumer_OC = column(1 if op is None else op.out_channels for op in consumers)
        self.local = np.array([[op is not None and op.is_channel_local] for op in consumers])
        self.by_channels = np.array([[edge.by_channels] for edge in handovers])
        self.by_rows = np.array([[edge.by_rows] for edge in handovers])


class Side:
    """One end of each edge: who takes part, and where in the order of participants."""

    def __init__(self, batch: PlanBatch) -> None:
        self.kinds, self.shares, self.mine = batch.kinds, batch.shares, batch.participants
        self.count = self.mine.sum(axis=0)
        self.rank = np.cumsum(self.mine, axis=0) - 1
        self.first = self.mine & (self.rank == 0)
        self.last = self.mine & (self.rank == self.count - 1)
        self.stop = np.cumsum(self.shares, axis=0)
        self.start = self.stop - self.shares
        self.others = self.count - self.mine
        self.two_phase = self.kinds == Strategy.IC_TWO_PHASE

    def take(self, operators: npt.NDArray[np.int64]) -> Side:
        """The ends at these operators, one for each edge."""
        taken = object.__new__(Side)
        for name, array in vars(self).items():
            setattr(taken, name, array[:, operators] if array.ndim == 3 else array[operators])
        return taken


def volumes(edge: EdgeConstants, p: Side, q: Side) -> tuple[Array, Array, Array]:
    """R_j, S_j and N_j: of the only phase, or of the second where p adds up in two."""
    lo, hi = _needed_rows(edge, q)
    q_h, q_oc = (q.kinds == Strategy.H) & edge.by_rows, q.kinds == Strategy.OC
    reads_part = ((q.kinds >= Strategy.IC) | (q_oc & edge.local)) & edge.by_channels
    same_team = (p.mine == q.mine).all(axis=0)
    p_whole, p_h, p_reduce = p.kinds == Strategy.WHOLE, p.kinds == Strategy.H, p.kinds == Strategy.IC
    owned_shares = np.where(p.two_phase, even_slices(edge.OC, p.mine), p.shares) if p.two_phase.any() else p.shares
    owned_part = owned_shares / np.where(p_h, edge.H_o, edge.OC)
    channel_part = np.where(reads_part, q.shares / np.where(q_oc, edge.consumer_OC, edge.OC), 1.0)
    # Equal fractions of integers are equal floats: a quotient is rounded once.
    interleaved = ((p.kinds == Strategy.OC) | p.two_phase) & reads_part & same_team & (owned_part == channel_part).all(axis=0)
    rows_to_rows = p_h & q_h & same_team
    halo_received, halo_sent, aligned = _halo(edge, p, q, lo, hi)

    need = np.where(q_h, edge.row * np.maximum(0, hi - lo), edge.post * channel_part)
    from_whole = np.where(q.mine & ~p.mine, need, 0)
    sums = np.where(q.mine, np.where(q_h, edge.conv_row * _conv_rows(edge, q, lo, hi), edge.pre * channel_part), 0)
    owned = np.where(p.mine, edge.tensor * owned_part, 0)

    nothing = interleaved | (rows_to_rows & aligned)
    cases = [nothing, p_whole, rows_to_rows, p_reduce]
    received = np.select(cases, [0, from_whole, halo_received, sums * p.others], np.where(q.mine, edge.tensor - owned, 0))
    sent = np.select(cases, [0, p.mine * from_whole.sum(axis=0), halo_sent, p.mine * (sums.sum(axis=0) - sums)], owned * q.others)
    neighbours = np.where(q.mine, 2.0 - q.first - q.last, 0)
    connections = np.select([nothing, rows_to_rows], [0, neighbours], q.mine * p.others)
    return received, sent, connections


def completion(pre: Array, OC: Array, p: Side) -> tuple[Array, Array, Array]:
    """R_k, S_k and N_k of the first phase of a two-phase reduce; 0 where p is no such operator."""
    slices = pre * even_slices(OC, p.mine) / OC
    mine = p.mine & p.two_phase
    return np.where(mine, slices * p.others, 0), np.where(mine, pre - slices, 0), np.where(mine, p.others, 0)


def _needed_rows(edge: EdgeConstants, q: Side) -> tuple[Array, Array]:
    """[lo, hi) of each participant's composite field, cut above the first and below the last; whole numbers at whole units."""
    lo, hi = np.rint(q.start * edge.S - edge.P), np.rint((q.stop - 1) * edge.S - edge.P + edge.K)
    return np.where(q.first, np.maximum(lo, 0), lo), np.where(q.last, np.minimum(hi, edge.H_o), hi)


def _conv_rows(edge: EdgeConstants, q: Side, lo: Array, hi: Array) -> Array:
    """How many rows before p's pool lie under its output rows [lo, hi)."""
    top, bottom = lo * edge.s_p - edge.p_p, (hi - 1) * edge.s_p - edge.p_p + edge.k_p
    span = np.where(q.last, np.minimum(bottom, edge.H_c), bottom) - np.where(q.first, np.maximum(top, 0), top)
    return np.asarray(np.maximum(0, span))


def _halo(edge: EdgeConstants, p: Side, q: Side, lo: Array, hi: Array) -> tuple[Array, Array, Mask]:
    """Bytes received and sent between neighbours, and whether nothing need be; meant where both sides have one team."""
    above, below = np.where(q.mine, np.maximum(0, p.start - lo), 0), np.where(q.mine, np.maximum(0, hi - p.stop), 0)
    sent = np.zeros_like(above)
    carried = np.zeros_like(above[0])
    for j in range(len(sent)):
        sent[j] += carried
        carried = np.where(q.mine[j], below[j], carried)
    carried = np.zeros_like(above[0])
    for j in reversed(range(len(sent))):
        sent[j] += carried
        carried = np.where(q.mine[j], above[j], carried)
    aligned = (edge.K <= edge.S) & ~((above > 0) | (below > 0)).any(axis=0)
    return edge.row * (above + below), edge.row * np.where(q.mine, sent, 0), aligned
