"""The exact method: equations (1) to (8) as a mixed-integer linear program, with a proven bound and gap."""

from __future__ import annotations

import math
import numbers
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from operator import index

from iopopt.cluster.cluster import Cluster, Device, as_cluster
from iopopt.cost.evaluation import Evaluation, evaluate
from iopopt.cost.infeasibility import nearest_miss
from iopopt.cost.instance import Instance
from iopopt.errors import PlanError, SolverError
from iopopt.methods.dp import dp_plan
from iopopt.methods.greedy import greedy_plan
from iopopt.methods.single import single_plan
from iopopt.methods.solution import Point, Solution, Status, Termination
from iopopt.methods.stopwatch import Stopwatch
from iopopt.milp.backends import Options, backend_info
from iopopt.milp.formulation import Formulation
from iopopt.milp.ideas import checked_ideas
from iopopt.milp.memory_program import least_memory_plan
from iopopt.milp.process import Run, run_backend
from iopopt.milp.pruning import NodeBounds, bound_nodes
from iopopt.network.graph import Graph
from iopopt.network.records import short_repr
from iopopt.plan.plan import Plan
from iopopt.plan.team import Team, candidate_teams, check_in_space, space_name, team_of

_REASON_TIME_S = 10.0
_REASON_TEAMS = 4
_OPTIMAL_GAP = 1e-4
"""The largest gap at which a plan is reported as optimal."""
_MOST_THREADS = 256
_MOST_SEED = 2**31 - 1
_MEMORY_ROUNDS = 3


def solve_milp(
    graph: Graph,
    devices: Cluster | Sequence[Device],
    *,
    team: Team = "all",
    time_limit_s: float = 60.0,
    gap: float = 1e-4,
    warm_start: Plan | None = None,
    backend: str = "highs",
    seed: int = 0,
    threads: int = 1,
    without: Collection[str] = (),
) -> Solution:
    """The best plan of the space of ``team``, with a proven bound.

    Args:
        graph: the network, branches included.
        devices: a cluster, or devices with the cluster defaults.
        team: ``"all"`` devices, one set of them, or ``"best"``, which also chooses the set, with proof.
        time_limit_s: seconds of wall clock for everything.
        gap: the relative gap (latency - bound) / latency at which to stop.
        warm_start: a plan of the space; the result is never worse. The better of greedy and dynamic program is tried anyway.
        backend: a name of :data:`iopopt.milp.backends.BACKENDS`.
        seed: the back end's random seed.
        threads: how many threads the back end may use.
        without: ideas of the program to leave out, by the names of :data:`iopopt.milp.ideas.IDEAS`; this changes the time, never the optimum.

    Returns:
        A Solution whose ``latency_s`` is the evaluator's. ``infeasible`` is proven and carries a reason. Ctrl-C ends the search with
        the incumbent (``termination="interrupted"``); so does a fault that kills the back end (``"failed"``).

    Raises:
        PlanError: if ``warm_start`` is of another graph, outside the space, or breaks a memory limit.
        ClusterError: if ``team`` names a device that does not exist.
        UnknownNameError: if no back end or idea has a given name.
        SolverError: if the back end fails, or its objective does not agree with the evaluator.
    """
    cluster = as_cluster(devices)
    backend_info(backend)
    _check_settings(time_limit_s, gap)
    seed, threads = _checked_integer("seed", seed, 0, _MOST_SEED), _checked_integer("threads", threads, 1, _MOST_THREADS)
    search = _Search(graph, cluster, float(time_limit_s), float(gap), backend, seed, threads, checked_ideas(without))
    teams = candidate_teams(team, cluster)
    if warm_start is not None:
        search.offer(_checked_warm_start(graph, cluster, team, warm_start))
    search.run(teams)
    return search.solution(space_name(team, cluster), teams)


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


def _checked_warm_start(graph: Graph, cluster: Cluster, team: Team, plan: Plan) -> Plan:
    evaluation = evaluate(graph, cluster, plan)
    check_in_space(plan, team, cluster)
    if not evaluation.feasible:
        raise PlanError(f"the warm start breaks a memory limit: {'; '.join(map(str, evaluation.violations))}")
    return plan


@dataclass
class _Search:
    """The incumbent over all teams, and the bound that is proven for each."""

    graph: Graph
    cluster: Cluster
    time_limit_s: float
    gap: float
    backend: str
    seed: int
    threads: int
    without: frozenset[str] = frozenset()
    plan: Plan | None = None
    evaluation: Evaluation | None = None
    bounds: dict[tuple[int, ...], float] = field(default_factory=dict)
    nodes: dict[tuple[int, ...], NodeBounds] = field(default_factory=dict)
    trajectory: list[Point] = field(default_factory=list)
    build_s: float = 0.0
    version: str = ""
    interrupted: bool = False
    crash: str | None = None
    watch: Stopwatch = field(default_factory=Stopwatch)

    @cached_property
    def instance(self) -> Instance:
        return Instance(self.graph, self.cluster)

    @property
    def latency_s(self) -> float:
        return self.evaluation.latency_s if self.evaluation else math.inf

    @property
    def remaining_s(self) -> float:
        return self.time_limit_s - self.watch.elapsed_s

    def offer(self, plan: Plan) -> bool:
        """Take ``plan`` as the incumbent if it fits the memory and is faster; returns whether it fits."""
        evaluation = evaluate(self.graph, self.cluster, plan)
        if evaluation.feasible and evaluation.latency_s < self.latency_s:
            self.plan, self.evaluation = plan, evaluation
            self.trajectory.append(Point(self.watch.elapsed_s, evaluation.latency_s, None))
        return evaluation.feasible

    def run(self, teams: Sequence[tuple[int, ...]]) -> None:
        """Find starts for every team, then solve one team after another, the most promising first; Ctrl-C ends it with the incumbent."""
        self.bounds = dict.fromkeys(teams, 0.0)
        try:
            for team in self._promising(teams):
                if self.remaining_s > 0 and not self.interrupted and self.bounds[team] < self._good_enough_s:
                    self._solve_team(team)
        except KeyboardInterrupt:
            self.interrupted = True

    @property
    def _good_enough_s(self) -> float:
        """A bound that closes the gap to the incumbent."""
        return self.latency_s * (1 - self.gap)

    def _promising(self, teams: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
        """The teams, sorted by the better latency of greedy and dynamic program; also offers these plans."""
        self.offer(single_plan(self.graph, self.cluster))
        promise = dict.fromkeys(teams, math.inf)
        for team in teams:
            if "pruning" not in self.without:
                self.nodes[team] = bound_nodes(self.instance, team)
                self.bounds[team] = self.nodes[team].least_s
            for start in (dp_plan(self.graph, self.cluster, team), greedy_plan(self.graph, self.cluster, team)):
                if self.offer(start):
                    promise[team] = min(promise[team], evaluate(self.graph, self.cluster, start).latency_s)
            if self.remaining_s <= 0:
                break
        self.trajectory.append(Point(self.watch.elapsed_s, None, min(self.bounds.values())))
        return sorted(teams, key=lambda team: promise[team])

    def _solve_team(self, team: tuple[int, ...]) -> None:
        """Solve one team; if rounding makes the plan exceed the memory by a few bytes, reserve them and solve again.

        Only the first solve proves a bound: later ones have less memory than equation (1) allows.
        """
        reserve = 0.0
        for round_ in range(_MEMORY_ROUNDS):
            building = Stopwatch()
            start_plan = self.plan if self.plan is not None and team_of(self.plan) in (None, team) else None
            # With a faster plan of another team there is no start, but its latency is a cutoff.
            cutoff = self._good_enough_s if self.plan is not None and start_plan is None else None
            # Nodes whose bound exceeds the incumbent or the cutoff are left out: every plan that takes one is slower.
            nodes = self.nodes[team].nodes_within(self.latency_s if cutoff is None else cutoff) if team in self.nodes else None
            formulation = Formulation(self.instance, team, self._scale_s, reserve_bytes=reserve, cutoff_s=cutoff, nodes=nodes, without=self.without)
            start = formulation.integer_point(start_plan) if start_plan else {}
            self.build_s += building.elapsed_s
            began = self.watch.elapsed_s
            run = run_backend(self.backend, formulation.program, self._options(start))
            self._record(run, formulation, began)
            if round_ == 0:
                self._prove(run, formulation, team, cutoff)
            reserve = self._excess(run, formulation)
            if reserve == 0 or self.interrupted or self.remaining_s <= 0:
                return

    @property
    def _scale_s(self) -> float:
        """The unit of the objective, seconds: the incumbent's latency, or that of any plan."""
        plan = self.plan or single_plan(self.graph, self.cluster)
        return evaluate(self.graph, self.cluster, plan).latency_s or 1.0  # a network of pools and joins may take no time

    def _options(self, start: dict[int, float]) -> Options:
        return Options(max(0.1, self.remaining_s), self.gap, self.seed, self.threads, start, directory="")

    def _record(self, run: Run, formulation: Formulation, began: float) -> None:
        """Take the incumbent and the trajectory of a run."""
        outcome, scale_s = run.outcome, formulation.scale_s
        self.interrupted |= run.interrupted
        self.crash = run.crash or self.crash
        self.version = outcome.version or self.version
        for progress in run.trajectory:
            values = [None if value is None else value * scale_s for value in (progress.incumbent, progress.bound)]
            self.trajectory.append(Point(began + progress.seconds, *values))
        if outcome.status == "error":
            raise SolverError(f"back end {self.backend!r} failed on {self.graph.name}: {outcome.message}")
        if outcome.x is not None and outcome.objective is not None:
            plan = formulation.plan(outcome.x)
            self._check_objective(outcome.objective * scale_s, plan)
            self.offer(plan)

    def _prove(self, run: Run, formulation: Formulation, team: tuple[int, ...], cutoff: float | None) -> None:
        """Take the bound of a run; without plans below the cutoff, the cutoff is one."""
        outcome = run.outcome
        if outcome.status == "infeasible":
            if cutoff is None and self.plan is not None and team_of(self.plan) in (None, team):
                raise SolverError(f"back end {self.backend!r} calls {self.graph.name} infeasible for team {team}, but a plan fits its memory")
            self.bounds[team] = math.inf if cutoff is None else max(self.bounds[team], cutoff)
        elif outcome.bound is not None:
            tolerance = backend_info(self.backend).tolerance
            bound_s = (outcome.bound - tolerance * abs(outcome.bound)) * formulation.scale_s
            self.bounds[team] = max(self.bounds[team], bound_s if cutoff is None else min(bound_s, cutoff))

    def _check_objective(self, claimed_s: float, plan: Plan) -> None:
        """Only the evaluator prices a plan: a program that claims a lower price is an error."""
        price_s = evaluate(self.graph, self.cluster, plan).latency_s
        if price_s > claimed_s * (1 + backend_info(self.backend).tolerance):
            raise SolverError(
                f"back end {self.backend!r} prices its plan for {self.graph.name} at {claimed_s!r} s, the evaluator at {price_s!r} s; "
                "that is beyond the back end's tolerance"
            )

    def _excess(self, run: Run, formulation: Formulation) -> float:
        """Twice the bytes by which the back end's plan breaks a limit, at least one; 0 if it fits."""
        if run.outcome.x is None:
            return 0.0
        violations = evaluate(self.graph, self.cluster, formulation.plan(run.outcome.x)).violations
        return max((2 * violation.excess_bytes + 1 for violation in violations), default=0.0)

    def solution(self, space: str, teams: Sequence[tuple[int, ...]]) -> Solution:
        """The Solution of the search."""
        bound = min(self.bounds.get(team, 0.0) for team in teams)
        proven_infeasible = math.isinf(bound)
        if self.plan is not None:
            bound = self._checked_bound(bound)
        status, termination = self._verdict(bound, proven_infeasible)
        if self.crash and self.plan is None and status == "unknown":
            raise SolverError(f"back end {self.backend!r} was killed by {self.crash} before it found a plan; try another backend= or seed=")
        return Solution(
            plan=self.plan,
            status=status,
            termination=termination,
            latency_s=self.latency_s,
            bound_s=None if math.isinf(bound) else bound,
            space=space,
            build_s=self.build_s,
            solve_s=self.watch.elapsed_s - self.build_s,
            method="milp",
            backend=self.backend,
            backend_version=self.version or None,
            seed=self.seed,
            trajectory=tuple(self.trajectory),
            evaluation=self.evaluation,
            reason=self._reason(status, teams),
        )

    def _checked_bound(self, bound: float) -> float:
        """A bound may exceed the incumbent by the back end's tolerance; more than that is an error."""
        if bound > self.latency_s * (1 + backend_info(self.backend).tolerance):
            raise SolverError(f"back end {self.backend!r} claims that no plan is faster than {bound!r} s, but one takes {self.latency_s!r} s")
        return min(bound, self.latency_s)

    def _verdict(self, bound: float, proven_infeasible: bool) -> tuple[Status, Termination]:
        stopped: Termination = "interrupted" if self.interrupted else "failed" if self.crash else "time_limit"
        if self.plan is None:
            return ("infeasible", "exhausted") if proven_infeasible else ("unknown", stopped)
        # A bound is lowered by the back end's tolerance, so a gap that it was asked to close may look that much wider.
        closed = self.latency_s - bound <= (self.gap + 2 * backend_info(self.backend).tolerance) * self.latency_s
        if not closed:
            return "feasible", stopped
        # A wide gap may be what was asked for, but it does not prove optimality.
        proven = self.latency_s - bound <= (_OPTIMAL_GAP + 2 * backend_info(self.backend).tolerance) * self.latency_s
        return ("optimal" if proven else "feasible"), "gap"

    def _reason(self, status: Status, teams: Sequence[tuple[int, ...]]) -> str | None:
        if self.crash and status == "feasible":
            return f"back end {self.backend!r} was killed by {self.crash}; the plan and the bound are the last that it reported"
        if status == "unknown":
            spent = f"{self.watch.elapsed_s:.1f} s"
            return f"no plan that fits the memory was found in {spent}, and no proof that none exists; try a longer time limit"
        if status != "infeasible":
            return None
        share_s = _REASON_TIME_S / len(teams)
        plans = [least_memory_plan(self.instance, team, self.backend, share_s) for team in teams[:_REASON_TEAMS]]
        found = [plan for plan in plans if plan is not None]
        return nearest_miss(self.graph, self.cluster, found) if found else "no plan fits the memory (equation 1)"
