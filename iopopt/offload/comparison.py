"""Methods on named instances: one run each, whatever it raises."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from iopopt.commands.results import cause
from iopopt.cost.stopwatch import Stopwatch
from iopopt.errors import IopoptError
from iopopt.offload.instance import OffloadInstance
from iopopt.offload.methods import OFFLOAD_METHODS
from iopopt.offload.methods.nfl import solve_best_cut, solve_local, solve_remote
from iopopt.offload.recursion import OffloadObjective
from iopopt.offload.solution import OffloadSolution, checked_offload_solution
from iopopt.offload.space import OffloadSpace


@dataclass(frozen=True)
class Settings:
    """The common options, each passed to the methods that take it."""

    space: OffloadSpace
    objective: OffloadObjective
    time_limit_s: float


class Baselines(NamedTuple):
    """What no fused layers give, by the objective, seconds."""

    best_cut_s: float
    local_s: float
    remote_s: float


@dataclass(frozen=True)
class Case:
    """A named instance, and what it is measured by.

    Attributes:
        uplink_mbit: what the command line set the uplink to, Mbit/s; None if it is as a file says.
    """

    name: str
    instance: OffloadInstance
    settings: Settings
    uplink_mbit: float | None = None

    @cached_property
    def baselines(self) -> Baselines:
        """No fused layers: the best single cut, everything on the devices, everything on servers."""
        objective = self.settings.objective
        return Baselines(*(solve(self.instance, objective=objective).value_s for solve in (solve_best_cut, solve_local, solve_remote)))


@dataclass(frozen=True)
class OffloadRun:
    """One method on one case with one seed; ``solution`` is None, and ``reason`` says why, if it failed."""

    case: Case
    method: str
    seed: int | None
    solution: OffloadSolution | None
    reason: str
    seconds: float

    @property
    def label(self) -> str:
        """The method's name in tables."""
        return OFFLOAD_METHODS.find(self.method).label

    @property
    def value_s(self) -> float:
        """What its plan comes to, by the objective; infinite without one."""
        return math.inf if self.solution is None else self.solution.value_s

    @property
    def interrupted(self) -> bool:
        """Whether the user stopped it."""
        return self.solution is not None and self.solution.termination == "interrupted"


def best_run(runs: Sequence[OffloadRun]) -> OffloadRun | None:
    """The run with the best plan, of equal ones one that proves the most; None if none has a plan."""
    return min((run for run in runs if run.solution), key=lambda run: (run.value_s, _gap(run)), default=None)


def _gap(run: OffloadRun) -> float:
    return math.inf if run.solution is None or run.solution.gap is None else run.solution.gap


def seeded_runs(case: Case, method: str, seeds: int) -> Iterator[OffloadRun]:
    """A method with every seed; once only where the first answer says that seeds change nothing: it has none, or a bound is proven."""
    for seed in range(seeds):
        run = run_method(case, method, seed)
        yield run
        if run.solution is None or run.seed is None or run.solution.bound_s is not None:
            return


def run_method(case: Case, method: str, seed: int) -> OffloadRun:
    """Run one method; whatever it raises becomes a run without a plan."""
    entry, watch = OFFLOAD_METHODS.find(method), Stopwatch()
    options = {key: value for key, value in {**vars(case.settings), "seed": seed}.items() if key in entry.takes}
    reason, solution = "", None
    try:
        solution = checked_offload_solution(case.instance, entry.solve(case.instance, **options))
    except IopoptError as error:
        reason = str(error)
    except (Exception, SystemExit) as error:  # methods may be anybody's
        reason = cause(error)
    return OffloadRun(case, method, solution.seed if solution else None, solution, reason, watch.elapsed_s)
