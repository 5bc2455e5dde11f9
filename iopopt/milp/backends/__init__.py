"""The solvers, each as one function ``solve(program, options, report) -> Outcome``. A new back end is one file here and one line below.

Back ends run in a child process (:mod:`iopopt.milp.worker`), which allows threads, a trajectory and cancellation at any time, and separates
solver libraries that cannot share a process.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, cast

from iopopt.errors import SolverError, UnknownNameError
from iopopt.milp.program import FloatArray, Program

LEAST_SOLVE_S = 0.1
"""The shortest time limit that a solver is given, seconds: enough for tiny programs."""

OutcomeStatus = Literal["optimal", "feasible", "infeasible", "unknown", "error"]


@dataclass(frozen=True)
class Options:
    """The settings of a solve.

    Attributes:
        time_limit_s: seconds of wall clock.
        gap: the relative gap (incumbent - bound) / incumbent at which to stop.
        seed: the solver's random seed.
        threads: how many threads the solver may use.
        start: values of integral variables to start from, by index; may be empty.
        directory: where the back end may write files.
    """

    time_limit_s: float
    gap: float
    seed: int
    threads: int
    start: Mapping[int, float]
    directory: str


@dataclass(frozen=True)
class Outcome:
    """What a back end found: ``x`` and ``objective`` of the incumbent, and a proven lower ``bound``; None if it has none."""

    status: OutcomeStatus
    x: FloatArray | None
    objective: float | None
    bound: float | None
    message: str
    version: str


class Progress(NamedTuple):
    """One point of a solver's trajectory, in units of the objective; None if there is no value yet."""

    incumbent: float | None
    bound: float | None


Report = Callable[[Progress], None]
"""Receives the points of the trajectory as they are found."""

Incumbent = tuple[float, FloatArray]
"""An objective and its point."""


Solve = Callable[[Program, Options, Report], Outcome]

SavedIncumbents = Callable[[Path, int], list[Incumbent]]
"""Reads the incumbents that a solver has written to its directory so far, given their number of variables; complete ones only."""


@dataclass(frozen=True)
class BackendInfo:
    """The registry entry of a back end: its module, a description, and the accuracy of its objectives."""

    module: str
    summary: str
    tolerance: float
    """Relative: HiGHS runs at 1e-9, the others at the accuracy that they reach."""


BACKENDS: Mapping[str, BackendInfo] = {
    "highs": BackendInfo("iopopt.milp.backends.highs", "HiGHS through OR-Tools MathOpt", 1e-8),
    "cbc": BackendInfo("iopopt.milp.backends.cbc", "CBC through PuLP", 1e-6),
    "scipy": BackendInfo("iopopt.milp.backends.scipy_highs", "HiGHS through scipy.optimize.milp", 1e-6),
}


def backend_info(name: str) -> BackendInfo:
    """The entry of a back end.

    Raises:
        UnknownNameError: if no back end has that name.
    """
    if name not in BACKENDS:
        raise UnknownNameError("back end", name, BACKENDS)
    return BACKENDS[name]


def load_backend(name: str) -> Solve:
    """The ``solve`` function of a back end.

    Raises:
        UnknownNameError: if no back end has that name.
        SolverError: if its library cannot be imported.
    """
    info = backend_info(name)
    try:
        return cast(Solve, importlib.import_module(info.module).solve)
    except ImportError as error:
        raise SolverError(f"back end {name!r} ({info.summary}) cannot be loaded: {error}") from error


def saved_incumbents(name: str, directory: Path, size: int) -> list[Incumbent]:
    """The incumbents in the directory of a back end that was killed; none if its module cannot read any."""
    read: SavedIncumbents | None = getattr(importlib.import_module(backend_info(name).module), "saved_incumbents", None)
    return [] if read is None else read(directory, size)
