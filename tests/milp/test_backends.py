"""Every back end says the same, and says what it proved and no more."""

import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support.backends import knapsack, options

from iopopt import SolverError, UnknownNameError, load_cluster, load_model, solve_dp, solve_milp
from iopopt.cost.instance import Instance
from iopopt.milp import process
from iopopt.milp.affine import constant, times
from iopopt.milp.backends import BACKENDS, highs, scip
from iopopt.milp.backends.highs import Highs
from iopopt.milp.formulation import Formulation
from iopopt.milp.process import run_backend
from iopopt.milp.program import Program, ProgramBuilder


def impossible() -> Program:
    """0 <= a <= 1 and a >= 2."""
    builder = ProgramBuilder()
    a = builder.variable(("a",), upper=1, integer=True, cost=1)
    builder.at_least(("row",), times(1, a), constant(2))
    return builder.build()


def hard() -> Program:
    """VGG19 on eight devices with half the memory: far beyond a second."""
    graph = load_model("vgg19")
    cluster = load_cluster("slow-link-x8-tight-0.2", graph)
    return Formulation(Instance(graph, cluster), range(8), 10.0).program


def test_the_optimum_of_a_small_programme(backend):
    """All 27 choices by hand: the best that weighs at most 7.5 is worth 16 (a=2, c=2), so 14 of 30 is missing."""
    best = min(30 - (5 * a + 4 * b + 3 * c) for a, b, c in itertools.product(range(3), repeat=3) if 2 * a + 3 * b + c <= 7.5)
    outcome = run_backend(backend, knapsack(), options()).outcome
    assert outcome.status == "optimal"
    assert best == 14
    assert outcome.objective == pytest.approx(14, abs=1e-6)
    assert outcome.bound == pytest.approx(14, abs=1e-4)
    assert np.allclose(outcome.x[:3], [2, 0, 2], atol=1e-6)


def test_an_impossible_programme_is_infeasible(backend):
    """What has no point is called infeasible, and carries neither point nor objective."""
    outcome = run_backend(backend, impossible(), options()).outcome
    assert (outcome.status, outcome.x, outcome.objective) == ("infeasible", None, None)


def test_a_solve_cut_short_claims_nothing(backend):
    """A time limit far too short gives a feasible or unknown outcome, never an optimal or infeasible one."""
    outcome = run_backend(backend, hard(), options(time_limit_s=0.3)).outcome
    assert outcome.status in ("feasible", "unknown")
    if outcome.objective is not None and outcome.bound is not None:
        assert outcome.bound < outcome.objective * (1 - 1e-3)


@pytest.mark.parametrize("order", list(itertools.permutations((("highs", "scip"), ("cbc",), ("scipy",)))))
def test_back_ends_load_in_one_process_in_any_order(order):
    """OR-Tools, PuLP and scipy can be used side by side, whichever comes first."""
    program = "\n".join(
        (
            "import sys, tempfile",
            "sys.path[:0] = sys.argv[1:2]",
            "from support.backends import knapsack, options",
            "from iopopt.milp.backends import BACKENDS",
            f"for name in {list(itertools.chain(*order))}:",
            "    outcome = BACKENDS.find(name)().solve(knapsack(), options(directory=tempfile.mkdtemp()), lambda line: None)",
            "    assert outcome.status == 'optimal' and abs(outcome.objective - 14) < 1e-6, (name, outcome)",
        )
    )
    done = subprocess.run([sys.executable, "-c", program, str(Path(__file__).parents[1])], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_an_unknown_back_end_names_those_that_exist():
    """A misspelt back end is answered with the nearest name."""
    with pytest.raises(UnknownNameError, match="Did you mean 'highs'"):
        BACKENDS.find("higs")


def test_a_child_that_dies_is_an_error(monkeypatch):
    """A worker that ends without an outcome is reported with what it printed last."""
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(SolverError, match="back end 'highs' ended with code 1"):
        run_backend("highs", knapsack(), options())


def test_a_child_that_a_fault_kills_loses_nothing(monkeypatch, tmp_path):
    """A fault in a solver's own code leaves what is known: the start, the bound that needs no solver, and the name of the signal."""
    fault = tmp_path / "fault"
    fault.write_text("#!/bin/sh\nkill -SEGV $$\n", encoding="utf-8")
    fault.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(fault))
    run = run_backend("highs", knapsack(), options())
    assert (run.crash, run.outcome.status) == ("SIGSEGV", "unknown")
    graph = load_model("alexnet")
    cluster = load_cluster("edge-x3", graph)
    solution = solve_milp(graph, cluster)
    assert (solution.status, solution.termination) == ("feasible", "failed")
    assert solution.latency_s <= solve_dp(graph, cluster).latency_s
    assert 0 < solution.bound_s < solution.latency_s
    assert "SIGSEGV" in solution.reason


def test_a_child_that_overstays_is_ended(monkeypatch):
    """A back end that ignores its time limit is ended from outside, and nothing is claimed for it."""
    monkeypatch.setattr(process, "GRACE_S", 0.0)
    monkeypatch.setattr(process, "_START_S", 0.0)
    run = run_backend("highs", hard(), options(time_limit_s=0.2))
    assert run.timed_out
    assert run.outcome.status in ("unknown", "feasible")


def test_half_written_incumbents_are_left_out(tmp_path):
    """Of two saved incumbents of which the second is cut off, only the first is read."""
    (tmp_path / "incumbents.sol").write_text("Objective 3.5\n# Columns 3\n 1\n 0\n 2\nObjective 2.5\n# Columns 3\n 1\n 0\n 1")
    ((objective, x),) = Highs().saved_incumbents(tmp_path, 3)
    assert objective == 3.5
    assert x.tolist() == [1, 0, 2]


def test_no_incumbents_are_read_from_nothing(tmp_path):
    """A directory without the file holds no incumbent."""
    assert Highs().saved_incumbents(tmp_path, 3) == []


@pytest.mark.parametrize(
    ("backend", "line", "point"),
    [
        (
            highs,
            "         0       0         0   0.00%   10.42          12.5             16.64%        0      0      0       108     0.0s",
            (12.5, 10.42),
        ),
        (highs, "         0       0         0   0.00%   -inf          inif              0.0s", None),
        (
            highs,
            "         0       0         0   0.00%   -inf            inf                  inf        0      0      0         0     0.0s",
            (None, None),
        ),
        (
            scip,
            "  0.2s|     1 |     0 |  5507 |     - |  5.5M |   0 | 252 |   3 |  55 |   0 | 9.992943e-01 | 1.062250e+00 |   6.3%| unknown",
            (1.06225, 0.9992943),
        ),
        (
            scip,
            "p 0.1s|     1 |     0 |     0 |     - | trivial|   0 | 252 |   3 |  55 |   0 |      --      |      --      |    Inf | unknown",
            (None, None),
        ),
        (scip, " time | node  | left  |LP iter|LP it/n|mem/heur|mdpt |vars |cons |rows |  dualbound   | primalbound  |  gap   | compl. ", None),
        (scip, "Presolving Time: 0.02", None),
    ],
)
def test_progress_is_read_from_the_log(backend, line, point):
    """Incumbent and bound of a row of the log; the bound is lowered by its last digit; other lines are none."""
    found = backend._point(line)
    if point is None:
        assert found is None
        return
    assert found.incumbent == point[0]
    assert found.bound == (None if point[1] is None else pytest.approx(point[1], rel=2e-6))
    assert point[1] is None or found.bound < point[1]


@pytest.mark.parametrize("backend", ["highs", "scip"])
def test_trajectories_end_at_the_outcome(backend):
    """On a program of some seconds the bounds of the log rise and stay below the incumbents, which fall."""
    graph = load_model("vgg11")
    program = Formulation(Instance(graph, load_cluster("slow-link-x3", graph)), range(3), 5.0).program
    run = run_backend(backend, program, options(gap=1e-4))
    bounds, incumbents = (
        [value for point in run.trajectory if (value := getattr(point.progress, name)) is not None] for name in ("bound", "incumbent")
    )
    assert len(bounds) >= 2
    assert bounds == sorted(bounds)
    assert incumbents == sorted(incumbents, reverse=True)
    assert max(bounds) <= run.outcome.objective * (1 + 1e-5)
    assert run.outcome.status == "optimal"
