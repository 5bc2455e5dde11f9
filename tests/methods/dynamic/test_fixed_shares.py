"""The shares of the candidates."""

from iopopt import Cluster, Device, GraphBuilder
from iopopt.methods.dynamic.fixed_shares import candidate_placements
from iopopt.plan.shares import coarse_shares


def test_rows_in_blocks():
    """Speeds 2 : 3 over 24 rows are 10 and 14, so are 12 blocks of 2, 5 and 7; 6 blocks of 4 are 2 and 4; 5 rows make up no block."""
    operator = GraphBuilder("rows", (1, 24, 3)).conv(2, 1).build().operators[0]
    assert [coarse_shares(operator.unit, (2, 3), block) for block in (1, 2, 4, 5)] == [(10, 14), (10, 14), (8, 16), None]
    cluster = Cluster((Device("a", 2e9, 1e9, 1e6), Device("b", 3e9, 1e9, 1e6)))
    rows = [placement.shares for placement in candidate_placements(operator.unit, cluster, (0, 1)) if placement.dim == "H"]
    assert {(10, 14), (8, 16), (12, 12)} <= set(rows)
    assert len(rows) == len(set(rows))


def test_rows_in_blocks_keep_to_units():
    """The 12 rows of an upsampling by 3 go in blocks of 3, 6, ..., not in blocks of 2 or 4."""
    operator = GraphBuilder("up", (1, 4, 3)).upsample((3, 1)).build().operators[0]
    assert [coarse_shares(operator.unit, (1, 1), block) for block in (2, 3, 4, 6)] == [None, (6, 6), None, (6, 6)]
