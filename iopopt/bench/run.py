"""Runs methods on an instance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from iopopt.bench.instance import Instance
from iopopt.commands.results import cause
from iopopt.cost.stopwatch import Stopwatch
from iopopt.errors import IopoptError
from iopopt.methods import METHODS, Method, solve
from iopopt.methods.solution import Solution
from iopopt.simulation.simulate import Simulator


@dataclass(frozen=True)
class Settings:
    """The common options, each passed to the methods that take it; one that does not know the objective minimises the latency."""

    time_limit_s: float
    gap: float
    backend: str
    threads: int
    longest_block: int = 1
    objective: str = "latency"
    deadline_s: float | None = None


@dataclass(frozen=True)
class Run:
    """One method on one instance with one seed (None if the method has none), and when it was started.

    Attributes:
        events_s: the makespan of its plan without barriers (:func:`iopopt.simulate`), seconds; infinite without a plan.
    """

    instance: Instance
    method: str
    seed: int | None
    settings: Settings
    started: datetime
    solution: Solution
    events_s: float = math.inf

    @property
    def label(self) -> str:
        """The method's name in tables."""
        return METHODS.find(self.method).label

    @property
    def latency_s(self) -> float:
        """The price of its plan by equation (6), seconds, whatever clock the method looked at; infinite without a plan."""
        return math.inf if self.solution.evaluation is None else self.solution.evaluation.latency_s

    @property
    def fits(self) -> bool:
        """Whether there is a plan that fits the memory."""
        return self.solution.status in ("optimal", "feasible")


def seeds_of(method: str, count: int) -> Sequence[int | None]:
    """The seeds to run a method with: one run if seeds do not change the result."""
    info = METHODS.find(method)
    return range(count) if "seed" in info.takes and not info.proves_bounds else (None,)


def run_method(instance: Instance, method: str, seed: int | None, settings: Settings) -> Run:
    """Run one method; whatever it raises becomes a Solution of status ``error`` with the reason, so that the benchmark continues."""
    started, watch = datetime.now(UTC), Stopwatch()
    options = _options(METHODS.find(method), instance, seed, settings)
    try:
        solution = solve(instance.graph, instance.cluster, method, **options)
    except IopoptError as error:
        solution = _failed(method, seed, str(error), watch.elapsed_s)
    except (Exception, SystemExit) as error:  # methods may be anybody's
        solution = _failed(method, seed, cause(error), watch.elapsed_s)
    events_s = math.inf if solution.plan is None else Simulator(instance.graph, instance.cluster).makespan_s(solution.plan)
    return Run(instance, method, seed, settings, started, solution, events_s)


def _options(info: Method, instance: Instance, seed: int | None, settings: Settings) -> dict[str, Any]:
    """The common options that the method takes. A method that cannot choose the team splits over all devices."""
    team = "all" if instance.team == "best" and not info.chooses_team else instance.team
    options = {"team": team, **vars(settings)}
    if settings.objective not in info.objectives:
        del options["objective"], options["deadline_s"]
    return {key: value for key, value in options.items() if key in info.takes} | ({} if seed is None else {"seed": seed})


def _failed(method: str, seed: int | None, reason: str, solve_s: float) -> Solution:
    return Solution(
        plan=None,
        status="error",
        termination="failed",
        latency_s=math.inf,
        bound_s=None,
        space="none",
        build_s=0.0,
        solve_s=solve_s,
        method=method,
        seed=seed,
        reason=reason,
    )


def best_latency_s(runs: Sequence[Run]) -> float:
    """The least latency, by equation (6), of a plan that fits the memory; infinite if there is none."""
    return min((run.latency_s for run in runs if run.fits), default=math.inf)
