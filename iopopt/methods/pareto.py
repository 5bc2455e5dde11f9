"""Memory against latency: the fastest plan within each of several memory caps, with proven bounds (epsilon-constraint).

A cap c is the share of its limit that every device may use. What :func:`iopopt.solve_milp` proves on a cluster whose limits are multiplied by c holds
for every plan within c; so the bounds at all caps make a staircase below which no plan lies (``cost_model.md``).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from iopopt.cluster.cluster import Cluster, Device
from iopopt.cluster.units import trust_units
from iopopt.cost.evaluation import Evaluation, evaluate
from iopopt.cost.instance import Instance
from iopopt.cost.stopwatch import Stopwatch
from iopopt.errors import FileFormatError
from iopopt.methods.milp import solve_milp
from iopopt.methods.objective import largest_share
from iopopt.methods.settings import MOST_OPTIMAL_GAP, checked_integer, limited
from iopopt.methods.solution import Solution, Status
from iopopt.network.graph import Graph
from iopopt.network.records import as_list, check_keys, check_schema, plain, typed_fields
from iopopt.plan.plan import Plan
from iopopt.plan.splits import STRATEGIES, ShareRule, StrategyName
from iopopt.plan.team import Team
from iopopt.simulation.simulate import Simulator

if TYPE_CHECKING:
    import pandas as pd

Ending = Literal["finished", "time_limit", "interrupted", "infeasible", "unknown"]
"""How the search ended: ``time_limit``: some point has a wider gap than asked for, or was not reached; ``infeasible``: no plan fits, proven;
``unknown``: none was found that fits."""

_MOST_POINTS = 1000

_LEAST_S = 1e-3
"""What a solve is given after the time is up, seconds."""

_ROUNDING = 1e-9
"""By how much a limit at a cap exceeds the product, relative, so that the plan from which the cap was taken fits it."""


@dataclass(frozen=True)
class ParetoPoint:
    """The fastest plan found within a memory cap.

    Attributes:
        cap: the share of its limit that every device may use.
        share: the largest share that one does: at most the cap.
        latency_s: of the plan, by equation (6), seconds.
        bound_s: a proven lower bound on the latency of every plan of the space within the cap.
        status: ``optimal`` if that closes the gap, else ``feasible``.
        makespan_s, throughput_per_s: of several inputs in flight without barriers (:func:`iopopt.simulate`); None if that was not asked for.
    """

    cap: float
    share: float
    latency_s: float
    bound_s: float
    status: Status
    plan: Plan = field(repr=False)
    makespan_s: float | None = None
    throughput_per_s: float | None = None

    @property
    def gap(self) -> float:
        """(latency - bound) / latency."""
        return (self.latency_s - self.bound_s) / self.latency_s if self.latency_s > 0 else 0.0


class Step(NamedTuple):
    """A proven lower bound on the latency, seconds, of every plan of the space within a cap."""

    cap: float
    bound_s: float


@dataclass(frozen=True, repr=False)
class ParetoFront:
    """Points of memory against latency, and what is proven about all plans of the space.

    Attributes:
        points: by rising memory and falling latency; of two plans of which one is at least as good in both, the other is dropped.
        steps: the bound at every cap that was solved, by rising cap.
        least_share: a proven lower bound on the largest share of its limit that a device needs, for every plan that fits.
        space: the plans for which the bounds hold.
        ending: how the search ended.
        inputs: how many inputs were in flight for ``throughput_per_s``; None if none was asked for.
        reason: why there is no point, if there is none.
    """

    model: str
    device_names: tuple[str, ...]
    memory_limit_bytes: tuple[float, ...]
    points: tuple[ParetoPoint, ...]
    steps: tuple[Step, ...]
    least_share: float
    space: str
    ending: Ending
    solve_s: float
    inputs: int | None = None
    reason: str | None = None

    def __post_init__(self) -> None:
        if any(point.bound_s > point.latency_s or point.share > point.cap * (1 + 2 * _ROUNDING) for point in self.points):
            raise ValueError("a point of a front is at most as fast as its bound, and within its cap")
        if [*self.points] != sorted(self.points, key=lambda point: point.share) or [*self.steps] != sorted(self.steps):
            raise ValueError("points and steps of a front come by rising memory")

    def staircase(self, share: float) -> float | None:
        """The proven lower bound on the latency, seconds, of every plan in which no device needs more than this share of its limit.

        Infinite where no plan needs so little; None above the largest cap, where nothing was proven. The bounds at all caps of at least ``share``
        hold; the largest is taken.
        """
        if (self.ending == "infeasible" and share <= 1) or share < self.least_share:
            return math.inf
        return max((step.bound_s for step in self.steps if step.cap >= share), default=None)

    def __repr__(self) -> str:
        if not self.points:
            return f"ParetoFront({self.model}: {self.ending}, no point)"
        first, last = self.points[0], self.points[-1]
        gap = max(point.gap for point in self.points)
        count = f"{len(self.points)} point{'s' if len(self.points) > 1 else ''}"
        return (
            f"ParetoFront({self.model}: {self.ending}, {count} from {first.share:.4g} of the memory in {first.latency_s * 1e3:.4g} ms to "
            f"{last.share:.4g} in {last.latency_s * 1e3:.4g} ms, gaps up to {gap:.2%})"
        )

    def to_frame(self) -> pd.DataFrame:
        """One row for each point."""
        import pandas as pd

        names = ("cap", "share", "latency_s", "bound_s", "gap", "status", "makespan_s", "throughput_per_s")
        return pd.DataFrame([{name: getattr(point, name) for name in names} for point in self.points], columns=names)

    def to_dict(self) -> dict[str, Any]:
        """A record of JSON's types; :meth:`from_dict` reads it back."""
        points = [{**plain(point), "plan": point.plan.to_dict()} for point in self.points]
        return {"schema_version": 1, **plain(self), "points": points, "steps": [list(step) for step in self.steps]}

    @classmethod
    def from_dict(cls, record: Any, where: str = "front") -> ParetoFront:
        """Read a record of :meth:`to_dict`.

        Raises:
            FileFormatError: if a key is missing, unknown or of the wrong type, or the parts contradict each other; the message begins with ``where``.
        """
        check_schema(record, where, 1)
        names = {item.name for item in fields(cls)}
        check_keys(record, where, names | {"schema_version"})
        values = typed_fields({name: record[name] for name in names - {"points", "steps"}}, cls, where)
        points = tuple(_point_from(item, f"{where}: points[{number}]") for number, item in enumerate(as_list(record["points"], f"{where}: 'points'")))
        steps = typed_fields({"steps": record["steps"]}, _Steps, where)["steps"]
        try:
            return cls(**values, points=points, steps=tuple(Step(*step) for step in steps))
        except (TypeError, ValueError) as error:
            raise FileFormatError(f"{where}: {error}") from None


class _Steps(NamedTuple):
    """The steps of a record."""

    steps: tuple[tuple[float, ...], ...]


def _point_from(record: Any, where: str) -> ParetoPoint:
    names = {item.name for item in fields(ParetoPoint)}
    check_keys(record, where, names)
    values = typed_fields({name: record[name] for name in names - {"plan"}}, ParetoPoint, where)
    return ParetoPoint(**values, plan=Plan.from_dict(record["plan"], f"{where}: plan"))


def pareto(
    graph: Graph,
    devices: Cluster | Sequence[Device],
    *,
    points: int = 8,
    team: Team = "all",
    longest_block: int = 1,
    strategies: Collection[StrategyName] = STRATEGIES,
    shares: ShareRule = "free",
    time_limit_s: float = 300.0,
    gap: float = 1e-3,
    backend: str = "highs",
    seed: int = 0,
    threads: int = 1,
    inputs: int | None = None,
) -> ParetoFront:
    """Memory against latency, from the least memory that any plan needs to the least latency of any plan that fits.

    The left end is the least memory (``objective="memory"``), the right end the least latency within the limits; between them the caps are evenly
    spaced. Within each cap the latency is minimised, from the plan of the cap before.

    Args:
        points: how many caps, the two ends included, at least 2. Fewer points come back where one plan is the best for several caps.
        time_limit_s: seconds of wall clock for everything, divided over the caps. If it ends a search, that point has a wider gap, and there may be
            fewer; all are valid.
        inputs: also simulate each point's plan with so many inputs in flight, without barriers (:func:`iopopt.simulate`).

    The other arguments are those of :func:`iopopt.solve_milp`.

    Raises:
        ClusterError, UnknownNameError, PluginError, SolverError: as :func:`iopopt.solve_milp` does, and if ``points`` is out of range.
        PlanError: if ``inputs`` is no positive integer.
    """
    watch, points = limited(time_limit_s, may_be_infinite=False), checked_integer("points", points, 2, _MOST_POINTS)
    cluster = Instance.of(graph, devices).cluster
    if inputs is not None:
        Simulator(graph, cluster, inputs=inputs)
    settings: dict[str, Any] = {
        "team": team,
        "longest_block": longest_block,
        "strategies": strategies,
        "shares": shares,
        "gap": gap,
        "backend": backend,
        "seed": seed,
        "threads": threads,
    }
    search = _Search(graph, cluster, settings, watch)
    search.run(points)
    return search.front(inputs)


class _Search:
    """The caps that were solved so far."""

    def __init__(self, graph: Graph, cluster: Cluster, settings: dict[str, Any], watch: Stopwatch) -> None:
        self._graph, self._cluster, self._settings, self._watch = graph, cluster, settings, watch
        self._found: dict[float, tuple[Plan, Step]] = {}
        self._ending: Ending = "finished"
        self._cut_short = False
        self._reason: str | None = None
        self._least_share, self._space = 0.0, ""

    def run(self, points: int) -> None:
        """Both ends, then the caps between them, by rising memory."""
        least = solve_milp(self._graph, self._cluster, objective="memory", time_limit_s=self._share_s(points + 1), **self._settings)
        self._space, self._least_share = least.space, least.bound_share or 0.0
        if least.plan is None:
            self._ending = "interrupted" if least.termination == "interrupted" else "infeasible" if least.status == "infeasible" else "unknown"
            self._reason = least.reason
            return
        if not self._goes_on(least):
            return
        fastest = self._solve(1.0, least.plan, points)
        lowest, highest = (self._share_of(plan) for plan in (least.plan, fastest))
        donor = least.plan
        for number in range(points - 1):
            cap = lowest + (highest - lowest) * number / (points - 1)
            if self._ending != "finished" or not lowest <= cap < highest:
                break
            if self._watch.remaining_s <= 0:
                self._ending = "time_limit"
                break
            donor = self._solve(cap, donor, points - 1 - number)

    def _solve(self, cap: float, start: Plan, left: int) -> Plan:
        """Minimise the latency within a cap from a plan that is; returns the best plan. ``left`` caps, with this one, share the time."""
        limits = [replace(device, memory_bytes=device.memory_bytes * cap * (1 + _ROUNDING)) for device in self._cluster.devices]
        cluster = self._cluster if cap == 1 else replace(self._cluster, devices=tuple(limits))
        trust_units(cluster)  # what a cap leaves may be little
        found = solve_milp(self._graph, cluster, warm_start=start, time_limit_s=self._share_s(left), **self._settings)
        assert found.plan is not None  # the start is one
        self._found[cap] = found.plan, Step(cap, found.bound_s or 0.0)
        self._cut_short |= found.termination == "time_limit"
        self._goes_on(found)
        return found.plan

    def _share_s(self, left: int) -> float:
        """The time for one of the solves that are left."""
        return max(self._watch.remaining_s, 0.0) / left or _LEAST_S

    def _goes_on(self, found: Solution) -> bool:
        """Whether nobody has ended the search, and there is time."""
        if found.termination == "interrupted":
            self._ending = "interrupted"
        elif self._watch.remaining_s <= 0:
            self._ending = "time_limit"
        return self._ending == "finished"

    def _share_of(self, plan: Plan) -> float:
        return largest_share(evaluate(self._graph, self._cluster, plan))

    def front(self, inputs: int | None) -> ParetoFront:
        """What was found and proven."""
        steps = tuple(sorted(step for _, step in self._found.values()))
        plans = [(plan, evaluate(self._graph, self._cluster, plan)) for plan, _ in self._found.values()]
        points: list[ParetoPoint] = []
        for cap in sorted(self._found):
            # A larger cap may have led to a plan that fits this one and is faster than what the time allowed to find here.
            plan, price = min((found for found in plans if largest_share(found[1]) <= cap * (1 + _ROUNDING)), key=lambda found: found[1].latency_s)
            if not points or price.latency_s < points[-1].latency_s:
                points.append(_point(cap, plan, price, max(step.bound_s for step in steps if step.cap >= cap)))
        return ParetoFront(
            model=self._graph.name,
            device_names=tuple(device.name for device in self._cluster.devices),
            memory_limit_bytes=tuple(device.memory_bytes for device in self._cluster.devices),
            points=tuple(self._simulated(point, inputs) for point in points),
            steps=steps,
            least_share=self._least_share,
            space=self._space,
            ending="time_limit" if self._ending == "finished" and self._cut_short else self._ending,
            solve_s=self._watch.elapsed_s,
            inputs=inputs,
            reason=self._reason,
        )

    def _simulated(self, point: ParetoPoint, inputs: int | None) -> ParetoPoint:
        if inputs is None:
            return point
        timeline = Simulator(self._graph, self._cluster, inputs=inputs).timeline(point.plan)
        return replace(point, makespan_s=timeline.makespan_s, throughput_per_s=timeline.throughput_per_s)


def _point(cap: float, plan: Plan, price: Evaluation, bound_s: float) -> ParetoPoint:
    bound_s = min(bound_s, price.latency_s)  # it may exceed it by the back end's tolerance
    closed = price.latency_s - bound_s <= MOST_OPTIMAL_GAP * (1 + _ROUNDING) * price.latency_s
    return ParetoPoint(cap, largest_share(price), price.latency_s, bound_s, "optimal" if closed else "feasible", plan)
