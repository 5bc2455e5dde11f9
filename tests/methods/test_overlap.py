"""Annealing without barriers: never worse than its starts, within the memory, and as good as exhaustive search on tiny instances."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

import pytest
from support.random_branches import random_branched_graph
from support.random_instances import random_cluster, random_graph

from iopopt import (
    Cluster,
    Device,
    Graph,
    GraphBuilder,
    Placement,
    Plan,
    PlanError,
    SolverError,
    evaluate,
    load_cluster,
    load_model,
    simulate,
    solve_coedge,
    solve_dp,
    solve_greedy,
    solve_milp,
    solve_overlap,
    solve_single,
)
from iopopt.cost.stopwatch import NO_LIMIT
from iopopt.methods.annealing.search import AnnealingSettings
from iopopt.methods.exhaustive import all_plan_batches, plan_count

QUICK = AnnealingSettings(moves_per_operator=20, coolings=4, contenders=4)


def instance(seed: int) -> tuple[Graph, Cluster]:
    """A chain or a network with branches, on two or three devices."""
    rng = random.Random(seed)
    return rng.choice([random_graph, random_branched_graph])(rng), random_cluster(rng, devices=rng.choice([2, 3]))


@pytest.mark.parametrize("seed", [1, 2, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (0, 3, 4))])
def test_never_worse_than_its_starts(seed: int) -> None:
    """By the clock of the simulation, if the start fits the memory; the plan then fits it too."""
    graph, cluster = instance(seed)
    found = solve_overlap(graph, cluster, seed=seed, settings=QUICK, time_limit_s=300)
    starts = [solve_single(graph, cluster), solve_coedge(graph, cluster), solve_greedy(graph, cluster), solve_dp(graph, cluster)]
    starts += [solve_dp(graph, cluster, longest_block=8), solve_milp(graph, cluster, longest_block=8)]
    fitting = [simulate(graph, cluster, start.plan).makespan_s for start in starts if start.plan and evaluate(graph, cluster, start.plan).feasible]
    assert found.timing == "events"
    assert found.plan is not None
    assert found.latency_s == simulate(graph, cluster, found.plan).makespan_s
    if fitting:
        assert found.status == "feasible"
        assert found.latency_s <= min(fitting) * (1 + 1e-12)
        assert found.start_latency_s is not None
        assert found.start_latency_s <= min(fitting) * (1 + 1e-12)


def every_order(graph: Graph, cluster: Cluster) -> Iterator[Plan]:
    """The plans of both orders of two devices, without those that take one order here and the other there."""
    for team in itertools.permutations(range(len(cluster))):
        for batch in all_plan_batches(graph, cluster, team, NO_LIMIT, 1):
            yield from (batch.plan(graph, number) for number in range(len(batch)))


@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 6))])
def test_finds_the_best_of_all_plans(seed: int) -> None:
    """On two devices, every plan of either order, simulated: none is faster."""
    rng = random.Random(100 + seed)
    while True:
        graph, cluster = random_graph(rng, tiny=True), random_cluster(rng, devices=2)
        if 20 < plan_count(graph, cluster, (0, 1), 1) < 1500:
            break
    plans = (plan for plan in every_order(graph, cluster) if evaluate(graph, cluster, plan).feasible)
    best = min((simulate(graph, cluster, plan).makespan_s for plan in plans), default=None)
    found = solve_overlap(graph, cluster, longest_block=1, settings=AnnealingSettings())
    if best is None:
        assert found.status == "violates_memory"
    else:
        assert found.status == "feasible"
        assert found.latency_s <= best * (1 + 1e-9)


def test_the_same_seed_gives_the_same_plan() -> None:
    """Where the search ends by itself; the trajectory only falls."""
    graph = load_model("lenet5")
    cluster = load_cluster("mcu-x3", graph)
    one, other = (solve_overlap(graph, cluster, seed=3, settings=QUICK) for _ in range(2))
    assert one.termination == "iteration_limit"
    assert one.plan == other.plan
    latencies = [point.value for point in one.trajectory if point.value is not None]
    assert latencies == sorted(latencies, reverse=True)
    assert latencies[-1] == one.latency_s


def test_ends_in_time() -> None:
    """With next to no time there is a plan all the same: one device, the first start."""
    graph = load_model("vgg16")
    cluster = load_cluster("board-x4", graph)
    found = solve_overlap(graph, cluster, time_limit_s=1e-3)
    assert found.termination == "time_limit"
    assert found.latency_s <= simulate(graph, cluster, solve_single(graph, cluster).plan).makespan_s


def test_ctrl_c_keeps_the_best_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    """Interrupted in the annealing, it returns what it has."""
    graph = load_model("lenet5")
    cluster = load_cluster("mcu-x3", graph)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("iopopt.methods.annealing.search.neighbour", interrupt)
    found = solve_overlap(graph, cluster)
    assert found.termination == "interrupted"
    assert found.latency_s == found.start_latency_s


def test_memory_is_kept() -> None:
    """Twelve rows or eight channels on two devices, 496 bytes whole and 280 or 272 each split, with 372: whole is fastest, a split fits."""
    graph = GraphBuilder("rows", (1, 12, 1)).conv(8, 1).build()
    whole = evaluate(graph, [Device("a", 1e6, 1e9, 1e6)], Plan.of(graph, [Placement.whole(0)])).memory_bytes[0]
    cluster = Cluster(tuple(Device(name, 1e6, 0.75 * whole, 1e3) for name in "ab"), connection_setup_s=0.1)
    found = solve_overlap(graph, cluster, settings=QUICK)
    assert found.status == "feasible"
    assert found.plan is not None
    assert found.plan.split_operators


def test_a_warm_start_counts() -> None:
    """The plan is never slower than it; one outside the space is refused."""
    graph = load_model("alexnet")
    cluster = load_cluster("board-x3", graph)
    known = solve_overlap(graph, cluster, seed=1, settings=QUICK)
    again = solve_overlap(graph, cluster, seed=2, warm_start=known.plan, settings=AnnealingSettings(moves_per_operator=1, coolings=1, contenders=1))
    assert again.latency_s <= known.latency_s
    gathered = Plan.of(graph, [Placement.split("H", (0, 1), (13, 14), gather=0), *[Placement.whole(0)] * (len(graph) - 1)])
    with pytest.raises(PlanError, match="gathers"):
        solve_overlap(graph, cluster, warm_start=gathered)


def test_settings_are_checked() -> None:
    for setting, value in {
        "moves_per_operator": 0,
        "coolings": 1.5,
        "patience": -1,
        "contenders": 0,
        "hottest": 2.0,
        "coldest": 0.0,
        "reheated": "hot",
    }.items():
        with pytest.raises(SolverError, match=setting):
            AnnealingSettings(**{setting: value})
