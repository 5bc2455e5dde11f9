"""Vertical partitioning (Tang and Stefanov, UCC 2021), reconstructed: every device holds an even part of each operator's weights and feature maps.

The definition is not public; of the readings that were tried, only this one needs less memory than sequential, data and horizontal partitioning at
every number of devices, as the paper claims. Every tensor lies in even slices of its channels. An operator that reads all channels is split by output
channels, and streams the slices of others through a buffer (*gather*), or by input channels, and streams partial sums to the slices' owners
(*reduce*); where one of the first kind is followed by one of the second, nothing is exchanged between them (*fuse*). Pools, depthwise and elementwise
operators stay in their slice. Which operator does what, and how many channels travel at a time, is chosen here for a budget of memory.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from iopopt.cluster.cluster import Cluster, Device
from iopopt.cost.evaluation import evaluate, operator_cost
from iopopt.cost.instance import Instance
from iopopt.cost.memory import memory_demands
from iopopt.cost.schedule import step_of
from iopopt.cost.stopwatch import NO_LIMIT, Stopwatch, TimeUpError
from iopopt.errors import SolverError
from iopopt.methods.scheme import solve_by
from iopopt.methods.solution import Solution
from iopopt.network.graph import Graph
from iopopt.network.records import is_number, short_repr
from iopopt.network.unit import Unit
from iopopt.plan.placement import Placement
from iopopt.plan.plan import Plan
from iopopt.plan.shares import unit_even_shares
from iopopt.plan.team import Team, resolve_team, space_name


@dataclass(frozen=True)
class VpsPoint:
    """A plan of the front of memory and latency: what the fullest device needs, bytes, and the latency by equation (6), seconds."""

    plan: Plan
    memory_bytes: float
    latency_s: float


def solve_vps(
    graph: Graph,
    devices: Cluster | Sequence[Device],
    *,
    team: Team = "all",
    budget_bytes: float | None = None,
    time_limit_s: float = math.inf,
) -> Solution:
    """The fastest plan by equation (6) that holds even parts of everything and needs at most a budget of memory on each device.

    The plan is always the same unless the time limit, in seconds of wall clock for everything, cuts the search short
    (``termination="time_limit"``); then all operators are split by output channels, and nothing is streamed.

    Args:
        budget_bytes: of each device; the least that is possible by default.

    Raises:
        ClusterError: if ``team`` names a device that does not exist.
        SolverError: if the budget is no positive number, or less than the least that is possible, or that is known when the time is up, which the
            message gives; or if ``time_limit_s`` is not positive.
    """
    if budget_bytes is not None and (not is_number(budget_bytes) or budget_bytes <= 0):
        raise SolverError(f"budget_bytes is {short_repr(budget_bytes)}; it must be a positive number, or None")

    def make_plan(graph: Graph, cluster: Cluster, members: tuple[int, ...], watch: Stopwatch) -> Plan:
        front = vps_front(graph, cluster, members, watch)
        if budget_bytes is None:
            return front[0].plan
        fitting = [point.plan for point in front if point.memory_bytes <= budget_bytes]
        if not fitting:
            least = f"{front[0].memory_bytes:,.0f}"
            late = f"; the time limit of {time_limit_s:g} s has passed before a plan that streams was found" if watch.cut_short else ""
            raise SolverError(f"budget_bytes is {budget_bytes:,.0f}; vertical partitioning over {len(members)} devices needs {least}{late}")
        return fitting[-1]

    return solve_by(make_plan, graph, devices, team, "vps", time_limit_s, space=f"{space_name(team, devices)}, streamed")


def vps_front(graph: Graph, devices: Cluster | Sequence[Device], team: Team = "all", watch: Stopwatch = NO_LIMIT) -> list[VpsPoint]:
    """The plans of vertical partitioning of which none is better than another in both memory and latency, the least memory first.

    What an operator adds to the latency, and the activations that it needs, do not depend on the others: so for each budget of activations the
    fastest way that fits is chosen for each. Its weights are the same whatever it does, but for biases and channels that cannot be divided evenly;
    where they differ, a better plan than those of the front may exist. When the time is up, the front is the one plan that streams nothing.

    Raises:
        ClusterError: if ``team`` names a device that does not exist.
    """
    cluster = Instance.of(graph, devices).cluster
    choices = _Choices(graph, cluster, resolve_team(team, cluster), watch)
    try:
        plans = choices.plans()
    except TimeUpError:
        plans = [choices.unstreamed]
    points = sorted((_point(graph, cluster, plan) for plan in plans), key=lambda point: (point.memory_bytes, point.latency_s))
    front: list[VpsPoint] = []
    for point in points:
        if not front or point.latency_s < front[-1].latency_s:
            front.append(point)
    return front


def _point(graph: Graph, cluster: Cluster, plan: Plan) -> VpsPoint:
    price = evaluate(graph, cluster, plan)
    return VpsPoint(plan, max(price.memory_bytes), price.latency_s)


@dataclass(frozen=True)
class _Way:
    """One way to place an operator: the largest activations on a device while it runs, bytes, and what it adds to the latency, seconds."""

    placement: Placement
    activations: float
    added_s: float


class _Choices:
    """The ways to place each operator on even slices."""

    def __init__(self, graph: Graph, cluster: Cluster, team: Sequence[int], watch: Stopwatch = NO_LIMIT) -> None:
        self._instance, self._team, self._watch = Instance(graph, cluster), team, watch
        self._base = [*(self._split(unit, "OC") for unit in graph.placed_units), *self._instance.terminals]

    @property
    def unstreamed(self) -> Plan:
        """Output channels everywhere."""
        return Plan.of(self._instance.graph, self._base[: len(self._instance.graph)])

    @cached_property
    def ways(self) -> list[list[_Way]]:
        """Of each operator.

        Raises:
            TimeUpError: if the time is up.
        """
        return [self._ways_of(number) for number in range(len(self._instance.graph))]

    def plans(self) -> list[Plan]:
        """The fastest plan within each budget of activations that can be kept.

        Raises:
            TimeUpError: if the time is up.
        """
        budgets = sorted({way.activations for ways in self.ways for way in ways})
        least = max(min(way.activations for way in ways) for ways in self.ways)
        return list(dict.fromkeys(self._plan(budget) for budget in budgets if budget >= least))

    def _plan(self, budget: float) -> Plan:
        """The fastest plan of all whose activations are within a budget."""
        self._watch.check()
        chosen = [min([way for way in ways if way.activations <= budget], key=lambda way: (way.added_s, way.activations)) for ways in self.ways]
        return Plan.of(self._instance.graph, [way.placement for way in chosen])

    def _split(self, unit: Unit, dim: Literal["OC", "IC"], stream: int | None = None) -> Placement:
        return Placement.split(dim, self._team, unit_even_shares(unit, dim, len(self._team)), "two_phase", stream=stream)

    def _placements(self, number: int) -> Iterator[Placement]:
        """Output channels, and where there is a kernel of one group input channels too, each streamed at several widths or not at all."""
        unit = self._instance.units[number]
        yield self._split(unit, "OC")
        if "IC" not in unit.dims or len(self._team) == 1:
            return
        yield self._split(unit, "IC")
        yield from (self._split(unit, "OC", stream) for stream in _streams(unit.sizes["IC"], len(self._team)))
        yield from (self._split(unit, "IC", stream) for stream in _streams(unit.sizes["OC"], len(self._team)))

    def _ways_of(self, number: int) -> list[_Way]:
        base_s = self._near_s(number, self._base)
        return [self._way(number, placement, base_s) for placement in self._placements(number)]

    def _way(self, number: int, placement: Placement, base_s: float) -> _Way:
        self._watch.check()
        placements = [*self._base[:number], placement, *self._base[number + 1 :]]
        (demands,) = memory_demands(self._instance, placements, range(number, number + 1))
        held = max(demand.activations + demand.live for demand in demands)
        return _Way(placement, held, self._near_s(number, placements) - base_s)

    def _near_s(self, number: int, placements: Sequence[Placement]) -> float:
        """The seconds of equation (6) that depend on the placement of an operator: its own, and those of its readers."""
        numbers = {number, *(edge.consumer for edge in self._instance.edges_from(number))}
        costs = [operator_cost(step_of(self._instance, placements, of), placements[of], self._instance.cluster) for of in numbers]
        return sum(cost.compute_s + cost.communication_s for cost in costs)


def _streams(channels: int, devices: int) -> list[int]:
    """How many channels may travel at a time: a whole slice, or powers of 4 below."""
    largest = math.ceil(channels / devices)
    return [4**power for power in range(largest.bit_length()) if 4**power < largest] + [largest]
