"""Shared by methods that build one plan over one team."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from iopopt.cluster.cluster import Cluster, Device
from iopopt.cost.instance import Instance
from iopopt.cost.stopwatch import Stopwatch
from iopopt.methods.settings import limited
from iopopt.methods.solution import Solution, heuristic_solution
from iopopt.network.graph import Graph
from iopopt.plan.plan import Plan
from iopopt.plan.team import Team, resolve_team, space_name

MakePlan = Callable[[Graph, Cluster, tuple[int, ...], Stopwatch], Plan]
"""Gives the plan over a team; when the time is up, the best that it has by then."""


def solve_by(
    make_plan: MakePlan,
    graph: Graph,
    devices: Cluster | Sequence[Device],
    team: Team,
    method: str,
    time_limit_s: float = math.inf,
    *,
    space: str | None = None,
) -> Solution:
    """The plan that ``make_plan`` gives for the team, priced and timed; of the space of the team unless another is named.

    Raises:
        ClusterError: if ``team`` names a device that does not exist.
        SolverError: if ``time_limit_s`` is not positive.
    """
    cluster, watch = Instance.of(graph, devices).cluster, limited(time_limit_s)
    plan = make_plan(graph, cluster, resolve_team(team, cluster), watch)
    return heuristic_solution(
        graph,
        cluster,
        plan,
        method=method,
        space=space or space_name(team, cluster),
        build_s=0.0,
        solve_s=watch.elapsed_s,
        termination="time_limit" if watch.cut_short else "finished",
    )
