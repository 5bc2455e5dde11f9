"""The implementation of :func:`iopopt.solve_milp`: checks the settings, searches, and reports what was proven."""

from __future__ import annotations

import math
import numbers
from collections.abc import Collection, Sequence
from operator import index

from iopopt.cluster.cluster import Cluster, Device
from iopopt.cost.infeasibility import nearest_miss
from iopopt.cost.instance import Instance
from iopopt.errors import PlanError, SolverError
from iopopt.methods.solution import Solution, Status, Termination
from iopopt.methods.team_search import TeamSearch
from iopopt.milp.backends import BACKENDS
from iopopt.milp.ideas import checked_ideas
from iopopt.milp.memory_program import least_memory_plan
from iopopt.network.graph import Graph
from iopopt.network.records import short_repr
from iopopt.plan.plan import Plan
from iopopt.plan.team import Team, candidate_teams, check_in_space, space_name

_REASON_TIME_S = 10.0
_REASON_TEAMS = 4
_OPTIMAL_GAP = 1e-4
"""The largest gap at which a plan is reported as optimal."""
_MOST_THREADS = 256
_MOST_SEED = 2**31 - 1


def solve_exactly(
    graph: Graph,
    devices: Cluster | Sequence[Device],
    *,
    team: Team,
    time_limit_s: float,
    gap: float,
    warm_start: Plan | None,
    backend: str,
    seed: int,
    threads: int,
    without: Collection[str],
) -> Solution:
    """See :func:`iopopt.solve_milp`."""
    cluster = Instance.of(graph, devices).cluster
    BACKENDS.find(backend)
    _check_settings(time_limit_s, gap)
    seed, threads = _checked_integer("seed", seed, 0, _MOST_SEED), _checked_integer("threads", threads, 1, _MOST_THREADS)
    search = TeamSearch(Instance(graph, cluster), float(time_limit_s), float(gap), backend, seed, threads, checked_ideas(without))
    teams = candidate_teams(team, cluster)
    if warm_start is not None:
        _offer_warm_start(search, warm_start, team)
    search.run(teams)
    return _solution(search, space_name(team, cluster), teams)


def _check_settings(time_limit_s: float, gap: float) -> None:
    if not time_limit_s > 0 or math.isinf(time_limit_s):
        raise SolverError(f"time_limit_s is {time_limit_s}; it must be a positive finite number of seconds")
    if not 0 <= gap < 1:
        raise SolverError(f"gap is {gap}; it must be at least 0 and below 1 (1e-4 stands for 0.01 %)")


def _checked_integer(name: str, value: int, least: int, most: int) -> int:
    """An integer setting, checked."""
    if not isinstance(value, numbers.Integral) or isinstance(value, bool) or not least <= value <= most:
        raise SolverError(f"{name} is {short_repr(value)}; it must be an integer from {least} to {most}")
    return index(value)


def _offer_warm_start(search: TeamSearch, plan: Plan, team: Team) -> None:
    evaluation = search.offer(plan)
    check_in_space(plan, team, search.instance.cluster)
    if not evaluation.feasible:
        raise PlanError(f"the warm start breaks a memory limit: {'; '.join(map(str, evaluation.violations))}")


def _solution(search: TeamSearch, space: str, teams: Sequence[tuple[int, ...]]) -> Solution:
    """The Solution of the search."""
    bound = min(search.bounds.get(team, 0.0) for team in teams)
    proven_infeasible = math.isinf(bound)
    if search.plan is not None:
        bound = _checked_bound(search, bound)
    status, termination = _verdict(search, bound, proven_infeasible)
    if search.crash and search.plan is None and status == "unknown":
        raise SolverError(f"back end {search.backend!r} was killed by {search.crash} before it found a plan; try another backend= or seed=")
    return Solution(
        plan=search.plan,
        status=status,
        termination=termination,
        latency_s=search.latency_s,
        bound_s=None if math.isinf(bound) else bound,
        space=space,
        build_s=search.build_s,
        solve_s=search.watch.elapsed_s - search.build_s,
        method="milp",
        backend=search.backend,
        backend_version=search.version or None,
        seed=search.seed,
        trajectory=tuple(search.trajectory),
        evaluation=search.evaluation,
        reason=_reason(search, status, teams),
    )


def _checked_bound(search: TeamSearch, bound: float) -> float:
    """A bound may exceed the incumbent by the back end's tolerance; more than that is an error."""
    if bound > search.latency_s * (1 + BACKENDS.find(search.backend).tolerance):
        raise SolverError(f"back end {search.backend!r} claims that no plan is faster than {bound!r} s, but one takes {search.latency_s!r} s")
    return min(bound, search.latency_s)


def _verdict(search: TeamSearch, bound: float, proven_infeasible: bool) -> tuple[Status, Termination]:
    stopped: Termination = "interrupted" if search.interrupted else "failed" if search.crash else "time_limit"
    if search.plan is None:
        return ("infeasible", "exhausted") if proven_infeasible else ("unknown", stopped)
    # A bound is lowered by the back end's tolerance, so a gap that it was asked to close may look that much wider.
    closed = search.latency_s - bound <= (search.gap + 2 * BACKENDS.find(search.backend).tolerance) * search.latency_s
    if not closed:
        return "feasible", stopped
    # A wide gap may be what was asked for, but it does not prove optimality.
    proven = search.latency_s - bound <= (_OPTIMAL_GAP + 2 * BACKENDS.find(search.backend).tolerance) * search.latency_s
    return ("optimal" if proven else "feasible"), "gap"


def _reason(search: TeamSearch, status: Status, teams: Sequence[tuple[int, ...]]) -> str | None:
    if search.crash and status == "feasible":
        return f"back end {search.backend!r} was killed by {search.crash}; the plan and the bound are the last that it reported"
    if status == "unknown":
        spent = f"{search.watch.elapsed_s:.1f} s"
        return f"no plan that fits the memory was found in {spent}, and no proof that none exists; try a longer time limit"
    if status != "infeasible":
        return None
    share_s = _REASON_TIME_S / len(teams)
    plans = [least_memory_plan(search.instance, team, search.backend, share_s) for team in teams[:_REASON_TEAMS]]
    found = [plan for plan in plans if plan is not None]
    return nearest_miss(search.instance.graph, search.instance.cluster, found) if found else "no plan fits the memory (equation 1)"
