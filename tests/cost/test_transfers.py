"""Equation (8): who sends how much to whom under each row of the table, and the R, S and N that follow."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from dataclasses import replace

import pytest
from support.naive_pricing import naive_transfers
from support.random_branches import random_branched_graph, random_branched_plan
from support.random_gathers import with_gathers
from support.random_instances import random_cluster, random_graph, random_plan
from support.random_orders import reordered

from iopopt import Cluster, Device, Graph, GraphBuilder, Placement, Plan
from iopopt.cost.evaluation import counted_connections, round_time_s
from iopopt.cost.instance import Instance
from iopopt.cost.transfers import edge_rounds, kinds_between
from iopopt.network.tensor_edge import TensorEdge
from iopopt.plan.placement import Strategy
from iopopt.schedule.rounds import Round, TransferKind

WHOLE, H, OC, IC, TWO_PHASE = Strategy


def _edge(graph: Graph, consumer: int = 1) -> TensorEdge:
    (edge,) = graph.edges_into[consumer]
    return edge


def _sent(round_: Round) -> dict[tuple[int, int], float]:
    """The bytes of each pair; every pair occurs once."""
    pairs = {(sender, receiver): size for sender, receiver, size in round_.transfers}
    assert len(pairs) == len(round_.transfers)
    return pairs


def _random_plan(rng: random.Random, number: int) -> tuple[Graph, Cluster, Plan]:
    """Chains and branched graphs, in the order of the cluster and in others."""
    branched = number % 2 == 1
    graph, cluster = random_branched_graph(rng) if branched else random_graph(rng), random_cluster(rng)
    plan = (random_branched_plan if branched else random_plan)(rng, graph, len(cluster))
    return graph, cluster, with_gathers(rng, reordered(rng, plan, len(cluster)) if number % 4 > 1 else plan, len(cluster))


# Which row of the table applies.


def test_the_rows_of_the_table() -> None:
    """By strategy, for an ungrouped convolution behind another: what may apply, in turn, over the same participants and over others."""
    edge = _edge(GraphBuilder("x", (2, 4, 4)).conv(4, 1).conv(3, 1).build())
    gather, halo = (TransferKind.ALL_GATHER,), (TransferKind.ROW_ALIGNED, TransferKind.HALO_EXCHANGE)
    interleaved = (TransferKind.INTERLEAVED, TransferKind.ALL_GATHER)
    table = {
        WHOLE: dict.fromkeys(Strategy, (TransferKind.SEND,)),
        H: {WHOLE: gather, H: halo, OC: gather, IC: gather, TWO_PHASE: gather},
        OC: {WHOLE: gather, H: gather, OC: gather, IC: interleaved, TWO_PHASE: interleaved},
        IC: dict.fromkeys(Strategy, (TransferKind.REDUCE,)),
        # From its second round on a two-phase split counts as OC.
        TWO_PHASE: {WHOLE: gather, H: gather, OC: gather, IC: interleaved, TWO_PHASE: interleaved},
    }
    for p, q in itertools.product(Strategy, Strategy):
        assert kinds_between(edge, p, q, same_participants=True) == table[p][q], (p, q)
        others = gather if p == q == H else table[p][q][-1:]
        assert kinds_between(edge, p, q, same_participants=False) == others, (p, q)


def test_rows_that_overlap_are_never_aligned() -> None:
    """K > S leaves the halo exchange alone, K <= S the aligned rows before it."""
    for kernel, stride, kinds in ((3, 1, 1), (3, 2, 1), (2, 2, 2), (1, 1, 2), (1, 3, 2)):
        edge = _edge(GraphBuilder("x", (1, 9, 9)).conv(1, 1).conv(1, kernel, stride=stride).build())
        found = kinds_between(edge, H, H, same_participants=True)
        assert found == (TransferKind.ROW_ALIGNED, TransferKind.HALO_EXCHANGE)[-kinds:]


def test_channel_local_operators_interleave_their_outputs() -> None:
    """OC before a grouped OC split may be interleaved, but not behind a step that mixes channels, and rows never."""
    grouped, mixed = (GraphBuilder("x", (2, 4, 4)).conv(4, 1) for _ in range(2))
    edge, behind = _edge(grouped.conv(4, 1, groups=2).build()), _edge(mixed.softmax().conv(4, 1, groups=2).build())
    assert kinds_between(edge, OC, OC, same_participants=True) == (TransferKind.INTERLEAVED, TransferKind.ALL_GATHER)
    assert kinds_between(behind, OC, OC, same_participants=True) == (TransferKind.ALL_GATHER,)
    assert kinds_between(edge, H, OC, same_participants=True) == (TransferKind.ALL_GATHER,)


def test_interleaved_where_the_lengths_agree() -> None:
    """Groups of 2 inputs and 3 outputs: the shares 4/0/2 feed 6/0/3, and no others."""
    edge = _edge(GraphBuilder("x", (2, 4, 4)).conv(6, 1).conv(9, 1, groups=3).build())
    q = Placement.split("OC", (0, 1, 2), (6, 0, 3))
    for shares, kind in (((4, 0, 2), TransferKind.INTERLEAVED), ((3, 1, 2), TransferKind.ALL_GATHER), ((4, 2, 0), TransferKind.ALL_GATHER)):
        (round_,) = edge_rounds(edge, Placement.split("OC", (0, 1, 2), shares), q, 1)
        assert round_.kinds == (kind,)
        assert bool(round_.transfers) == (kind is TransferKind.ALL_GATHER)


def test_row_aligned_where_nobody_misses_a_row() -> None:
    """Kernel and stride 2: rows 4/4 feed 2/2; with 6/2 the second lacks rows, with 5/3 too, and all that is a halo exchange."""
    edge = _edge(GraphBuilder("x", (1, 8, 1)).conv(1, 1).conv(1, (2, 1), stride=(2, 1)).build())
    q = Placement.split("H", (0, 1), (2, 2))
    for shares, missing in (((4, 4), None), ((6, 2), 2), ((5, 3), 1)):
        (round_,) = edge_rounds(edge, Placement.split("H", (0, 1), shares), q, 1)
        if missing is None:
            assert (round_.kinds, round_.transfers) == ((TransferKind.ROW_ALIGNED,), ())
        else:
            assert round_.kinds == (TransferKind.HALO_EXCHANGE,)
            assert _sent(round_) == {(0, 1): missing, (1, 0): 0}


# The pairs, by hand.


def test_send_by_hand() -> None:
    """From device 1 to H 2/2/0 over (0, 1, 2), kernel 3 and padding 1 on 4 rows of 8 bytes: rows [0, 3) and [3, 4) to 0 and 2.

    The empty last participant needs [4 - 1, 4): lo = 3 and hi = 3 - 1 + 3 = 5 is cut to 4.
    """
    edge = _edge(GraphBuilder("x", (1, 4, 4)).conv(2, 1).conv(1, 3, padding=1).build())
    (round_,) = edge_rounds(edge, Placement.whole(1), Placement.split("H", (0, 1, 2), (2, 2, 0)), 1)
    assert _sent(round_) == {(1, 0): 24, (1, 2): 8}
    assert (round_.loads.received, round_.loads.sent, round_.loads.connections) == ({0: 24, 2: 8}, {1: 32}, {0: 1, 2: 1})


def test_equal_devices_and_shares_halo() -> None:
    """Kernel 3 over even shares of 8 rows on 4 devices: the ends lack one row, the middles two; each row is 1 x 8 elements of 2 bytes."""
    graph = GraphBuilder("x", (1, 8, 8)).conv(1, 3, padding=1).conv(1, 3, padding=1).build()
    placement = Placement.split("H", (0, 1, 2, 3), (2, 2, 2, 2))
    (round_,) = edge_rounds(_edge(graph), placement, placement, 2)
    assert round_.kinds == (TransferKind.HALO_EXCHANGE,)
    assert round_.loads.received == round_.loads.sent == {0: 16, 1: 32, 2: 32, 3: 16}
    assert round_.loads.connections == {0: 1, 1: 2, 2: 2, 3: 1}


def test_a_halo_follows_the_order() -> None:
    """Over (2, 0, 1) device 0 stands between the others, which are no neighbours."""
    graph = GraphBuilder("x", (1, 6, 1)).conv(1, (3, 1), padding=(1, 0)).conv(1, (3, 1), padding=(1, 0)).build()
    placement = Placement.split("H", (2, 0, 1), (2, 2, 2))
    (round_,) = edge_rounds(_edge(graph), placement, placement, 1)
    assert _sent(round_) == {(2, 0): 1, (1, 0): 1, (0, 2): 1, (0, 1): 1}


def test_rows_pass_from_neighbour_to_neighbour() -> None:
    """1/1/9/1 rows before 5/1/2/4: the second owns row 1 and needs row 5, so the rows in between count; pairs of 0 bytes are there too."""
    edge = _edge(GraphBuilder("x", (1, 12, 1)).conv(1, 1).conv(1, 1).build())
    devices = (0, 1, 2, 3)
    (round_,) = edge_rounds(edge, Placement.split("H", devices, (1, 1, 9, 1)), Placement.split("H", devices, (5, 1, 2, 4)), 1)
    assert _sent(round_) == {(1, 0): 4, (0, 1): 0, (2, 1): 4, (1, 2): 0, (3, 2): 0, (2, 3): 3}
    assert round_.loads.connections == {0: 1, 1: 2, 2: 2, 3: 1}


def test_an_empty_share_has_a_field() -> None:
    """Kernel 3 and padding 1 on 2 rows. Over 2/0: [-1, 3) is cut to [0, 3), of which one row lies below those of the first, and [1, 3) of the
    second, who owns nothing, to [1, 2). Over 1/0/1 the one in the middle, uncut, needs [0, 2) around its empty place."""
    graph = GraphBuilder("x", (1, 2, 1)).conv(1, (3, 1), padding=(1, 0)).conv(1, (3, 1), padding=(1, 0)).build()
    split = Placement.split("H", (0, 1), (2, 0))
    (round_,) = edge_rounds(_edge(graph), split, split, 1)
    assert _sent(round_) == {(1, 0): 1, (0, 1): 1}
    split = Placement.split("H", (0, 1, 2), (1, 0, 1))
    (round_,) = edge_rounds(_edge(graph), split, split, 1)
    assert _sent(round_) == {(1, 0): 1, (0, 1): 1, (2, 1): 1, (1, 2): 1}


def test_all_gather_by_hand() -> None:
    """OC 2/0/1 of 16 bytes a channel over (1, 0, 2), to a whole operator on 3 and to rows over (0, 1): who owns it does not fetch it."""
    graph = GraphBuilder("x", (1, 4, 4)).conv(3, 1).conv(1, 1).build()
    p = Placement.split("OC", (1, 0, 2), (2, 0, 1))
    (round_,) = edge_rounds(_edge(graph), p, Placement.whole(3), 1)
    assert _sent(round_) == {(1, 3): 32, (0, 3): 0, (2, 3): 16}
    (round_,) = edge_rounds(_edge(graph), p, Placement.split("H", (0, 1), (4, 0)), 1)
    assert _sent(round_) == {(1, 0): 32, (2, 0): 16, (0, 1): 0, (2, 1): 16}


def test_reduce_by_hand() -> None:
    """Partial sums of 3 channels of 4 x 4, before a pool 2/2, of IC over (0, 1): for rows 1/1 half of them each, and for the third device."""
    graph = GraphBuilder("x", (2, 4, 4)).conv(3, 1).max_pool(2).conv(1, 1).build()
    p = Placement.split("IC", (0, 1), (1, 1))
    (round_,) = edge_rounds(_edge(graph), p, Placement.split("H", (1, 2), (1, 1)), 1)
    assert round_.kinds == (TransferKind.REDUCE,)
    assert _sent(round_) == {(0, 1): 24, (0, 2): 24, (1, 2): 24}
    (round_,) = edge_rounds(_edge(graph), p, Placement.split("IC", (0, 1), (3, 0)), 1)
    assert _sent(round_) == {(1, 0): 48, (0, 1): 0}


def test_two_phases_by_hand() -> None:
    """Five channels of 4 bytes over (2, 0): slices of 3 and 2, first scattered, then gathered by device 1."""
    edge = _edge(GraphBuilder("x", (2, 2, 2)).conv(5, 1).conv(1, 1).build())
    p = Placement.split("IC", (2, 0), (0, 2), "two_phase")
    scatter, gather = edge_rounds(edge, p, Placement.whole(1), 1)
    assert (scatter.kinds, gather.kinds) == ((TransferKind.REDUCE_SCATTER,), (TransferKind.ALL_GATHER,))
    assert _sent(scatter) == {(0, 2): 12, (2, 0): 8}
    assert _sent(gather) == {(2, 1): 12, (0, 1): 8}
    assert scatter == edge_rounds(replace(edge, first=True), p, Placement.whole(0), 1)[0]


def test_the_slices_may_be_interleaved() -> None:
    """The even slices 3/2 feed an IC split of these shares in that order, not one in the other."""
    edge = _edge(GraphBuilder("x", (2, 2, 2)).conv(5, 1).conv(1, 1).build())
    p = Placement.split("IC", (2, 0), (2, 0), "two_phase")
    for devices, shares, kind in (((2, 0), (3, 2), "interleaved"), ((2, 0), (2, 3), "all-gather"), ((0, 2), (3, 2), "all-gather")):
        _, last = edge_rounds(edge, p, Placement.split("IC", devices, shares), 1)
        assert str(last) == kind


def test_partial_sums_are_scattered_once() -> None:
    """The first edge out of an operator has both rounds of a two-phase reduce, the others the second alone."""
    graph = GraphBuilder("x", (2, 4, 4)).conv(4, 1, name="a").add("a", "a").build()
    p, q = Placement.split("IC", (0, 1), (1, 1), "two_phase"), Placement.split("OC", (0, 1), (2, 2))
    one, other = (edge_rounds(edge, p, q, 1) for edge in graph.edges_into[1])
    assert [str(round_) for round_ in one] == ["reduce-scatter", "interleaved"]
    assert [str(round_) for round_ in other] == ["interleaved"]


def test_two_phases_are_cheaper_for_more_devices() -> None:
    """With m devices everybody receives m - 1 tensors in the direct reduce, and in two phases 2 (m - 1)/m of one."""
    edge = _edge(GraphBuilder("x", (4, 2, 2)).conv(4, 1).conv(4, 1).build())
    q = Placement.split("OC", range(4), (1, 1, 1, 1))

    def received(reduce: str) -> float:
        p = Placement.split("IC", range(4), (1, 1, 1, 1), reduce)  # type: ignore[arg-type]
        return sum(round_.loads.received[0] for round_ in edge_rounds(edge, p, q, 1))

    assert received("direct") == 16 * 3
    assert received("two_phase") == 16 * 3 / 4 * 2


def test_source_and_sink_are_whole_operators() -> None:
    """The input goes out as from an operator whole on the source, the output as to one whole on the sink."""
    graph = GraphBuilder("x", (2, 4, 4)).conv(3, 1).build()
    instance = Instance(graph, Cluster(tuple(Device(name, 1, 1, 1) for name in "ab"), source=1))
    ((first,), (last,)), (sink, source) = instance.edges_into, instance.terminals
    (round_,) = edge_rounds(first, source, Placement.split("IC", (0, 1), (1, 1)), 4)
    assert (round_.kinds, _sent(round_)) == ((TransferKind.SEND,), {(1, 0): 64})
    (round_,) = edge_rounds(last, Placement.split("OC", (0, 1), (1, 2)), sink, 4)
    assert (round_.kinds, _sent(round_)) == ((TransferKind.ALL_GATHER,), {(1, 0): 128})
    (round_,) = edge_rounds(last, Placement.whole(0), sink, 4)
    assert round_.transfers == ()


def test_a_gather_by_hand() -> None:
    """Rows of 8 bytes over 1/0/3 of devices 2, 0 and 1: everybody sends its own, an empty share too; then the host is the only sender.

    The sink and a second consumer meet the tensor on the host: the gather belongs to the first edge.
    """
    net = GraphBuilder("x", (2, 4, 4)).conv(2, 1, name="a")
    graph = net.at("input").conv(2, 1, name="b").add("a", "b", name="c").add("a", "c", name="d").build()
    rows, (first, second) = Placement.split("H", (2, 0, 1), (1, 0, 3), gather=0), graph.edges_from[0]
    gather, send = edge_rounds(first, rows, Placement.split("OC", (0, 1), (1, 1)), 1)
    assert (gather.kinds, gather.transfers) == ((TransferKind.GATHER,), ((2, 0, 8), (1, 0, 24)))
    assert (send.kinds, send.transfers) == ((TransferKind.SEND,), ((0, 1, 16),))
    (again,) = edge_rounds(second, rows, Placement.whole(2), 1)
    assert (again.kinds, again.transfers) == ((TransferKind.SEND,), ((0, 2, 32),))
    gather, send = edge_rounds(first, replace(rows, gather=3), rows, 1)
    assert gather.transfers == ((2, 3, 8), (0, 3, 0), (1, 3, 24))
    assert send.transfers == ((3, 2, 8), (3, 0, 0), (3, 1, 24))


# All kinds, on random plans.


def test_the_sums_over_the_pairs() -> None:
    """R, S and N of every edge, which follow from its pairs, are the closed forms of the second table."""
    rng, seen = random.Random(1), Counter[TransferKind]()
    for number in range(300):
        graph, cluster, plan = _random_plan(rng, number)
        instance, e = Instance(graph, cluster), cluster.bytes_per_element
        placements = instance.placements(plan)
        for edges, (scatters, last) in zip(instance.edges_into, naive_transfers(graph, cluster, plan), strict=True):
            rounds = [edge_rounds(edge, placements[edge.producer], placements[edge.consumer], e) for edge in edges]
            found = [round_ for of in rounds for round_ in of[:-1]], [of[-1] for of in rounds]
            for round_, (R, S, N) in zip([*found[0], *found[1]], [*scatters, *last], strict=True):
                for j in range(len(cluster)):
                    assert round_.loads.received.get(j, 0) == pytest.approx(float(R.get(j, 0)), rel=1e-12, abs=1e-9)
                    assert round_.loads.sent.get(j, 0) == pytest.approx(float(S.get(j, 0)), rel=1e-12, abs=1e-9)
                    assert round_.loads.connections.get(j, 0) == N.get(j, 0)
                seen.update(round_.kinds)
    assert all(seen[kind] > 20 for kind in TransferKind if not kind.is_streamed), seen


def test_what_is_sent_is_received() -> None:
    """In every round nobody sends to itself, no pair occurs twice, no transfer is negative, and both sums are the total."""
    rng, seen = random.Random(2), Counter[TransferKind]()
    for number in range(200):
        graph, cluster, plan = _random_plan(rng, number)
        instance = Instance(graph, cluster)
        placements = instance.placements(plan)
        for edge in itertools.chain.from_iterable(instance.edges_into):
            for round_ in edge_rounds(edge, placements[edge.producer], placements[edge.consumer], cluster.bytes_per_element):
                assert all(sender != receiver and volume >= 0 for (sender, receiver), volume in _sent(round_).items())
                assert sum(round_.loads.sent.values()) == pytest.approx(sum(round_.loads.received.values()), rel=1e-12, abs=1e-9)
                assert sum(round_.loads.received.values()) == pytest.approx(sum(round_.loads.received.values()), rel=1e-12, abs=1e-9)
                seen.update(round_.kinds)
    assert all(seen[kind] > 10 for kind in TransferKind if not kind.is_streamed), seen


# The time of a round.


def test_time_of_a_round() -> None:
    """t_com = max(R, S)/b + N t_est, the largest of the devices; ``round`` caps N at one.

    R = 10/30/50 and S = 0/60/30 over 10, 20 and 30 bytes/s with N = 2/1/1: 1 + 1, 3 + 0.5 and 50/30 + 0.5.
    """
    cluster = Cluster(tuple(Device(f"d{j}", 1, 1, 10.0 * (j + 1)) for j in range(3)), connection_setup_s=0.5)
    round_ = Round((TransferKind.HALO_EXCHANGE,), ((1, 0, 10), (2, 0, 0), (2, 1, 30), (1, 2, 50)))
    assert (round_.loads.received, round_.loads.sent) == ({0: 10, 1: 30, 2: 50}, {1: 60, 2: 30})
    assert round_time_s(round_, cluster) == 60 / 20 + 0.5
    slower = replace(cluster, connection_setup_s=5.0)
    assert round_time_s(round_, slower) == 1 + 2 * 5  # against 3 + 5
    assert round_time_s(round_, replace(slower, connections="round")) == 3 + 5
    assert counted_connections(round_, slower) == {0: 2, 1: 1, 2: 1}
    assert counted_connections(round_, replace(slower, connections="round")) == {0: 1, 1: 1, 2: 1}
    assert round_time_s(Round((TransferKind.INTERLEAVED,), ()), slower) == 0
