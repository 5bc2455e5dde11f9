"""Vertical partitioning: even parts of everything, on the budget that it needs."""

from __future__ import annotations

import itertools

import pytest
from support.clocks import TickingClock

from iopopt import GraphBuilder, SolverError, evaluate, load_cluster, load_model, solve_data, solve_horizontal, solve_stages, solve_vps
from iopopt.cluster.cluster import Cluster, Device
from iopopt.cost.stopwatch import Stopwatch
from iopopt.methods.vps import _Choices, vps_front
from iopopt.plan.plan import Plan


@pytest.fixture(scope="module")
def small():
    builder = GraphBuilder("small", (6, 8, 8))
    return builder.conv(9, 3, padding=1).relu().conv(6, 1).max_pool(2).conv(12, 3, padding=1).fc(9).build()


@pytest.fixture(scope="module")
def cluster():
    return Cluster(tuple(Device(f"d{j}", 1e6 * (j + 1), 1e9, 1e4 * (3 - j)) for j in range(3)), 1e-3, source=1, sink=2)


def test_what_a_way_adds_does_not_depend_on_the_others(small, cluster):
    choices = _Choices(small, cluster, (0, 1, 2))
    base_s = evaluate(small, cluster, Plan.of(small, [ways[0].placement for ways in choices.ways])).latency_s
    for ways in itertools.islice(itertools.product(*choices.ways), 0, None, 97):
        price = evaluate(small, cluster, Plan.of(small, [way.placement for way in ways]))
        assert price.latency_s == pytest.approx(base_s + sum(way.added_s for way in ways), rel=1e-9)
        weights = max(price.memory_bytes) - max(way.activations for way in ways)
        assert 0 < weights <= 4 * sum(operator.parameters for operator in small.operators)


def test_no_choice_of_ways_beats_the_front(small, cluster):
    front = vps_front(small, cluster)
    assert len(front) > 1
    for before, after in itertools.pairwise(front):
        assert before.memory_bytes < after.memory_bytes
        assert before.latency_s > after.latency_s
    bias = 4 * sum(operator.bias_elements for operator in small.operators)  # which an IC split holds on every device, and an OC split in parts
    for ways in itertools.islice(itertools.product(*_Choices(small, cluster, (0, 1, 2)).ways), 0, None, 31):
        price = evaluate(small, cluster, Plan.of(small, [way.placement for way in ways]))
        within = [point.latency_s for point in front if point.memory_bytes <= max(price.memory_bytes) + bias]
        assert min(within) <= price.latency_s * (1 + 1e-9)


@pytest.mark.parametrize("devices", [2, 4, 8])
def test_yolov2_needs_less_than_by_any_other_scheme(devices):
    graph = load_model("yolov2", input_shape=(3, 608, 608))
    cluster = load_cluster(f"pi4-x{devices}")
    needed = {solve.__name__: max(solve(graph, cluster).evaluation.memory_bytes) for solve in (solve_stages, solve_data, solve_horizontal, solve_vps)}
    assert min(needed, key=needed.get) == "solve_vps"
    assert needed["solve_vps"] / 1e6 == pytest.approx(262.9 / devices, rel=0.06)


def test_branches_stay_in_their_slices():
    graph = load_model("resnet18")
    plan = solve_vps(graph, load_cluster("pi4-x4")).plan
    for operator in graph.operators:
        placement = plan[operator.name]
        assert placement.dim in ("OC", "IC")
        assert max(placement.shares) - min(placement.shares) <= 1


def test_budget(small, cluster):
    front = vps_front(small, cluster)
    for point in front:
        assert solve_vps(small, cluster, budget_bytes=point.memory_bytes).plan == point.plan
    assert solve_vps(small, cluster).plan == front[0].plan
    with pytest.raises(SolverError, match=r"budget_bytes is 10; vertical partitioning over 3 devices needs [\d,]+"):
        solve_vps(small, cluster, budget_bytes=10)
    with pytest.raises(SolverError, match="must be a positive number"):
        solve_vps(small, cluster, budget_bytes=-1)


def test_a_search_that_is_cut_short_streams_nothing(small, cluster):
    """At any step: the front is then that of output channels everywhere, and a budget that it does not fit is refused with the reason."""
    front, clock = vps_front(small, cluster), TickingClock()
    assert vps_front(small, cluster, watch=Stopwatch(1e9, clock)) == front
    steps = clock.readings - 1  # the first reading is the start
    assert steps > len(small)
    for limit in range(1, steps + 1):
        watch = Stopwatch(limit, TickingClock())
        (point,) = vps_front(small, cluster, watch=watch)
        assert watch.cut_short
        assert {(placement.dim, placement.stream) for _, placement in point.plan.items()} == {("OC", None)}
    with pytest.raises(SolverError, match=r"needs [\d,]+; the time limit of 1e-09 s has passed before a plan that streams was found"):
        solve_vps(small, cluster, budget_bytes=front[0].memory_bytes, time_limit_s=1e-9)
