"""What every method returns: a plan with its price, and what was proven about it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, NamedTuple

from iopopt.cluster.cluster import Cluster, Device, as_cluster
from iopopt.cost.evaluation import Evaluation, evaluate
from iopopt.errors import FileFormatError
from iopopt.methods.explanation import explain, wrapped
from iopopt.methods.html import solution_html
from iopopt.methods.objective import MEASURES, Goal, Measure, Objective, checked_goal
from iopopt.network.graph import Graph
from iopopt.network.records import check_keys, check_schema, plain, short_repr, short_text, typed, typed_fields
from iopopt.plan.plan import Plan
from iopopt.plan.team import space_name
from iopopt.simulation.simulate import Simulator

Status = Literal["optimal", "feasible", "infeasible", "violates_memory", "unknown", "error"]
"""``optimal`` and ``infeasible`` are proven, for the Solution's space; ``violates_memory`` is a priced plan that breaks a memory limit."""

Termination = Literal["gap", "time_limit", "iteration_limit", "exhausted", "interrupted", "finished", "failed"]
"""Why the method stopped; ``exhausted``: the whole space was searched; ``finished``: a heuristic ended normally."""


Timing = Literal["bulk-synchronous", "events"]
"""By which clock a latency was measured: equation (6), in which everybody waits at every operator, or the simulation of events
(:func:`iopopt.simulate`, boundary rows first), in which nobody waits for more than what it needs."""


_ADDED = {"started_from", "start_latency_s", "timing", "objective", "bound_j", "bound_share", "bound_bytes", "deadline_s"}
"""What records of earlier versions do not have."""


class Point(NamedTuple):
    """One point of a trajectory: seconds since the start, and the incumbent's value and the proven bound, in the unit of the objective; or None."""

    elapsed_s: float
    value: float | None
    bound: float | None


@dataclass(frozen=True, repr=False)
class Solution:
    """A method's answer.

    Attributes:
        plan: None if no plan was found.
        latency_s: of the plan, seconds, by the clock ``timing``; infinite without a plan.
        bound_s: a proven lower bound on the latency, by the same clock, of every plan of ``space`` that fits the memory; None if the method proves
            nothing, or has another objective.
        space: the plans for which the bound, ``optimal`` and ``infeasible`` hold.
        build_s, solve_s: seconds spent preparing, and searching.
        seed: None if the method has no randomness.
        trajectory: incumbent and bound over time.
        evaluation: the evaluator's price of the plan, whatever the clock; None without a plan.
        reason: why there is no plan, or no feasible one: what is demanded, what is available, what would fix it.
        started_from, start_latency_s: the best of the plans from which the search started, and its latency, seconds; None if the method starts
            from none, or none fits the memory.
        timing: by which clock ``latency_s``, ``bound_s``, ``start_latency_s`` and the trajectory were measured.
        objective: what the method minimised: ``value``, ``bound``, ``gap`` and the trajectory are in its ``unit``.
        bound_j: a proven lower bound on the energy, joules, of every plan of ``space`` that fits the memory and meets the deadline; None if the
            method proves nothing, or has another objective.
        deadline_s: the latency, seconds, that plans may have under another objective than the latency; None if any.
        bound_share, bound_bytes: a proven lower bound on the largest demand of a device, as a share of its limit or in bytes, of every plan of
            ``space`` that fits the memory and meets the deadline; None if the method proves nothing, or has another objective.
    """

    plan: Plan | None
    status: Status
    termination: Termination
    latency_s: float
    bound_s: float | None
    space: str
    build_s: float
    solve_s: float
    method: str
    backend: str | None = None
    backend_version: str | None = None
    seed: int | None = None
    trajectory: tuple[Point, ...] = ()
    evaluation: Evaluation | None = None
    reason: str | None = None
    started_from: str | None = None
    start_latency_s: float | None = None
    timing: Timing = "bulk-synchronous"
    objective: Objective = "latency"
    bound_j: float | None = None
    deadline_s: float | None = None
    bound_share: float | None = None
    bound_bytes: float | None = None

    def __post_init__(self) -> None:
        if (self.plan is None) != math.isinf(self.latency_s) or (self.plan is None) != (self.evaluation is None):
            raise ValueError("a Solution has a plan, a finite latency and an evaluation, or none of them")
        if (self.plan is not None) != (self.status in ("optimal", "feasible", "violates_memory")):
            raise ValueError(f"a Solution of status {self.status!r} {'needs a' if self.plan is None else 'has no'} plan")
        if self.plan is not None and self.evaluation is not None:
            if self.timing == "bulk-synchronous" and self.latency_s != self.evaluation.latency_s:
                raise ValueError(f"a Solution's latency is {self.latency_s} s, but its evaluation says {self.evaluation.latency_s} s")
            if self.plan.by_unit != {cost.name: cost.placement for cost in self.evaluation.operators}:
                raise ValueError("a Solution's evaluation belongs to another plan")
        self._check_objective()
        if self.status in ("optimal", "feasible") and self.bound is not None and self.bound > self.value:
            raise ValueError(f"a Solution's bound is {self.bound} {self.unit}, but its plan takes {self.value} {self.unit}")
        if self.build_s < 0 or self.solve_s < 0:
            raise ValueError(f"a Solution's times are {self.build_s} and {self.solve_s} s; they cannot be negative")

    def _check_objective(self) -> None:
        """Value, bound, deadline and clock are those of the objective."""
        if any(getattr(self, measure.bound) is not None for objective, measure in MEASURES.items() if objective != self.objective):
            raise ValueError(f"a Solution with the objective {self.objective!r} has the bound of another one; its own is {self._measure.bound}")
        if self.objective == "latency":
            if self.deadline_s is not None:
                raise ValueError("a Solution with the objective 'latency' has no deadline")
            return
        if self.timing != "bulk-synchronous" or self.start_latency_s is not None:
            raise ValueError(f"a Solution with the objective {self.objective!r} is by the clock of equation (6), and has no start_latency_s")
        if self.deadline_s is not None and self.deadline_s <= 0:
            raise ValueError(f"a Solution's deadline is {self.deadline_s} s; it must be positive")
        if self.evaluation is not None and self._measure.of(self.evaluation) is None:
            raise ValueError(f"a Solution with the objective {self.objective!r} needs an evaluation that has one")
        if self.status in ("optimal", "feasible") and self.evaluation is not None and not self._goal.met_by(self.evaluation):
            raise ValueError(f"a Solution's plan takes {self.latency_s} s, more than its deadline of {self.deadline_s} s")

    @property
    def _measure(self) -> Measure:
        return MEASURES[self.objective]

    @property
    def _goal(self) -> Goal:
        return Goal(self.objective, math.inf if self.deadline_s is None else self.deadline_s)

    @property
    def unit(self) -> str:
        """Of ``value``, ``bound`` and the trajectory: ``s``, ``J``, ``of the limit`` or ``bytes``."""
        return self._measure.unit

    @property
    def value(self) -> float:
        """What the plan comes to by the objective: its latency in seconds, its energy in joules, its largest demand as a share of the limit or in
        bytes; infinite without a plan."""
        return self.latency_s if self.objective == "latency" or self.evaluation is None else self._goal.value(self.evaluation)

    @property
    def bound(self) -> float | None:
        """The proven lower bound on ``value`` over all plans of ``space`` that are allowed; None if the method proves nothing."""
        bound: float | None = getattr(self, self._measure.bound)
        return bound

    @property
    def gap(self) -> float | None:
        """(value - bound) / value; None without a bound, or if the plan breaks a memory limit."""
        if self.bound is None or self.plan is None or self.status == "violates_memory":
            return None
        return (self.value - self.bound) / self.value if self.value > 0 else 0.0

    def __repr__(self) -> str:
        bound = "" if self.bound is None else f", bound {self._measure.text(self.bound)}"
        return f"Solution({short_text(self.method, 24)}: {self.status}, {self._found()}{bound})"

    def _repr_html_(self) -> str:
        return solution_html(self)

    def explain(self, *, full: bool = False) -> str:
        """How operators are split, what dominates the latency, which memory limit binds.

        Args:
            full: a line for every operator, uncut, instead of groups of operators that fit a screen.
        """
        lines = [self.headline, *([f"Reason: {self.reason}"] if self.reason else [])]
        return "\n".join([*wrapped(lines), *(explain(self.evaluation, full) if self.evaluation else [])])

    @property
    def headline(self) -> str:
        """What was found and what is proven, in one sentence."""
        how = self.method + (f" ({self.backend})" if self.backend else "")
        proof = "nothing is proven about other plans"
        deadline = "" if self.deadline_s is None else f"{self.deadline_s * 1e3:.4g} ms"
        if self.status == "infeasible":
            proof = f"proven: no plan of {self.space} fits the memory" + (f" and takes at most {deadline}" if deadline else "")
        elif self.bound is not None:
            gap = f" (gap {self.gap:.2%})" if self.gap is not None else ""
            within = f" that takes at most {deadline}" if deadline else ""
            proof = f"no plan of {self.space}{within} {self._measure.beats} {self._measure.text(self.bound)}{gap}"
        return f"{how}: {self.status}, stopped by {self.termination}: {self._found()}{self._taking()}{self._gained()}; {proof}."

    def _taking(self) -> str:
        """The latency, where that is not the objective."""
        return "" if self.plan is None or self.objective == "latency" else f", taking {self.latency_s * 1e3:.4g} ms"

    def _gained(self) -> str:
        """What the search gained over the plan from which it started."""
        if self.plan is None or self.start_latency_s is None:
            return ""
        gain = self.latency_s / self.start_latency_s - 1 if self.start_latency_s > 0 else 0.0
        return f" ({gain:+.1%} from {self.started_from or 'its start'}, {self.start_latency_s * 1e3:.4g} ms)"

    def _found(self) -> str:
        if self.plan is None:
            return "no plan"
        clock = "" if self.timing == "bulk-synchronous" else " without barriers"
        return f"{self._measure.text(self.value)}{clock}, {len(self.plan.split_operators)} of {len(self.plan)} operators split"

    def to_dict(self) -> dict[str, Any]:
        """A record of JSON's types; :meth:`from_dict` reads it back. An infinite latency is written as null."""
        record = {item.name: getattr(self, item.name) for item in fields(self)}
        record["plan"] = None if self.plan is None else self.plan.to_dict()
        record["evaluation"] = None if self.evaluation is None else self.evaluation.to_dict()
        record["latency_s"] = None if self.plan is None else self.latency_s
        return {"schema_version": 1, **plain(record)}

    @classmethod
    def from_dict(cls, record: Any, where: str = "solution") -> Solution:
        """Read a record of :meth:`to_dict`.

        Raises:
            FileFormatError: if a key is missing, unknown or of the wrong type, or the parts contradict each other; the message begins with ``where``.
        """
        check_schema(record, where, 1)
        names = {item.name for item in fields(cls)}
        check_keys(record, where, (names | {"schema_version"}) - _ADDED, _ADDED)
        nested = {"plan", "evaluation", "trajectory", "latency_s"}
        values = typed_fields({name: record[name] for name in names - nested if name in record}, cls, where)
        latency_s = typed(record["latency_s"], float | None, f"{where}: 'latency_s'")
        points = typed(record["trajectory"], tuple[tuple[float | None, ...], ...], f"{where}: 'trajectory'")
        if any(len(point) != 3 or point[0] is None for point in points):
            raise FileFormatError(f"{where}: 'trajectory' is {short_repr(record['trajectory'])}; its points are [elapsed_s, value, bound]")
        plan, evaluation = record["plan"], record["evaluation"]
        try:
            return cls(
                **values,
                plan=None if plan is None else Plan.from_dict(plan, f"{where}: plan"),
                evaluation=None if evaluation is None else Evaluation.from_dict(evaluation, f"{where}: evaluation"),
                latency_s=math.inf if latency_s is None else latency_s,
                trajectory=tuple(Point(*point) for point in points),
            )
        except FileFormatError:
            raise
        except ValueError as error:
            raise FileFormatError(f"{where}: {error}") from None


def heuristic_solution(
    graph: Graph,
    devices: Cluster | Sequence[Device],
    plan: Plan,
    *,
    method: str,
    space: str | None = None,
    build_s: float = 0.0,
    solve_s: float = 0.0,
    termination: Termination = "finished",
    seed: int | None = None,
    trajectory: tuple[Point, ...] = (),
    started_from: str | None = None,
    start_latency_s: float | None = None,
    timing: Timing = "bulk-synchronous",
    objective: Objective = "latency",
    deadline_s: float | None = None,
) -> Solution:
    """The Solution of a method that proves nothing: the plan, priced by the evaluator, with the memory limits it breaks.

    ``space`` says which plans the method chose from (:func:`iopopt.space_name`): those of all devices unless given. With ``timing="events"`` the
    latency is the simulated makespan (:func:`iopopt.simulate`), and so must be ``start_latency_s`` and the trajectory. With another objective a
    plan that misses the deadline is no answer: the Solution then has the status ``unknown``, no plan, and the reason.

    Raises:
        PlanError: if the plan breaks equations (2) to (5) or belongs to another graph or cluster.
        UnknownNameError, SolverError: if there is no such objective, it does not go with the deadline, or the cluster has no powers.
    """
    evaluation = evaluate(graph, devices, plan)
    goal = checked_goal(objective, deadline_s, as_cluster(devices))
    missed = not goal.met_by(evaluation)
    late = f"the plan that was found takes {evaluation.latency_s * 1e3:.4g} ms, longer than the deadline of {goal.deadline_s * 1e3:.4g} ms"
    broken = "; ".join(str(violation) for violation in evaluation.violations)
    latency_s = evaluation.latency_s if timing == "bulk-synchronous" else Simulator(graph, devices).makespan_s(plan)
    return Solution(
        plan=None if missed else plan,
        status="unknown" if missed else "feasible" if evaluation.feasible else "violates_memory",
        termination=termination,
        latency_s=math.inf if missed else latency_s,
        bound_s=None,
        space=space or space_name("all", devices),
        build_s=build_s,
        solve_s=solve_s,
        method=method,
        seed=seed,
        trajectory=trajectory,
        started_from=started_from,
        start_latency_s=start_latency_s,
        timing=timing,
        objective=objective,
        deadline_s=deadline_s,
        evaluation=None if missed else evaluation,
        reason=late if missed else broken or None,
    )
