"""What a back end is: a class that solves a program, with the types that it takes and returns."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple, Protocol

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


class Backend(Protocol):
    """A solver; a class of your own derives from this one.

    It is made without arguments, once for each program, in a child process. It may therefore block, print and import any library; import the
    library in :meth:`solve`, because the parent process also imports the class, to read its attributes.

    Attributes:
        summary: what it is, in a few words.
        tolerance: the relative accuracy of its objectives and bounds.
    """

    summary: ClassVar[str] = ""
    tolerance: ClassVar[float] = 1e-6

    @abstractmethod
    def solve(self, program: Program, options: Options, report: Report) -> Outcome:
        """Solve ``program``; never ``infeasible`` because the time is over, never ``optimal`` without a proof to ``options.gap``.

        An exception ends the search with a :class:`~iopopt.SolverError` that quotes it.
        """

    def saved_incumbents(self, directory: Path, size: int) -> list[Incumbent]:
        """The complete incumbents of ``size`` variables that :meth:`solve` has written to its directory, after its process was killed."""
        return []
