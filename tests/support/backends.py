"""Which back ends can be tested here, and a program for them."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import scipy.optimize
from scipy.optimize import milp

from iopopt import PluginError, SolverError
from iopopt.methods import team_search
from iopopt.methods.weight_splits import optimum
from iopopt.milp import memory_program
from iopopt.milp.affine import constant, times, total
from iopopt.milp.backends import Options
from iopopt.milp.backends.scipy_highs import ScipyHighs
from iopopt.milp.process import Run, run_backend
from iopopt.milp.program import Program, ProgramBuilder

BUILT_IN = ("highs", "scip", "cbc", "scipy")
"""These are dependencies: without one of them a test fails."""


def options(**changes) -> Options:
    """Half a minute, no gap."""
    return Options(**{"time_limit_s": 30.0, "gap": 0.0, "seed": 0, "threads": 1, "start": {}, "directory": "", **changes})


def knapsack(capacity: float = 7.5) -> Program:
    """min -5a - 4b - 3c with 2a + 3b + c <= capacity, all in {0, 1, 2}: costs shifted so that they are at least 0."""
    builder = ProgramBuilder()
    items = [builder.variable((name,), upper=2, integer=True) for name in "abc"]
    missing = builder.variable(("missing",), cost=1)
    worth, weight = (total(times(value, item) for value, item in zip(values, items, strict=True)) for values in ((5, 4, 3), (2, 3, 1)))
    builder.at_least(("worth",), worth + times(1, missing), constant(30))
    builder.at_most(("weight",), weight, constant(capacity))
    return builder.build()


HERE = 1e-5
"""The accuracy of what is solved in this process, relative: scipy's HiGHS has wider tolerances than that of back end ``highs``."""


@contextmanager
def solved_here() -> Iterator[None]:
    """The exact method and DeeperThings call back end ``scipy`` in this process: to start a child takes longer than a tiny program.

    OR-Tools must not be loaded here: its HiGHS and that of scipy may crash each other. The presolve of scipy's HiGHS is left out, and the start that
    solves shares by programs of its own, because some tiny programs crash it.
    """

    def run(backend: str, program: Program, options: Options, *, grace_s: float | None = None) -> Run:
        assert backend == "scipy"
        return Run(ScipyHighs().solve(program, options, lambda progress: None))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ScipyHighs, "tolerance", HERE)
        patch.setattr(scipy.optimize, "milp", lambda *costs, options, **program: milp(*costs, options={**options, "presolve": False}, **program))
        patch.setattr(team_search, "refined_plan", lambda *_: None)
        for module in (team_search, memory_program, optimum):
            patch.setattr(module, "run_backend", run)
        yield


def usable(name: str) -> str:
    """The name of a back end; the test is skipped if another package announces it, but it or its library is not installed here."""
    if name not in BUILT_IN and (missing := _missing(name)):
        pytest.skip(f"back end {name!r} is not installed: {missing}")
    return name


@functools.cache
def _missing(name: str) -> str | None:
    builder = ProgramBuilder()
    builder.at_least(("row",), times(1, builder.variable(("a",), cost=1)), constant(1))
    try:
        run_backend(name, builder.build(), Options(10.0, 0.0, 0, 1, {}, ""))
    except PluginError as error:
        return str(error)
    except SolverError as error:
        if "ModuleNotFoundError" not in str(error):
            raise
        return str(error)
    return None
