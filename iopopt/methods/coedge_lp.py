"""CoEdge complete: rows by a linear program instead of in proportion to capability (Zeng et al., IEEE/ACM ToN 2021, arXiv 2012.03257).

Reconstructed from the paper's abstract and summaries of it. Rows are chosen by the relaxation of :mod:`iopopt.methods.coedge_program`: one vector of
fractions of the height for all operators. A device takes part with at least the rows that its neighbours' halos need of it, or not at all: while a
share is below that threshold, the device with the smallest one is dropped and the program solved again. Then the fractions are rounded, operator by
operator, by largest remainder. Operators without rows are whole on the fastest device that is left, or split by output channels.

As far as it is known, CoEdge stops at the first devices whose shares all reach the threshold. Here dropping goes on until two are left, each device
alone is tried too, and the best of these plans is taken: fewer devices open fewer connections, which CoEdge's model does not have and a relaxation
does not see. The cost model itself needs no threshold, so rows by capability, which keep none, are sometimes faster.

Rounding can break a limit that the fractions keep. Then the program is solved again with that limit lowered: by as much as the rounded plan
exceeds it, then by twice as much, and so on. The evaluator decides.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import NamedTuple

from iopopt.cluster.cluster import Cluster, Device
from iopopt.cost.evaluation import Evaluation, evaluate
from iopopt.cost.instance import Instance
from iopopt.cost.stopwatch import Stopwatch, TimeUpError
from iopopt.methods.coedge import FullyConnected, coedge_placements
from iopopt.methods.coedge_program import Aim, relaxed, threshold
from iopopt.methods.objective import LATENCY, Goal, Objective, checked_goal
from iopopt.methods.settings import limited
from iopopt.methods.solution import Solution, heuristic_solution
from iopopt.network.graph import Graph
from iopopt.network.unit import Unit
from iopopt.plan.placement import Placement
from iopopt.plan.plan import Plan
from iopopt.plan.shares import unit_proportional_shares
from iopopt.plan.team import Team, resolve_team, subsets_name

COEDGE_OBJECTIVES: tuple[Objective, ...] = ("latency", "energy")

_ATTEMPTS = 10
"""How often the program of some devices is solved with lowered limits before they are given up."""

_NOTHING = 1e-6
"""A fraction so small is none."""


def solve_coedge_lp(
    graph: Graph,
    devices: Cluster | Sequence[Device],
    *,
    team: Team = "all",
    fully_connected: FullyConnected = "fastest",
    objective: Objective = "latency",
    deadline_s: float | None = None,
    time_limit_s: float = math.inf,
) -> Solution:
    """Rows by CoEdge's linear program, of the least latency or energy, over those devices of the team that it does not drop.

    Where nothing that was tried fits the memory, the plan that is closest to fitting is returned as ``violates_memory``. Where nothing meets the
    deadline, the Solution is ``unknown``, and its reason has the least latency that was found: nothing is proven about other plans. The plan is
    always the same unless the time limit, in seconds of wall clock for everything, cuts the search short (``termination="time_limit"``).

    Args:
        objective: ``"latency"`` as the IOP paper uses CoEdge, or ``"energy"`` as CoEdge itself does.
        deadline_s: the most latency, seconds, under the objective ``"energy"``.

    Raises:
        ClusterError: if ``team`` names a device that does not exist.
        SolverError: if a time is no positive number of seconds, the deadline goes with the latency, no device has a power for the energy, or HiGHS
            fails.
        UnknownNameError: if there is no such objective.
        UnsupportedError: if ``fully_connected`` is unknown.
    """
    watch, instance = limited(time_limit_s), Instance.of(graph, devices)
    cluster = instance.cluster
    goal = checked_goal(objective, deadline_s, cluster, COEDGE_OBJECTIVES)
    plan = _chosen(_Search(instance, resolve_team(team, cluster), fully_connected, watch), goal)
    return heuristic_solution(
        graph,
        cluster,
        plan,
        method="coedge_lp",
        space=subsets_name(team, cluster),
        solve_s=watch.elapsed_s,
        termination="time_limit" if watch.cut_short else "finished",
        objective=objective,
        deadline_s=deadline_s,
    )


class Rounded(NamedTuple):
    """A plan of rounded fractions."""

    plan: Plan
    price: Evaluation


class _Search(NamedTuple):
    """The plans of one team and of those of its subsets that dropping devices leads to."""

    instance: Instance
    team: tuple[int, ...]
    fully_connected: FullyConnected
    watch: Stopwatch

    def plans(self, aim: Aim) -> Iterator[Rounded]:
        """The plans of each device alone; and those of all devices, of all but the one with the smallest share, and so on, where shares reach the
        threshold and keep the limits.

        Where no fractions keep the limits, the smallest share is that of the least latency.

        Raises:
            TimeUpError: if the time is up.
        """
        for j in self.team:
            yield self._plan((j,), (1.0,))
        team = self.team
        while len(team) > 1:
            fractions = self._fractions(team, aim)
            yield from self._rounded(team, fractions, aim)
            shares = fractions or self._fractions(team, Aim(LATENCY))
            assert shares is not None  # there are no limits
            smallest = min(range(len(team)), key=shares.__getitem__)
            team = team[:smallest] + team[smallest + 1 :]

    def _rounded(self, team: tuple[int, ...], fractions: tuple[float, ...] | None, aim: Aim) -> Iterator[Rounded]:
        """The plan of the program's fractions; as long as it breaks a limit that they keep, that of the program with lower limits."""
        placements, lowered = self._placements(team), aim
        by_rows = any(placement.dim == "H" for placement in placements)
        least = max(_NOTHING, threshold(self.instance, placements) - _NOTHING) if by_rows else 0.0
        for attempt in range(_ATTEMPTS):
            if fractions is None or min(fractions) < least:
                return
            found = self._plan(team, fractions)
            yield found
            lowered, before = _lowered(lowered, aim, found.price, 2.0**attempt), lowered
            if lowered == before:
                return
            fractions = self._fractions(team, lowered)

    def _fractions(self, team: tuple[int, ...], aim: Aim) -> tuple[float, ...] | None:
        found = relaxed(self.instance, team, self._placements(team), aim, watch=self.watch)
        return None if found is None else found.fractions

    def _placements(self, team: tuple[int, ...]) -> tuple[Placement, ...]:
        """Rows by capability, of every unit."""
        return (*coedge_placements(self.instance.graph, self.instance.cluster, team, self.fully_connected), *self.instance.terminals)

    def _plan(self, team: tuple[int, ...], fractions: tuple[float, ...]) -> Rounded:
        graph, cluster = self.instance.graph, self.instance.cluster
        placed = zip(self.instance.placed, self._placements(team), strict=False)
        plan = Plan.of(graph, [split_by(unit, placement, fractions) for unit, placement in placed])
        return Rounded(plan, evaluate(graph, cluster, plan))


def split_by(unit: Unit, placement: Placement, fractions: Sequence[float]) -> Placement:
    """The placement with these fractions of its rows, rounded by largest remainder, if it is split by rows."""
    if placement.dim != "H":
        return placement
    return Placement.split("H", placement.devices, unit_proportional_shares(unit, "H", fractions))


def _lowered(lowered: Aim, aim: Aim, price: Evaluation, times: float) -> Aim:
    """Limits that are lower by so many times what the plan exceeds those of the aim by."""
    deadline_s = lowered.goal.deadline_s - times * max(0.0, price.latency_s - aim.goal.latest_s)
    memory = lowered.memory_bytes
    if memory is not None and aim.memory_bytes is not None:
        demands = zip(memory, price.memory_bytes, aim.memory_bytes, strict=True)
        memory = tuple(limit - times * max(0.0, demand - most) for limit, demand, most in demands)
    return Aim(replace(lowered.goal, deadline_s=deadline_s), memory)


def _chosen(search: _Search, goal: Goal) -> Plan:
    """The best rounded plan within the limits; without one, of those in time the closest to fitting the memory, or else the fastest."""
    found: list[Rounded] = []
    with suppress(TimeUpError):
        _find(search, goal, found)
    allowed = _allowed(found, goal)
    if allowed:
        return min(allowed, key=lambda of: goal.value(of.price)).plan
    in_time = [of for of in found if goal.met_by(of.price)]
    if in_time:
        return min(in_time, key=lambda of: _overload(of.price)).plan
    return min(found, key=lambda of: of.price.latency_s).plan


def _find(search: _Search, goal: Goal, found: list[Rounded]) -> None:
    """Add plans to ``found``: those of the goal, and if none of them is allowed, those of fewer limits, which may keep them all the same.

    Raises:
        TimeUpError: if the time is up; there is a plan by then.
    """
    memory = tuple(device.memory_bytes for device in search.instance.cluster.devices)
    for aim in (Aim(goal, memory), Aim(LATENCY, memory), Aim(goal), Aim(LATENCY)):
        for rounded in search.plans(aim):
            found.append(rounded)  # noqa: PERF402 - what was found by the time limit remains
        if _allowed(found, goal):
            return


def _allowed(found: Sequence[Rounded], goal: Goal) -> list[Rounded]:
    """The plans that keep the deadline and fit the memory."""
    return [of for of in found if of.price.feasible and goal.met_by(of.price)]


def _overload(price: Evaluation) -> float:
    """The largest demand of memory relative to its limit."""
    return max(demand / limit for demand, limit in zip(price.memory_bytes, price.memory_limit_bytes, strict=True))
