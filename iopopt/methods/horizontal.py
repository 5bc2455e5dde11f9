"""Horizontal partitioning: even output channels of every operator, with the whole input on every device."""

from __future__ import annotations

from collections.abc import Sequence

from iopopt.cluster.cluster import Cluster, Device
from iopopt.cost.stopwatch import Stopwatch
from iopopt.methods.scheme import solve_by
from iopopt.methods.solution import Solution
from iopopt.network.graph import Graph
from iopopt.plan.placement import Placement
from iopopt.plan.plan import Plan
from iopopt.plan.shares import unit_even_shares
from iopopt.plan.team import Team


def solve_horizontal(graph: Graph, devices: Cluster | Sequence[Device], *, team: Team = "all") -> Solution:
    """Split every operator by output channels, evenly, whatever the devices' speeds.

    One of the comparators of Tang and Stefanov's vertical partitioning (UCC 2021).

    Raises:
        ClusterError: if ``team`` names a device that does not exist.
    """

    def make_plan(graph: Graph, _: Cluster, members: tuple[int, ...], __: Stopwatch) -> Plan:
        return Plan.of(graph, [Placement.split("OC", members, unit_even_shares(unit, "OC", len(members))) for unit in graph.placed_units])

    return solve_by(make_plan, graph, devices, team, "horizontal")
