"""What is left of a search that runs out of time at any of its steps: a valid plan, never worse than what was cheap to find."""

import io
import json
import os
import random
from types import SimpleNamespace

import numpy as np
import pytest
from support.clocks import TickingClock
from support.programs import formulation_of
from support.random_branches import random_branched_graph
from support.random_instances import random_cluster

from benchmarks import time_limits
from benchmarks.densenet import densenet121
from benchmarks.time_limits import allowed_s, graph_of, measure, options_of
from iopopt import (
    METHODS,
    Pricer,
    Solution,
    SolverError,
    evaluate,
    load_cluster,
    load_model,
    solve_coedge,
    solve_exhaustive,
    solve_milp,
    solve_single,
)
from iopopt.cost.instance import Instance
from iopopt.cost.stopwatch import NO_LIMIT, Stopwatch, TimeUpError
from iopopt.methods import exhaustive, team_search
from iopopt.methods.dp import dp_plan
from iopopt.methods.exhaustive import enumerate_plans, plan_count
from iopopt.methods.greedy import greedy_plan
from iopopt.methods.iop_segments import segments_plan
from iopopt.methods.pso import SwarmSettings, _Search
from iopopt.methods.solution import heuristic_solution
from iopopt.methods.team_search import TeamSearch
from iopopt.milp import worker
from iopopt.milp.backends import Options, Outcome
from iopopt.milp.formulation import Formulation
from iopopt.milp.process import Run
from iopopt.milp.program import ProgramBuilder
from iopopt.milp.pruning import bound_nodes
from iopopt.milp.solver_files import write_request

LIMITED = [name for name, method in METHODS.items() if "time_limit_s" in options_of(name, 1.0, {}) and method]
READINGS_AFTER = 12
"""How often a search may look at the clock after the time is up: it ends itself, and those that it started."""


def steps(most=10**9):
    """Growing numbers of looks at the clock."""
    count = 1
    while count < most:
        yield count
        count += 1 + count // 3


def order(graph, cluster, plan):
    """What a plan is compared by: excess bytes, then latency."""
    price = evaluate(graph, cluster, plan)
    return sum(violation.excess_bytes for violation in price.violations), price.latency_s


@pytest.fixture(scope="module", params=["loose", "tight"])
def instance(request):
    """A small dense network, whose operators join up to five tensors, on three devices, with memory to spare or short."""
    graph = densenet121(blocks=(3, 4))
    return graph, load_cluster("edge-x3" + ("-tight-0.5" if request.param == "tight" else ""), graph)


@pytest.mark.parametrize("find", [dp_plan, greedy_plan, segments_plan])
def test_a_search_can_end_at_any_step(find, instance):
    """Cut short at ever later looks at the clock, the plans get no worse, from what was cheap on, until nothing is cut and it is the usual plan.

    After the time is up, the search does not go on.
    """
    graph, cluster = instance
    team = tuple(range(len(cluster)))
    cheap = solve_single(graph, cluster) if find is dp_plan else solve_coedge(graph, cluster)
    last = order(graph, cluster, cheap.plan)
    cuts = 0
    for limit in steps():
        clock = TickingClock()
        watch = Stopwatch(limit, clock)
        try:
            plan = find(graph, cluster, team, watch=watch)
        except TimeUpError:  # before its first plan: the caller has that of one device
            assert find is dp_plan
            plan = cheap.plan
        found = order(graph, cluster, plan)
        assert found <= last if find is dp_plan else found[1] <= last[1]
        last = found
        if not watch.cut_short:
            break
        cuts += 1
        assert clock.readings <= limit + READINGS_AFTER
    assert cuts >= 5
    assert plan == find(graph, cluster, team)


@pytest.mark.parametrize("seed", range(6))
def test_bounds_on_nodes_hold_at_any_step(seed):
    """Bounds that were cut short are no larger than those that were not; so they hold too."""
    rng = random.Random(seed)
    graph, cluster = random_branched_graph(rng), random_cluster(rng)
    instance, team = Instance(graph, cluster), tuple(range(len(cluster)))
    full = bound_nodes(instance, team)
    for limit in steps(200):
        clock = TickingClock()
        found = bound_nodes(instance, team, Stopwatch(limit, clock))
        assert found.least_s <= full.least_s * (1 + 1e-9)
        assert list(found.nodes) == list(full.nodes)
        for bounds, others in zip(found.bounds_s, full.bounds_s, strict=True):
            assert (bounds <= others * (1 + 1e-9)).all()
        assert clock.readings <= limit + READINGS_AFTER or found.least_s == full.least_s


def test_a_program_is_not_built_beyond_its_time(instance):
    """At any step until the last, building ends with an error that the search catches, and at once."""
    graph, cluster = instance
    clock = TickingClock()
    formulation_of(graph, cluster, (0, 1, 2), watch=Stopwatch(clock=clock))
    complete = clock.readings
    for limit in steps(complete):
        clock = TickingClock()
        with pytest.raises(TimeUpError):
            Formulation(Instance(graph, cluster), (0, 1, 2), 1.0, watch=Stopwatch(limit, clock))
        assert clock.readings <= limit + 2


@pytest.mark.parametrize("teams", [((0, 1, 2),), ((0, 1, 2), (0, 1), (0, 2), (1, 2))], ids=["all", "best"])
def test_the_exact_method_can_end_at_any_step(teams, mobile_graph, monkeypatch):
    """However early the time is up, there is a plan and a bound that holds; a back end gets the rest of the time, and is ended before a tenth of
    the limit and half a second more have passed."""
    cluster = load_cluster("edge-x3", mobile_graph)
    instance = Instance(mobile_graph, cluster)
    best_s = min(evaluate(mobile_graph, cluster, dp_plan(mobile_graph, cluster, members)).latency_s for members in teams)
    single_s, between = solve_single(mobile_graph, cluster).latency_s, 10  # looks at the clock between two calls
    given = []
    for limit in steps():
        watch = Stopwatch(limit, TickingClock())

        def run(name, program, options, *, grace_s, watch=watch):
            elapsed_s = watch.elapsed_s
            given.append((elapsed_s, options.time_limit_s, grace_s))
            return Run(Outcome("unknown", None, None, None, "", ""))

        monkeypatch.setattr(team_search, "run_backend", run)
        search = TeamSearch(instance, watch, 0.0, "highs", 0, 1)
        search.run(teams)
        assert search.value <= single_s
        assert min(search.bounds.values()) <= best_s * (1 + 1e-9)
        if given:
            break
    (elapsed_s, limit_s, grace_s), *_ = given
    assert limit_s <= max(0.1, limit - elapsed_s + between)
    assert elapsed_s + limit_s + grace_s <= 1.1 * limit + 0.5 + between


@pytest.mark.parametrize("seed", range(4))
def test_enumeration_can_end_at_any_step(seed, monkeypatch):
    """Cut short, exhaustive search claims nothing and has a plan no worse than one device; complete, it proves its own."""
    monkeypatch.setattr(exhaustive, "_CHUNK", 300)
    rng = random.Random(seed)
    while True:
        graph, cluster = random_branched_graph(rng, tiny=True), random_cluster(rng, devices=2)
        if 1500 < plan_count(graph, cluster) < 6000:
            break
    truth, single = solve_exhaustive(graph, cluster), solve_single(graph, cluster)
    for limit in steps():
        watch = Stopwatch(limit, TickingClock())
        found = enumerate_plans(graph, cluster, "all", watch)
        if not watch.cut_short:
            break
        assert (found.status, found.termination, found.bound_s) == ("feasible", "time_limit", None)
        assert truth.latency_s <= found.latency_s <= single.latency_s
    assert (found.status, found.latency_s) == ("optimal", truth.latency_s)


def test_enumeration_without_a_plan_claims_nothing():
    """Where no plan fits and the time is up, the status is unknown, not infeasible."""
    graph = load_model("lenet5")
    cluster = load_cluster("mcu-x2-tight-0.1", graph)
    found = enumerate_plans(graph, cluster, "all", Stopwatch(3, TickingClock()))
    assert (found.status, found.termination, found.plan) == ("unknown", "time_limit", None)
    assert "no plan that fits" in found.reason


def test_a_swarm_prices_some_particles_and_ends(instance):
    """The first particles are priced whatever the time; then no more than those between two looks at the clock."""
    graph, cluster = instance
    search = _Search(graph, cluster, (0, 1, 2), Stopwatch(0.5, TickingClock()))
    positions = iter(range(10**6))

    def decode(genes, honest=search.decoder.decode):
        next(positions)
        return honest(genes)

    search.decoder.decode = decode
    with pytest.raises(TimeUpError):
        search(np.random.default_rng(0).random((600, search.decoder.dimensions)))
    assert search.plan is not None
    assert next(positions) == 1


def test_pricing_particles_in_parts_changes_nothing(instance):
    """600 particles, looked at in three parts, cost what they cost in one, and the best of them is kept."""
    graph, cluster = instance
    search = _Search(graph, cluster, (0, 1, 2), NO_LIMIT)
    positions = np.random.default_rng(1).random((600, search.decoder.dimensions))
    costs, plans = search(positions), search.decoder.decode(positions)
    price = Pricer(graph, cluster).price(plans)
    assert costs[price.feasible].tolist() == price.latency_s[price.feasible].tolist()
    assert search.plan == plans.plan(graph, int(costs.argmin()))


@pytest.mark.parametrize("name", LIMITED)
def test_no_time_at_all_still_gives_a_plan(name):
    """With a billionth of a second every method that takes a limit returns a plan, and says that the time was up."""
    graph = load_model("lenet5") if METHODS[name].tiny_only else load_model("resnet18")
    cluster = load_cluster("mcu-x2" if METHODS[name].tiny_only else "edge-x4", graph)
    options = {"max_plans": 10**30} if METHODS[name].tiny_only else {}
    solution = METHODS[name].solve(graph, cluster, time_limit_s=1e-9, **options)
    assert solution.plan is not None
    assert (solution.status, solution.termination) == ("feasible", "time_limit")
    assert Solution.from_dict(json.loads(json.dumps(solution.to_dict()))) == solution


@pytest.mark.parametrize("limit", [0, -1.0, float("nan"), "1", None, True])
@pytest.mark.parametrize("name", LIMITED)
def test_limits_that_are_none_are_refused(name, limit, trio_graph, trio_cluster):
    """A limit that is no positive number is refused by name, by every method alike."""
    with pytest.raises(SolverError, match="time_limit_s is"):
        METHODS[name].solve(trio_graph, trio_cluster, time_limit_s=limit)


def test_the_methods_that_can_take_long_are_limited():
    """The others are done with DenseNet-121 on eight devices in about half a second: they price at most a plan for each device."""
    assert set(METHODS) - set(LIMITED) == {"single", "oc", "coedge", "modnn", "data", "horizontal", "stages"}


def test_the_start_of_a_back_end_counts(monkeypatch, tmp_path):
    """A request of 10 s that was written 4 s ago has 6 s left; one that waited longer than its limit has the least."""
    given = []

    class Fake:
        def solve(self, program, options, report):
            given.append(options.time_limit_s)
            return OUTCOME

    monkeypatch.setattr(worker, "BACKENDS", SimpleNamespace(find=lambda place: Fake))
    for age_s in (4.0, 99.0):
        write_request(tmp_path, ProgramBuilder().build(), Options(10.0, 0.0, 0, 1, {}, ""))
        written = (tmp_path / "request.npz").stat().st_mtime - age_s
        os.utime(tmp_path / "request.npz", (written, written))
        worker.main("fake", tmp_path, io.StringIO())
    assert given[0] == pytest.approx(6.0, abs=1.0)
    assert given[1] == 0.1


OUTCOME = Outcome("unknown", None, None, None, "", "")


def test_the_time_for_a_reason_is_limited(monkeypatch):
    """Where nothing fits, the search for the plan closest to fitting gets what is left of the limit, its building included."""
    graph = load_model("lenet5")
    cluster = load_cluster("mcu-x3-tight-0.1", graph)
    given = []

    def least_memory_plan(instance, team, backend, watch, grace_s, *space):
        given.append((watch.limit_s, grace_s))

    monkeypatch.setattr(team_search, "least_memory_plan", least_memory_plan)
    solution = solve_milp(graph, cluster, time_limit_s=5.0)
    assert solution.status == "infeasible"
    ((limit, grace),) = given
    assert 0 < limit < 5
    assert limit + grace <= 1.1 * 5 + 0.5
    assert "would fit with" in solution.reason


# The same plan again.


@pytest.mark.parametrize("name", ["single", "oc", "coedge", "modnn", "data", "horizontal", "stages", "greedy", "iop_segments", "dp"])
def test_heuristics_without_a_seed_repeat_themselves(name, instance):
    """Two calls give the same plan, and so does one with a limit that is not reached."""
    graph, cluster = instance
    first, again = (METHODS[name].solve(graph, cluster) for _ in range(2))
    limited = METHODS[name].solve(graph, cluster, **options_of(name, 1e6, {}))
    assert first.plan == again.plan == limited.plan
    assert {solution.termination for solution in (first, again, limited)} == {"finished"}


@pytest.mark.parametrize("seed", [0, pytest.param(7, marks=pytest.mark.slow)])
def test_a_swarm_of_limited_iterations_repeats_itself(seed, instance):
    """The same seed gives the same plan whatever the time limit, as long as the iterations end it."""
    graph, cluster = instance
    settings = SwarmSettings(particles=12, iterations=6, swarms=2)
    found = [METHODS["pso"].solve(graph, cluster, seed=seed, settings=settings, time_limit_s=limit) for limit in (1e3, 1e6)]
    assert {solution.termination for solution in found} == {"iteration_limit"}
    assert found[0].plan == found[1].plan
    assert [point.value for point in found[0].trajectory] == [point.value for point in found[1].trajectory]


def test_an_exact_search_that_closes_the_gap_repeats_itself():
    """With one thread the same seed gives the same plan."""
    graph = load_model("lenet5")
    cluster = load_cluster("mcu-x3", graph)
    first, again = (solve_milp(graph, cluster, seed=3) for _ in range(2))
    assert (first.status, first.termination) == ("optimal", "gap")
    assert first.plan == again.plan


@pytest.mark.parametrize(("setting", "value"), [("seed", -1), ("seed", 2**31), ("seed", "a"), ("seed", 1.5)])
def test_seeds_of_a_swarm_out_of_range_are_refused(setting, value, trio_graph, trio_cluster):
    """A seed that numpy would not take is refused by name."""
    with pytest.raises(SolverError, match=setting):
        METHODS["pso"].solve(trio_graph, trio_cluster, **{setting: value})


@pytest.mark.parametrize(("setting", "value"), [("particles", 0), ("iterations", -1), ("swarms", 1.5), ("inertia", float("nan"))])
def test_settings_of_a_swarm_out_of_range_are_refused(setting, value):
    """A swarm of no particles, or of none that move by numbers, is refused by name."""
    with pytest.raises(SolverError, match=setting):
        SwarmSettings(**{setting: value})


# The benchmark.


def test_densenet_is_the_published_network():
    """121 layers with weights: 120 convolutions and a fully connected one; 7,978,856 parameters, 2.83 G multiplications."""
    graph = densenet121()
    assert sum(operator.kind in ("conv", "fc") for operator in graph.operators) == 121
    assert graph.parameters == 7_978_856
    assert graph.macs == pytest.approx(2.834e9, rel=1e-3)


def test_the_benchmark_prints_the_worst_of_each_method(monkeypatch, capsys, tmp_path, trio_graph):
    """A row for each method and limit, every row in the file, and an exit status of 0 as long as all limits are kept."""
    monkeypatch.setattr(time_limits, "graph_of", lambda model: trio_graph)
    target = tmp_path / "rows.csv"
    arguments = ["--model", "trio", "--cluster", "mcu-x2", "mcu-x3", "--method", "single", "dp", "--limit", "50", "--csv", str(target)]
    monkeypatch.setattr(time_limits.sys, "argv", ["time_limits", *arguments])
    with pytest.raises(SystemExit) as end:
        time_limits.main()
    assert end.value.code == 0
    assert len(capsys.readouterr().out.splitlines()) == 1 + 2
    assert len(target.read_text().splitlines()) == 1 + 4


def test_a_broken_limit_fails_the_benchmark(trio_graph, trio_cluster, trio_plan, monkeypatch):
    """Of 4 s where 1.2 x 1 + 1 are allowed, the ratio says so."""
    times = iter([0.0, 4.4])
    monkeypatch.setattr(time_limits.time, "perf_counter", times.__next__)
    solution = heuristic_solution(trio_graph, trio_cluster, trio_plan, method="hand", space="", build_s=0.0, solve_s=0.0)
    assert measure(lambda: solution, 1.0)["ratio"] == 2.0


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in LIMITED if not METHODS[name].tiny_only])
@pytest.mark.parametrize("model", time_limits.MODELS)
@pytest.mark.parametrize("cluster_name", ["edge-x6", "edge-x8", "slow-link-x4-tight-0.5"])
def test_limits_are_kept(name, model, cluster_name):
    """On deep networks with up to eight devices every method is back within 1.2 x its limit + 1 s."""
    graph = graph_of(model)
    cluster = load_cluster(cluster_name, graph)
    for limit_s in (0.5, 3.0):
        row = measure(lambda: METHODS[name].solve(graph, cluster, time_limit_s=limit_s), limit_s)  # noqa: B023
        assert row["measured_s"] <= allowed_s(limit_s), row
