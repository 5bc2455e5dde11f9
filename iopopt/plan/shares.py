"""Integer shares of a dimension: the rules of methods that do not optimise shares."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from iopopt.cluster.cluster import Device
from iopopt.network.shapes import Dim
from iopopt.network.terms import Line, amount, larger_lines, lines, positions
from iopopt.network.unit import Unit

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

    None if ``limits``, the largest share of each participant, sum to less than ``size``. A makespan at which less than ``size`` fits
    is a lower bound, so the shares that fit belong to an optimum; the few remaining units are assigned one at a time to the device
    that would finish first with one more.
    """
    speed = np.asarray(speeds, dtype=float)
    ceiling = np.full(len(speeds), size) if limits is None else np.minimum(np.asarray(limits), size)
    if ceiling.sum() < size:
        return None

    def most_by(makespan: float) -> npt.NDArray[np.int64]:
        fitting = np.floor((makespan * speed - extent) / stride + 1 - 1e-9)
        return np.clip(fitting, 0, ceiling).astype(np.int64)  # what fits a fast device may be beyond the integers

    low, high = 0.0, float((np.maximum(0, (ceiling - 1) * stride + extent) / speed).max())
    while size - most_by(low).sum() > len(speeds) and high - low > 1e-12 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if most_by(middle).sum() < size else (low, middle)
    shares = most_by(low)
    while shares.sum() < size:
        finish = np.where(shares < ceiling, (shares * stride + extent) / speed, np.inf)
        shares[int(np.argmin(finish))] += 1
    return tuple(int(share) for share in shares)


def unit_even_shares(unit: Unit, dim: Dim, count: int) -> tuple[int, ...]:
    """The dimension cut as evenly as its granules (whole groups of a channel-local operator) allow."""
    return _scaled(unit, dim, even_shares(unit.granules(dim), count))


def unit_proportional_shares(unit: Unit, dim: Dim, weights: Sequence[float]) -> tuple[int, ...]:
    """The dimension in proportion to ``weights``, its granules rounded by largest remainder."""
    return _scaled(unit, dim, proportional_shares(unit.granules(dim), weights))


def unit_makespan_shares(unit: Unit, dim: Dim, speeds: Sequence[float], limits: Sequence[int] | None = None) -> tuple[int, ...] | None:
    """Shares of the least compute time max_j C_ij / f_j of equation (7); None if ``limits`` sum to less than the dimension."""
    if unit.span > 1 and limits is None:
        return block_makespan_shares(unit, speeds)
    window = (unit.pool.stride, unit.pool.extent) if dim == "H" else (1, 1)
    granule_limits = None if limits is None else tuple(limit // unit.granularities[dim] for limit in limits)
    shares = makespan_shares(unit.granules(dim), tuple(speeds), *window, granule_limits)
    return None if shares is None else _scaled(unit, dim, shares)


def block_makespan_shares(unit: Unit, speeds: Sequence[float]) -> tuple[int, ...]:
    """Rows of a fused block of the least compute time max_j C_ij / f_j of equation (7), exactly.

    What a participant computes never falls as its share grows, so a makespan is possible where the largest shares within it sum to the map.
    """
    height, by_rank = unit.sizes["H"], zip(speeds, positions(len(speeds)), strict=True)
    return _least_makespan(np.array([[amount(unit.work["H"], n, place) / speed for n in range(height + 1)] for speed, place in by_rank]))


def fastest_shares(unit: Unit, dim: Dim, devices: Sequence[Device], bytes_per_element: int) -> tuple[int, ...]:
    """Shares of the least compute time max_j t_cmp of equation (7) on these devices, their memory bandwidths included."""
    if all(device.memory_bytes_per_s is None for device in devices):
        shares = unit_makespan_shares(unit, dim, [device.flops_per_s for device in devices])
        assert shares is not None  # without limits they always exist
        return shares
    by_rank = zip(devices, roofline_lines(unit, dim, devices, bytes_per_element), strict=True)
    seconds = [[Line(line.constant / device.flops_per_s, line.slope / device.flops_per_s) for line in of_rank] for device, of_rank in by_rank]
    return _scaled(unit, dim, _fastest_granules(seconds, unit.granules(dim)))


def _fastest_granules(seconds: Sequence[Sequence[Line]], size: int) -> list[int]:
    """Shares that sum to ``size`` granules and minimise the largest of the participants' lines: by bisection, so that any size is quick.

    A makespan within which less than ``size`` fits is a lower bound. The few granules that are left go to whom they delay least; where a makespan
    that is hardly longer holds many more, because a participant takes as long for few as for none, any shares within it are as good.
    """

    def taking(rank: int, share: int) -> float:
        return max(0.0, *(line.constant + line.slope * share for line in seconds[rank]))

    def most_by(makespan: float) -> list[int]:
        return [min([size, *(_most_below(line, makespan, size) for line in lines_of_rank)]) for lines_of_rank in seconds]

    low, high = 0.0, max(taking(rank, size) for rank in range(len(seconds)))
    while size - sum(most_by(low)) > len(seconds) and high - low > 1e-14 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if sum(most_by(middle)) < size else (low, middle)
    shares, most = most_by(low), most_by(high)
    for rank, share in enumerate(shares):
        missing = size - sum(shares)
        if missing > len(seconds):
            shares[rank] = min(most[rank], share + missing)
        elif missing < 0:  # some take no time for any share
            shares[rank] = max(0, share + missing)
    while sum(shares) < size:
        shares[min(range(len(shares)), key=lambda rank: taking(rank, shares[rank] + 1))] += 1
    return shares


def _most_below(line: Line, makespan: float, size: int) -> int:
    """The most granules at which a line is not above a makespan; none if it is above from the start."""
    if line.constant > makespan:
        return 0
    return size if line.slope <= 0 else max(0, math.floor(min(float(size), (makespan - line.constant) / line.slope + 1e-9)))


def roofline_lines(unit: Unit, dim: Dim, devices: Sequence[Device], bytes_per_element: int) -> list[tuple[Line, ...]]:
    """What each participant computes, or could compute while it touches its bytes, if that is more: max(C_ij, D_ij f_j / m_j) of equation (7), FLOPs,
    as the maximum of lines over its share in granules, and 0."""
    work, touched, extent = unit.work[dim], unit.touched[dim], (unit.granules(dim), unit.granularities[dim])
    found = []
    for device, place in zip(devices, positions(len(devices)), strict=True):
        computed = [term.at(place) for term in work]
        if device.memory_bytes_per_s is None:
            found.append(lines(computed, *extent))
        else:
            per_element = bytes_per_element * device.flops_per_s / device.memory_bytes_per_s
            passed = [term.at(place)._replace(weight=term.weight * per_element) for term in touched]
            found.append(larger_lines(computed, passed, *extent))
    return found


def _least_makespan(seconds: FloatArray) -> tuple[int, ...]:
    """Shares in granules of the least makespan, exactly; ``seconds`` are those of each participant (first axis) for each number of granules."""
    count, size = seconds.shape[0], seconds.shape[1] - 1
    low, high = -1, seconds.size - 1
    ordered = np.sort(seconds, axis=None)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _most_within(seconds, ordered[middle]).sum() >= size else (middle, high)
    shares = _most_within(seconds, ordered[high])
    while shares.sum() > size:
        slowest = np.where(shares > 0, seconds[np.arange(count), shares], -np.inf)
        shares[int(np.argmax(slowest))] -= 1
    return tuple(int(share) for share in shares)


def _most_within(seconds: FloatArray, makespan: float) -> npt.NDArray[np.int64]:
    """The most granules that each participant computes within a makespan; where even none takes longer, the makespan is impossible."""
    within = (seconds <= makespan).sum(axis=1) - 1
    return within if (within >= 0).all() else np.zeros_like(within)


def coarse_shares(unit: Unit, speeds: Sequence[float], rows: int) -> tuple[int, ...] | None:
    """Shares in proportion to ``speeds``, in blocks of ``rows`` rows; None if blocks do not divide the map, or granules a block.

    The boundaries of blocks of 2, 4, 8, ... rows coincide with row boundaries of maps with half, a quarter, an eighth of the rows.
    """
    height = unit.sizes["H"]
    if height % rows or rows % unit.granularities["H"]:
        return None
    return tuple(rows * share for share in proportional_shares(height // rows, speeds))


def _scaled(unit: Unit, dim: Dim, granules: Sequence[int]) -> tuple[int, ...]:
    return tuple(unit.granularities[dim] * share for share in granules)
