"""Output channels everywhere: the scheme that gathers every tensor before the next operator (OC in the IOP paper)."""

from __future__ import annotations

from collections.abc import Sequence

from iopopt.cluster import Cluster, Device, as_cluster
from iopopt.graph import Graph, Operator
from iopopt.methods.stopwatch import Stopwatch
from iopopt.plan import Placement, Plan
from iopopt.shares import proportional_shares
from iopopt.solution import Solution, heuristic_solution
from iopopt.team import Team, resolve_team, space_name


def oc_placement(operator: Operator, cluster: Cluster, team: Sequence[int]) -> Placement:
    """Output channels in proportion to the capabilities of the team."""
    shares = proportional_shares(operator.out_channels, [cluster.devices[j].flops_per_s for j in team])
    return Placement.split("OC", team, shares)


def solve_oc(graph: Graph, devices: Cluster | Sequence[Device], *, team: Team = "all") -> Solution:
    """Split every operator on its output channels.

    Raises:
        ClusterError: if ``team`` names a device that does not exist.
        UnsupportedError: if the graph holds what the cost model does not price.
    """
    cluster, watch = as_cluster(devices), Stopwatch()
    members = resolve_team(team, cluster)
    plan = Plan.of(graph, [oc_placement(operator, cluster, members) for operator in graph.operators])
    return heuristic_solution(
        graph, cluster, plan, method="oc", space=f"fixed scheme, {space_name(team, cluster)}", build_s=0.0, solve_s=watch.elapsed_s
    )
