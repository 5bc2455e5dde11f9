"""Equations (7) and (1) for many plans at once: :mod:`iopopt.cost.workload` in numpy. Arrays have the axes (device j, operator i, plan)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from iopopt.network.operators import Operator
from iopopt.plan.batch import Array, PlanBatch, Strategy


def column(values: Iterator[float]) -> Array:
    """Figures of operators or edges along the middle axis."""
    return np.array([float(value) for value in values]).reshape(-1, 1)


class OperatorConstants:
    """Work and memory figures of operators, as columns."""

    def __init__(self, operators: Sequence[Operator], e: int) -> None:
        self.F = column(op.flops for op in operators)
        self.H_c = column(op.pre_pool_shape.height for op in operators)
        self.H_o = column(op.out_shape.height for op in operators)
        self.OC = column(op.out_channels for op in operators)
        self.C = column(op.in_shape.channels for op in operators)
        self.K, self.S = column(op.K for op in operators), column(op.S for op in operators)  # type: ignore[misc]
        self.k_p, self.s_p = column(op.pool.rows.extent for op in operators), column(op.pool.rows.stride for op in operators)
        self.W = column(e * op.kernel_elements for op in operators)
        self.B = column(e * op.bias_elements for op in operators)
        self.whole_in = column(e * op.in_elements for op in operators)
        self.gates = column(e * op.gate_elements for op in operators)
        self.pre = column(e * op.pre_pool_shape.elements for op in operators)
        self.post = column(e * op.out_shape.elements for op in operators)
        self.in_row = column(e * op.in_row_elements for op in operators)
        self.conv_row = column(e * op.out_channels * op.pre_pool_shape.width for op in operators)
        self.local = np.array([[op.is_channel_local] for op in operators])

    def flops(self, batch: PlanBatch) -> Array:
        """C_ij of equation (7)."""
        kinds, n = batch.kinds, batch.shares
        conv_rows = np.maximum(0, (n - 1) * self.s_p + self.k_p)
        size = np.where(kinds == Strategy.WHOLE, 1.0, np.where(kinds == Strategy.OC, self.OC, self.C))
        return np.where(batch.participants, np.where(kinds == Strategy.H, self.F / self.H_c * conv_rows, self.F / size * n), 0)

    def memory(self, batch: PlanBatch) -> tuple[Array, Array]:
        """w_ij and a_ij of equation (1)."""
        kinds, n, mine = batch.kinds, batch.shares, batch.participants
        is_oc, is_ic, is_h = kinds == Strategy.OC, kinds >= Strategy.IC, kinds == Strategy.H
        part = n / np.where(is_oc, self.OC, self.C)
        part_out, part_in = np.where(is_oc, part, 1.0), np.where(is_ic | (is_oc & self.local), part, 1.0)
        weights = np.where(mine, self.W * np.where(is_oc | is_ic, part, 1.0) + self.B * part_out, 0)
        field_rows = np.maximum(0, np.rint((n - 1) * self.S + self.K))
        rows = self.in_row * field_rows + self.conv_row * np.maximum(0, (n - 1) * self.s_p + self.k_p) + self.gates
        activations = np.where(is_h, rows, self.whole_in * part_in + self.pre * part_out)
        return weights, np.where(mine, activations, 0)

    def kept(self, batch: PlanBatch) -> Array:
        """What each participant owns of the output, or of the partial sums, bytes."""
        kinds, mine = batch.kinds, batch.participants
        n = np.where(kinds == Strategy.IC_TWO_PHASE, even_slices(self.OC, mine), batch.shares)
        size = np.where(kinds == Strategy.WHOLE, 1.0, np.where(kinds == Strategy.H, self.H_o, self.OC))
        return np.where(mine, np.where(kinds == Strategy.IC, self.pre, self.post * n / size), 0)


def even_slices(OC: Array, mine: npt.NDArray[np.bool_]) -> Array:
    """c_k: the even slices of the output channels that a two-phase reduce completes."""
    count, rank = mine.sum(axis=0), np.cumsum(mine, axis=0) - 1
    return np.asarray(np.where(mine, np.floor(OC / count) + (rank < OC % count), 0))
