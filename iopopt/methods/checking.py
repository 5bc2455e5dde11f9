"""What every method's answer is held to, the toolkit's own and those of others."""

from __future__ import annotations

import math

from iopopt.cluster.cluster import Cluster
from iopopt.cost.evaluation import evaluate
from iopopt.errors import PlanError, SolverError
from iopopt.methods.objective import MEASURES
from iopopt.methods.solution import Solution
from iopopt.network.graph import Graph
from iopopt.network.records import short_repr
from iopopt.simulation.simulate import Simulator

_ROUNDING = 1e-9
"""How far a Solution's latency may be from the evaluator's, or the simulation's, relative."""


def checked_solution(graph: Graph, cluster: Cluster, solution: object, method: str, *, proves_bounds: bool) -> Solution:
    """What ``method`` returned for this instance, if it is a Solution that the evaluator confirms.

    Raises:
        SolverError: the message names the method, what it returned, and what is expected.
    """
    if not isinstance(solution, Solution):
        raise SolverError(f"method {method!r} returned {short_repr(solution)}; a Solution is expected, as iopopt.heuristic_solution makes")
    if fault := _claim_fault(solution, proves_bounds) or _plan_fault(graph, cluster, solution):
        raise SolverError(f"method {method!r} returned an invalid Solution: {fault}")
    return solution


def _claim_fault(solution: Solution, proves_bounds: bool) -> str | None:
    if proves_bounds:
        return None
    claims = f"status {solution.status!r}" if solution.status in ("optimal", "infeasible") else "a bound" if solution.bound is not None else None
    return claims and f"it claims {claims}, but the method is not registered as one that proves bounds (proves_bounds=True)"


def _plan_fault(graph: Graph, cluster: Cluster, solution: Solution) -> str | None:
    if solution.plan is None:
        return None
    try:
        price = evaluate(graph, cluster, solution.plan)
    except PlanError as error:
        return str(error)
    latency_s = price.latency_s if solution.timing == "bulk-synchronous" else Simulator(graph, cluster).makespan_s(solution.plan)
    if not math.isclose(latency_s, solution.latency_s, rel_tol=_ROUNDING):
        return f"its plan takes {latency_s!r} s, not {solution.latency_s!r}"
    if solution.objective != "latency" and not math.isclose(MEASURES[solution.objective].of(price) or 0.0, solution.value, rel_tol=_ROUNDING):
        return f"its plan has the {solution.objective} {MEASURES[solution.objective].of(price)!r} {solution.unit}, not {solution.value!r}"
    if price.feasible == (solution.status == "violates_memory"):
        return f"its status is {solution.status!r}, but the plan {'fits' if price.feasible else 'breaks'} the memory limits"
    return None
