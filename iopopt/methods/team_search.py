"""The search of the exact method over teams: starts, programs, back ends, incumbent and proven bounds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from iopopt.cost.evaluation import Evaluation, evaluate
from iopopt.cost.instance import Instance
from iopopt.errors import SolverError
from iopopt.methods.dp import dp_plan
from iopopt.methods.greedy import greedy_plan
from iopopt.methods.single import single_plan
from iopopt.methods.solution import Point
from iopopt.methods.stopwatch import Stopwatch
from iopopt.milp.backends import BACKENDS, Options
from iopopt.milp.formulation import Formulation
from iopopt.milp.process import Run, run_backend
from iopopt.milp.pruning import NodeBounds, bound_nodes
from iopopt.plan.plan import Plan
from iopopt.plan.team import team_of

_MEMORY_ROUNDS = 3
"""How often a team is solved again if rounding makes the plan exceed the memory."""


@dataclass
class TeamSearch:
    """The incumbent over all teams, and the proven bound for each.

    Attributes:
        instance: the instance to solve; the other settings are those of :func:`iopopt.solve_milp`.
        plan, evaluation: the incumbent, over all teams.
        bounds: a proven bound on every plan of each team, seconds.
        nodes: the bounds of each team's nodes.
        crash: the signal that killed a back end, if one did.
    """

    instance: Instance
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

    @property
    def latency_s(self) -> float:
        return self.evaluation.latency_s if self.evaluation else math.inf

    @property
    def remaining_s(self) -> float:
        return self.time_limit_s - self.watch.elapsed_s

    def offer(self, plan: Plan) -> Evaluation:
        """Take ``plan`` as the incumbent if it fits the memory and is faster; returns its price."""
        evaluation = evaluate(self.instance.graph, self.instance.cluster, plan)
        if evaluation.feasible and evaluation.latency_s < self.latency_s:
            self.plan, self.evaluation = plan, evaluation
            self.trajectory.append(Point(self.watch.elapsed_s, evaluation.latency_s, None))
        return evaluation

    def run(self, teams: Sequence[tuple[int, ...]]) -> None:
        """Find starts for every team, then solve one team after another, the most promising first; Ctrl-C ends it with the incumbent."""
        self.bounds = dict.fromkeys(teams, 0.0)
        try:
            for team in self._sorted_teams(teams):
                if self.remaining_s > 0 and not self.interrupted and self.bounds[team] < self._good_enough_s:
                    self._solve_team(team)
        except KeyboardInterrupt:
            self.interrupted = True

    @property
    def _good_enough_s(self) -> float:
        """A bound that closes the gap to the incumbent."""
        return self.latency_s * (1 - self.gap)

    def _sorted_teams(self, teams: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
        """The teams, sorted by the better latency of greedy and dynamic program; also offers these plans."""
        self.offer(single_plan(self.instance.graph, self.instance.cluster))
        promise = dict.fromkeys(teams, math.inf)
        for team in teams:
            if "pruning" not in self.without:
                self.nodes[team] = bound_nodes(self.instance, team)
                self.bounds[team] = self.nodes[team].least_s
            for start in (dp_plan(self.instance.graph, self.instance.cluster, team), greedy_plan(self.instance.graph, self.instance.cluster, team)):
                evaluation = self.offer(start)
                if evaluation.feasible:
                    promise[team] = min(promise[team], evaluation.latency_s)
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
        plan = self.plan or single_plan(self.instance.graph, self.instance.cluster)
        return evaluate(self.instance.graph, self.instance.cluster, plan).latency_s or 1.0  # a network of pools and joins may take no time

    def _options(self, start: dict[int, float]) -> Options:
        return Options(max(0.1, self.remaining_s), self.gap, self.seed, self.threads, start, directory="")

    def _record(self, run: Run, formulation: Formulation, began: float) -> None:
        """Take the incumbent and the trajectory of a run."""
        outcome, scale_s = run.outcome, formulation.scale_s
        self.interrupted |= run.interrupted
        self.crash = run.crash or self.crash
        self.version = outcome.version or self.version
        for seconds, progress in run.trajectory:
            values = [None if value is None else value * scale_s for value in progress]
            self.trajectory.append(Point(began + seconds, *values))
        if outcome.x is not None and outcome.objective is not None:
            plan = formulation.plan(outcome.x)
            self._check_objective(outcome.objective * scale_s, plan)
            self.offer(plan)

    def _prove(self, run: Run, formulation: Formulation, team: tuple[int, ...], cutoff: float | None) -> None:
        """Take the bound of a run; without plans below the cutoff, the cutoff is one."""
        outcome = run.outcome
        if outcome.status == "infeasible":
            if cutoff is None and self.plan is not None and team_of(self.plan) in (None, team):
                raise SolverError(
                    f"back end {self.backend!r} calls {self.instance.graph.name} infeasible for team {team}, but a plan fits its memory"
                )
            self.bounds[team] = math.inf if cutoff is None else max(self.bounds[team], cutoff)
        elif outcome.bound is not None:
            tolerance = BACKENDS.find(self.backend).tolerance
            bound_s = (outcome.bound - tolerance * abs(outcome.bound)) * formulation.scale_s
            self.bounds[team] = max(self.bounds[team], bound_s if cutoff is None else min(bound_s, cutoff))

    def _check_objective(self, claimed_s: float, plan: Plan) -> None:
        """Only the evaluator prices a plan: a program that claims a lower price is an error."""
        price_s = evaluate(self.instance.graph, self.instance.cluster, plan).latency_s
        if price_s > claimed_s * (1 + BACKENDS.find(self.backend).tolerance):
            raise SolverError(
                f"back end {self.backend!r} prices its plan for {self.instance.graph.name} at {claimed_s!r} s, the evaluator at {price_s!r} s; "
                "that is beyond the back end's tolerance"
            )

    def _excess(self, run: Run, formulation: Formulation) -> float:
        """Twice the bytes by which the back end's plan breaks a limit, at least one; 0 if it fits."""
        if run.outcome.x is None:
            return 0.0
        violations = evaluate(self.instance.graph, self.instance.cluster, formulation.plan(run.outcome.x)).violations
        return max((2 * violation.excess_bytes + 1 for violation in violations), default=0.0)
