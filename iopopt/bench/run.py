"""Runs methods on an instance, and turns Solutions into rows of a tidy table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from iopopt.bench.instance import Instance
from iopopt.cost.evaluation import Evaluation
from iopopt.errors import IopoptError
from iopopt.methods import METHODS, solve
from iopopt.methods.solution import Solution


@dataclass(frozen=True)
class Settings:
    """The common options, passed to every method that takes them."""

    time_limit_s: float
    gap: float
    backend: str


@dataclass(frozen=True)
class Run:
    """One method on one instance with one seed (None if the method has none)."""

    instance: Instance
    method: str
    seed: int | None
    solution: Solution

    @property
    def name(self) -> str:
        """The stem of the run's files."""
        seed = "" if self.seed is None else f"-seed{self.seed}"
        cluster = "".join(character if character.isalnum() or character in "-+@._" else "_" for character in self.instance.cluster_name)
        return f"{self.instance.model}-{cluster}-{self.method}{seed}"


def seeds_of(method: str, count: int) -> Sequence[int | None]:
    """The seeds to run a method with: one run if seeds do not change the result."""
    return range(count) if "seed" in METHODS[method].takes and not METHODS[method].proves_bounds else (None,)


def run_method(instance: Instance, method: str, seed: int | None, settings: Settings) -> Run:
    """Run one method; an error becomes a Solution of status ``error`` with its message, so that the benchmark continues."""
    takes = METHODS[method].takes
    options: dict[str, Any] = {"time_limit_s": settings.time_limit_s, "gap": settings.gap, "backend": settings.backend}
    options = {key: value for key, value in options.items() if key in takes}
    if seed is not None:
        options["seed"] = seed
    try:
        solution = solve(instance.graph, instance.cluster, method, **options)
    except IopoptError as error:
        solution = Solution(
            plan=None,
            status="error",
            termination="failed",
            latency_s=math.inf,
            bound_s=None,
            space="none",
            build_s=0.0,
            solve_s=0.0,
            method=method,
            seed=seed,
            reason=str(error),
        )
    return Run(instance, method, seed, solution)


def best_latency_s(runs: Sequence[Run]) -> float:
    """The least latency of a plan that fits the memory; infinite if there is none."""
    return min((run.solution.latency_s for run in runs if run.solution.status in ("optimal", "feasible")), default=math.inf)


def row(run: Run, best_s: float) -> dict[str, Any]:
    """One row of the tidy table; every figure is the evaluator's for the returned plan; empty without one."""
    instance, solution = run.instance, run.solution
    latency = solution.latency_s if solution.plan else None
    fits = solution.status in ("optimal", "feasible")
    return {
        "model": instance.model,
        "cluster": instance.cluster_name,
        "devices": len(instance.cluster),
        "method": run.method,
        "seed": run.seed,
        "status": solution.status,
        "termination": solution.termination,
        "space": solution.space,
        "latency_s": latency,
        "bound_s": solution.bound_s,
        "gap_to_best": solution.latency_s / best_s - 1 if fits else None,
        "proven_gap": solution.gap,
        "speedup_over_coedge": instance.coedge_s / latency if latency else None,
        "speedup_over_single": instance.single_s / latency if latency else None,
        **_evaluation_columns(solution.evaluation),
        "build_s": solution.build_s,
        "solve_s": solution.solve_s,
        "backend": solution.backend,
        "backend_version": solution.backend_version,
        "reason": solution.reason,
        "iopopt_version": version("iopopt"),
    }


def _evaluation_columns(evaluation: Evaluation | None) -> dict[str, Any]:
    if evaluation is None:
        return dict.fromkeys(("peak_memory_bytes", "device_memory_bytes", "connections", "transferred_bytes", "compute_s", "communication_s"))
    return {
        "peak_memory_bytes": max(evaluation.memory_bytes),
        "device_memory_bytes": " ".join(f"{demand:.0f}" for demand in evaluation.memory_bytes),
        "connections": evaluation.connections,
        "transferred_bytes": evaluation.transferred_bytes,
        "compute_s": evaluation.compute_s,
        "communication_s": evaluation.communication_s,
    }
