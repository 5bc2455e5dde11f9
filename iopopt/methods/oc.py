"""Output channels everywhere: the scheme that all-gathers every tensor before the next operator (OC in the IOP paper).

Channel-local operators (depthwise convolutions, pools, sums) need no all-gather if they own the channels that they read, because equal
channel counts have equal shares.
"""

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
from iopopt.plan.shares import unit_proportional_shares
from iopopt.plan.team import Team


def oc_placement(unit: Unit, cluster: Cluster, team: Sequence[int]) -> Placement:
    """Output channels in proportion to the capabilities of the team."""
    shares = unit_proportional_shares(unit, "OC", [cluster.devices[j].flops_per_s for j in team])
    return Placement.split("OC", team, shares)


def solve_oc(graph: Graph, devices: Cluster | Sequence[Device], *, team: Team = "all") -> Solution:
    """Split every operator by output channels.

    Raises:
        ClusterError: if ``team`` names a device that does not exist.
    """

    def make_plan(graph: Graph, cluster: Cluster, members: tuple[int, ...], _: Stopwatch) -> Plan:
        return Plan.of(graph, [oc_placement(unit, cluster, members) for unit in graph.placed_units])

    return solve_by(make_plan, graph, devices, team, "oc")
