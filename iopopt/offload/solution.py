"""What every offloading method returns."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

from iopopt.errors import PlanError, SolverError
from iopopt.methods.solution import Point, Status, Termination
from iopopt.network.records import plain
from iopopt.offload.instance import OffloadInstance
from iopopt.offload.plan import OffloadPlan
from iopopt.offload.recursion import OffloadObjective, OffloadPricer

_ROUNDING = 1e-9
"""How far the price of a plan may be below a bound by the order of sums alone, relatively."""


@dataclass(frozen=True)
class OffloadSolution:
    """A method's answer.

    Attributes:
        plan: the best that was found.
        value_s: of the plan, by the objective, seconds.
        bound_s: a proven lower bound on the value of every plan of ``space``; None if the method proves nothing.
        space: the plans for which the bound holds.
        searched: what was enumerated, or how the method searched, in words; empty if there is nothing to say.
        solve_s: seconds that it took.
        seed: None if the method has no randomness.
        resolution_s: the length of one tick, seconds, of a method that counts in integers; None otherwise.
    """

    plan: OffloadPlan
    status: Status
    termination: Termination
    value_s: float
    bound_s: float | None
    objective: OffloadObjective
    space: str
    method: str
    solve_s: float
    seed: int | None = None
    searched: str = ""
    resolution_s: float | None = None
    trajectory: tuple[Point, ...] = ()

    @property
    def gap(self) -> float | None:
        """(value - bound) / value; None without a bound."""
        return None if self.bound_s is None else (self.value_s - self.bound_s) / self.value_s if self.value_s > 0 else 0.0

    def to_dict(self) -> dict[str, Any]:
        """A record of JSON's types."""
        record = {item.name: getattr(self, item.name) for item in fields(self)}
        return {"schema_version": 1, **plain(record), "plan": self.plan.to_dict()}


def checked_offload_solution(instance: OffloadInstance, solution: Any) -> OffloadSolution:
    """What a method returned, if the recursion confirms it.

    Raises:
        SolverError: if it is no OffloadSolution, its plan does not belong to the instance or takes another time, or its bound is above that.
    """
    if not isinstance(solution, OffloadSolution):
        raise SolverError(f"it returned a {type(solution).__name__}; an OffloadSolution is expected")
    pricer = OffloadPricer(instance)
    try:
        pricer.validate(solution.plan)
    except PlanError as error:
        raise SolverError(f"its plan does not belong to the instance: {error}") from None
    value_s = pricer.value_s(solution.plan, solution.objective)
    if not math.isclose(solution.value_s, value_s, rel_tol=_ROUNDING):
        raise SolverError(f"it says that its plan takes {solution.value_s!r} s; by the recursion it takes {value_s!r} s")
    if solution.bound_s is not None and solution.bound_s > value_s * (1 + _ROUNDING):
        raise SolverError(f"it says that no plan takes less than {solution.bound_s!r} s, but its own takes {value_s!r} s")
    return solution


def offload_solution(
    instance: OffloadInstance,
    plan: OffloadPlan,
    *,
    status: Status = "feasible",
    termination: Termination = "finished",
    bound_s: float | None = None,
    objective: OffloadObjective = "makespan",
    **rest: Any,
) -> OffloadSolution:
    """The Solution of a plan, which is checked and priced here, whatever the method thought of it.

    A bound that is above the price by rounding alone is the price.

    Raises:
        PlanError: if the plan does not belong to the instance.
        AssertionError: if the bound is above the price by more.
    """
    pricer = OffloadPricer(instance)
    pricer.validate(plan)
    value_s = pricer.value_s(plan, objective)
    if bound_s is not None:
        assert bound_s <= value_s * (1 + _ROUNDING), f"the bound is {bound_s} s, but the plan takes {value_s} s"
        bound_s = min(bound_s, value_s)
    return OffloadSolution(plan, status, termination, value_s, bound_s, objective, **rest)
