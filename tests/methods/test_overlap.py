"""Annealing without barriers: never worse than its starts, within the memory, and as good as exhaustive search on tiny instances."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import NoReturn

import pytest
from support.random_branches import random_branched_graph
from support.random_instances import random_cluster, random_graph

from benchmarks.densenet import densenet121
from iopopt import (
    Cluster,
    Device,
    Graph,
    GraphBuilder,
    Placement,
    Plan,
    PlanError,
    Solution,
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
from iopopt.cost.instance import Instance
from iopopt.cost.stopwatch import NO_LIMIT, Stopwatch
from iopopt.methods import overlap
from iopopt.methods.annealing.search import AnnealingSettings
from iopopt.methods.annealing.space import Space
from iopopt.methods.exhaustive import all_plan_batches, plan_count
from iopopt.milp.events_bound import EventsBound

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


class SpendingClock:
    """Every reading takes a moment, and whoever is handed some time spends all of it."""

    def __init__(self, moment_s: float) -> None:
        self.now_s, self._moment_s = 0.0, moment_s
        self.spent: dict[str, list[float]] = {}

    def __call__(self) -> float:
        self.now_s += self._moment_s
        return self.now_s

    def spend(self, name: str, seconds: float) -> None:
        self.now_s += max(0.0, seconds)
        self.spent.setdefault(name, []).append(seconds)


@pytest.fixture
def spend_all(monkeypatch: pytest.MonkeyPatch) -> Callable[[SpendingClock], None]:
    """Instead of the other methods and the bound: they take all the time that they get, and find nothing that is fast."""

    def install(clock: SpendingClock) -> None:
        def slow_greedy(graph: Graph, *_: object, watch: Stopwatch) -> Plan:
            clock.spend("greedy", watch.limit_s)
            return whole(graph)

        def slow_halp(graph: Graph, *_: object, time_limit_s: float, **__: object) -> Plan:
            clock.spend("halp", time_limit_s)
            return whole(graph)

        def slow_dp(instance: Instance, team: tuple[int, ...], watch: Stopwatch, longest: int) -> None:
            clock.spend("dp", watch.limit_s)

        def slow_milp(*_: object, time_limit_s: float, **__: object) -> SimpleNamespace:
            clock.spend("milp", time_limit_s)
            return SimpleNamespace(plan=None)

        def slow_bound(*_: object, time_limit_s: float, **__: object) -> EventsBound:
            clock.spend("bound", time_limit_s)
            return EventsBound(0.0, {})

        for name, slow in {"greedy_plan": slow_greedy, "halp_plan": slow_halp, "refined_plan": slow_dp, "solve_milp": slow_milp}.items():
            monkeypatch.setattr(f"iopopt.methods.annealing.first_plans.{name}", slow)
        monkeypatch.setattr("iopopt.methods.overlap.events_bound", slow_bound)

    return install


def whole(graph: Graph) -> Plan:
    return Plan.of(graph, [Placement.whole(0)] * len(graph))


@pytest.mark.parametrize("limit_s", [1e-6, 0.01, 0.4, 8.0, 600.0])
def test_the_limit_holds_whoever_takes_all_of_their_time(limit_s: float, spend_all: Callable[[SpendingClock], None]) -> None:
    """On a network with dense branches and eight devices: a twentieth of it for each start, a fifth for the bound, or a tenth of a second.

    The search is over at its end, or a tenth of a second later. There is a plan, which is no worse than one device, whatever the limit.
    """
    graph = densenet121(blocks=(3, 4))
    cluster = load_cluster("edge-x8", graph)
    clock = SpendingClock(limit_s / 300)
    spend_all(clock)
    space = Space(graph, cluster, tuple(range(8)), 8)
    run = overlap._Run(space, QUICK, Stopwatch(limit_s, clock), 0, 1e-4)
    started_s = clock.now_s
    assert run.search(None) == "time_limit"
    assert clock.now_s - started_s <= limit_s + 0.1 + 5 * limit_s / 300
    assert clock.spent.keys() >= {"greedy", "bound"}
    for name, times in clock.spent.items():
        assert len(times) == {"dp": 2}.get(name, 1)
        assert max(times) <= (max(0.1, 0.2 * limit_s) if name == "bound" else 0.05 * limit_s)
    if limit_s >= 8:
        assert clock.spent.keys() == {"greedy", "halp", "dp", "milp", "bound"}
        assert run.annealing.plans > 30  # of 300 looks at the clock
    assert run.bound_s == 0.0
    assert run.annealing.least <= simulate(graph, cluster, solve_single(graph, cluster).plan).makespan_s


def layer() -> tuple[Graph, Cluster]:
    """Eight inputs and outputs on two devices that have the memory for half of the weights each: the program bounds it far better than the rest."""
    graph = GraphBuilder("layer", (8, 1, 1)).fc(8, bias=False).build()
    devices = tuple(Device(f"d{j}", speed, 44.0, 10.0) for j, speed in enumerate([10.0, 1.0]))
    return graph, Cluster(devices, connection_setup_s=1.0, bytes_per_element=1)


NO_START, NO_PROGRAM = "the search did not start from every method: no licence", "the bound is that without a program: no licence"
STARTS, BOUND = "iopopt.methods.annealing.first_plans.solve_milp", "iopopt.milp.overlap_program.run_backend"


@pytest.mark.parametrize(
    ("failing", "reason"), [([], None), ([STARTS], NO_START), ([BOUND], NO_PROGRAM), ([STARTS, BOUND], f"{NO_START}; {NO_PROGRAM}")]
)
def test_a_back_end_that_fails_costs_its_part_alone(failing: list[str], reason: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The exact start, the bound by a program, or both: the plan is there all the same, and so is the bound without a program. The reason says so."""
    graph, cluster = layer()
    for name in failing:
        monkeypatch.setattr(name, failing_backend)
    found = solve_overlap(graph, cluster, settings=QUICK)
    assert found.reason == reason
    assert (found.status, found.latency_s) == ("feasible", pytest.approx(65.4))
    assert found.bound_s == pytest.approx((128 + 1.1) / 11 if BOUND in failing else 41.0, rel=1e-4)
    assert Solution.from_dict(json.loads(json.dumps(found.to_dict()))) == found


def failing_backend(*_: object, **__: object) -> NoReturn:
    raise SolverError("no licence")


def test_a_fault_stands_beside_other_reasons(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing fits either, the reason says both."""
    graph, cluster = layer()
    monkeypatch.setattr(STARTS, failing_backend)
    starved = replace(cluster, devices=tuple(replace(device, memory_bytes=20.0) for device in cluster.devices))
    found = solve_overlap(graph, starved, settings=QUICK)
    assert found.status == "violates_memory"
    assert found.reason is not None
    assert "bytes" in found.reason
    assert found.reason.endswith(f"; {NO_START}")


def test_a_bound_above_a_plan_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no fault of a back end that costs its part alone: one of the two is wrong."""
    graph, cluster = layer()
    monkeypatch.setattr("iopopt.methods.overlap.events_bound", lambda *_, **__: EventsBound(65.5, {}))
    with pytest.raises(SolverError, match=r"the bound 65\.5 s is above a plan that takes 65\.4"):
        solve_overlap(graph, cluster, settings=QUICK)


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
