"""The files of a comparison: a tidy CSV, and every instance, plan and solution as JSON, written after every run; a picture of each best plan."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from iopopt.commands.results import ResultsDirectory, Row, environment, unused_stem
from iopopt.offload.comparison import Case, OffloadRun, best_run
from iopopt.offload.explanation import recomputed
from iopopt.offload.instance import OffloadInstance
from iopopt.offload.plan import OffloadPlan
from iopopt.offload.recursion import OffloadPricer
from iopopt.offload.table import cuts_text, fused_text, paths_text
from iopopt.offload.timeline import offload_timeline
from iopopt.pictures import draw_timeline, save_figure
from iopopt.pictures.figures import figure_of

RESULTS = "results.csv"


class OffloadOutput(ResultsDirectory):
    """A directory of results.

    Raises:
        FileFormatError: if it cannot be created or written, or holds the results of another run.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, ("instances", "plans", "solutions", "pictures"), RESULTS)
        self._cases: dict[int, str] = {}

    def save_runs(self, runs: Sequence[OffloadRun]) -> None:
        """Write the newest run's instance, plan and solution, and the table of all runs so far, because the gap to the best depends on all of them.

        Raises:
            FileFormatError: if a file cannot be written; the message names it.
        """
        run = runs[-1]
        name = self.add_name([run.case.name, run.method, *([] if run.seed is None else [f"seed{run.seed}"])])
        records: dict[str, dict[str, Any]] = {f"instances/{self._case(run.case)}": run.case.instance.to_dict()}
        if run.solution is not None:
            records |= {f"plans/{name}": run.solution.plan.to_dict(), f"solutions/{name}": run.solution.to_dict()}
        self.save(records, {RESULTS: [_row(each, stem, _best_s(each, runs)) for each, stem in zip(runs, self.names, strict=True)]})

    def draw_best(self, runs: Sequence[OffloadRun]) -> None:
        """The timeline of the best plan of a case, as a picture.

        Raises:
            MissingExtraError: if matplotlib is missing.
            FileFormatError: if it cannot be written.
        """
        best = best_run(runs)
        if best is not None and best.solution is not None:
            draw(best.case.instance, best.solution.plan, self.path / "pictures" / f"{self._case(best.case)}.png")

    def _case(self, case: Case) -> str:
        """The stem of a case's files."""
        if id(case) not in self._cases:
            self._cases[id(case)] = unused_stem([case.name], self._cases.values())
        return self._cases[id(case)]


def draw(instance: OffloadInstance, plan: OffloadPlan, path: Path) -> None:
    """A plan in time, as a picture.

    Raises:
        MissingExtraError: if matplotlib is missing.
        FileFormatError: if the file cannot be written.
    """
    save_figure(figure_of(draw_timeline(offload_timeline(instance, plan))), path)


def _best_s(run: OffloadRun, runs: Sequence[OffloadRun]) -> float:
    best = best_run([other for other in runs if other.case is run.case])
    return math.inf if best is None else best.value_s


def _row(run: OffloadRun, name: str, best_s: float) -> Row:
    """One run; figures of the plan are empty without one, and lists have an entry for each device, separated by slashes."""
    case, solution = run.case, run.solution
    plan = None if solution is None else solution.plan
    value_s = None if solution is None else solution.value_s
    speedups = {f"speedup_over_{key.removesuffix('_s')}": over_s / value_s if value_s else None for key, over_s in case.baselines._asdict().items()}
    return {
        "run": name,
        "instance": case.name,
        "method": run.method,
        "seed": run.seed,
        "devices": len(case.instance.clients),
        "workers": case.instance.workers,
        "status": "error" if solution is None else solution.status,
        "termination": "failed" if solution is None else solution.termination,
        "space": None if solution is None else solution.space,
        "objective": case.settings.objective,
        "value_s": value_s,
        "bound_s": None if solution is None else solution.bound_s,
        "gap_to_best": None if value_s is None else value_s / best_s - 1 if best_s else 0.0,
        "proven_gap": None if solution is None else solution.gap,
        **speedups,
        "fused": None if plan is None else fused_text(plan),
        "paths": None if plan is None else paths_text(plan),
        "cuts": None if plan is None else cuts_text(plan),
        "recomputed": None if plan is None else _recomputed_text(case.instance, plan),
        "seconds": run.seconds,
        "searched": None if solution is None else solution.searched,
        "reason": run.reason,
        "asked_space": case.settings.space.name,
        "asked_time_limit_s": case.settings.time_limit_s,
        "asked_uplink_mbit": case.uplink_mbit,
        **environment(),
    }


def _recomputed_text(instance: OffloadInstance, plan: OffloadPlan) -> str:
    pricer = OffloadPricer(instance)
    return "/".join(f"{recomputed(pricer, number, planned):.6g}" for number, planned in enumerate(plan.clients))
