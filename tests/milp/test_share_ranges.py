"""Ranges of shares hold all shares, and none that a range cannot hold."""

import itertools

import numpy as np
import pytest

from iopopt.milp.share_ranges import WHOLE, share_ranges


@pytest.mark.parametrize("participants", [2, 3, 4])
@pytest.mark.parametrize("levels", [0, 1, 2, 4])
def test_all_shares_lie_in_a_range(participants, levels):
    """Whoever has more than half is in a range of its own; ends are those of the shares in the range."""
    for granules in (0, 1, 2, 5, 8):
        ranges = share_ranges(granules, participants, levels)
        every = np.array([ways for ways in itertools.product(range(granules + 1), repeat=participants) if sum(ways) == granules])
        inside = ((ranges.low <= every[:, None]) & (every[:, None] <= ranges.high)).all(axis=-1)
        assert (inside.sum(axis=1) == 1).all()
        for number in range(len(ranges)):
            held = every[inside[:, number]]
            assert (held.min(axis=0) == ranges.low[number]).all()
            assert (held.max(axis=0) == ranges.high[number]).all()


def test_ranges_by_hand():
    """Eight rows on two devices at two levels: four each, five or six, seven or eight."""
    ranges = share_ranges(8, 2, 2)
    assert ranges.low.tolist() == [[4, 4], [5, 2], [7, 0], [2, 5], [0, 7]]
    assert ranges.high.tolist() == [[4, 4], [6, 3], [8, 1], [3, 6], [1, 8]]
    assert len(share_ranges(8, 2, 0)) == len(WHOLE) == 1
