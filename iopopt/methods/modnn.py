"""MoDNN's partition: rows by capability, gathered by the group owner after every layer (Mao et al., DATE 2017).

Reconstructed from its biased one-dimensional partition: strips of rows in proportion to capability, which one device, the group owner, gathers after
every layer and hands out again for the next. Here that device is sent whole rows and sends each participant those that it needs; operators without
rows run on it, while MoDNN also spreads sparse fully connected layers. The input comes from the cluster's source.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from iopopt.cluster.cluster import Cluster, Device
from iopopt.cost.stopwatch import Stopwatch
from iopopt.methods.coedge import coedge_placement
from iopopt.methods.scheme import solve_by
from iopopt.methods.settings import checked_device
from iopopt.methods.solution import Solution
from iopopt.network.graph import Graph
from iopopt.network.unit import Unit
from iopopt.plan.placement import Placement
from iopopt.plan.plan import Plan
from iopopt.plan.team import Team, space_name


def solve_modnn(graph: Graph, devices: Cluster | Sequence[Device], *, team: Team = "all", owner: int | str | None = None) -> Solution:
    """Rows by capability, gathered on the group owner after every operator; operators without rows whole on the owner.

    Args:
        owner: a device of the team, by index or name; its fastest by default, which as the owner also computes alone what has no rows.

    Raises:
        ClusterError: if ``team`` names a device that does not exist, or ``owner`` is no device of the team.
    """

    def make_plan(graph: Graph, cluster: Cluster, members: tuple[int, ...], _: Stopwatch) -> Plan:
        host = _owner(owner, cluster, members)
        return Plan.of(graph, [modnn_placement(unit, cluster, members, host) for unit in graph.placed_units])

    return solve_by(make_plan, graph, devices, team, "modnn", space=f"{space_name(team, devices)}, gathered")


def modnn_placement(unit: Unit, cluster: Cluster, team: Sequence[int], owner: int) -> Placement:
    """Rows by capability, gathered on the owner; whole on it without rows."""
    rows = coedge_placement(unit, cluster, team)
    return Placement.whole(owner) if rows.is_whole else replace(rows, gather=owner)


def _owner(owner: int | str | None, cluster: Cluster, team: Sequence[int]) -> int:
    """The group owner: the named device of the team, or its fastest."""
    if owner is None:
        return max(team, key=lambda j: cluster.devices[j].flops_per_s)
    return checked_device("owner", owner, cluster, team)
