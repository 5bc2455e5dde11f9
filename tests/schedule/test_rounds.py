"""Rounds: R, S and N from pairs, and several edges in one round."""

from __future__ import annotations

from iopopt.schedule.rounds import Round, TransferKind, together


def test_sums_over_the_pairs() -> None:
    """0 gets 3 from 1 and 4 from 2, 2 gets nothing from 1: R = 7/-/0, S = -/3/4; a pair of 0 bytes is a connection all the same."""
    round_ = Round((TransferKind.ALL_GATHER,), ((1, 0, 3), (2, 0, 4), (1, 2, 0)))
    assert (round_.loads.received, round_.loads.sent) == ({0: 7, 2: 0}, {1: 3, 2: 4})
    assert round_.loads.connections == {0: 2, 2: 1}
    assert round_.loads.connections.get(1, 0) == 0
    assert sum(round_.loads.received.values()) == 7


def test_nothing_is_sent_in_an_empty_round() -> None:
    """An interleaved edge has a round without transfers."""
    round_ = Round((TransferKind.INTERLEAVED,), ())
    assert (round_.loads.received, round_.loads.sent, round_.loads.connections, sum(round_.loads.received.values())) == ({}, {}, {}, 0)
    assert str(round_) == "interleaved"


def test_edges_that_are_under_way_together() -> None:
    """Transfers of all edges add up, and a pair that occurs on two edges is two connections; the kinds are those of the edges in order."""
    one = Round((TransferKind.SEND,), ((0, 1, 5), (0, 2, 1)))
    other = Round((TransferKind.HALO_EXCHANGE,), ((0, 1, 2), (1, 0, 3)))
    joined = together([one, Round((TransferKind.INTERLEAVED,), ()), other])
    assert str(joined) == "send+interleaved+halo exchange"
    assert (joined.loads.received, joined.loads.sent) == ({1: 7, 2: 1, 0: 3}, {0: 8, 1: 3})
    assert (joined.loads.connections, sum(joined.loads.received.values())) == ({1: 2, 2: 1, 0: 1}, 11)
    assert together([one]) is one


def test_kinds_are_the_rows_of_the_table() -> None:
    """Reports call them what the statement calls them."""
    last = ["send", "interleaved", "row-aligned", "halo exchange", "reduce", "all-gather"]
    streams = ["stream", "streamed reduce-scatter"]
    assert [str(kind) for kind in TransferKind] == [*last, "reduce-scatter", "gather", *streams]
    assert [str(kind) for kind in TransferKind if kind.is_streamed] == streams
    assert [str(kind) for kind in TransferKind if not kind.is_alone] == last
    assert [str(kind) for kind in TransferKind if kind.completes] == ["reduce-scatter", "gather", streams[1]]
    assert [str(kind) for kind in TransferKind if kind.is_first_of_two] == ["reduce-scatter", "gather"]
