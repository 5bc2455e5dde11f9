"""Ranges of shares: what a node is divided into where bounds follow how much the device with the largest share computes.

Shares that are cheap to gather on one device make that device compute most of an operator, and of those before it from which its rows come.
Bounds that see nodes alone miss this, because each of them may assume other shares. Divided by the largest share, neighbouring nodes agree on it.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Granules = npt.NDArray[np.int64]


class ShareRanges(NamedTuple):
    """The least and the most granules of each participant, in the order of the team, in each range: of shape (ranges, participants).

    Every vector of shares lies in one range at least. A whole operator has one range, without participants.
    """

    low: Granules
    high: Granules

    def __len__(self) -> int:
        return len(self.low)


WHOLE = ShareRanges(np.zeros((1, 0), np.int64), np.zeros((1, 0), np.int64))
"""The one range of an operator that is whole."""


def single_range(shares: Sequence[int]) -> ShareRanges:
    """The range of these shares alone."""
    return ShareRanges(np.array([shares], np.int64), np.array([shares], np.int64))


@cache
def share_ranges(granules: int, participants: int, levels: int) -> ShareRanges:
    """The ranges of shares that sum to ``granules``: nobody has more than half, or one participant does, at one of so many levels of equal height.

    With 0 levels there is one range, that of all shares.
    """
    if levels == 0:
        return _tightened(granules, [([0] * participants, [granules] * participants)])
    ends = [granules * (levels + level) // (2 * levels) for level in range(levels + 1)]
    bounds = [([0] * participants, [ends[0]] * participants)]
    for rank in range(participants):
        for below, end in itertools.pairwise(ends):
            low, high = [0] * participants, [granules] * participants
            low[rank], high[rank] = below + 1, end
            bounds.append((low, high))
    return _tightened(granules, bounds)


def _tightened(granules: int, bounds: list[tuple[list[int], list[int]]]) -> ShareRanges:
    """The ranges that some shares of this sum are in, with what the others' ends leave to each participant."""
    low, high = (np.array(ends, np.int64) for ends in zip(*bounds, strict=True))
    low = np.maximum(low, granules - (high.sum(axis=1, keepdims=True) - high))
    high = np.minimum(high, granules - (low.sum(axis=1, keepdims=True) - low))
    possible = (low <= high).all(axis=1)
    return ShareRanges(low[possible], high[possible])
