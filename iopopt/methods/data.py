"""Data partitioning: even rows of every operator, with all weights on every device."""

from __future__ import annotations

from collections.abc import Sequence

from iopopt.cluster.cluster import Cluster, Device
from iopopt.cost.stopwatch import Stopwatch
from iopopt.methods.scheme import solve_by
from iopopt.methods.solution import Solution
from iopopt.network.graph import Graph
from iopopt.network.unit import Unit
from iopopt.plan.placement import Placement
from iopopt.plan.plan import Plan
from iopopt.plan.shares import unit_even_shares
from iopopt.plan.team import Team


def solve_data(graph: Graph, devices: Cluster | Sequence[Device], *, team: Team = "all") -> Solution:
    """Split every operator by rows, evenly, whatever the devices' speeds; operators without rows run on the sink.

    One of the comparators of Tang and Stefanov's vertical partitioning (UCC 2021).

    Raises:
        ClusterError: if ``team`` names a device that does not exist.
    """

    def make_plan(graph: Graph, cluster: Cluster, members: tuple[int, ...], _: Stopwatch) -> Plan:
        return Plan.of(graph, [_placement(unit, cluster, members) for unit in graph.placed_units])

    return solve_by(make_plan, graph, devices, team, "data")


def _placement(unit: Unit, cluster: Cluster, team: Sequence[int]) -> Placement:
    if "H" not in unit.dims:
        return Placement.whole(cluster.sink)
    return Placement.split("H", team, unit_even_shares(unit, "H", len(team)))
