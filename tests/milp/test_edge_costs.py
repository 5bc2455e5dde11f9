"""Equation (8) in the program: every way from one operator to the next, in every shape of fields and pools."""

import itertools

import pytest
from support.programs import SCALE_S, assert_priced, formulation_of, least_objective, optimum_at, plans_of_each_case, with_any_reduces, without
from support.tiny_edges import even_cluster, rows_needed

from iopopt import Cluster, Device, Graph, GraphBuilder, Placement, Plan, evaluate
from iopopt.milp.arcs import split

CLUSTERS = [
    Cluster(tuple(Device(f"d{j}", 50.0 * (j + 1), 1e9, 30.0 * (3 - j)) for j in range(3)), 0.25, connections, source, sink, 2)
    for connections, source, sink in (("peer", None, 0), ("round", 1, 2))
]
TEAMS = [(1, 0, 2), (1, 2)]
EVERY_CASE = {"send", "interleaved", "row-aligned", "halo exchange", "reduce", "reduce-scatter", "all-gather"}


def graphs() -> dict[str, Graph]:
    """Pairs of operators with fields that overlap, fit and leave gaps, padded and not, behind and before pools of each sort."""
    return {
        "points": GraphBuilder("points", (2, 6, 2)).conv(4, 1).conv(3, 1).build(),
        "padded": GraphBuilder("padded", (2, 6, 2)).conv(4, 3, padding=1).conv(2, 3, padding=1).build(),
        "strided": GraphBuilder("strided", (2, 9, 2)).conv(4, (2, 1), padding=(1, 0)).conv(2, (3, 1), stride=(2, 1), padding=(1, 0)).build(),
        "overlapping pools": GraphBuilder("overlapping", (2, 9, 2)).conv(3, (1, 1)).max_pool((3, 1), (2, 1), (1, 0)).conv(2, (3, 1)).build(),
        "pools with gaps": GraphBuilder("gaps", (2, 9, 2)).conv(3, 1).max_pool((1, 1), (2, 1)).conv(2, (2, 1)).max_pool((2, 1), (1, 1)).build(),
        "deep padding": GraphBuilder("deep", (2, 5, 1)).conv(2, 1).conv(2, (5, 1), padding=(2, 0)).build(),
        "groups": GraphBuilder("groups", (2, 5, 2)).conv(4, 1).conv(6, (3, 1), padding=(1, 0), groups=2).conv(2, 1).build(),
        "units": GraphBuilder("units", (2, 4, 2)).conv(4, 2, padding=1, groups=2).conv(4, 1, groups=4).upsample((2, 1)).conv(2, (2, 1)).build(),
        "linear": GraphBuilder("linear", (2, 3, 2)).conv(2, 1).upsample((2, 2), linear=True).conv(2, (3, 1)).build(),
        "slice": GraphBuilder("slice", (2, 4, 2)).conv(4, 1).slice(1, 3).conv(2, (3, 1), padding=(1, 0)).build(),
    }


@pytest.mark.parametrize("name", graphs())
def test_every_way_is_priced(name):
    """Plans of every case at every operator cost in the program what the evaluator says, under both counts of connections."""
    graph, cases, seen = graphs()[name], set(), 0
    for cluster, team in zip(CLUSTERS, TEAMS, strict=True):
        plans = plans_of_each_case(graph, cluster, team, each=1, tries=120)
        cases |= assert_priced(graph, cluster, team, plans)
        seen += len(plans)
    assert seen >= 20
    assert cases >= {"send", "all-gather", "halo exchange"}
    if name == "points":
        assert cases >= EVERY_CASE


@pytest.mark.parametrize("name", ["points", "padded", "groups", "units"])
def test_no_way_is_cheaper_than_the_table_says(name):
    """With nodes and shares of a plan fixed, but no arc, the optimum is the evaluator's price under the cheapest reduces: what is interleaved,
    aligned or sliced evenly is so only at the shares for which the table says it."""
    graph, checked = graphs()[name], 0
    for cluster, team in zip(CLUSTERS, TEAMS, strict=True):
        for plan in plans_of_each_case(graph, cluster, team, each=1, tries=80):
            least_s = min(evaluate(graph, cluster, way).latency_s for way in with_any_reduces(plan))
            assert optimum_at(graph, cluster, team, plan) == pytest.approx(least_s, rel=1e-6), plan
            checked += 1
    assert checked >= 20


def test_even_slices_interleave_at_even_shares_alone():
    """Behind a reduce-scatter over two devices shares 2/2 of the next IC split cost no second round, all others gather."""
    graph, cluster = graphs()["points"], even_cluster(2, bandwidth_bytes_per_s=50.0)
    for share in range(5):
        plan = Plan.of(graph, [Placement.split("IC", (0, 1), (1, 1), "two_phase"), Placement.split("IC", (0, 1), (share, 4 - share))])
        least_s = min(evaluate(graph, cluster, way).latency_s for way in with_any_reduces(plan))
        assert optimum_at(graph, cluster, (0, 1), plan) == pytest.approx(least_s, rel=1e-6)


def test_rows_align_where_nobody_misses_one():
    """Two pointwise convolutions of four rows over (1, 0): nothing is sent at equal shares, and at others just what is missed."""
    graph, cluster = GraphBuilder("rows", (2, 4, 2)).conv(2, 1).conv(2, 1).build(), even_cluster(2, bandwidth_bytes_per_s=50.0)
    for p, q in itertools.product(range(5), repeat=2):
        plan = Plan.of(graph, [Placement.split("H", (1, 0), (share, 4 - share)) for share in (p, q)])
        assert optimum_at(graph, cluster, (1, 0), plan) == pytest.approx(evaluate(graph, cluster, plan).latency_s, rel=1e-6), (p, q)


@pytest.mark.parametrize(
    ("height", "pool"), [(8, None), (9, ((2, 1), (1, 1))), (16, ((2, 1), (2, 1))), (15, ((3, 1), (2, 1), (1, 0)))], ids=["none", "9", "16", "15"]
)
def test_rows_that_no_window_reaches(height, pool):
    """Where strides leave rows over at the end, the last participant's field ends with the last window, not with the tensor; also in
    partial sums before a pool."""
    net = GraphBuilder("left over", (1, height, 1)).conv(2, 1, bias=False)
    if pool:
        net.max_pool(*pool)
    graph, cluster = net.conv(1, (2, 1), stride=(5, 1)).build(), even_cluster(2)
    producer, consumer = graph.operators
    rows, size = consumer.out_shape.height, producer.out_shape.height
    assert rows_needed(consumer, Placement.split("H", (0, 1), (0, rows)))[-1][1] < consumer.in_shape.height
    ways = [Placement.whole(1), Placement.split("IC", (0, 1), (1, 0)), Placement.split("H", (0, 1), (3, size - 3))]
    ends = [Placement.split("H", (0, 1), (share, rows - share)) for share in range(rows + 1)]
    plans = [Plan.of(graph, [p, q]) for p, q in itertools.product(ways, ends)]
    assert assert_priced(graph, cluster, (0, 1), plans) >= {"send", "reduce", "halo exchange"}


def test_halo_floors_strengthen_the_relaxation():
    """Half a row either way serves the relaxation of a kernel of two rows; the floor knows that rows are whole, in any unit of time."""
    graph = GraphBuilder("two", (2, 9, 1)).conv(2, 1, bias=False).conv(2, (2, 1), bias=False).build()
    program = formulation_of(graph, even_cluster(2, setup_s=0.0), (0, 1), nodes=[[split("H")]] * 2).program
    assert least_objective(without(program, "halo floors")) < 0.99 * least_objective(program)
    scaled = formulation_of(graph, even_cluster(2, setup_s=0.0), (0, 1), SCALE_S, nodes=[[split("H")]] * 2).program
    assert SCALE_S * least_objective(scaled) == pytest.approx(least_objective(program))
