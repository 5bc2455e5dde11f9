"""CoEdge's partition: rows in proportion to capability (Zeng et al., IEEE/ACM ToN 2021, arXiv 2012.03257).

Reconstructed from the paper's abstract, as the baseline and fallback of the IOP paper. CoEdge itself minimises energy under a latency limit
and drops devices whose share is smaller than the halo (:mod:`iopopt.methods.coedge_lp`); here every device of the team takes part, and ``team``
drops devices.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from iopopt.cluster.cluster import Cluster, Device
from iopopt.cost.stopwatch import Stopwatch
from iopopt.errors import UnsupportedError
from iopopt.methods.oc import oc_placement
from iopopt.methods.scheme import solve_by
from iopopt.methods.solution import Solution
from iopopt.network.graph import Graph
from iopopt.network.unit import Unit
from iopopt.plan.placement import Placement
from iopopt.plan.plan import Plan
from iopopt.plan.shares import unit_proportional_shares
from iopopt.plan.team import Team

FullyConnected = Literal["fastest", "oc"]
"""How operators without rows are placed: whole on the fastest device of the team, or split by output channels."""


def coedge_placement(unit: Unit, cluster: Cluster, team: Sequence[int], fully_connected: FullyConnected = "fastest") -> Placement:
    """Rows by capability for every kind of operator that can be split by rows."""
    speeds = [cluster.devices[j].flops_per_s for j in team]
    if "H" in unit.dims:
        return Placement.split("H", team, unit_proportional_shares(unit, "H", speeds))
    if fully_connected == "oc":
        return oc_placement(unit, cluster, team)
    return Placement.whole(team[speeds.index(max(speeds))])


def coedge_placements(graph: Graph, cluster: Cluster, team: Sequence[int], fully_connected: FullyConnected) -> list[Placement]:
    """CoEdge's placement of every operator, in order.

    Raises:
        UnsupportedError: if ``fully_connected`` is neither of its values.
    """
    if fully_connected not in ("fastest", "oc"):
        raise UnsupportedError(f"fully_connected is {fully_connected!r}; allowed are 'fastest' and 'oc'")
    return [coedge_placement(unit, cluster, team, fully_connected) for unit in graph.placed_units]


def solve_coedge(graph: Graph, devices: Cluster | Sequence[Device], *, team: Team = "all", fully_connected: FullyConnected = "fastest") -> Solution:
    """Rows by capability for convolutions and all other operators that have rows.

    Raises:
        ClusterError: if ``team`` names a device that does not exist.
        UnsupportedError: if an option is unknown.
    """

    def make_plan(graph: Graph, cluster: Cluster, members: tuple[int, ...], _: Stopwatch) -> Plan:
        return Plan.of(graph, coedge_placements(graph, cluster, members, fully_connected))

    return solve_by(make_plan, graph, devices, team, "coedge")
