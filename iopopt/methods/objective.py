"""What a method minimises: the latency, or the energy of plans that meet a deadline."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

from iopopt.cluster.cluster import Cluster
from iopopt.cost.energy import has_power
from iopopt.cost.evaluation import Evaluation
from iopopt.errors import SolverError, UnknownNameError
from iopopt.network.records import is_number, short_repr

Objective = Literal["latency", "energy"]
"""``latency`` is T of equation (6), or the simulated makespan; ``energy`` that of the cost model, by the clock of equation (6)."""

_ROUNDING = 1e-9
"""How far a latency may exceed a deadline, relative: sums of the same terms in another order differ by less."""


_PROVEN = 1.1e-4
"""The relative gap up to which a latency is called the least possible: that of an optimum, and a back end's tolerance."""


class Measure(NamedTuple):
    """How an objective is measured, and how texts say it.

    Attributes:
        unit: of values and bounds.
        of: its value for a plan that was priced; None if the plan has none.
        bound: the field of a Solution that holds the proven bound.
        shown, scale: the unit in texts, and how many of them make one ``unit``.
        beats: what a plan of a lesser value does, for sentences that continue with a value.
    """

    unit: str
    of: Callable[[Evaluation], float | None]
    bound: str
    shown: str
    scale: float
    beats: str

    def text(self, value: float) -> str:
        """A value with its unit, four digits."""
        return f"{value * self.scale:.4g} {self.shown}"


MEASURES: Mapping[Objective, Measure] = {
    "latency": Measure("s", lambda evaluation: evaluation.latency_s, "bound_s", "ms", 1e3, "is faster than"),
    "energy": Measure("J", lambda evaluation: evaluation.energy_j, "bound_j", "J", 1.0, "draws less than"),
}
"""Every objective, a line each."""


@dataclass(frozen=True)
class Goal:
    """An objective, and the deadline that plans must meet, seconds; infinite if there is none."""

    objective: Objective = "latency"
    deadline_s: float = math.inf

    @property
    def measure(self) -> Measure:
        return MEASURES[self.objective]

    def value(self, evaluation: Evaluation) -> float:
        """The value of a priced plan; infinite if it has none."""
        value = self.measure.of(evaluation)
        return math.inf if value is None else value

    @property
    def latest_s(self) -> float:
        """The longest latency that meets the deadline: equality is allowed, up to rounding."""
        return self.deadline_s * (1 + _ROUNDING)

    def met_by(self, evaluation: Evaluation) -> bool:
        """Whether a priced plan meets the deadline."""
        return evaluation.latency_s <= self.latest_s


LATENCY = Goal()


def deadline_missed(goal: Goal, fastest_s: float, bound_s: float) -> str:
    """Why no plan meets the deadline: the least possible time, or a proven bound on it, and the fastest plan known.

    Args:
        fastest_s: the latency of the fastest plan known; infinite if none is.
        bound_s: a proven lower bound on the latency of all plans.
    """
    of_all = f"no plan meets the deadline of {goal.deadline_s * 1e3:.6g} ms: "
    if fastest_s - bound_s <= _PROVEN * fastest_s:
        return f"{of_all}the least possible time is {fastest_s * 1e3:.6g} ms (proven)"
    known = "no plan that fits the memory is known" if math.isinf(fastest_s) else f"the fastest known takes {fastest_s * 1e3:.6g} ms"
    return f"{of_all}none takes less than {bound_s * 1e3:.6g} ms (proven), and {known}"


def checked_goal(objective: str, deadline_s: float | None, cluster: Cluster) -> Goal:
    """The goal of a method's settings.

    Raises:
        UnknownNameError: if there is no such objective.
        SolverError: if the deadline is no positive number of seconds or goes with the latency, or no device of the cluster has a power.
    """
    if objective not in get_args(Objective):
        raise UnknownNameError("objective", str(objective), get_args(Objective))
    if objective == "latency" and deadline_s is not None:
        raise SolverError(
            "deadline_s needs objective='energy': objective='latency' looks for the fastest plan, which meets any deadline that can be met"
        )
    if deadline_s is not None and (not is_number(deadline_s) or not deadline_s > 0):
        raise SolverError(f"deadline_s is {short_repr(deadline_s)}; it must be a positive number of seconds, or None")
    if objective == "energy" and not has_power(cluster):
        raise SolverError("objective='energy' needs a device with a power: give compute_watts, transmit_watts, receive_watts or idle_watts")
    return Goal("energy" if objective == "energy" else "latency", math.inf if deadline_s is None else float(deadline_s))
