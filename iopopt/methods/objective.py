"""What a method minimises: the latency, or the energy or the memory of plans that meet a deadline."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypedDict

import numpy as np
import numpy.typing as npt

from iopopt.cluster.cluster import Cluster
from iopopt.cost.energy import has_power
from iopopt.cost.evaluation import Evaluation
from iopopt.cost.pricer import BatchEvaluation
from iopopt.errors import SolverError, UnknownNameError
from iopopt.network.records import is_number, short_repr

Objective = Literal["latency", "energy", "memory", "memory_bytes"]
"""``latency`` is T of equation (6), or the simulated makespan; ``energy`` that of the cost model, by the clock of equation (6). ``memory`` is the
largest demand of a device by equation (1) as a share of its limit, ``memory_bytes`` the largest in bytes."""

Values = npt.NDArray[np.float64]

_ROUNDING = 1e-9
"""How far a latency may exceed a deadline, relative: sums of the same terms in another order differ by less."""


_PROVEN = 1.1e-4
"""The relative gap up to which a latency is called the least possible: that of an optimum, and a back end's tolerance."""


class Measure(NamedTuple):
    """How an objective is measured, and how texts say it.

    Attributes:
        unit: of values and bounds.
        of: its value for a plan that was priced; None if the plan has none.
        of_batch: the values of a batch of plans, given the memory limits of the devices, bytes.
        bound: the field of a Solution that holds the proven bound.
        shown, scale: the unit in texts, and how many of them make one ``unit``.
        beats: what a plan of a lesser value does, for sentences that continue with a value.
        in_time: whether the value depends on how long anything takes.
    """

    unit: str
    of: Callable[[Evaluation], float | None]
    of_batch: Callable[[BatchEvaluation, Values], Values]
    bound: str
    shown: str
    scale: float
    beats: str
    in_time: bool = True

    def text(self, value: float) -> str:
        """A value with its unit, four digits."""
        return f"{value * self.scale:.4g} {self.shown}"


def largest_share(evaluation: Evaluation) -> float:
    """The largest demand of a device by equation (1) as a share of its limit: more than 1 if the plan does not fit."""
    return max(demand / limit for demand, limit in zip(evaluation.memory_bytes, evaluation.memory_limit_bytes, strict=True))


def _energies(price: BatchEvaluation, limits: Values) -> Values:
    assert price.energy_j is not None  # the batch was priced for it
    return price.energy_j


MEASURES: Mapping[Objective, Measure] = {
    "latency": Measure("s", lambda price: price.latency_s, lambda price, limits: price.latency_s, "bound_s", "ms", 1e3, "is faster than"),
    "energy": Measure("J", lambda price: price.energy_j, _energies, "bound_j", "J", 1.0, "draws less than"),
    "memory": Measure(
        "of the limit",
        largest_share,
        lambda price, limits: np.asarray((price.memory_bytes / limits[:, None]).max(axis=0)),
        "bound_share",
        "% of the limit",
        100.0,
        "needs less than",
        in_time=False,
    ),
    "memory_bytes": Measure(
        "bytes",
        lambda price: max(price.memory_bytes),
        lambda price, limits: np.asarray(price.memory_bytes.max(axis=0)),
        "bound_bytes",
        "MB",
        1e-6,
        "needs less than",
        in_time=False,
    ),
}
"""Every objective, a line each."""


class BoundFields(TypedDict):
    """The bound of a Solution in the field of its objective; None in the others."""

    bound_s: float | None
    bound_j: float | None
    bound_share: float | None
    bound_bytes: float | None


def bound_fields(objective: Objective, bound: float | None) -> BoundFields:
    """The fields of a Solution for a bound by this objective."""
    fields = BoundFields(bound_s=None, bound_j=None, bound_share=None, bound_bytes=None)
    fields[MEASURES[objective].bound] = bound  # type: ignore[literal-required]  # every measure names one of them
    return fields


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

    def values(self, price: BatchEvaluation, cluster: Cluster) -> Values:
        """The values of a batch of priced plans."""
        return self.measure.of_batch(price, np.array([device.memory_bytes for device in cluster.devices]))

    @property
    def memory_only(self) -> bool:
        """Whether it does not matter how long a plan takes."""
        return not self.measure.in_time and math.isinf(self.deadline_s)

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


def checked_goal(objective: str, deadline_s: float | None, cluster: Cluster, known: Collection[Objective] = tuple(MEASURES)) -> Goal:
    """The goal of a method's settings; ``known`` are the objectives that the method has.

    Raises:
        UnknownNameError: if the method has no such objective.
        SolverError: if the deadline is no positive number of seconds or goes with the latency, or no device of the cluster has a power.
    """
    found = next((name for name in known if name == objective), None)
    if found is None:
        raise UnknownNameError("objective", str(objective), known)
    if objective == "latency" and deadline_s is not None:
        raise SolverError(
            "deadline_s needs objective='energy', 'memory' or 'memory_bytes': objective='latency' looks for the fastest plan, which meets any "
            "deadline that can be met"
        )
    if deadline_s is not None and (not is_number(deadline_s) or not deadline_s > 0):
        raise SolverError(f"deadline_s is {short_repr(deadline_s)}; it must be a positive number of seconds, or None")
    if objective == "energy" and not has_power(cluster):
        raise SolverError("objective='energy' needs a device with a power: give compute_watts, transmit_watts, receive_watts or idle_watts")
    return Goal(found, math.inf if deadline_s is None else float(deadline_s))
