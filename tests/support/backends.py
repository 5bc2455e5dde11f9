"""Which back ends can be tested here, and a program for them."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from iopopt import PluginError, SolverError
from iopopt.methods import team_search
from iopopt.milp import memory_program
from iopopt.milp.affine import constant, times, total
from iopopt.milp.backends import BACKENDS, Options
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


@contextmanager
def solved_here() -> Iterator[None]:
    """The exact method calls its back end in this process: to start a child takes longer than a tiny program."""

    def run(backend: str, program: Program, options: Options, *, grace_s: float | None = None) -> Run:
        with tempfile.TemporaryDirectory() as directory:
            return Run(BACKENDS.find(backend)().solve(program, replace(options, directory=directory), lambda progress: None))

    with pytest.MonkeyPatch.context() as patch:
        for module in (team_search, memory_program):
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
