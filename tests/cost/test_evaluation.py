"""The evaluator: worked cases, hand calculations, and an independent second implementation."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from support.naive_pricing import naive_price
from support.random_branches import random_branched_graph, random_branched_plan
from support.random_gathers import with_gathers
from support.random_instances import random_cluster, random_graph, random_plan
from support.worked_cases import WorkedCase, worked_cases

from iopopt import Cluster, ClusterError, Device, Evaluation, Graph, GraphBuilder, IopoptError, Placement, Plan, PlanError, evaluate
from iopopt.cost.memory import share_memory
from iopopt.network.epilogue import Mixing
from iopopt.network.operators import KINDS

CASES = worked_cases()
EXACT = {"rel": 1e-12, "abs": 0.0}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_worked_case(case: WorkedCase) -> None:
    """Every figure of a worked case comes out to 1e-12 relative."""
    evaluation, expected = evaluate(case.graph, case.cluster, case.plan), case.expected
    assert evaluation.latency_s == pytest.approx(expected["latency_s"], **EXACT)
    assert [cost.compute_s for cost in evaluation.operators] == pytest.approx(expected["compute_s"], **EXACT)
    assert [cost.communication_s for cost in evaluation.operators] == pytest.approx(expected["communication_s"], **EXACT)
    assert evaluation.sink_s == pytest.approx(expected["sink_s"], **EXACT)
    assert evaluation.memory_bytes == pytest.approx(expected["memory_bytes"], **EXACT)
    assert evaluation.transferred_bytes == pytest.approx(expected["transferred_bytes"], **EXACT)
    assert evaluation.connections == expected["connections"]


def test_the_latency_is_computation_and_communication() -> None:
    """Both parts, of random plans, add up to the latency, and each is the sum over the operators."""
    rng = random.Random(17)
    for _ in range(20):
        graph, cluster = random_branched_graph(rng), random_cluster(rng)
        evaluation = evaluate(graph, cluster, random_branched_plan(rng, graph, len(cluster)))
        assert evaluation.compute_s + evaluation.communication_s == pytest.approx(evaluation.latency_s, **EXACT)
        assert evaluation.compute_s == pytest.approx(sum(cost.compute_s for cost in evaluation.operators), **EXACT)


def test_worked_cases_are_many() -> None:
    """The file of worked cases has not been emptied: sixteen cases that hold every kind of placement."""
    placements = [placement for case in CASES for placement in case.plan.values()]
    assert len(CASES) == 16
    assert {placement.dim for placement in placements} == {None, "H", "OC", "IC"}
    assert {placement.reduce for placement in placements} == {None, "direct", "two_phase"}


@pytest.mark.parametrize(("seed", "instances"), [(1, 250), pytest.param(2, 20_000, marks=pytest.mark.slow)])
def test_second_implementation_agrees(seed: int, instances: int) -> None:
    """A second, naive implementation of the statement in exact fractions prices random plans alike, in every case of the table."""
    rng = random.Random(seed)
    cases = set()
    for _ in range(instances):
        graph, cluster = random_graph(rng), random_cluster(rng)
        for _ in range(2):
            cases |= _cases_where_both_agree(graph, cluster, with_gathers(rng, random_plan(rng, graph, len(cluster)), len(cluster)))
    assert cases == EVERY_CASE


@pytest.mark.parametrize(("seed", "instances"), [(3, 400), pytest.param(4, 10_000, marks=pytest.mark.slow)])
def test_second_implementation_agrees_on_branches(seed: int, instances: int) -> None:
    """So it does on graphs with branches, which hold every kind of operator, gates and steps that mix channels."""
    rng = random.Random(seed)
    cases, kinds, functions = set(), set(), set()
    for number in range(instances):
        graph, cluster = random_branched_graph(rng, tiny=number % 4 == 0), random_cluster(rng)
        kinds |= {operator.kind for operator in graph.operators}
        functions |= {step.function for operator in graph.operators for step in operator.epilogue if isinstance(step, Mixing)}
        for _ in range(2):
            cases |= _cases_where_both_agree(graph, cluster, with_gathers(rng, random_branched_plan(rng, graph, len(cluster)), len(cluster)))
    assert cases == EVERY_CASE
    assert (kinds, functions) == (set(KINDS), {"lrn", "softmax", "shuffle"})


EVERY_CASE = {"free", "send", "interleaved", "row-aligned", "halo exchange", "reduce", "reduce-scatter", "all-gather", "gather"}


def _cases_where_both_agree(graph: Graph, cluster: Cluster, plan: Plan) -> set[str]:
    """Assert that both implementations give the plan the same price; the rows of the communication table that were reached."""
    evaluation, naive = evaluate(graph, cluster, plan), naive_price(graph, cluster, plan)
    where = [f"{operator.kind} {placement}" for operator, placement in zip(graph.operators, plan.values(), strict=True)]
    assert evaluation.latency_s == pytest.approx(naive.latency_s, **EXACT), where
    assert [cost.compute_s for cost in evaluation.operators] == pytest.approx(naive.compute_s, **EXACT), where
    assert [cost.communication_s for cost in evaluation.operators] == pytest.approx(naive.communication_s, **EXACT), where
    assert evaluation.sink_s == pytest.approx(naive.sink_s, **EXACT), where
    assert evaluation.memory_bytes == pytest.approx(naive.memory_bytes, **EXACT), where
    assert evaluation.transferred_bytes == pytest.approx(naive.transferred_bytes, **EXACT), where
    assert evaluation.connections == naive.connections, where
    return {case for cost in evaluation.operators for cases in cost.cases for case in cases.split("+")}


# Hand calculations on the trio: devices of 100, 200, 400 FLOP/s and 10, 20, 40 bytes/s, one second a connection, one byte an
# element. a gives 4x4x2 = 32 bytes (8 a row) and has 4x8x4 = 128 before its pool (16 a row); b reads it with K = 3, S = 1, P = 1.

ROWS, CHANNELS = Placement.split("H", (0, 1, 2), (1, 1, 2)), Placement.split("OC", (0, 1, 2), (1, 1, 2))
HAND_CASES = {
    # Needs [-1, 2) cut to 2 rows, [0, 3) 3 rows, [1, 5) cut to 3 rows. R = 0, 24, 24, S_0 = 48.
    # t = 48/10 = 4.8, 24/20 + 1 = 2.2, 24/40 + 1 = 1.6.
    "whole to rows": (Placement.whole(0), ROWS, ("send",), 4.8, 48, 2),
    # Device 0 has it all: S_0 = R_1 = 32 of which device 1 sees 32/20 + 1 = 2.6 and device 0 32/10 = 3.2.
    "whole to whole": (Placement.whole(0), Placement.whole(1), ("send",), 3.2, 32, 1),
    # Nothing moves where the owner goes on.
    "whole to itself": (Placement.whole(1), Placement.whole(1), ("send",), 0.0, 0, 0),
    # Channels of 8 bytes: R_1 = 8, R_2 = 16, S_0 = 24. t = 2.4, 8/20 + 1 = 1.4, 16/40 + 1 = 1.4.
    "whole to input channels": (Placement.whole(0), Placement.split("IC", (0, 1, 2), (1, 1, 2)), ("send",), 2.4, 24, 2),
    "interleaved": (CHANNELS, Placement.split("IC", (0, 1, 2), (1, 1, 2)), ("interleaved",), 0.0, 0, 0),
    # Other shares: everybody fetches what it lacks, R = 24, 24, 16; S = 8 x 2, 8 x 2, 16 x 2. N = 2 each.
    # t = 24/10 + 2 = 4.4, 24/20 + 2 = 3.2, 32/40 + 2 = 2.8.
    "channels that do not match": (CHANNELS, Placement.split("IC", (0, 1, 2), (2, 1, 1)), ("all-gather",), 4.4, 64, 6),
    # Owned [0, 1), [1, 2), [2, 4), needed [0, 2), [0, 3), [1, 4): R = 8, 16, 8; S = 8, 16, 8; N = 1, 2, 1.
    # t = 8/10 + 1 = 1.8, 16/20 + 2 = 2.8, 8/40 + 1 = 1.2.
    "halo": (ROWS, ROWS, ("halo exchange",), 2.8, 32, 4),
    # Device 1 owns nothing and stands between rows 2 and 2: owned [0, 2), [2, 2), [2, 4); needed [0, 3), [1, 3), [1, 4) of shares 2, 0, 2
    # would be [2 - 1, 1 - 1 + 3 - 1) = [1, 3) for device 1. R = 8, 16, 8; S_0 = above_1 = 8, S_1 = below_0 + above_2 = 16, S_2 = 8.
    "halo across an empty share": (
        Placement.split("H", (0, 1, 2), (2, 0, 2)),
        Placement.split("H", (0, 1, 2), (2, 0, 2)),
        ("halo exchange",),
        2.8,
        32,
        4,
    ),
    # Partial sums of all 128 bytes from the one other participant. t_0 = 128/10 + 1 = 13.8, t_1 = 128/20 + 1 = 7.4.
    "reduce to channels": (Placement.split("IC", (0, 1), (1, 1)), Placement.split("OC", (0, 1), (3, 3)), ("reduce",), 13.8, 256, 2),
    # Needed rows [0, 3) and [1, 4) are rows [0, 6) and [2, 8) before the pool: 6 x 16 = 96 each. t_0 = 96/10 + 1 = 10.6.
    "reduce to rows": (Placement.split("IC", (0, 1), (1, 1)), Placement.split("H", (0, 1), (2, 2)), ("reduce",), 10.6, 192, 2),
    # A channel is 32 bytes before the pool. Device 0 needs 96 from one other, device 2 needs 32 from two: R = 96, 64; N = 1, 2.
    # S_0 = 32, S_1 = 128. t = 96/10 + 1 = 10.6, 128/20 = 6.4, 64/40 + 2 = 3.6.
    "reduce to input channels": (Placement.split("IC", (0, 1), (1, 1)), Placement.split("IC", (0, 2), (3, 1)), ("reduce",), 10.6, 160, 3),
    # Slices of 2, 1, 1 channels: R = 128/4 x (2, 1, 1) x 2 = 128, 64, 64; S = 64, 96, 96; N = 2: t = 14.8, 6.8, 4.4.
    # Then the tensor of 16, 8, 8 bytes goes to device 1: R_1 = 24, t = 16/10 = 1.6, 24/20 + 2 = 3.2, 8/40 = 0.2.
    "two phases to whole": (
        Placement.split("IC", (0, 1, 2), (1, 1, 0), "two_phase"),
        Placement.whole(1),
        ("reduce-scatter", "all-gather"),
        18.0,
        280,
        8,
    ),
    # The completed slices are what the successor reads: the second phase is empty.
    "two phases, interleaved": (
        Placement.split("IC", (0, 1, 2), (1, 1, 0), "two_phase"),
        Placement.split("IC", (0, 1, 2), (2, 1, 1)),
        ("reduce-scatter", "interleaved"),
        14.8,
        256,
        6,
    ),
    # Owned 8, 8, 16 of 32: R = 24, 24; S = 8, 8, 16 x 2 = 32; N = 2. t = 24/10 + 2 = 4.4, 24/20 + 2 = 3.2, 32/40 = 0.8.
    "concatenate to fewer": (CHANNELS, Placement.split("OC", (0, 1), (3, 3)), ("all-gather",), 4.4, 48, 4),
    # Device 2 owns nothing: R_2 = 32, t_2 = 32/40 + 2 = 2.8, and the owners send 16 each: 1.6 and 0.8.
    "concatenate to an outsider": (Placement.split("H", (0, 1), (2, 2)), Placement.whole(2), ("all-gather",), 2.8, 32, 2),
    # Rows over other participants are no halo: R_0 = 32 - 16 = 16 from one, R_2 = 32 from two; S = 16, 32. t = 2.6, 1.6, 2.8.
    "rows to other rows": (Placement.split("H", (0, 1), (2, 2)), Placement.split("H", (0, 2), (2, 2)), ("all-gather",), 2.8, 48, 3),
}


@pytest.mark.parametrize("name", HAND_CASES)
def test_communication_by_hand(name: str, trio_graph: Graph, trio_cluster: Cluster) -> None:
    """Time, bytes and connections of the edge a -> b are those of the calculation beside the case."""
    p, q, cases, seconds, transferred, connections = HAND_CASES[name]
    cost = evaluate(trio_graph, trio_cluster, Plan.of(trio_graph, [p, q, Placement.whole(0)])).operators[1]
    assert cost.cases == cases
    assert cost.communication_s == pytest.approx(seconds, **EXACT)
    assert (cost.transferred_bytes, cost.connections) == (transferred, connections)


def test_round_counts_one_connection(trio_graph: Graph, trio_cluster: Cluster) -> None:
    """With ``round`` the middle of a halo opens one connection: t = 1.8, 16/20 + 1 = 1.8, 1.2, and three are counted."""
    cluster = replace(trio_cluster, connections="round")
    cost = evaluate(trio_graph, cluster, Plan.of(trio_graph, [ROWS, ROWS, Placement.whole(0)])).operators[1]
    assert cost.communication_s == pytest.approx(1.8, **EXACT)
    assert cost.connections == 3


@pytest.mark.parametrize(
    ("shares", "cases", "seconds", "transferred", "connections"),
    [
        ((1, 1, 2), ("row-aligned",), 0.0, 0, 0),
        # Owned [0, 1), [1, 2), [2, 4), needed [0, 2), [2, 3), [3, 4): devices 0 and 1 lack one row of 8 bytes below; S_1 = S_2 = 8.
        # t = 8/10 + 1 = 1.8, 8/20 + 2 = 2.4, 8/40 + 1 = 1.2.
        ((2, 1, 1), ("halo exchange",), 2.4, 16, 4),
    ],
)
def test_row_alignment_by_hand(
    shares: tuple[int, ...], cases: tuple[str, ...], seconds: float, transferred: int, connections: int, trio_cluster: Cluster
) -> None:
    """Where K <= S rows need not move if the shares align, and move where one row is missing."""
    net = GraphBuilder("pointwise", (2, 8, 4))
    graph = net.conv(4, 3, padding=1).max_pool(2).conv(6, 1).build()
    cost = evaluate(graph, trio_cluster, Plan.of(graph, [ROWS, Placement.split("H", (0, 1, 2), shares)])).operators[1]
    assert cost.cases == cases
    assert cost.communication_s == pytest.approx(seconds, **EXACT)
    assert (cost.transferred_bytes, cost.connections) == (transferred, connections)


def test_source_by_hand(trio_graph: Graph, trio_cluster: Cluster) -> None:
    """The input is fetched from the source: a has K = 4, S = 2, P = 1, so its halves need rows [0, 5) and [3, 8) of 8 bytes.

    R_0 = R_2 = 40, S_1 = 80; t = 40/10 + 1 = 5, 80/20 = 4, 40/40 + 1 = 2.
    """
    plan = Plan.of(trio_graph, [Placement.split("H", (0, 2), (2, 2)), Placement.whole(0), Placement.whole(0)])
    cost = evaluate(trio_graph, replace(trio_cluster, source=1), plan).operators[0]
    assert (cost.communication_s, cost.transferred_bytes, cost.connections, cost.cases) == (5.0, 80, 2, ("send",))
    free = evaluate(trio_graph, trio_cluster, plan).operators[0]
    assert (free.communication_s, free.transferred_bytes, free.connections, free.cases) == (0.0, 0, 0, ("free",))


def test_sink_by_hand(trio_graph: Graph, trio_cluster: Cluster) -> None:
    """The output of 5 bytes goes from device 2 to the sink 0 in 5/10 + 1 = 1.5 s, and nowhere if the sink has it."""
    plan = Plan.of(trio_graph, [Placement.whole(2)] * 3)
    evaluation = evaluate(trio_graph, trio_cluster, plan)
    assert (evaluation.sink_s, evaluation.sink_cases, evaluation.transferred_bytes, evaluation.connections) == (1.5, ("send",), 5, 1)
    assert evaluate(trio_graph, replace(trio_cluster, sink=2), plan).sink_s == 0


def test_compute_by_hand(trio_graph: Graph, trio_cluster: Cluster) -> None:
    """Equation (7) for each dimension; F = 4608, 3456 and 480.

    a by rows 1, 1, 2: rows before the pool 2, 2, 4 of F/8 = 576: 1152/100, 1152/200, 2304/400.
    b by output channels 1, 2, 3 of 6: 576/100, 1152/200, 1728/400. c by input channels 6, 0, 0: 480/100, 0, 0.
    """
    placements = [ROWS, Placement.split("OC", (0, 1, 2), (1, 2, 3)), Placement.split("IC", (0, 1, 2), (6, 0, 0))]
    evaluation = evaluate(trio_graph, trio_cluster, Plan.of(trio_graph, placements))
    assert [cost.device_compute_s for cost in evaluation.operators] == [
        pytest.approx((11.52, 5.76, 5.76)),
        pytest.approx((5.76, 5.76, 4.32)),
        pytest.approx((4.8, 0.0, 0.0)),
    ]
    assert evaluation.compute_s == pytest.approx(11.52 + 5.76 + 4.8)


# Channel-local operators on the same devices: a pointwise convolution 2x4x4 -> 4x4x4 (a channel is 16 bytes), then a depthwise one, kernel 3.

THREE = (0, 1, 2)
DEPTHWISE_CASES = {
    # R_1 = 16, R_2 = 32, S_0 = 48. t = 48/10 = 4.8, 16/20 + 1 = 1.8, 32/40 + 1 = 1.8.
    "whole": (Placement.whole(0), Placement.split("OC", THREE, (1, 1, 2)), ("send",), 4.8, 48, 2),
    "interleaved": (CHANNELS, Placement.split("OC", THREE, (1, 1, 2)), ("interleaved",), 0.0, 0, 0),
    # Owned 16, 16, 32 of 64: R = 48, 48, 32; S = 32, 32, 64; N = 2. t = 48/10 + 2 = 6.8, 48/20 + 2 = 4.4, 64/40 + 2 = 3.6.
    "channels that do not match": (CHANNELS, Placement.split("OC", THREE, (2, 1, 1)), ("all-gather",), 6.8, 128, 6),
    # Device 0 needs 48 from one other, device 2 needs 16 from two: R = 48, 32; N = 1, 2; S_0 = 16, S_1 = 64.
    # t = 48/10 + 1 = 5.8, 64/20 = 3.2, 32/40 + 2 = 2.8.
    "reduce": (Placement.split("IC", (0, 1), (1, 1)), Placement.split("OC", (0, 2), (3, 1)), ("reduce",), 5.8, 80, 3),
    # Slices of 2, 1, 1 channels: R = 32 x 2, 16 x 2, 16 x 2; S = 32, 48, 48; N = 2. t = 64/10 + 2 = 8.4, 48/20 + 2 = 4.4, 48/40 + 2 = 3.2.
    "two phases, interleaved": (
        Placement.split("IC", THREE, (1, 1, 0), "two_phase"),
        Placement.split("OC", THREE, (2, 1, 1)),
        ("reduce-scatter", "interleaved"),
        8.4,
        128,
        6,
    ),
    # Everything to everybody afterwards: R = 32, 48, 48; S = 64, 32, 32; N = 2. t = 64/10 + 2 = 8.4, 4.4, 3.2 once more.
    "two phases, concatenated": (
        Placement.split("IC", THREE, (1, 1, 0), "two_phase"),
        Placement.split("OC", THREE, (1, 1, 2)),
        ("reduce-scatter", "all-gather"),
        16.8,
        256,
        12,
    ),
}


@pytest.mark.parametrize("name", DEPTHWISE_CASES)
def test_depthwise_communication_by_hand(name: str, trio_cluster: Cluster) -> None:
    """Time, bytes and connections toward the depthwise operator are those of the calculation beside the case."""
    p, q, cases, seconds, transferred, connections = DEPTHWISE_CASES[name]
    graph = GraphBuilder("depthwise", (2, 4, 4)).conv(4, 1).conv(4, 3, padding=1, groups=4).build()
    cost = evaluate(graph, trio_cluster, Plan.of(graph, [p, q])).operators[1]
    assert cost.cases == cases
    assert cost.communication_s == pytest.approx(seconds, **EXACT)
    assert (cost.transferred_bytes, cost.connections) == (transferred, connections)


def test_a_depthwise_chain_by_hand(trio_cluster: Cluster) -> None:
    """OC, depthwise OC and IC of the same shares 1, 1, 2: nothing is sent until the partial sums go to the sink, device 0.

    F = 256, 1152, 768, a quarter of each on device 0 of 100 FLOP/s: 0.64, 2.88, 1.92. The sink gets 96 bytes of partial sums from two others:
    t = 192/10 + 2 = 21.2. Weights of device 0: (8 + 4)/4 = 3, (36 + 4)/4 = 10, 24/4 + 6 = 12; activations 32 + 64/4 = 48, 64/4 + 64/4 = 32,
    64/4 + 96 = 112: 25 + 112 = 137. Device 1 holds the same; device 2 has weights 6 + 20 + 18 = 44 and activations 64/2 + 96 = 128.
    """
    graph = GraphBuilder("depthwise", (2, 4, 4)).conv(4, 1).conv(4, 3, padding=1, groups=4).conv(6, 1).build()
    placements = [CHANNELS, CHANNELS, Placement.split("IC", THREE, (1, 1, 2))]
    evaluation = evaluate(graph, trio_cluster, Plan.of(graph, placements))
    assert [cost.compute_s for cost in evaluation.operators] == pytest.approx([0.64, 2.88, 1.92], **EXACT)
    assert [cost.cases for cost in evaluation.operators] == [("free",), ("interleaved",), ("interleaved",)]
    assert evaluation.sink_s == pytest.approx(21.2, **EXACT)
    assert evaluation.latency_s == pytest.approx(26.64, **EXACT)
    assert evaluation.memory_bytes == pytest.approx((137, 137, 172), **EXACT)


@pytest.mark.parametrize(
    ("p", "cases", "seconds", "transferred", "connections"),
    [
        # Each group of four output channels reads two of the four input channels.
        (Placement.split("OC", (0, 1), (2, 2)), ("interleaved",), 0.0, 0, 0),
        # Owned 16 and 48 of 64: R = 48, 16; S = 16, 48; N = 1. t = 48/10 + 1 = 5.8, 48/20 + 1 = 3.4.
        (Placement.split("OC", (0, 1), (1, 3)), ("all-gather",), 5.8, 64, 2),
        # 32 bytes for each: t = 32/10 + 1 = 4.2, 32/20 + 1 = 2.6, 64/40 = 1.6.
        (Placement.whole(2), ("send",), 4.2, 64, 2),
        # The slices of two channels are what each needs: R = S = 32. t = 32/10 + 1 = 4.2, 32/20 + 1 = 2.6.
        (Placement.split("IC", (0, 1), (1, 1), "two_phase"), ("reduce-scatter", "interleaved"), 4.2, 64, 2),
    ],
)
def test_grouped_operator_by_hand(
    p: Placement, cases: tuple[str, ...], seconds: float, transferred: int, connections: int, trio_cluster: Cluster
) -> None:
    """Two groups, 4x4x4 -> 8x4x4 -> 8x2x2: F = 2 x 8 x 2 x 9 x 16 = 4608, half of it at 100 and 200 FLOP/s; half of (144 + 8) + (64 + 128) bytes."""
    graph = GraphBuilder("grouped", (2, 4, 4)).conv(4, 1).conv(8, 3, padding=1, groups=2).max_pool(2).build()
    placement = Placement.split("OC", (0, 1), (4, 4))
    cost = evaluate(graph, trio_cluster, Plan.of(graph, [p, placement])).operators[1]
    assert cost.device_compute_s == pytest.approx((23.04, 11.52, 0.0), **EXACT)
    assert cost.cases == cases
    assert cost.communication_s == pytest.approx(seconds, **EXACT)
    assert (cost.transferred_bytes, cost.connections) == (transferred, connections)
    assert dict(share_memory(graph.placed_units[1], placement, 1)) == {0: (76, 96, 0), 1: (76, 96, 0)}


def test_empty_row_share_under_overlapping_pool(trio_cluster: Cluster) -> None:
    """An empty row share still computes the (0 - 1) x 2 + 3 = 1 row by which pool windows overlap, and never less than none."""

    def compute(pool: int) -> tuple[float, ...]:
        graph = GraphBuilder("pooled", (1, 9, 1)).conv(1, 1).max_pool(pool, 2).fc(1).build()
        rows = graph.operators[0].out_shape.height
        plan = Plan.of(graph, [Placement.split("H", (0, 1), (0, rows)), Placement.whole(0)])
        return evaluate(graph, trio_cluster, plan).operators[0].device_compute_s

    # F = 2 x 9 x max(columns 1 ...) = 18 FLOPs over 9 rows: 2 a row. A 3-wide column pool would not fit one column, so pool rows only.
    with pytest.raises(IopoptError, match="too small"):
        compute(3)
    net = GraphBuilder("pooled", (1, 9, 3)).conv(1, 1).max_pool(3, 2)
    graph = net.build()  # F = 2 x 27 = 54, 6 a row; 4 rows behind the pool
    plan = Plan.of(graph, [Placement.split("H", (0, 1), (0, 4))])
    assert evaluate(graph, trio_cluster, plan).operators[0].device_compute_s == pytest.approx((6 / 100, 54 / 200, 0.0))
    graph = GraphBuilder("pooled", (1, 9, 3)).conv(1, 1).max_pool(1, 2).build()  # (0 - 1) x 2 + 1 < 0; 5 rows need 9
    plan = Plan.of(graph, [Placement.split("H", (0, 1), (0, 5))])
    assert evaluate(graph, trio_cluster, plan).operators[0].device_compute_s == pytest.approx((0.0, 54 / 200, 0.0))


def test_memory_by_hand(trio_evaluation: Evaluation) -> None:
    """Equation (1) on the trio's plan.

    a by rows 1, 1, 2: w = 72 + 4; a = 8 x (4, 4, 6) + 16 x (2, 2, 4) = 64, 64, 112. b by output channels 2 of 6: w = 222/3 = 74,
    a = 32 + 48/3 = 48. c whole on device 1: w = 245, a = 53.
    """
    assert trio_evaluation.memory_bytes == (76 + 74 + 64, 76 + 74 + 245 + 64, 76 + 74 + 112)


def test_memory_of_input_channels_by_hand(trio_graph: Graph, trio_cluster: Cluster) -> None:
    """b by input channels 1, 3, 0 of 4: w = 216 n/4 + 6, a = 32 n/4 + 48; an empty share keeps bias and the whole tensor before the pool."""
    placements = [Placement.whole(0), Placement.split("IC", (0, 1, 2), (1, 3, 0)), Placement.whole(0)]
    memory = evaluate(trio_graph, trio_cluster, Plan.of(trio_graph, placements)).memory_bytes
    # Device 0: a whole 76, b 60, c 245, and the largest activation is a's 64 + 128.
    assert memory == (76 + 60 + 245 + 192, 162 + 6 + 24 + 48, 6 + 48)


def test_violations_are_priced(trio_graph: Graph, trio_cluster: Cluster, trio_plan: Plan, trio_evaluation: Evaluation) -> None:
    """A broken memory limit changes no price and is reported with demand, limit and excess; a demand equal to the limit fits."""
    limits = (214, 458, 262)  # the demands are 214, 459 and 262
    devices = tuple(replace(device, memory_bytes=limit) for device, limit in zip(trio_cluster.devices, limits, strict=True))
    evaluation = evaluate(trio_graph, replace(trio_cluster, devices=devices), trio_plan)
    assert not evaluation.feasible
    assert trio_evaluation.feasible
    assert evaluation.latency_s == trio_evaluation.latency_s
    (violation,) = evaluation.violations
    assert (violation.device, violation.name, violation.demand_bytes, violation.limit_bytes, violation.excess_bytes) == (1, "d1", 459, 458, 1)
    assert "459" in str(violation)
    assert "458" in str(violation)


BROKEN = {
    "H": (Placement.split("H", (0, 1), (2, 1)), r"'a'.*H shares sum to 3, the dimension has 4 \(equation 3\)"),
    "OC": (Placement.split("OC", (0, 1), (4, 1)), r"'a'.*OC shares sum to 5, the dimension has 4 \(equation 5\)"),
    "IC": (Placement.split("IC", (0, 1), (0, 0)), r"'a'.*IC shares sum to 0, the dimension has 2 \(equation 4\)"),
    "device": (Placement.whole(3), r"'a'.*device 3 does not exist.*0 to 2"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_plans_are_refused(name: str, trio_graph: Graph, trio_cluster: Cluster) -> None:
    """A plan that breaks equations (2) to (5) is refused with the operator's name and the wrong sum."""
    placement, message = BROKEN[name]
    with pytest.raises(PlanError, match=message):
        evaluate(trio_graph, trio_cluster, Plan.of(trio_graph, [placement, Placement.whole(0), Placement.whole(0)]))


def test_single_row_is_not_split(trio_graph: Graph, trio_cluster: Cluster) -> None:
    """A fully connected operator has one row, so H is refused for it, and the message says what is allowed."""
    plan = Plan.of(trio_graph, [Placement.whole(0), Placement.whole(0), Placement.split("H", (0, 1), (1, 0))])
    with pytest.raises(PlanError, match=r"'c'.*cannot be split by H, it has 1 rows; allowed are OC, IC"):
        evaluate(trio_graph, trio_cluster, plan)


@pytest.mark.parametrize(
    ("placement", "message"),
    [
        (Placement.split("OC", (0, 1), (3, 5)), r"'conv1'.*OC share 3 is not a multiple of OC/g = 4.*equation 5"),
        (Placement.split("OC", (0, 1), (4, 3)), r"'conv1'.*OC shares sum to 7, the dimension has 8 \(equation 5\)"),
        (Placement.split("IC", (0, 1), (2, 2)), r"'conv1'.*cannot be split by IC, it has 2 groups; allowed are H, OC"),
    ],
)
def test_groups_are_not_cut(placement: Placement, message: str, trio_cluster: Cluster) -> None:
    """A channel-local operator of two groups of four is split by rows or by whole groups; what is refused is named."""
    graph = GraphBuilder("grouped", (4, 4, 4)).conv(8, 3, padding=1, groups=2).build()
    with pytest.raises(PlanError, match=message):
        evaluate(graph, trio_cluster, Plan.of(graph, [placement]))
    assert evaluate(graph, trio_cluster, Plan.of(graph, [Placement.split("OC", (0, 1), (0, 8))])).feasible


def test_foreign_plans_are_refused(trio_graph: Graph, trio_cluster: Cluster) -> None:
    """A plan that lacks operators, names unknown ones or names one twice is refused."""
    whole = Placement.whole(0)
    for placements, message in (
        ((("a", whole), ("b", whole)), "no placement for c"),
        ((("a", whole), ("b", whole), ("c", whole), ("z", whole)), "unknown z"),
        ((("a", whole), ("a", whole), ("b", whole), ("c", whole)), "a name is repeated"),
    ):
        with pytest.raises(PlanError, match=message):
            evaluate(trio_graph, trio_cluster, Plan(placements))
    for wrong in (None, dict.fromkeys("abc", whole), [whole] * 3):
        with pytest.raises(PlanError, match="is not a Plan;"):
            evaluate(trio_graph, trio_cluster, wrong)  # type: ignore[arg-type]


def test_plain_devices_take_the_defaults(trio_graph: Graph, trio_cluster: Cluster, trio_plan: Plan) -> None:
    """A list of Device stands for a cluster with the defaults; anything else is refused."""
    plain = evaluate(trio_graph, list(trio_cluster.devices), trio_plan)
    assert plain == evaluate(trio_graph, Cluster(trio_cluster.devices), trio_plan)
    for wrong in ("pi4-x3", None, [1, 2], {"a": 1}):
        with pytest.raises(ClusterError):
            evaluate(trio_graph, wrong, trio_plan)  # type: ignore[arg-type]


def test_one_device(trio_graph: Graph) -> None:
    """On one device the latency is F/f and nothing is sent: (4608 + 3456 + 480) / 100."""
    evaluation = evaluate(trio_graph, [Device("only", 100.0, 1e6, 10.0)], Plan.of(trio_graph, [Placement.whole(0)] * 3))
    assert (evaluation.latency_s, evaluation.communication_s, evaluation.connections) == (pytest.approx(85.44), 0, 0)
