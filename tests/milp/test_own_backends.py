"""Back ends of other people: how they are found, and what they are held to."""

import importlib
import os
import subprocess
import sys
import textwrap
from importlib.metadata import EntryPoint, EntryPoints

import pytest
from support.backends import knapsack, options

from iopopt import BACKENDS, PluginError, SolverError, UnknownNameError, load_cluster, load_model, register_backend, solve_milp
from iopopt.bench.command import main as bench
from iopopt.milp.process import run_backend
from iopopt.registry import Registry

MODULE = """
import os
import numpy as np
from iopopt.milp.backends import Backend, Outcome, Progress
from iopopt.milp.backends.scipy_highs import ScipyHighs

class Mine(ScipyHighs):
    summary = "scipy by another name"
    class Nested(ScipyHighs):
        pass

class Shouts(ScipyHighs):
    def solve(self, program, options, report):
        print(3, "\\n[1, 2]", flush=True)
        os.write(1, b"[7]\\n{}\\nnull\\n")
        os.system("echo 4")
        report(Progress(None, float("-inf")))
        report(Progress(np.float32(20), 1))
        return super().solve(program, options, report)

class Raises(Backend):
    def solve(self, program, options, report):
        raise ZeroDivisionError("no licence")

class Leaves(Backend):
    def solve(self, program, options, report):
        raise SystemExit("no licence")

class Lacks(Backend):
    def solve(self, program, options, report):
        import a_solver_that_is_not_installed

class Misreports(Backend):
    def solve(self, program, options, report):
        report({"bound": 3})

class Returns(Backend):
    def answer(self, program):
        return {"status": "optimal"}
    def solve(self, program, options, report):
        return self.answer(program)

def returning(*fields):
    return lambda self, program: Outcome(*fields, "", "")

class WrongSize(Returns):
    answer = returning("feasible", np.zeros(1), 1.0, None)

class NotANumber(Returns):
    def answer(self, program):
        return Outcome("feasible", np.full(len(program.objective), np.nan), 1.0, None, "", "")

class NoObjective(Returns):
    answer = returning("feasible", np.zeros(4), None, None)

class InfiniteBound(Returns):
    answer = returning("unknown", None, None, float("nan"))

class Pointless(Returns):
    answer = returning("optimal", None, None, 1.0)

class Doubtful(Returns):
    answer = returning("infeasible", np.zeros(4), 1.0, None)

class NewStatus(Returns):
    answer = returning("ok", None, None, None)

class Dies(Backend):
    def solve(self, program, options, report):
        report(Progress(None, 0.125))
        os.write(1, b"")
        os.abort()
    def saved_incumbents(self, directory, size):
        return [(1.5, np.zeros(size))]

class DiesBadly(Dies):
    def saved_incumbents(self, directory, size):
        return [(1.5, np.zeros(1))]

class Unfinished(Backend):
    pass

class Duck:
    def solve(self, program, options, report):
        return None

class Vague(ScipyHighs):
    tolerance = "small"

class Needy(ScipyHighs):
    def __init__(self, licence):
        pass

def function(program, options, report):
    return None

def made():
    class Local(ScipyHighs):
        pass
    return Local

Local = made()
"""


@pytest.fixture(autouse=True)
def mine(tmp_path, monkeypatch):
    """The module ``own_solver``, on Python's path for this test; nothing stays registered."""
    (tmp_path / "own_solver.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(BACKENDS, "_registered", {})
    importlib.invalidate_caches()
    yield importlib.import_module("own_solver")
    del sys.modules["own_solver"]


@pytest.fixture(scope="module")
def lenet():
    graph = load_model("lenet5")
    return graph, load_cluster("mcu-x3", graph)


def run(name):
    return run_backend(name, knapsack(), options())


@pytest.mark.parametrize("place", ["own_solver:Mine", "own_solver:Mine.Nested"])
def test_a_class_is_found_by_its_place(place, lenet):
    """A class of a module on the path solves in the child, and the Solution names it."""
    solution = solve_milp(*lenet, backend=place, without=("pruning",))
    assert (solution.status, solution.backend) == ("optimal", place)
    assert solution.latency_s == pytest.approx(solve_milp(*lenet).latency_s, rel=1e-4)


def test_a_registered_class_is_found_by_its_name(mine, lenet):
    """A class that the parent registers is found in the child, which knows no such name."""
    register_backend("mine", mine.Mine)
    assert "mine" in BACKENDS
    assert solve_milp(*lenet, backend="mine", without=("pruning",)).status == "optimal"
    with pytest.raises(UnknownNameError, match=r"mine.*package.module:name"):
        BACKENDS.find("yours")


def test_the_current_folder_is_on_the_childs_path(tmp_path):
    """With '' on the path, as in an interactive session, a module of the current folder is found."""
    program = (
        "import iopopt; g = iopopt.load_model('lenet5')\n"
        "print(iopopt.solve_milp(g, iopopt.load_cluster('mcu-x3', g), backend='own_solver:Mine', without=('pruning',)).status)"
    )
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("optimal\n", "")


def test_announced_classes_are_found(monkeypatch, lenet):
    """An installed package announces a class under the entry-point group."""
    points = EntryPoints([EntryPoint("announced", "own_solver:Mine", "iopopt.backends")])
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **wanted: points.select(**wanted))
    monkeypatch.setattr("iopopt.milp.process.BACKENDS", Registry("back end", "iopopt.backends", {}, BACKENDS._adapt))
    assert run("announced").outcome.status == "optimal"


def test_the_bench_takes_a_class(tmp_path, capsys):
    """``--backend module:Class``; a module that does not exist is bad input."""
    words = ["--model", "lenet5", "--methods", "milp", "--quiet", "--backend"]
    assert bench([*words, "own_solver:Mine"]) == 0
    assert bench([*words, "no_such_solver:Mine"]) == 2
    assert "'no_such_solver:Mine' cannot be imported (ModuleNotFoundError" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("Unfinished", "Unfinished has no solve; derive it from iopopt.Backend"),
        ("Duck", "Duck has no summary, tolerance, saved_incumbents"),
        ("Vague", "its tolerance is 'small'"),
        ("Needy", "Needy cannot be made without arguments"),
        ("function", "a class derived from iopopt.Backend is expected"),
        ("Local", "cannot be imported by another process.*top level of a module"),
    ],
)
def test_what_is_no_back_end_is_refused(mine, name, complaint):
    """By its place and when it is registered."""
    with pytest.raises(PluginError, match=complaint):
        BACKENDS.find(f"own_solver:{name}")
    with pytest.raises(PluginError, match=complaint):
        register_backend("mine", getattr(mine, name))
    assert "mine" not in BACKENDS


def test_classes_of_scripts_are_refused(tmp_path):
    """A class of ``__main__`` exists in no other process."""
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(
            """
            import iopopt
            from iopopt.milp.backends.scipy_highs import ScipyHighs
            class Mine(ScipyHighs):
                pass
            try:
                iopopt.register_backend("mine", Mine)
            except iopopt.PluginError as error:
                print(error)
            """
        ),
        encoding="utf-8",
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.startswith("back end 'mine': __main__:Mine cannot be imported by another process")


def test_the_name_of_a_built_in_is_refused(mine):
    """The toolkit's own stay what they are."""
    with pytest.raises(PluginError, match="'highs' is built in"):
        register_backend("highs", mine.Mine)


def test_what_a_solver_prints_is_no_trajectory():
    """Numbers and lists on standard output, of Python, of a library and of another program, reach nobody; reports do."""
    found = run("own_solver:Shouts")
    assert found.outcome.status == "optimal"
    assert [tuple(point.progress) for point in found.trajectory] == [(None, None), (20.0, 1.0)]


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("Raises", r"ZeroDivisionError: no licence \(.*own_solver\.py, line \d+\)"),
        ("Leaves", "ended with code 1: no licence"),
        ("Lacks", "ModuleNotFoundError: No module named 'a_solver_that_is_not_installed'"),
        ("Misreports", r"it reported \{'bound': 3\}; a Progress is expected"),
        ("Returns", r"solve returned \{'status': 'optimal'\}; an Outcome is expected"),
        ("WrongSize", "an array of 4 numbers is expected"),
        ("NotANumber", "its x is not finite at variable 0"),
        ("NoObjective", "an x without an objective"),
        ("InfiniteBound", "its bound is nan"),
        ("Pointless", "its status is 'optimal', but it has no x"),
        ("Doubtful", "its status is 'infeasible', but it has an x"),
        ("NewStatus", "its status is 'ok'; known are optimal, feasible"),
    ],
)
def test_what_fails_is_named_with_the_reason(name, complaint):
    """Whatever a back end raises or returns ends in one error that names it."""
    with pytest.raises(SolverError, match=f"back end 'own_solver:{name}' .*{complaint}"):
        run(f"own_solver:{name}")


def test_what_a_killed_back_end_saved_is_kept():
    """Its incumbent and its last bound are the outcome; an incumbent of the wrong size is an error."""
    found = run("own_solver:Dies")
    assert found.crash == "SIGABRT"
    assert (found.outcome.status, found.outcome.objective, found.outcome.bound) == ("feasible", 1.5, 0.125)
    with pytest.raises(SolverError, match=r"'own_solver:DiesBadly': the incumbents that it saved cannot be read.*array of 4 numbers"):
        run("own_solver:DiesBadly")


def test_a_back_end_saves_nothing_unless_it_says_so(tmp_path, mine):
    """The default of the base class."""
    assert mine.Mine().saved_incumbents(tmp_path, 3) == []
