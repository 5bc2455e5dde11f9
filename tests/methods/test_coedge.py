"""CoEdge's rows."""

import pytest

from iopopt import Placement, UnsupportedError, solve_coedge, solve_oc


def test_coedge_splits_rows_and_leaves_fully_connected_whole(alexnet, edge):
    """27 rows over 1 : 2 : 4 are 3.86, 7.71 and 15.43: 4, 8 and 15; the FC operators run on the fastest device."""
    plan = solve_coedge(alexnet, edge).plan
    assert plan["conv1"] == Placement.split("H", (0, 1, 2), (4, 8, 15))
    assert all(plan[name] == Placement.whole(2) for name in ("fc1", "fc2", "fc3"))


def test_coedge_can_split_fully_connected_by_output_channels(alexnet, edge):
    """With fully_connected="oc" the FC operators are split like OC splits them."""
    plan = solve_coedge(alexnet, edge, fully_connected="oc").plan
    assert plan["fc1"] == solve_oc(alexnet, edge).plan["fc1"]
    assert plan["conv1"].dim == "H"


def test_coedge_refuses_another_word(alexnet, edge):
    """An option that does not exist is refused with those that do."""
    with pytest.raises(UnsupportedError, match="'fastest' and 'oc'"):
        solve_coedge(alexnet, edge, fully_connected="slowest")
