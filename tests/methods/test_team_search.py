"""What is made of a back end that is wrong, against exhaustive search: its plan is kept, and nothing that it claimed."""

from dataclasses import replace

import pytest

from iopopt import Cluster, Device, GraphBuilder, SolverError, evaluate, solve_exhaustive, solve_milp, solve_single
from iopopt.cost.instance import Instance
from iopopt.methods import exact_programs, team_search
from iopopt.methods.single import single_plan
from iopopt.milp import pruning
from iopopt.milp.backends import Outcome
from iopopt.milp.pruning import bound_nodes


@pytest.fixture(scope="module")
def graph():
    return GraphBuilder("three", (2, 6, 3)).conv(3, 3, padding=1).relu().conv(3, 3).relu().fc(4).build()


@pytest.fixture(scope="module")
def cluster():
    """Two unequal devices, on which the optimum splits, and bounds on nodes do not prove it."""
    return Cluster((Device("a", 1e5, 1e6, 1e5), Device("b", 3e5, 1e6, 1e5)), connection_setup_s=1e-5)


@pytest.fixture(scope="module")
def optimum_s(graph, cluster):
    return solve_exhaustive(graph, cluster).latency_s


@pytest.fixture
def lying(monkeypatch):
    """Makes every back end's outcome what a function makes of it."""

    def lie(change):
        honest = team_search.run_backend

        def run(*arguments, **options):
            run = honest(*arguments, **options)
            run.outcome = change(run.outcome)
            return run

        monkeypatch.setattr(team_search, "run_backend", run)

    return lie


@pytest.fixture(autouse=True)
def poor_starts(monkeypatch):
    """Only plans of one device are known before the back end runs, and bounds on nodes leave shares undivided."""
    monkeypatch.setattr(pruning, "_LEVELS", ())
    monkeypatch.setattr(team_search, "refined_plan", lambda *_: None)
    for start in ("dp_plan", "greedy_plan"):
        monkeypatch.setattr(team_search, start, lambda graph, cluster, *_, **options: single_plan(graph, cluster))


def check(solution, graph, cluster, optimum_s):
    """The plan is the evaluator's, the bound holds, nothing is called optimal, and the trajectory claims no more than the bound."""
    assert solution.status == "feasible"
    assert solution.termination == "failed"
    assert solution.latency_s == evaluate(graph, cluster, solution.plan).latency_s
    assert 0 < solution.bound_s <= optimum_s
    assert all(point.bound <= optimum_s for point in solution.trajectory if point.bound is not None)


def test_an_honest_back_end_proves_the_optimum(graph, cluster, optimum_s):
    """The instance of these tests: proven optimal, faster than one device, and above the bound on nodes."""
    solution = solve_milp(graph, cluster, gap=0)
    assert (solution.status, solution.termination, solution.reason) == ("optimal", "gap", None)
    assert solution.latency_s == pytest.approx(optimum_s)
    assert optimum_s < solve_single(graph, cluster).latency_s * (1 - 1e-2)
    assert bound_nodes(Instance(graph, cluster), (0, 1)).least_s < optimum_s * (1 - 1e-2)


@pytest.mark.parametrize("factor", [0.99, 1 - 3.6e-6, float("nan")])
def test_a_plan_that_is_mispriced_is_kept(factor, graph, cluster, optimum_s, lying):
    """Where the back end prices its plan below the evaluator, the plan stays at the evaluator's price, and the back end's bound is dropped."""
    lying(lambda outcome: replace(outcome, objective=outcome.objective * factor))
    solution = solve_milp(graph, cluster, gap=0)
    check(solution, graph, cluster, optimum_s)
    assert solution.latency_s == pytest.approx(optimum_s)
    assert "prices its plan" in solution.reason
    assert "the plan stands" in solution.reason


def test_a_price_within_the_tolerance_is_believed(graph, cluster, lying):
    """Half the tolerance of the back end too low is not a reason to drop anything."""
    lying(lambda outcome: replace(outcome, objective=outcome.objective * (1 - 0.5e-8)))
    assert solve_milp(graph, cluster, gap=0).status == "optimal"


@pytest.mark.parametrize("factor", [1.01, 1 + 1e-6])
def test_a_bound_above_a_known_plan_is_dropped(factor, graph, cluster, optimum_s, lying):
    """Where the back end claims that no plan is as fast as the one it found, the plan is kept and the bound is not."""
    lying(lambda outcome: replace(outcome, bound=outcome.bound * factor))
    solution = solve_milp(graph, cluster, gap=0)
    check(solution, graph, cluster, optimum_s)
    assert solution.latency_s == pytest.approx(optimum_s)
    assert "but a plan that fits the memory takes" in solution.reason


def test_infeasible_is_not_believed_of_a_known_plan(graph, cluster, optimum_s, lying):
    """Where the back end finds no point of a program that the plan of one device is a point of, that plan is returned."""
    lying(lambda outcome: Outcome("infeasible", None, None, None, "", "fake"))
    solution = solve_milp(graph, cluster, gap=0)
    check(solution, graph, cluster, optimum_s)
    assert solution.latency_s == solve_single(graph, cluster).latency_s
    assert "infeasible for team (0, 1), but a plan that fits" in solution.reason


def test_infeasible_is_not_believed_if_the_reason_fits(graph, cluster, optimum_s, lying, monkeypatch):
    """Where no plan was known, and the plan closest to fitting, looked for to explain it, fits after all, that plan is returned."""
    monkeypatch.setattr(team_search.TeamSearch, "_sorted_teams", lambda self, teams: list(teams))
    lying(lambda outcome: Outcome("infeasible", None, None, None, "", "fake"))
    solution = solve_milp(graph, cluster, gap=0)
    assert (solution.status, solution.termination, solution.bound_s) == ("feasible", "failed", 0.0)
    assert solution.latency_s >= optimum_s
    assert "infeasible" in solution.reason


def test_a_failure_keeps_the_incumbent(graph, cluster, optimum_s, lying):
    """A back end that fails loses nothing that was known before."""
    lying(lambda outcome: Outcome("error", None, None, None, "numerical trouble", "fake"))
    solution = solve_milp(graph, cluster, gap=0)
    check(solution, graph, cluster, optimum_s)
    assert "failed on three: numerical trouble" in solution.reason


@pytest.mark.parametrize(
    ("module", "place", "error", "reason"),
    [
        (team_search, "run_backend", SolverError("back end 'highs' ended with code 1: it printed nothing"), "ended with code 1"),
        (exact_programs, "Formulation", ZeroDivisionError("float division by zero"), "floating-point"),
    ],
)
def test_a_back_end_that_cannot_run_keeps_the_incumbent(module, place, error, reason, graph, cluster, optimum_s, monkeypatch):
    """The same where its process ends without an outcome, or its program cannot be written; without a plan that is an error."""

    def fail(*arguments, **options):
        raise error

    monkeypatch.setattr(module, place, fail)
    solution = solve_milp(graph, cluster, gap=0)
    check(solution, graph, cluster, optimum_s)
    assert reason in solution.reason
    monkeypatch.setattr(team_search.TeamSearch, "_sorted_teams", lambda self, teams: list(teams))
    with pytest.raises(SolverError, match=reason):
        solve_milp(graph, cluster, gap=0)


def test_a_point_that_is_no_plan_is_left_out(graph, cluster, optimum_s, lying):
    """A point whose shares do not sum to the dimension is no plan; what was known before stays."""
    lying(lambda outcome: replace(outcome, x=outcome.x * 0.4))
    solution = solve_milp(graph, cluster, gap=0)
    check(solution, graph, cluster, optimum_s)
    assert "is no plan" in solution.reason


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda outcome: Outcome("error", None, None, None, "numerical trouble", "fake"), "failed on three: numerical trouble"),
        (lambda outcome: replace(outcome, x=outcome.x * 0.4), "is no plan"),
    ],
)
def test_without_any_plan_it_is_an_error(change, message, graph, cluster, lying, monkeypatch):
    """Where the back end is wrong and no plan is known, there is nothing to return."""
    monkeypatch.setattr(team_search.TeamSearch, "_sorted_teams", lambda self, teams: list(teams))
    lying(change)
    with pytest.raises(SolverError, match=message):
        solve_milp(graph, cluster, gap=0)


def test_one_team_in_doubt_leaves_the_others(graph, lying):
    """Among the teams of three devices one is mispriced: its bound is that of its nodes, and the bound of the best team is no larger."""
    cluster = Cluster(tuple(Device(name, speed, 1e6, 1e5) for name, speed in (("a", 1e5), ("b", 3e5), ("c", 1e5))), connection_setup_s=1e-5)
    optimum_s = solve_exhaustive(graph, cluster, team="best").latency_s
    runs = iter(range(100))
    lying(lambda outcome: replace(outcome, objective=outcome.objective * 0.9) if next(runs) == 0 and outcome.x is not None else outcome)
    solution = solve_milp(graph, cluster, team="best", gap=0)
    check(solution, graph, cluster, optimum_s)
    assert solution.latency_s == pytest.approx(optimum_s)


def test_the_reason_of_infeasibility_survives_a_back_end_without_one(graph, monkeypatch):
    """Where the search for the plan closest to fitting finds none in time, the closest of the plans known is explained."""
    small = Cluster((Device("a", 1e5, 100, 1e6), Device("b", 1e5, 100, 1e6)))
    monkeypatch.setattr(team_search, "least_memory_plan", lambda *arguments, **options: None)
    solution = solve_milp(graph, small)
    assert solution.status == "infeasible"
    assert "would fit with" in solution.reason


def test_the_first_plan_is_refined_where_the_bound_is_far_from_it(monkeypatch, graph, cluster):
    """The shares of the first plan are solved before the program is built, but not where the bound on nodes is near: there the program is small."""
    better = solve_exhaustive(graph, cluster).plan
    for wide, offered in ((0.0, [better]), (0.999, [])):
        monkeypatch.setattr(team_search, "_WIDE", wide)
        refined = []
        monkeypatch.setattr(team_search, "refined_plan", lambda *_: refined.append(better) or better)  # noqa: B023
        solution = solve_milp(graph, cluster, gap=0)
        assert refined == offered
        assert solution.status == "optimal"
