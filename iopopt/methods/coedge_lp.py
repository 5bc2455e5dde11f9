"""CoEdge complete: rows by a linear program instead of in proportion to capability (Zeng et al., IEEE/ACM ToN 2021, arXiv 2012.03257).

Reconstructed from the paper's abstract and summaries of it. Rows are chosen by the relaxation of :mod:`iopopt.methods.coedge_program`: one vector of
fractions of the height for all operators. A device takes part with at least the rows that its neighbours' halos need of it, or not at all: while a
share is below that threshold, the device of the smallest one is dropped and the program solved again. Then the fractions are rounded, operator by
operator, by largest remainder. Operators without rows are whole on the fastest device that is left, or split by output channels.

Rounding can miss a limit that the fractions keep. Then the program is solved again with that limit lowered by as much as the rounded plan missed it;
the evaluator decides.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from iopopt.cluster.cluster import Cluster, Device
from iopopt.cost.evaluation import Evaluation, evaluate
from iopopt.cost.instance import Instance
from iopopt.cost.stopwatch import Stopwatch
from iopopt.methods.coedge import FullyConnected, coedge_placements
from iopopt.methods.coedge_program import Aim, Objective, relaxed, threshold
from iopopt.methods.solution import Solution, heuristic_solution
from iopopt.network.graph import Graph
from iopopt.network.unit import Unit
from iopopt.plan.placement import Placement
from iopopt.plan.plan import Plan
from iopopt.plan.shares import unit_proportional_shares
from iopopt.plan.team import Team, resolve_team, subsets_name

_ATTEMPTS = 20
"""How often the program is solved with lowered limits before it is given up."""

_NOTHING = 1e-6
"""A fraction so small is none."""


@dataclass(frozen=True)
class Rows:
    """The devices that take part, and their fractions of the height."""

    team: tuple[int, ...]
    fractions: tuple[float, ...]

    def plan(self, graph: Graph, cluster: Cluster, fully_connected: FullyConnected) -> Plan:
        """The fractions rounded, operator by operator."""
        by_speed = coedge_placements(graph, cluster, self.team, fully_connected)
        return Plan.of(graph, [self._rounded(unit, placement) for unit, placement in zip(graph.placed_units, by_speed, strict=True)])

    def _rounded(self, unit: Unit, placement: Placement) -> Placement:
        if placement.dim != "H":
            return placement
        return Placement.split("H", self.team, unit_proportional_shares(unit, "H", self.fractions))


def coedge_rows(instance: Instance, team: Sequence[int], fully_connected: FullyConnected, aim: Aim) -> Rows | None:
    """The fractions of the linear program over those devices of the team whose share reaches the threshold; None if no fractions keep the limits.

    Fewer devices open fewer connections. So where no fractions of a team keep the limits, the device with the smallest share of those of the least
    latency is dropped as well.
    """
    members = tuple(team)
    while True:
        placements = (*coedge_placements(instance.graph, instance.cluster, members, fully_connected), *instance.terminals)
        found = relaxed(instance, members, placements, aim)
        if found is not None and _reach_threshold(found.fractions, threshold(instance, placements)):
            return Rows(members, found.fractions)
        if len(members) == 1:
            return None
        fractions = (found or relaxed(instance, members, placements, Aim())).fractions
        smallest = min(range(len(members)), key=fractions.__getitem__)
        members = members[:smallest] + members[smallest + 1 :]


def _reach_threshold(fractions: Sequence[float], least: float) -> bool:
    """Whether every fraction is one of the rows, and large enough; one device always is."""
    return len(fractions) == 1 or min(fractions) >= max(_NOTHING, least - _NOTHING)


def solve_coedge_lp(
    graph: Graph,
    devices: Cluster | Sequence[Device],
    *,
    team: Team = "all",
    fully_connected: FullyConnected = "fastest",
    objective: Objective = "latency",
    deadline_s: float | None = None,
) -> Solution:
    """The rows of the least latency or energy by CoEdge's linear program, over those devices of the team whose share reaches the threshold.

    Where no rounded fractions fit the memory, the plan that is closest to fitting is returned as ``violates_memory``.

    Args:
        deadline_s: the most latency, seconds. If no plan that was tried keeps it, none is returned and the status is ``unknown``: nothing is proven
            about other plans.

    Raises:
        ClusterError: if ``team`` names a device that does not exist.
        SolverError: if ``deadline_s`` is not positive, or HiGHS fails.
        UnsupportedError: if ``fully_connected`` is unknown.
    """
    watch, instance = Stopwatch(), Instance.of(graph, devices)
    cluster, members = instance.cluster, resolve_team(team, instance.cluster)
    aim = Aim(objective, deadline_s, tuple(device.memory_bytes for device in cluster.devices))
    plan, missed = _chosen(instance, members, fully_connected, aim)
    space = subsets_name(team, cluster)
    if plan is not None:
        return heuristic_solution(graph, cluster, plan, method="coedge_lp", space=space, solve_s=watch.elapsed_s)
    return Solution(None, "unknown", "finished", math.inf, None, space, 0.0, watch.elapsed_s, "coedge_lp", reason=missed)


def _chosen(instance: Instance, team: Sequence[int], fully_connected: FullyConnected, aim: Aim) -> tuple[Plan | None, str | None]:
    """The first rounded plan that keeps the limits, or else that in time which is closest to fitting the memory; or else why there is none."""
    tried: list[tuple[Plan, Evaluation]] = []
    fastest = Aim("latency", None, aim.memory_bytes)
    for other in (aim, fastest, replace(aim, memory_bytes=None), replace(fastest, memory_bytes=None)):
        for plan, price in _rounded_plans(instance, team, fully_connected, other):
            if price.feasible and _in_time(price, aim):
                return plan, None
            tried.append((plan, price))
    in_time = [(plan, price) for plan, price in tried if _in_time(price, aim)]
    if in_time:
        return min(in_time, key=lambda pair: _overload(pair[1]))[0], None
    assert aim.deadline_s is not None  # the last program has no limits, so there is a plan
    least_s = min(price.latency_s for _, price in tried)
    missed = f"the fastest plan that CoEdge's linear program gave takes {least_s * 1e3:.4g} ms, and the deadline is {aim.deadline_s * 1e3:.4g} ms"
    return None, missed


def _rounded_plans(instance: Instance, team: Sequence[int], fully_connected: FullyConnected, aim: Aim) -> Iterator[tuple[Plan, Evaluation]]:
    """The plan of the program, rounded; and as long as it breaks a limit, that of the program with lower limits."""
    lowered = aim
    for _ in range(_ATTEMPTS):
        rows = coedge_rows(instance, team, fully_connected, lowered)
        if rows is None:
            return
        plan = rows.plan(instance.graph, instance.cluster, fully_connected)
        price = evaluate(instance.graph, instance.cluster, plan)
        yield plan, price
        lowered, before = _lowered(lowered, aim, price), lowered
        if lowered == before:
            return


def _lowered(lowered: Aim, aim: Aim, price: Evaluation) -> Aim:
    """Limits that are lower by as much as the plan exceeds those of the aim."""
    deadline_s, memory = lowered.deadline_s, lowered.memory_bytes
    if deadline_s is not None and aim.deadline_s is not None:
        deadline_s -= max(0.0, price.latency_s - aim.deadline_s)
    if memory is not None and aim.memory_bytes is not None:
        demands = zip(memory, price.memory_bytes, aim.memory_bytes, strict=True)
        memory = tuple(limit - max(0.0, demand - most) for limit, demand, most in demands)
    return replace(lowered, deadline_s=deadline_s, memory_bytes=memory)


def _in_time(price: Evaluation, aim: Aim) -> bool:
    return aim.deadline_s is None or price.latency_s <= aim.deadline_s


def _overload(price: Evaluation) -> float:
    """The largest demand relative to a limit."""
    return max(demand / limit for demand, limit in zip(price.memory_bytes, price.memory_limit_bytes, strict=True))
