"""The implementation of :func:`iopopt.solve_milp`: checks the settings, searches, and reports what was proven."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

from iopopt.cluster.cluster import Cluster, Device
from iopopt.cost.infeasibility import nearest_miss
from iopopt.cost.instance import Instance
from iopopt.errors import PlanError, SolverError
from iopopt.methods.objective import bound_fields, checked_goal, deadline_missed
from iopopt.methods.settings import MOST_OPTIMAL_GAP, MOST_SEED, checked_gap, checked_integer, checked_longest_block, limited
from iopopt.methods.solution import Solution, Status, Termination
from iopopt.methods.team_search import TeamSearch
from iopopt.milp.backends import BACKENDS
from iopopt.milp.ideas import checked_ideas
from iopopt.network.graph import Graph
from iopopt.plan.plan import Plan
from iopopt.plan.splits import Splits, check_splits
from iopopt.plan.team import Team, candidate_teams, check_in_space, space_name

_MOST_THREADS = 256


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
    longest_block: int,
    strategies: Collection[str],
    shares: str,
    objective: str,
    deadline_s: float | None,
) -> Solution:
    """See :func:`iopopt.solve_milp`."""
    watch = limited(time_limit_s, may_be_infinite=False)
    cluster = Instance.of(graph, devices).cluster
    BACKENDS.find(backend)
    goal = checked_goal(objective, deadline_s, cluster)
    gap = checked_gap(gap)
    seed, threads = checked_integer("seed", seed, 0, MOST_SEED), checked_integer("threads", threads, 1, _MOST_THREADS)
    ideas, splits = checked_ideas(without), Splits.named(strategies, shares)
    longest = splits.longest_block(checked_longest_block(longest_block))
    search = TeamSearch(Instance(graph, cluster), watch, gap, backend, seed, threads, ideas, longest, splits, goal)
    teams = candidate_teams(team, cluster)
    if warm_start is not None:
        _offer_warm_start(search, warm_start, team)
    search.run(teams)
    return _solution(search, space_name(team, cluster, longest, splits), teams)


def _offer_warm_start(search: TeamSearch, plan: Plan, team: Team) -> None:
    evaluation = search.offer(plan)
    check_splits(search.splits, search.instance.graph, search.instance.cluster, plan)
    check_in_space(plan, team, search.instance.cluster, search.longest_block)
    if not evaluation.feasible:
        raise PlanError(f"the warm start breaks a memory limit: {'; '.join(map(str, evaluation.violations))}")
    if not search.goal.met_by(evaluation):
        raise PlanError(
            f"the warm start takes {evaluation.latency_s * 1e3:.6g} ms, longer than the deadline of {search.goal.deadline_s * 1e3:.6g} ms"
        )


def _solution(search: TeamSearch, space: str, teams: Sequence[tuple[int, ...]]) -> Solution:
    """The Solution of the search."""
    said_infeasible = search.plan is None and all(math.isinf(search.bounds[team]) for team in teams)
    # Where a plan fits the memory, the deadline is the reason.
    closest = search.closest_to_fitting(teams) if said_infeasible and (search.fastest is None or search.fastest.plan is None) else []
    bound = min(min(search.bounds[team] for team in teams), search.value)  # it may exceed the incumbent by the back end's tolerance
    status, termination = _verdict(search, bound)
    if status == "unknown" and search.doubts:
        raise SolverError(search.doubts[0])
    if status == "unknown" and search.crash:
        raise SolverError(f"back end {search.backend!r} was killed by {search.crash} before it found a plan; try another backend= or seed=")
    goal, proven = search.goal, None if math.isinf(bound) else bound
    return Solution(
        plan=search.plan,
        status=status,
        termination=termination,
        latency_s=search.evaluation.latency_s if search.evaluation else math.inf,
        **bound_fields(goal.objective, proven),
        objective=goal.objective,
        deadline_s=goal.deadline_s if math.isfinite(goal.deadline_s) else None,
        space=space,
        build_s=search.build_s,
        solve_s=search.watch.elapsed_s - search.build_s,
        method="milp",
        backend=search.backend,
        backend_version=search.version or None,
        seed=search.seed,
        trajectory=tuple(search.trajectory),
        evaluation=search.evaluation,
        reason=_reason(search, status, closest),
    )


def _verdict(search: TeamSearch, bound: float) -> tuple[Status, Termination]:
    stopped: Termination = "interrupted" if search.interrupted else "failed" if search.crash or search.doubts else "time_limit"
    if search.plan is None:
        return ("infeasible", "exhausted") if math.isinf(bound) else ("unknown", stopped)
    # A bound is lowered by the back end's tolerance, so a gap that it was asked to close may look that much wider.
    closed = search.value - bound <= (search.gap + 2 * BACKENDS.find(search.backend).tolerance) * search.value
    if not closed:
        return "feasible", stopped
    # A wide gap may be what was asked for, but it does not prove optimality.
    proven = search.value - bound <= (MOST_OPTIMAL_GAP + 2 * BACKENDS.find(search.backend).tolerance) * search.value
    return ("optimal" if proven else "feasible"), "gap"


def _reason(search: TeamSearch, status: Status, closest: Sequence[Plan]) -> str | None:
    if status == "unknown":
        spent, deadline = f"{search.watch.elapsed_s:.1f} s", " and meets the deadline" if math.isfinite(search.goal.deadline_s) else ""
        return f"no plan that fits the memory{deadline} was found in {spent}, and no proof that none exists; try a longer time limit"
    if status == "infeasible":
        if search.fastest is not None and not closest:
            return deadline_missed(search.goal, search.fastest.value, min(search.fastest.bounds.values()))
        return nearest_miss(search.instance.graph, search.instance.cluster, closest) if closest else "no plan fits the memory (equation 1)"
    if search.doubts:
        others = f" (and {len(search.doubts) - 1} more)" if len(search.doubts) > 1 else ""
        return f"{search.doubts[0]}{others}; the plan stands, priced by the evaluator, and nothing that the back end proved is used"
    if search.crash and status == "feasible":
        return f"back end {search.backend!r} was killed by {search.crash}; the plan and the bound are the last that it reported"
    return None
