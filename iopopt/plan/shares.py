"""Integer shares of a dimension: the rules by which methods that do not optimise shares choose them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from iopopt.network.operators import Operator
from iopopt.network.shapes import Dim

FloatArray = npt.NDArray[np.float64]


def even_shares(size: int, count: int) -> tuple[int, ...]:
    """``size`` cut evenly: the first ``size mod count`` participants take one more."""
    return tuple(size // count + (rank < size % count) for rank in range(count))


def proportional_shares(size: int, weights: Sequence[float]) -> tuple[int, ...]:
    """``size`` in proportion to ``weights``, rounded by largest remainder (ties to the first)."""
    exact = np.asarray(weights, dtype=float) / sum(weights) * size
    shares = np.floor(exact + 1e-9).astype(int)
    order = np.argsort(-(exact - shares), kind="stable")
    shares[order[: size - int(shares.sum())]] += 1
    return tuple(int(share) for share in shares)


@lru_cache(maxsize=4096)
def makespan_shares(
    size: int, speeds: tuple[float, ...], stride: int = 1, extent: int = 1, limits: tuple[int, ...] | None = None
) -> tuple[int, ...] | None:
    """Shares n_j that minimise the largest max(0, (n_j - 1) stride + extent) / speed_j, exactly.

    None where ``limits``, the largest share of each participant, cannot hold ``size``. A makespan at which less than ``size``
    fits bounds the optimum from below, so what fits by then is part of an optimum; the few units left go, one at a time, to
    whoever finishes first with one more.
    """
    speed = np.asarray(speeds, dtype=float)
    ceiling = np.full(len(speeds), size) if limits is None else np.minimum(np.asarray(limits), size)
    if ceiling.sum() < size:
        return None

    def most_by(makespan: float) -> npt.NDArray[np.int64]:
        fitting = np.floor((makespan * speed - extent) / stride + 1 - 1e-9).astype(np.int64)
        return np.clip(fitting, 0, ceiling)

    low, high = 0.0, float((np.maximum(0, (ceiling - 1) * stride + extent) / speed).max())
    while size - most_by(low).sum() > len(speeds) and high - low > 1e-12 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if most_by(middle).sum() < size else (low, middle)
    shares = most_by(low)
    while shares.sum() < size:
        finish = np.where(shares < ceiling, (shares * stride + extent) / speed, np.inf)
        shares[int(np.argmin(finish))] += 1
    return tuple(int(share) for share in shares)


def operator_even_shares(operator: Operator, dim: Dim, count: int) -> tuple[int, ...]:
    """The dimension cut as evenly as its units (whole groups of a channel-local operator) allow."""
    unit = operator.granularity(dim)
    return tuple(unit * share for share in even_shares(operator.size(dim) // unit, count))


def operator_proportional_shares(operator: Operator, dim: Dim, weights: Sequence[float]) -> tuple[int, ...]:
    """The dimension in proportion to ``weights``, its units rounded by largest remainder."""
    unit = operator.granularity(dim)
    return tuple(unit * share for share in proportional_shares(operator.size(dim) // unit, weights))


def operator_makespan_shares(operator: Operator, dim: Dim, speeds: Sequence[float], limits: Sequence[int] | None = None) -> tuple[int, ...] | None:
    """Shares of the least compute time max_j C_ij / f_j of equation (7); None where ``limits`` cannot hold the dimension."""
    pool, unit = operator.pool.rows, operator.granularity(dim)
    window = (pool.stride, pool.extent) if dim == "H" else (1, 1)
    unit_limits = None if limits is None else tuple(limit // unit for limit in limits)
    shares = makespan_shares(operator.size(dim) // unit, tuple(speeds), *window, unit_limits)
    return None if shares is None else tuple(unit * share for share in shares)


def operator_block_shares(operator: Operator, speeds: Sequence[float], block: int) -> tuple[int, ...] | None:
    """Rows in blocks of that many, in proportion to ``speeds``; None where these do not make up the rows, or not all in whole units.

    Blocks of 2, 4, 8, ... rows have their bounds where maps of half, a quarter, an eighth of the rows have them.
    """
    rows = operator.size("H")
    if rows % block or block % operator.granularity("H"):
        return None
    return tuple(block * share for share in proportional_shares(rows // block, speeds))
