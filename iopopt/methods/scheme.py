"""Shared by methods that build one plan over one team."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from iopopt.cluster.cluster import Cluster, Device
from iopopt.cost.instance import Instance
from iopopt.methods.solution import Solution, heuristic_solution
from iopopt.methods.stopwatch import Stopwatch
from iopopt.network.graph import Graph
from iopopt.plan.plan import Plan
from iopopt.plan.team import Team, resolve_team, space_name

MakePlan = Callable[[Graph, Cluster, tuple[int, ...]], Plan]


def solve_by(make_plan: MakePlan, graph: Graph, devices: Cluster | Sequence[Device], team: Team, method: str) -> Solution:
    """The plan that ``make_plan`` gives for the team, priced and timed.

    Raises:
        ClusterError: if ``team`` names a device that does not exist.
    """
    cluster, watch = Instance.of(graph, devices).cluster, Stopwatch()
    plan = make_plan(graph, cluster, resolve_team(team, cluster))
    return heuristic_solution(graph, cluster, plan, method=method, space=space_name(team, cluster), build_s=0.0, solve_s=watch.elapsed_s)
