"""The search of the exact method over teams: starts, programs, back ends, incumbent and proven bounds.

What a back end says is checked against the evaluator. If it contradicts it or a known plan, or fails, the plan is kept, because the evaluator
prices it, and everything that the back end proved about that team is dropped. The bound is not lowered by the observed error instead: an error
seen at one point says nothing about those at the nodes of the search tree that were cut off, which nobody sees. The bounds on nodes
(:mod:`iopopt.milp.pruning`), which need no back end, stay.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from iopopt.cost.evaluation import Evaluation, evaluate
from iopopt.cost.instance import Instance
from iopopt.cost.stopwatch import Stopwatch, TimeUpError
from iopopt.errors import PlanError, SolverError
from iopopt.methods.dp import dp_plan, refined_plan
from iopopt.methods.even import even_plans
from iopopt.methods.exact_programs import ExactProgram, ExactPrograms, Reserve
from iopopt.methods.greedy import greedy_plan
from iopopt.methods.mixing import mixed_plan
from iopopt.methods.objective import LATENCY, Goal
from iopopt.methods.single import single_plan
from iopopt.methods.solution import Point
from iopopt.milp.arcs import Node, all_nodes
from iopopt.milp.backends import BACKENDS, LEAST_SOLVE_S, Options, Outcome
from iopopt.milp.memory_program import least_memory_plan
from iopopt.milp.process import Run, run_backend
from iopopt.milp.pruning import NodeBounds, bound_nodes
from iopopt.plan.placement import Placement
from iopopt.plan.plan import Plan
from iopopt.plan.splits import ALL_SPLITS, Splits, stranger_to
from iopopt.plan.team import team_of

_MEMORY_ROUNDS = 3
"""How often a team is solved again if rounding makes the plan exceed the memory."""

_WIDE = 0.05
"""The gap to the bound on nodes from which on it pays to refine the first plan; below, the program is small."""

_REFINING = 0.1
"""The part of the time limit that the shares of the first plan may take, before the program is built."""

_OVERTIME = 0.1
_OVERTIME_S = 0.5
"""How long a back end may run after the time is up, as a part of the limit and in seconds, before it is ended from outside."""

_FASTEST = 0.5
"""The part of the remaining time in which the fastest plan is looked for where no known one meets the deadline."""

_REASON_TIME_S = 10.0
_REASON_TEAMS = 4
"""The time, and the number of teams, to look for the plan that is closest to fitting the memory."""


_SLACK = 1e-9
"""The margin for rounding errors of sums, relative."""


@dataclass
class TeamSearch:
    """The incumbent over all teams, and the proven bound for each. Values and bounds are in the unit of the goal's objective.

    Attributes:
        instance: the instance to solve; the other settings are those of :func:`iopopt.solve_milp`.
        watch: started with the method, and limited to its time.
        goal: what is minimised, and the deadline.
        plan, evaluation: the incumbent, over all teams.
        donors: the plans known for each team that fit the memory, whether or not they meet the deadline; for None, those that split nothing.
        least: the least value of a plan known for each team; for None, of one that splits nothing and so belongs to all.
        misfit: of the plans that break a memory limit the one that is closest to fitting, by its largest relative demand.
        fastest: the search for the fastest plan, if no known one met the deadline.
        bounds: a proven bound on every plan of each team; infinite if none fits the memory and meets the deadline.
        nodes: the bounds on the latency of each team's nodes.
        crash: the signal that killed a back end, if one did.
        doubts: why what a back end said is not believed.
    """

    instance: Instance
    watch: Stopwatch
    gap: float
    backend: str
    seed: int
    threads: int
    without: frozenset[str] = frozenset()
    longest_block: int = 1
    splits: Splits = ALL_SPLITS
    goal: Goal = LATENCY
    plan: Plan | None = None
    evaluation: Evaluation | None = None
    fastest: TeamSearch | None = None
    donors: dict[tuple[int, ...] | None, list[Plan]] = field(default_factory=dict)
    least: dict[tuple[int, ...] | None, float] = field(default_factory=dict)
    misfit: tuple[float, Plan] | None = None
    bounds: dict[tuple[int, ...], float] = field(default_factory=dict)
    nodes: dict[tuple[int, ...], NodeBounds] = field(default_factory=dict)
    trajectory: list[Point] = field(default_factory=list)
    build_s: float = 0.0
    version: str = ""
    interrupted: bool = False
    crash: str | None = None
    doubts: list[str] = field(default_factory=list)

    @property
    def value(self) -> float:
        """Of the incumbent; infinite without one."""
        return self.goal.value(self.evaluation) if self.evaluation else math.inf

    def offer(self, plan: Plan) -> Evaluation:
        """Take ``plan`` as the incumbent if it fits the memory, meets the deadline and is better; returns its price."""
        evaluation = evaluate(self.instance.graph, self.instance.cluster, plan)
        if not evaluation.feasible:
            overload = max(violation.demand_bytes / violation.limit_bytes for violation in evaluation.violations)
            if self.misfit is None or overload < self.misfit[0]:
                self.misfit = overload, plan
            return evaluation
        team, value = team_of(plan), self.goal.value(evaluation)
        self.donors.setdefault(team, []).append(plan)
        if not self.goal.met_by(evaluation):
            return evaluation
        self.least[team] = min(value, self.least.get(team, math.inf))
        if value < self.value:
            self.plan, self.evaluation = plan, evaluation
            self.trajectory.append(Point(self.watch.elapsed_s, value, None))
        return evaluation

    def run(self, teams: Sequence[tuple[int, ...]]) -> None:
        """Find starts for every team, then solve one team after another, the most promising first; Ctrl-C ends it with the incumbent."""
        self.bounds = dict.fromkeys(teams, 0.0)
        try:
            sorted_teams = self._sorted_teams(teams)
            if self.plan is None and math.isfinite(self.goal.deadline_s):
                self._find_in_time(teams)
            for team in sorted_teams:
                self.watch.check()
                if not self.interrupted and self.bounds[team] < self._good_enough:
                    self._refine(team)
                if not self.interrupted and self.bounds[team] < self._good_enough:
                    self._solve_team(team)
        except TimeUpError:
            pass
        except KeyboardInterrupt:
            self.interrupted = True
        for team in teams:
            self._withdraw_if_contradicted(team)

    @property
    def _good_enough(self) -> float:
        """A bound that closes the gap to the incumbent."""
        return self.value * (1 - self.gap)

    def _find_in_time(self, teams: Sequence[tuple[int, ...]]) -> None:
        """Look for the fastest plan, because no known one meets the deadline: it does, or it is proven that none can.

        Raises:
            TimeUpError: if the time is up.
        """
        self.watch.check()
        watch = Stopwatch(_FASTEST * self.watch.remaining_s)
        settings = (self.gap, self.backend, self.seed, self.threads, self.without, self.longest_block, self.splits)
        self.fastest = fastest = TeamSearch(self.instance, watch, *settings)
        fastest.run(teams)
        self.interrupted, self.crash, self.version = fastest.interrupted, fastest.crash, fastest.version
        if fastest.plan is not None:
            self.offer(fastest.plan)
        for team in teams:
            if fastest.bounds[team] > self.goal.latest_s:
                self.bounds[team] = math.inf

    def _sorted_teams(self, teams: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
        """The teams, sorted by the better value of greedy and dynamic program; also offers these plans, and those of single devices."""
        self.offer(single_plan(self.instance.graph, self.instance.cluster))
        if self.goal != LATENCY:
            for device in range(len(self.instance.cluster)):
                self.offer(Plan.of(self.instance.graph, [Placement.whole(device)] * len(self.instance.graph)))
        promise = dict.fromkeys(teams, math.inf)
        with suppress(TimeUpError):
            for team in teams:
                promise[team] = self._start(team)
        self.trajectory.append(Point(self.watch.elapsed_s, None, min(self.bounds.values())))
        return sorted(teams, key=lambda team: promise[team])

    def _start(self, team: tuple[int, ...]) -> float:
        """The better value of a team's greedy and dynamic program, infinite if neither is allowed; offers both, and bounds the team's nodes.

        Raises:
            TimeUpError: if the time is up before either is found.
        """
        self.watch.check()
        graph, cluster = self.instance.graph, self.instance.cluster
        found = []
        if self.goal.memory_only:
            self.bounds[team] = self._without_backend(team)
            found += [self.offer(plan) for plan in even_plans(graph, team) if stranger_to(self.splits, graph, cluster, plan) is None]
        with suppress(TimeUpError):
            found.append(self.offer(dp_plan(graph, cluster, team, self.watch, self.longest_block, self.splits)))
        if "pruning" not in self.without and not self.goal.memory_only:
            self._bound(team)
        if self.watch.remaining_s > 0:
            greedy = greedy_plan(graph, cluster, team, watch=self.watch)
            found += [self.offer(greedy)] if stranger_to(self.splits, graph, cluster, greedy) is None else []
        allowed = (evaluation for evaluation in found if evaluation.feasible and self.goal.met_by(evaluation))
        return min(map(self.goal.value, allowed), default=math.inf)

    def _refine(self, team: tuple[int, ...]) -> None:
        """Offer the plan of the dynamic program with its shares solved; if that is better, bound the nodes again: fewer are as fast.

        Where the latency is not the objective, offer what mixing the known plans of the team gives.
        """
        if self.goal != LATENCY:
            self._mix(team)
            return
        if self.splits != ALL_SPLITS or len(team) < 2:
            return  # its programs know no other splits
        if self.bounds[team] >= self.value * (1 - _WIDE):
            return
        before_s, watch = self.value, Stopwatch(min(_REFINING * self.watch.limit_s, self.watch.remaining_s))
        plan = refined_plan(self.instance, team, watch, self.longest_block)
        if plan is not None:
            self.offer(plan)
        if self.value < before_s and team in self.nodes:
            self._bound(team)

    def _mix(self, team: tuple[int, ...]) -> None:
        """Descend from the incumbent by runs of operators of the other known plans of the team."""
        if self.plan is not None and team_of(self.plan) in (None, team):
            watch = Stopwatch(min(_REFINING * self.watch.limit_s, self.watch.remaining_s))
            self.offer(mixed_plan(self.instance, self.plan, [*self.donors.get(None, ()), *self.donors.get(team, ())], self.goal, watch))

    def _bound(self, team: tuple[int, ...]) -> None:
        self.nodes[team] = bound_nodes(self.instance, team, self.watch, self.longest_block, self.splits, self._within_s)
        self.bounds[team] = self._without_backend(team)

    @property
    def _within_s(self) -> float:
        """The latency beyond which no plan is of interest: that of the incumbent, or the deadline."""
        return self.value if self.goal.objective == "latency" else self.goal.latest_s

    def _without_backend(self, team: tuple[int, ...]) -> float:
        """The bound on the plans of a team that needs no back end.

        All devices idle at least as long as the fastest plan takes, and hold each weight at least once.
        """
        least_s, devices = self.nodes[team].least_s if team in self.nodes else 0.0, self.instance.cluster.devices
        if self.goal.objective == "latency" or least_s > self.goal.latest_s:
            return least_s if self.goal.objective == "latency" else math.inf
        if self.goal.objective == "energy":
            return least_s * sum(device.idle_watts or 0.0 for device in devices)
        weights, _ = self.instance.graph.whole_memory_bytes(self.instance.cluster.bytes_per_element)
        share = weights / sum(device.memory_bytes for device in devices) * (1 - _SLACK)
        if share > 1:
            return math.inf
        return share if self.goal.objective == "memory" else weights / len(devices) * (1 - _SLACK)

    def _solve_team(self, team: tuple[int, ...]) -> None:
        """Solve one team; if rounding makes the plan exceed the memory by a few bytes, or the deadline, reserve them and solve again.

        Only the first solve proves a bound: later ones have less memory than equation (1) allows, or an earlier deadline.

        Raises:
            TimeUpError: if the time is up before a program is complete.
        """
        reserve = Reserve()
        for round_ in range(_MEMORY_ROUNDS):
            start_plan = self.plan if self.plan is not None and team_of(self.plan) in (None, team) else None
            # With a better plan of another team there is no start, but its value is a cutoff.
            cutoff = self._good_enough if self.plan is not None and start_plan is None else None
            try:
                program = self._program(team, reserve, cutoff)
                start = program.integer_point(start_plan) if start_plan else {}
                began, options = self.watch.elapsed_s, self._options(start)
                run = run_backend(self.backend, program.program, options, grace_s=self._grace_s(options.time_limit_s))
            except ArithmeticError as error:  # only where figures differ by hundreds of powers of ten
                self._distrust(team, f"the program of {self.instance.graph.name} exceeds the range of floating-point numbers ({error})")
                return
            except SolverError as error:
                self._distrust(team, str(error))
                return
            doubt = self._record(run, program, began)
            if doubt:
                self._distrust(team, doubt)
                return
            if round_ == 0:
                self._prove(run.outcome, program, team, cutoff)
            reserve = self._excess(run, program)
            if not any(reserve) or self.interrupted or self.watch.remaining_s <= 0:
                return

    def _program(self, team: tuple[int, ...], reserve: Reserve, cutoff: float | None) -> ExactProgram:
        """The program of a team, and the time that it takes to build."""
        building = Stopwatch()
        try:
            nodes = None if self.goal.memory_only else self._open_nodes(team, cutoff)
            known = self.plan or single_plan(self.instance.graph, self.instance.cluster)
            programs = ExactPrograms(self.instance, self.goal, self.without, self.longest_block, self.splits, self.watch)
            return programs.of(team, known, nodes, reserve, cutoff)
        finally:
            self.build_s += building.elapsed_s

    def _open_nodes(self, team: tuple[int, ...], cutoff: float | None) -> Sequence[Sequence[Node]]:
        """The nodes of a team whose bound does not exceed the incumbent, the cutoff or the deadline: all plans that take another are slower."""
        if team not in self.nodes:
            return all_nodes(self.instance, team, self.longest_block, self.splits)
        return self.nodes[team].nodes_within(cutoff if self.goal.objective == "latency" and cutoff is not None else self._within_s)

    def _options(self, start: dict[int, float]) -> Options:
        return Options(max(LEAST_SOLVE_S, self.watch.remaining_s), self.gap, self.seed, self.threads, start, directory="")

    def _grace_s(self, backend_limit_s: float) -> float:
        """How long a back end that starts now with this time limit may overstay it."""
        return max(0.0, self.watch.remaining_s + _OVERTIME * self.watch.limit_s + _OVERTIME_S - backend_limit_s)

    # What a back end says.

    def _distrust(self, team: tuple[int, ...], doubt: str) -> None:
        """Keep only what was proved without a back end."""
        self.doubts.append(doubt)
        self.bounds[team] = self._without_backend(team)

    def _record(self, run: Run, program: ExactProgram, began: float) -> str | None:
        """Take the incumbent of a run, and its trajectory unless it is not to be believed; returns why not."""
        outcome, unit = run.outcome, program.unit
        self.interrupted |= run.interrupted
        self.crash = run.crash or self.crash
        self.version = outcome.version or self.version
        doubt = self._offer_incumbent(outcome, program)
        if doubt is None:
            for seconds, progress in run.trajectory:
                values = [None if value is None else value * unit for value in progress]
                self.trajectory.append(Point(began + seconds, *values))
        return doubt

    def _offer_incumbent(self, outcome: Outcome, program: ExactProgram) -> str | None:
        """Offer the plan of an outcome; returns what is wrong with the outcome, if anything is."""
        name = self.instance.graph.name
        if outcome.status == "error":
            return f"back end {self.backend!r} failed on {name}: {outcome.message}"
        if outcome.x is None or outcome.objective is None:
            return None
        try:
            price = self.goal.value(self.offer(program.plan(outcome.x)))
        except PlanError as error:
            return f"back end {self.backend!r} returned a point for {name} that is no plan: {error}"
        claimed, measured_in = outcome.objective * program.unit, self.goal.measure.unit
        if price <= claimed * (1 + BACKENDS.find(self.backend).tolerance):
            return None
        return (
            f"back end {self.backend!r} prices its plan for {name} at {claimed!r} {measured_in}, the evaluator at {price!r} {measured_in}; "
            "that is beyond the back end's tolerance"
        )

    def _prove(self, outcome: Outcome, program: ExactProgram, team: tuple[int, ...], cutoff: float | None) -> None:
        """Take the bound of a run; without plans below the cutoff, the cutoff is one."""
        if outcome.status == "infeasible":
            self.bounds[team] = math.inf if cutoff is None else max(self.bounds[team], cutoff)
        elif outcome.bound is not None:
            tolerance = BACKENDS.find(self.backend).tolerance
            bound = (outcome.bound - tolerance * abs(outcome.bound)) * program.unit
            self.bounds[team] = max(self.bounds[team], bound if cutoff is None else min(bound, cutoff))

    def _withdraw_if_contradicted(self, team: tuple[int, ...]) -> None:
        """Drop what the back end proved about a team if a known plan of it is better; a bound may exceed it by the back end's tolerance."""
        known = min(self.least.get(of, math.inf) for of in (None, team))
        most, unit = known * (1 + BACKENDS.find(self.backend).tolerance), self.goal.measure.unit
        claimed = self.bounds[team]
        if claimed <= most or claimed == self._without_backend(team):
            return
        claim = "infeasible" if math.isinf(claimed) else f"no faster than {claimed!r} s" if unit == "s" else f"no better than {claimed!r} {unit}"
        name = self.instance.graph.name
        self._distrust(
            team, f"back end {self.backend!r} calls {name} {claim} for team {team}, but a plan that fits the memory takes {known!r} {unit}"
        )
        self.trajectory = [point._replace(bound=None) if point.bound is not None and point.bound > most else point for point in self.trajectory]

    def _excess(self, run: Run, program: ExactProgram) -> Reserve:
        """Twice the bytes by which the back end's plan breaks a limit, at least one, and twice the seconds by which it misses the deadline; or 0."""
        if run.outcome.x is None:
            return Reserve()
        evaluation = evaluate(self.instance.graph, self.instance.cluster, program.plan(run.outcome.x))
        late_s = 0.0 if self.goal.met_by(evaluation) else 2 * (evaluation.latency_s - self.goal.latest_s)
        return Reserve(max((2 * violation.excess_bytes + 1 for violation in evaluation.violations), default=0.0), late_s)

    # Instances that no plan fits.

    def closest_to_fitting(self, teams: Sequence[tuple[int, ...]]) -> list[Plan]:
        """The plans that are closest to fitting the memory, as far as there is time to look for them, where no plan is said to fit.

        If one of them fits after all, it becomes the incumbent, and that no plan fits is no longer claimed.
        """
        found = []
        share_s = _REASON_TIME_S / len(teams)
        for team in teams[:_REASON_TEAMS]:
            watch = Stopwatch(min(share_s, self.watch.remaining_s))
            with suppress(TimeUpError):
                watch.check()
                grace_s = self._grace_s(watch.limit_s)
                found.append(least_memory_plan(self.instance, team, self.backend, watch, grace_s, self.splits, self.longest_block))
        plans = [plan for plan in found if plan is not None]
        for plan in plans:
            self.offer(plan)
        for team in teams:
            self._withdraw_if_contradicted(team)
        return [*plans, *([self.misfit[1]] if self.misfit else [])]
