"""Compute times and surrogate times: valid at every placement, attained in every mode, and needed by the relaxation."""

import itertools

import pytest
from support.programs import SCALE_S, assert_priced, formulation_of, least_objective, surrogate_slacks, surrogates_of, without
from support.tiny_edges import compute_s, least_makespan_s, rows_needed

from iopopt import Cluster, Device, Graph, GraphBuilder, Placement, Plan, evaluate
from iopopt.methods.exhaustive import all_placements
from iopopt.milp.arcs import split
from iopopt.network.epilogue import Activation
from iopopt.network.shapes import Window

PAIR = Cluster((Device("a", 100.0, 1e9, 20.0), Device("b", 200.0, 1e9, 40.0)), 0.0, bytes_per_element=2)
TRIO = Cluster((Device("a", 100.0, 1e9, 20.0), Device("b", 100.0, 1e9, 20.0), Device("c", 50.0, 1e9, 10.0)), 0.0, bytes_per_element=2)
FREE = {"reduce-scatter", "interleaved"}, {"reduce-scatter", "interleaved+interleaved"}
"""Cases whose limit no shares attain: even slices are taken for any."""


def follower(kind: str, window: Window | None = None) -> Graph:
    """A convolution, an operator without FLOPs that may take its shares over, and another convolution."""
    net = GraphBuilder(kind, (2, 4, 1)).conv(2, 1, bias=False)
    if kind == "behind gaps":
        net.max_pool((1, 1), (2, 1))
    elif kind == "behind overlaps":
        net.max_pool((2, 1), (1, 1))
    tip, channels = net.tip, net.shape.channels
    if kind == "sum":
        net.add(tip, tip, name="follower")
    elif kind == "upsampling":
        net.upsample((2, 1), name="follower")
    elif window is not None:
        net.operator("pool", channels, rows=window, columns=Window(), function="max", name="follower")
    else:
        net.operator("elementwise", channels, epilogue=(Activation("relu"),), name="follower")
    return net.conv(1, 1).build()


def least_slacks(graph: Graph, cluster: Cluster, **dims: set[str | None]) -> dict[tuple[tuple[str, ...], str, str], float]:
    """The least slack of surrogate times over all placements of the first two operators, by the cases of the edges between them and by
    the dimensions of both."""
    team = tuple(range(len(cluster)))
    formulation = formulation_of(graph, cluster, team, SCALE_S)
    before, after = (
        [way for way in all_placements(unit, cluster, team) if way.dim in of]
        for unit, of in zip(graph.units[:2], (dims.get("before", {None, "H", "OC", "IC"}), dims.get("after", {"H", "OC"})), strict=True)
    )
    found: dict[tuple[tuple[str, ...], str, str], float] = {}
    for p, q in itertools.product(before, after):
        plan = Plan.of(graph, [p, q, Placement.whole(0)])
        for slack in surrogate_slacks(formulation, plan):
            assert q.dim is not None
            key = evaluate(graph, cluster, plan).operators[1].cases, p.dim or "whole", q.dim
            found[key] = min(slack, found.get(key, float("inf")))
    return found


@pytest.mark.parametrize(
    ("kind", "window", "rows"),
    [
        ("plain", None, True),
        ("behind gaps", None, True),
        ("sum", None, True),
        ("pool", Window(2, 2), True),
        ("upsampling", None, False),
    ],
)
def test_surrogate_times_are_limited_and_no_more(kind, window, rows):
    """Whatever both placements are, surrogate times fit under their limits, and in every case some placements fill these."""
    found = least_slacks(follower(kind, window), PAIR)
    filled = {key: slack for key, slack in found.items() if set(key[0]) not in FREE}
    assert min(found.values()) > -1e-7
    assert max(filled.values()) < 1e-7, filled
    assert {cases[-1].partition("+")[0] for cases, _, _ in found} >= {"send", "interleaved", "reduce", "all-gather"}
    assert {dim for _, _, dim in filled} == ({"H", "OC"} if rows else {"OC"})
    if rows:
        assert {cases[-1].partition("+")[0] for cases, _, dim in filled if dim == "H"} >= {
            "send",
            "halo exchange",
            "row-aligned",
            "reduce",
            "all-gather",
        }


def test_surrogate_times_behind_overlapping_pools():
    """So they are where rows are computed twice, but for rows sent by one device, which has computed fewer than the limit grants."""
    found = least_slacks(follower("behind overlaps"), PAIR, before={None, "H", "IC"}, after={"H"})
    assert min(found.values()) > -1e-7
    assert {cases for (cases, _, _), slack in found.items() if slack < 1e-7} >= {("halo exchange",), ("row-aligned",), ("reduce",)}


def test_surrogate_times_of_three_devices():
    """Rows of partial sums come from two others, rows of a halo from either side, and the limits are filled all the same."""
    found = least_slacks(follower("plain"), TRIO, before={"IC"}, after={"H"})
    assert {cases for (cases, _, _), slack in found.items() if slack < 1e-7} >= {("reduce",), ("reduce-scatter", "all-gather")}
    assert min(found.values()) > -1e-7


@pytest.mark.parametrize(
    "window",
    [(1,), (2,), (3, 1, 1, 1), (2, 2), (1, 2), (2, 2, 1, 0), (2, 2, 0, 1), (3, 2, 1, 1), (2, 1, 1, 1), (3, 1, 2, 0)],
    ids=str,
)
def test_rows_are_limited_where_fields_cover_their_shares(window):
    """Row shares have surrogate times just where n rows always need n S rows of what was before."""
    graph = follower("pool", Window(*window))
    consumer = graph.operators[1]
    spans = [(q, rows_needed(consumer, q)) for q in all_placements(consumer.unit, PAIR, (0, 1)) if q.dim == "H"]
    covers = all(hi - lo >= share * consumer.S for q, rows in spans for share, (lo, hi) in zip(q.shares, rows, strict=True))
    assert spans
    assert bool(surrogates_of(formulation_of(graph, PAIR, (0, 1)), "follower", "H")) == covers


def test_surrogate_times_strengthen_the_relaxation():
    """Behind a convolution and a pool on equal devices the relaxation without surrogate times gathers almost for nothing."""
    net = GraphBuilder("pool", (4, 16, 16)).conv(8, 3, padding=1).operator("pool", 8, rows=Window(2, 2), columns=Window(2, 2), function="max")
    graph = net.fc(10).build()
    for devices in (2, 3):
        cluster = Cluster(tuple(Device(f"d{j}", 1e8, 1e9, 1e5) for j in range(devices)), 0.0)
        program = formulation_of(graph, cluster, tuple(range(devices))).program
        assert least_objective(without(program, "surrogate times")) < 0.95 * least_objective(program)


def test_residual_sums_strengthen_the_relaxation():
    """So do those of a sum, which takes shares over from either input."""
    net = GraphBuilder("residual", (4, 16, 16)).conv(8, 3, padding=1).relu()
    tip = net.tip
    net.conv(8, 3, padding=1).relu()
    graph = net.add(net.tip, tip).relu().conv(8, 3, padding=1).relu().fc(10).build()
    cluster = Cluster(tuple(Device(f"d{j}", 1e8, 1e9, 1e6) for j in range(3)), 0.0)
    program = formulation_of(graph, cluster, (0, 1, 2)).program
    assert least_objective(without(program, "surrogate times")) < 0.9 * least_objective(program)


def test_one_operator_computes_as_at_its_best_makespan():
    """Where nothing is sent, the relaxation of one operator is the least compute time over all integer shares, whose fractions would be
    quicker: seven rows or channels on devices of 100 and 200 FLOP/s."""
    cluster = Cluster((Device("a", 100.0, 1e9, 1e12), Device("b", 200.0, 1e9, 1e12)), 0.0)
    graph = GraphBuilder("one", (4, 7, 1)).conv(5, 1, bias=False).build()
    unit = graph.units[0]
    best = min(least_makespan_s(unit, dim, cluster, (0, 1)) for dim in unit.dims)
    program = formulation_of(graph, cluster, (0, 1), SCALE_S).program
    assert SCALE_S * least_objective(program) == pytest.approx(best, rel=1e-6)
    assert SCALE_S * least_objective(without(program, "best makespans")) < best * (1 - 1e-3)
    assert best < min(compute_s(unit, Placement.whole(j), cluster) for j in (0, 1))


def test_every_input_that_gives_shares_limits_them():
    """A sum of two tensors has limits from each, for the arcs of each edge out of it; so has a chain of two followers. An operator that
    computes is limited by its own times, over each edge out of it but the first."""
    net = GraphBuilder("two", (2, 4, 1)).conv(2, 1, name="read twice")
    tip = net.tip
    net.conv(2, 1, name="read once")
    graph = net.add(net.tip, tip, name="follower").operator("elementwise", 2, epilogue=(Activation("relu"),), name="second").conv(1, 1).build()
    formulation = formulation_of(graph, PAIR, (0, 1))
    for dim in ("H", "OC"):
        assert surrogates_of(formulation, "follower", dim) == 2
        assert surrogates_of(formulation, "second", dim) == 1
        assert [surrogates_of(formulation, name, dim) for name in ("read twice", "read once")] == [1, 0]
    twice = GraphBuilder("twice", (2, 4, 1)).conv(2, 1)
    tip = twice.operator("elementwise", 2, epilogue=(Activation("relu"),), name="follower").tip
    graph = twice.conv(2, 1).add(twice.tip, tip).conv(1, 1).build()
    formulation = formulation_of(graph, PAIR, (0, 1))
    assert [surrogates_of(formulation, "follower", dim) for dim in ("H", "OC")] == [2, 2]


def test_rows_that_one_device_sends_may_take_the_time_to_send_them():
    """By hand: all rows of the convolution on device 0 take 32 FLOPs / 100 FLOP/s. Sent on to device 1, 16 bytes over 20 bytes/s, they may
    add 0.8 s x 8 FLOPs x 40 bytes/s / (200 FLOP/s x 4 bytes a row) or more where a device is slower for its link, and take 32 / 200."""
    formulation = formulation_of(follower("plain"), PAIR, (0, 1), SCALE_S)
    for shares, slack in (((4, 0), 0.0), ((0, 4), (0.32 + 0.8 * 0.4) / 0.16 - 1)):
        plan = Plan.of(formulation.instance.graph, [Placement.whole(0), Placement.split("H", (0, 1), shares), Placement.whole(0)])
        assert surrogate_slacks(formulation, plan) == pytest.approx([slack], abs=1e-7)


def test_shares_of_fewer_rows_are_limited_by_fewer():
    """A window of two rows leaves three of four. Where all was computed they take 24 FLOPs / 100 FLOP/s, with 0.2 s x 0.4 for the row that
    the other device, which has none, holds all the same."""
    formulation = formulation_of(follower("pool", Window(2)), PAIR, (0, 1), SCALE_S)
    plan = Plan.of(formulation.instance.graph, [Placement.whole(0), Placement.split("H", (0, 1), (3, 0)), Placement.whole(0)])
    assert surrogate_slacks(formulation, plan) == pytest.approx([(0.24 + 0.2 * 0.4) / 0.24 - 1])


def test_behind_a_step_that_mixes_channels_rows_alone_are_taken_over():
    """A softmax needs every channel at a position, so the channels of who reads it are nobody's before: there is no limit on them."""
    net = GraphBuilder("mixing", (2, 4, 1)).conv(2, 1).softmax().operator("elementwise", 2, epilogue=(Activation("relu"),), name="follower")
    formulation = formulation_of(net.conv(1, 1).build(), PAIR, (0, 1))
    assert [surrogates_of(formulation, "follower", dim) for dim in ("H", "OC")] == [1, 0]


def test_rows_alone_are_priced():
    """Where nothing but rows is left to choose, limits build on times that have no groups of arcs."""
    net = GraphBuilder("rows", (2, 4, 1)).conv(2, (3, 1), padding=(1, 0))
    tip = net.tip
    net.conv(2, (3, 1), padding=(1, 0))
    graph = net.add(net.tip, tip).conv(1, 1).build()
    ways = [way for way in all_placements(graph.units[0], PAIR, (0, 1)) if way.dim == "H"]
    plans = [Plan.of(graph, [ways[a], ways[b], ways[c], ways[2]]) for a, b, c in itertools.product(range(0, 5, 2), repeat=3)]
    assert assert_priced(graph, PAIR, (0, 1), plans, nodes=[[split("H")]] * 4) >= {"halo exchange", "row-aligned"}
