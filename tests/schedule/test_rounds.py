"""Rounds: R, S and N from pairs, and several edges in one round."""

from __future__ import annotations

from iopopt.schedule.rounds import Round, Transfer, TransferKind, together


def test_sums_over_the_pairs() -> None:
    """0 gets 3 from 1 and 4 from 2, 2 gets nothing from 1: R = 7/-/0, S = -/3/4; a pair of 0 bytes is a connection all the same."""
    round_ = Round((TransferKind.ALL_GATHER,), (Transfer(1, 0, 3), Transfer(2, 0, 4), Transfer(1, 2, 0)))
    assert (round_.received, round_.sent) == ({0: 7, 2: 0}, {1: 3, 2: 4})
    assert round_.connections == {0: 2, 2: 1}
    assert round_.connections.get(1, 0) == 0
    assert round_.total_bytes == 7


def test_nothing_is_sent_in_an_empty_round() -> None:
    """An interleaved edge has a round without transfers."""
    round_ = Round((TransferKind.INTERLEAVED,), ())
    assert (round_.received, round_.sent, round_.connections, round_.total_bytes) == ({}, {}, {}, 0)
    assert str(round_) == "interleaved"


def test_edges_that_are_under_way_together() -> None:
    """Transfers of all edges add up, and a pair that occurs on two edges is two connections; the kinds are those of the edges in order."""
    one = Round((TransferKind.SEND,), (Transfer(0, 1, 5), Transfer(0, 2, 1)))
    other = Round((TransferKind.HALO_EXCHANGE,), (Transfer(0, 1, 2), Transfer(1, 0, 3)))
    joined = together([one, Round((TransferKind.INTERLEAVED,), ()), other])
    assert str(joined) == "send+interleaved+halo exchange"
    assert (joined.received, joined.sent) == ({1: 7, 2: 1, 0: 3}, {0: 8, 1: 3})
    assert (joined.connections, joined.total_bytes) == ({1: 2, 2: 1, 0: 1}, 11)
    assert together([one]) is one


def test_kinds_are_the_rows_of_the_table() -> None:
    """Reports call them what the statement calls them."""
    assert [str(kind) for kind in TransferKind] == ["send", "interleaved", "row-aligned", "halo exchange", "reduce", "all-gather", "reduce-scatter"]
