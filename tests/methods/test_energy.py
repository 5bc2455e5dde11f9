"""The least energy within a deadline: the exact program against exhaustive search, and what both say of deadlines that nothing meets."""

from __future__ import annotations

import math
import re
import time
from dataclasses import replace

import pytest
from support.energy_instances import energy_instance

from iopopt import (
    Cluster,
    Device,
    GraphBuilder,
    Placement,
    Plan,
    PlanError,
    Solution,
    SolverError,
    UnknownNameError,
    evaluate,
    load_cluster,
    load_model,
    solve,
    solve_exhaustive,
    solve_milp,
)
from iopopt.methods import team_search
from iopopt.milp.backends import Outcome

ROUNDING = 2e-6

GRAPH = GraphBuilder("three", (2, 6, 4)).conv(3, 3, padding=1).conv(2, 3, padding=1).fc(3).build()
CLUSTER = Cluster(
    (
        Device("thrifty", 1e5, 1e6, 1e5, compute_watts=1.0, transmit_watts=0.5, receive_watts=0.5, idle_watts=0.5),
        Device("hungry", 2e5, 1e6, 1e5, compute_watts=9.0, transmit_watts=1.0, receive_watts=1.0, idle_watts=1.0),
    ),
    connection_setup_s=1e-4,
)
FASTEST = solve_exhaustive(GRAPH, CLUSTER)
THRIFTIEST = solve_exhaustive(GRAPH, CLUSTER, objective="energy")


def _agrees(seed: int) -> Solution:
    """Assert that both find the same least energy, or that there is none for the same reason; returns the program's answer."""
    case = energy_instance(seed)
    graph, cluster, deadline_s = case.graph, case.cluster, case.deadline_s
    settings = {"team": case.team, "longest_block": case.longest_block, "objective": "energy", "deadline_s": deadline_s}
    best, found = solve(graph, cluster, "exhaustive", **settings), solve(graph, cluster, "milp", **settings, gap=0.0)
    assert found.status == best.status, (found, best)
    assert (found.objective, found.bound_s, found.deadline_s) == ("energy", None, deadline_s)
    if best.plan is None:
        assert (best.reason or "").partition(":")[0].partition(".")[0] == (found.reason or "").partition(":")[0].partition(".")[0]
        if "deadline" in (best.reason or ""):
            assert _least_ms(found) == pytest.approx(_least_ms(best), rel=1e-4)
        return found
    assert found.plan is not None
    assert found.evaluation is not None
    assert found.value == evaluate(graph, cluster, found.plan).energy_j
    assert best.value == pytest.approx(found.value, rel=ROUNDING, abs=1e-12)
    assert found.bound is not None
    assert found.bound <= best.value * (1 + 1e-9)
    assert deadline_s is None or found.latency_s <= deadline_s * (1 + 1e-9)
    assert found.evaluation.feasible
    return found


def _least_ms(solution: Solution) -> float:
    """What the reason says is the least possible time."""
    (milliseconds,) = re.findall(r"the least possible time is ([\d.e+-]+) ms \(proven\)", solution.reason or "")
    return float(milliseconds)


@pytest.mark.parametrize("seed", [pytest.param(seed, marks=pytest.mark.slow) if seed == 8 else seed for seed in range(14)])
def test_the_program_agrees_with_exhaustive_search(seed: int) -> None:
    """Chains and branches, blocks, rooflines, teams, memory limits and deadlines, some of which nothing meets."""
    _agrees(seed)


@pytest.mark.slow
@pytest.mark.parametrize("start", range(14, 214, 20))
def test_it_agrees_on_many_instances(start: int) -> None:
    """On two hundred more; each twenty have deadlines that bind, and some that are impossible."""
    found = [_agrees(seed) for seed in range(start, start + 20)]
    assert any(solution.deadline_s is not None and solution.plan is not None for solution in found)
    assert any(solution.status == "infeasible" for solution in found)


def test_a_deadline_between_the_fastest_and_the_thriftiest() -> None:
    """The later the deadline, the less is drawn, from the fastest plan's energy down to the least of all, which no deadline gives."""
    fastest = FASTEST.evaluation
    assert fastest is not None
    assert THRIFTIEST.latency_s > 1.2 * FASTEST.latency_s
    seconds = [FASTEST.latency_s * (1 - part) + THRIFTIEST.latency_s * part for part in (0.0, 0.5, 1.0)]
    found = [solve_milp(GRAPH, CLUSTER, objective="energy", deadline_s=deadline_s, gap=0.0) for deadline_s in seconds]
    joules = [solution.value for solution in found]
    assert all(solution.status == "optimal" for solution in found)
    assert joules == sorted(joules, reverse=True)
    assert joules[0] <= (fastest.energy_j or 0.0) * (1 + 1e-9)
    assert joules[-1] == pytest.approx(THRIFTIEST.value, rel=ROUNDING)
    assert joules[0] > 1.01 * joules[-1]
    assert solve_milp(GRAPH, CLUSTER, objective="energy", gap=0.0).value == pytest.approx(THRIFTIEST.value, rel=ROUNDING)


def test_an_impossible_deadline_is_infeasible() -> None:
    """With the least possible time as its reason, by enumeration and by proof."""
    deadline_s = 0.99 * FASTEST.latency_s
    for method in ("exhaustive", "milp"):
        found = solve(GRAPH, CLUSTER, method, objective="energy", deadline_s=deadline_s)
        assert (found.status, found.termination, found.plan, found.bound, found.value) == ("infeasible", "exhausted", None, None, math.inf)
        assert (found.reason or "").startswith(f"no plan meets the deadline of {deadline_s * 1e3:.6g} ms: the least possible time is ")
        assert _least_ms(found) == pytest.approx(FASTEST.latency_s * 1e3, rel=1e-4)
        assert f"fits the memory and takes at most {deadline_s * 1e3:.4g} ms" in found.headline


def test_an_impossible_deadline_of_which_only_a_bound_is_known() -> None:
    """Where the search for the fastest plan leaves a gap but proves enough, the reason says that the time is a bound, and what the best plan known
    takes."""
    graph, cluster = load_model("vgg16"), load_cluster("pi3-x3@ethernet-1000")
    fastest = solve_milp(graph, cluster)
    found = solve_milp(graph, cluster, objective="energy", deadline_s=0.5 * fastest.latency_s, gap=0.4)
    assert found.status == "infeasible"
    assert re.search(r"none takes less than [\d.]+ ms \(proven\), and the fastest known takes [\d.]+ ms$", found.reason or "")


def test_too_little_memory_is_the_reason_under_a_deadline() -> None:
    """What does not fit is explained by the memory, not by the deadline."""
    starved = replace(CLUSTER, devices=tuple(replace(device, memory_bytes=40) for device in CLUSTER.devices))
    for method in ("exhaustive", "milp"):
        found = solve(GRAPH, starved, method, objective="energy", deadline_s=FASTEST.latency_s)
        assert found.status == "infeasible"
        assert "no plan fits the memory (equation 1)" in (found.reason or "")


def test_unknown_is_no_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    """A back end that proves nothing leaves a deadline that is met by no known plan unknown."""
    monkeypatch.setattr(team_search, "run_backend", lambda *_, **__: team_search.Run(Outcome("unknown", None, None, None, "", "fake")))
    deadline_s = 0.999 * FASTEST.latency_s
    found = solve_milp(GRAPH, CLUSTER, objective="energy", deadline_s=deadline_s, without=("pruning",))
    assert (found.status, found.termination, found.plan) == ("unknown", "time_limit", None)
    assert "fits the memory and meets the deadline was found in" in (found.reason or "")


def test_ctrl_c_while_the_fastest_plan_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole search ends, and nothing is claimed."""
    stopped = team_search.Run(Outcome("unknown", None, None, None, "", "fake"), interrupted=True)
    monkeypatch.setattr(team_search, "run_backend", lambda *_, **__: stopped)
    found = solve_milp(GRAPH, CLUSTER, objective="energy", deadline_s=0.999 * FASTEST.latency_s, without=("pruning",))
    assert (found.status, found.termination, found.plan) == ("unknown", "interrupted", None)


@pytest.mark.slow
def test_the_time_limit_holds_under_a_deadline() -> None:
    """Both searches together keep it, where neither ends by itself."""
    graph, cluster = load_model("resnet50"), load_cluster("pi3-x3+pi4@ethernet-1000")
    started = time.perf_counter()
    found = solve_milp(graph, cluster, objective="energy", deadline_s=1e-3, time_limit_s=3.0)
    assert time.perf_counter() - started < 3.0 + 6.0
    assert found.plan is None
    assert found.status in ("infeasible", "unknown")


@pytest.mark.parametrize("backend", ["scipy", "cbc", "highs"])
def test_back_ends_agree(backend: str) -> None:
    """On the least energy within a deadline that binds."""
    deadline_s = (FASTEST.latency_s + THRIFTIEST.latency_s) / 2
    best = solve_exhaustive(GRAPH, CLUSTER, objective="energy", deadline_s=deadline_s)
    found = solve_milp(GRAPH, CLUSTER, objective="energy", deadline_s=deadline_s, backend=backend, gap=0.0)
    assert found.status == "optimal"
    assert found.value == pytest.approx(best.value, rel=ROUNDING)


def test_the_fastest_plan_is_a_start_where_no_other_meets_the_deadline() -> None:
    """Single devices, greedy and dynamic program are too slow for it; the search finds the plans that are not."""
    graph, cluster = load_model("vgg16"), load_cluster("pi3-x3@ethernet-1000")
    fastest = solve_milp(graph, cluster)
    found = solve_milp(graph, cluster, objective="energy", deadline_s=fastest.latency_s * (1 + 2e-4))
    assert found.status == "optimal"
    assert found.latency_s <= fastest.latency_s * (1 + 2e-4)
    assert fastest.evaluation is not None
    assert found.value <= (fastest.evaluation.energy_j or 0.0)


def test_the_trajectory_is_in_joules() -> None:
    """Incumbents fall, bounds do not exceed the least energy, and the last incumbent is the plan's."""
    found = solve_milp(GRAPH, CLUSTER, objective="energy", gap=0.0)
    values = [point.value for point in found.trajectory if point.value is not None]
    assert min(values) == pytest.approx(found.value, rel=ROUNDING)
    assert all(point.bound <= THRIFTIEST.value * (1 + ROUNDING) for point in found.trajectory if point.bound is not None)
    assert "J idling" in " ".join(found.explain().split())


def test_warm_starts() -> None:
    """The result is never worse than the warm start, which must meet the deadline."""
    assert THRIFTIEST.plan is not None
    found = solve_milp(GRAPH, CLUSTER, objective="energy", warm_start=THRIFTIEST.plan, gap=0.5)
    assert found.value <= THRIFTIEST.value * (1 + 1e-12)
    with pytest.raises(PlanError, match=r"the warm start takes [\d.]+ ms, longer than the deadline of [\d.]+ ms"):
        solve_milp(GRAPH, CLUSTER, objective="energy", deadline_s=FASTEST.latency_s, warm_start=THRIFTIEST.plan)


def test_settings_that_make_no_sense() -> None:
    """Both methods refuse a deadline for the latency, an unknown objective, and the energy of devices without powers."""
    bare = Cluster((Device("a", 1e5, 1e6, 1e5), Device("b", 1e5, 1e6, 1e5)))
    for method in ("exhaustive", "milp"):
        with pytest.raises(SolverError, match="deadline_s needs objective='energy'"):
            solve(GRAPH, CLUSTER, method, deadline_s=1.0)
        with pytest.raises(SolverError, match="needs a device with a power"):
            solve(GRAPH, bare, method, objective="energy")
        with pytest.raises(UnknownNameError, match="unknown objective 'joules'"):
            solve(GRAPH, CLUSTER, method, objective="joules")


def test_a_mispriced_energy_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a back end proves is dropped where the evaluator prices its plan higher; the message says joules."""
    real = team_search.run_backend

    def lying(*arguments: object, **options: object) -> object:
        run = real(*arguments, **options)  # type: ignore[arg-type]
        return replace(run, outcome=replace(run.outcome, objective=0.5 * (run.outcome.objective or 0.0)))

    monkeypatch.setattr(team_search, "run_backend", lying)
    found = solve_milp(GRAPH, CLUSTER, objective="energy", gap=0.0)
    assert (found.status, found.termination) == ("feasible", "failed")
    assert re.search(r"prices its plan for three at [\d.e-]+ J, the evaluator at [\d.e-]+ J", found.reason or "")
    assert found.bound_j is not None
    assert found.bound_j <= THRIFTIEST.value


def test_a_time_limit_of_the_enumeration() -> None:
    """When the time is up nothing is proven; the plan of one device is returned if it meets the deadline."""
    late = solve_exhaustive(GRAPH, CLUSTER, objective="energy", deadline_s=1e3, time_limit_s=1e-9)
    assert (late.status, late.termination, late.bound) == ("feasible", "time_limit", None)
    never = solve_exhaustive(GRAPH, CLUSTER, objective="energy", deadline_s=1e-9, time_limit_s=1e-9)
    assert (never.status, never.plan) == ("unknown", None)
    assert "no plan that fits the memory and meets the deadline was found" in (never.reason or "")


def test_idling_of_others_counts() -> None:
    """A device that takes no part draws its idle power all the same, so it can pay to use a hungry device that is fast."""
    wholes = [Plan.of(GRAPH, [Placement.whole(j)] * len(GRAPH)) for j in range(2)]
    idle = replace(CLUSTER, devices=(replace(CLUSTER.devices[0], idle_watts=20.0), CLUSTER.devices[1]))
    for cluster, better in ((CLUSTER, 0), (idle, 1)):
        joules = [evaluate(GRAPH, cluster, plan).energy_j or 0.0 for plan in wholes]
        assert joules[better] < joules[1 - better]
        assert solve_milp(GRAPH, cluster, objective="energy", team=(0,)).value == pytest.approx(
            solve_exhaustive(GRAPH, cluster, objective="energy", team=(0,)).value
        )
