"""Schedules, by hand: who sends which region to whom."""

from __future__ import annotations

import pytest

from iopopt import Graph, GraphBuilder, Placement
from iopopt.schedule.region_transfers import RegionRound, unit_inputs
from iopopt.schedule.regions import Interval, Region

Sent = dict[tuple[int, int], Region]
ALL = (0, 1, 2)


def _region(channels: tuple[int, int], rows: tuple[int, int]) -> Region:
    return Region(Interval(*channels), Interval(*rows))


@pytest.fixture
def graph() -> Graph:
    """a: 2x8x4 -> conv 6x8x4, pooled 6x4x2; b: kernel 3, padding 1, 6x4x2 -> 3x4x2."""
    net = GraphBuilder("pair", (2, 8, 4)).conv(6, 3, padding=1, name="a").relu().max_pool(2)
    return net.conv(3, 3, padding=1, name="b").build()


@pytest.fixture
def depthwise() -> Graph:
    """a: 2x4x4 -> 6x4x4; b: depthwise, 6x4x4 -> 6x4x4."""
    return GraphBuilder("depthwise", (2, 4, 4)).conv(6, 1, name="a").conv(6, 3, padding=1, groups=6, name="b").build()


def _rounds(graph: Graph, p: Placement, q: Placement) -> tuple[RegionRound, ...]:
    """The rounds of the edge a -> b."""
    (edge,) = unit_inputs(graph, [p, q], None, 0)[1].edges
    return edge.rounds


def _sent(round_: RegionRound) -> Sent:
    return {(transfer.sender, transfer.receiver): transfer.region for transfer in round_.transfers}


def test_edges_of_a_chain(graph: Graph) -> None:
    """There is one edge an operator and one to the sink, after which its tensor is let go; what is not priced carries nothing."""
    inputs = unit_inputs(graph, [Placement.whole(1)] * 2, 2, 1)
    assert [inputs_of.name for inputs_of in inputs] == ["a", "b", "(sink)"]
    assert [inputs_of.freed for inputs_of in inputs] == [(3,), (0,), (1,)]
    edges = [edge for inputs_of in inputs for edge in inputs_of.edges]
    assert [edge.producer for edge in edges] == [3, 0, 1]
    assert _sent(edges[0].rounds[0]) == {(2, 1): _region((0, 2), (0, 8))}
    assert not edges[1].rounds[0].transfers
    assert not edges[2].rounds[0].transfers


def test_input_that_everybody_has(graph: Graph) -> None:
    """Without a source nothing is sent, and each participant holds what it needs of the input."""
    first, *_ = unit_inputs(graph, [Placement.split("H", ALL, (2, 1, 1)), Placement.whole(0)], None, 0)
    assert first.edges[0].rounds[0].transfers == ()
    assert first.edges[0].rounds[0].finished == {0: _region((0, 2), (0, 5)), 1: _region((0, 2), (3, 7)), 2: _region((0, 2), (5, 8))}


def test_whole_sends_what_is_needed(graph: Graph) -> None:
    """The owner of a whole tensor sends each participant what it needs, and an empty share nothing."""
    (round_,) = _rounds(graph, Placement.whole(1), Placement.split("H", ALL, (3, 0, 1)))
    assert _sent(round_) == {(1, 0): _region((0, 6), (0, 4)), (1, 2): _region((0, 6), (2, 4))}
    (round_,) = _rounds(graph, Placement.whole(1), Placement.split("IC", ALL, (1, 2, 3)))
    assert _sent(round_) == {(1, 0): _region((0, 1), (0, 4)), (1, 2): _region((3, 6), (0, 4))}


def test_interleaved_sends_nothing(graph: Graph) -> None:
    """OC before IC with the same shares needs no message, and each holds its channels; other shares are concatenated."""
    (round_,) = _rounds(graph, Placement.split("OC", ALL, (3, 2, 1)), Placement.split("IC", ALL, (3, 2, 1)))
    assert round_.transfers == ()
    assert round_.finished == {0: _region((0, 3), (0, 4)), 1: _region((3, 5), (0, 4)), 2: _region((5, 6), (0, 4))}
    (other,) = _rounds(graph, Placement.split("OC", ALL, (3, 2, 1)), Placement.split("IC", ALL, (2, 3, 1)))
    assert len(other.transfers) == 6


def test_depthwise_after_the_same_channels_sends_nothing(depthwise: Graph) -> None:
    """A depthwise operator that is split by the channels of its producer finds its input where it is."""
    split = Placement.split("OC", ALL, (3, 2, 1))
    (round_,) = _rounds(depthwise, split, split)
    assert round_.transfers == ()
    assert round_.finished[1] == _region((3, 5), (0, 4))


def test_halo_sends_missing_rows(graph: Graph) -> None:
    """Rows before rows: each gets the rows around its own from their owners."""
    split = Placement.split("H", ALL, (2, 1, 1))
    (round_,) = _rounds(graph, split, split)
    row = {number: _region((0, 6), (number, number + 1)) for number in range(4)}
    assert _sent(round_) == {(1, 0): row[2], (0, 1): row[1], (2, 1): row[3], (1, 2): row[2]}
    assert round_.finished == {0: _region((0, 6), (0, 3)), 1: _region((0, 6), (1, 4)), 2: _region((0, 6), (2, 4))}


@pytest.mark.parametrize("device", ALL)
def test_gathered_rows_go_through_one_device(graph: Graph, device: int) -> None:
    """All rows that others own go there, an empty share nothing; then every other participant gets what it needs, from there alone."""
    rows = Placement.split("H", (0, 1), (4, 0), gather=device)
    gather, send = _rounds(graph, rows, Placement.split("H", ALL, (2, 1, 1)))
    assert _sent(gather) == ({} if device == 0 else {(0, device): _region((0, 6), (0, 4))})
    assert (gather.finished, gather.completes) == ({device: _region((0, 6), (0, 4))}, True)
    needed = {0: _region((0, 6), (0, 3)), 1: _region((0, 6), (1, 4)), 2: _region((0, 6), (2, 4))}
    assert _sent(send) == {(device, j): region for j, region in needed.items() if j != device}
    assert (send.finished, send.completes) == (needed, False)


def test_halo_past_a_neighbour_comes_from_the_owner(graph: Graph) -> None:
    """Rows beyond the neighbour's come straight from who owns them."""
    (round_,) = _rounds(graph, Placement.split("H", ALL, (3, 0, 1)), Placement.split("H", ALL, (1, 0, 3)))
    assert _sent(round_) == {(0, 2): _region((0, 6), (0, 3))}


def test_an_all_gather_gives_everything_to_whoever_has_rows(graph: Graph) -> None:
    """Otherwise every participant of the consumer gets all pieces but its own; owners of nothing send nothing, and for no rows nobody gets any."""
    (round_,) = _rounds(graph, Placement.split("OC", (0, 1), (6, 0)), Placement.split("H", ALL, (2, 2, 0)))
    assert _sent(round_) == {(0, 1): _region((0, 6), (0, 4))}
    assert round_.finished == {**dict.fromkeys((0, 1), _region((0, 6), (0, 4))), 2: _region((0, 6), (0, 0))}
    (round_,) = _rounds(graph, Placement.split("OC", (0, 1), (6, 0)), Placement.split("IC", ALL, (3, 3, 0)))
    assert _sent(round_) == {(0, 1): _region((0, 6), (0, 4)), (0, 2): _region((0, 6), (0, 4))}  # no channels are a share like any other


@pytest.mark.parametrize("p", [Placement.whole(0), Placement.split("IC", ALL, (1, 1, 0)), Placement.split("OC", ALL, (1, 1, 0))], ids=str)
def test_for_no_rows_nobody_needs_a_gate(p: Placement) -> None:
    """Over 2/0/0 rows of a product only the first participant gets the gate."""
    net = GraphBuilder("gated", (2, 2, 1)).conv(2, 1, name="map").global_average_pool().conv(2, 1, name="gate")
    graph = net.mul("map", "gate").build()
    product = Placement.split("H", ALL, (2, 0, 0))
    placements = [Placement.whole(0), Placement.whole(0), p, product]
    *_, gate = unit_inputs(graph, placements, None, 0)[3].edges
    (round_,) = gate.rounds
    assert {transfer.receiver for transfer in round_.transfers} == ({0} if p.dim else set())
    assert {j: bool(region) for j, region in round_.finished.items()} == {0: True, 1: False, 2: False}


def test_reduce_sends_partial_sums_before_the_pool(graph: Graph) -> None:
    """A direct reduce sends the rows before the pool that lie under what each needs, and each finishes just that."""
    (round_,) = _rounds(graph, Placement.split("IC", (0, 1), (1, 1)), Placement.split("H", ALL, (2, 1, 1)))
    rows = {0: (0, 6), 1: (2, 8), 2: (4, 8)}
    assert round_.partial
    assert all(transfer.partial for transfer in round_.transfers)
    assert _sent(round_) == {(k, j): _region((0, 6), rows[j]) for k in (0, 1) for j in ALL if k != j}
    assert round_.finished == {0: _region((0, 6), (0, 3)), 1: _region((0, 6), (1, 4)), 2: _region((0, 6), (2, 4))}


def test_reduce_sends_rows_that_no_pool_window_touches() -> None:
    """A reduce to a consumer of all rows also sends those that the pool leaves out: the model counts the whole tensor."""
    graph = GraphBuilder("odd", (2, 5, 2)).conv(2, 1, name="a").max_pool(2).conv(2, 1, name="b").build()
    (round_,) = _rounds(graph, Placement.split("IC", (0, 1), (1, 1)), Placement.whole(0))
    assert _sent(round_) == {(1, 0): _region((0, 2), (0, 5))}


def test_two_phase_reduce_has_two_rounds(graph: Graph) -> None:
    """First each participant completes an even slice of channels, whatever its share; then the slices are concatenated or stay."""
    producer = Placement.split("IC", ALL, (2, 0, 0), "two_phase")
    first, second = _rounds(graph, producer, Placement.whole(0))
    slices = {0: (0, 2), 1: (2, 4), 2: (4, 6)}
    assert _sent(first) == {(k, j): _region(slices[j], (0, 8)) for k in ALL for j in ALL if k != j}
    assert first.finished == {j: _region(channels, (0, 4)) for j, channels in slices.items()}
    assert _sent(second) == {(k, 0): _region(slices[k], (0, 4)) for k in (1, 2)}
    _, second = _rounds(graph, producer, Placement.split("IC", ALL, (2, 2, 2)))
    assert second.transfers == ()


def test_output_goes_to_the_sink(graph: Graph) -> None:
    """The sink gets every piece of the output that is not its own."""
    placements = [Placement.whole(0), Placement.split("H", ALL, (2, 2, 0))]
    (last,) = unit_inputs(graph, placements, 0, 1)[-1].edges
    assert _sent(last.rounds[0]) == {(0, 1): _region((0, 3), (0, 2))}
    assert last.rounds[0].finished == {1: _region((0, 3), (0, 4))}


@pytest.fixture
def fork() -> Graph:
    """a: 2x8x4 -> 4x8x4; b and c read it, d adds them up."""
    net = GraphBuilder("fork", (2, 8, 4)).conv(4, 1, name="a")
    net.conv(4, 3, padding=1, name="b").at("a").conv(4, 1, name="c")
    return net.add("b", "c", name="d").build()


def _fork_rounds(fork: Graph, a: Placement) -> tuple[tuple[RegionRound, ...], tuple[RegionRound, ...]]:
    """The rounds a -> b, of which b is whole on device 1, and a -> c, of which c is split by input channels."""
    inputs = unit_inputs(fork, [a, Placement.whole(1), Placement.split("IC", (0, 1), (2, 2)), Placement.whole(0)], None, 0)
    return inputs[1].edges[0].rounds, inputs[2].edges[0].rounds


def test_every_consumer_fetches_for_itself(fork: Graph) -> None:
    """A tensor with two consumers crosses to each as it would to one, and is let go behind the last."""
    (to_b,), (to_c,) = _fork_rounds(fork, Placement.whole(0))
    assert _sent(to_b) == {(0, 1): _region((0, 4), (0, 8))}
    assert _sent(to_c) == {(0, 1): _region((2, 4), (0, 8))}
    inputs = unit_inputs(fork, [Placement.whole(0)] * 4, 2, 0)
    assert [inputs_of.freed for inputs_of in inputs] == [(5,), (), (0,), (1, 2), (3,)]
    assert [[edge.producer for edge in inputs_of.edges] for inputs_of in inputs] == [[5], [0], [0], [1, 2], [3]]


def test_partial_sums_are_completed_once(fork: Graph) -> None:
    """The first phase of a two-phase reduce comes before the first consumer alone; what it completes is then owned."""
    (first, second), (third,) = _fork_rounds(fork, Placement.split("IC", (0, 1), (1, 1), "two_phase"))
    assert [round_.completes for round_ in (first, second, third)] == [True, False, False]
    assert _sent(second) == {(0, 1): _region((0, 2), (0, 8))}
    assert third.transfers == ()


def test_partial_sums_are_reduced_for_every_consumer(fork: Graph) -> None:
    """A direct reduce brings every consumer what it needs."""
    (to_b,), (to_c,) = _fork_rounds(fork, Placement.split("IC", (0, 1), (1, 1)))
    assert _sent(to_b) == {(0, 1): _region((0, 4), (0, 8))}
    assert _sent(to_c) == {(1, 0): _region((0, 2), (0, 8)), (0, 1): _region((2, 4), (0, 8))}


def test_a_tensor_read_twice_crosses_twice() -> None:
    """Each input of an addition is an edge of its own, also where both are one tensor."""
    graph = GraphBuilder("twice", (2, 8, 4)).conv(4, 1, name="a").add("a", "a", name="b").build()
    inputs_of = unit_inputs(graph, [Placement.whole(0), Placement.whole(1)], None, 1)[1]
    assert [_sent(round_) for edge in inputs_of.edges for round_ in edge.rounds] == [{(0, 1): _region((0, 4), (0, 8))}] * 2


def _mixing(reader: str) -> Graph:
    """a: 2x8x4 -> conv 4x8x4, with a softmax unless b is a plain slice; b: an activation, or a slice of the channels 1 and 2, of it."""
    net = GraphBuilder("mixing", (2, 8, 4)).conv(4, 1, name="a")
    if reader != "plain slice":
        net.softmax()
    return (net.operator("elementwise", 4, name="b") if reader == "elementwise" else net.slice(1, 3, name="b")).build()


def test_who_mixes_channels() -> None:
    """Owners of all channels mix; otherwise whoever reads gets all channels and mixes them, be the shares as they may."""
    split = Placement.split("OC", (0, 1), (2, 2))
    full = _region((0, 4), (0, 8))
    for p in (Placement.whole(0), Placement.split("H", (0, 1), (4, 4))):
        (round_,) = _rounds(_mixing("elementwise"), p, split)
        assert not round_.mixes
        assert round_.finished == {0: full, 1: full}
    (round_,) = _rounds(_mixing("elementwise"), split, split)
    assert round_.mixes
    assert _sent(round_) == {(1, 0): _region((2, 4), (0, 8)), (0, 1): _region((0, 2), (0, 8))}
    first, second = _rounds(_mixing("elementwise"), Placement.split("IC", (0, 1), (1, 1), "two_phase"), split)
    assert (first.mixes, second.mixes) == (False, True)
    (round_,) = _rounds(_mixing("elementwise"), Placement.split("IC", (0, 1), (1, 1)), Placement.split("H", (0, 1), (3, 5)))
    assert round_.mixes
    assert round_.finished == {0: _region((0, 4), (0, 3)), 1: _region((0, 4), (3, 8))}


def test_a_slice_gets_its_own_channels() -> None:
    """Whole and by rows a slice gets its own channels; of a tensor whose channels are mixed it gets all."""
    rows = Placement.split("H", (0, 1), (3, 5))
    for reader, channels in (("plain slice", (1, 3)), ("slice", (0, 4))):
        graph = _mixing(reader)
        (round_,) = _rounds(graph, Placement.whole(0), rows)
        assert _sent(round_) == {(0, 1): _region(channels, (3, 8))}
        (round_,) = _rounds(graph, Placement.split("H", (0, 1), (4, 4)), Placement.split("H", (0, 1), (5, 3)))
        assert _sent(round_) == {(1, 0): _region(channels, (4, 5))}
        (round_,) = _rounds(graph, Placement.split("IC", (0, 1), (1, 1)), Placement.whole(0))
        assert _sent(round_) == {(1, 0): _region(channels, (0, 8))}
        (round_,) = _rounds(graph, Placement.split("OC", (0, 1), (2, 2)), Placement.whole(0))
        assert _sent(round_) == {(1, 0): _region((2, 4), (0, 8))}


def test_a_gate_goes_to_every_row() -> None:
    """Whoever computes rows of a product gets the whole gate."""
    net = GraphBuilder("gated", (4, 8, 4)).operator("conv", 4, name="a").global_average_pool()
    graph = net.mul("a", net.tip, name="c").build()
    rows = Placement.split("H", ALL, (4, 2, 2))
    a, gate = unit_inputs(graph, [rows, Placement.whole(0), rows], None, 0)[2].edges
    assert _sent(a.rounds[0]) == {}
    assert _sent(gate.rounds[0]) == {(0, 1): _region((0, 4), (0, 1)), (0, 2): _region((0, 4), (0, 1))}
