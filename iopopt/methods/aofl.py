"""AOFL's partition: fused blocks of rows, cut by dynamic programming (Zhou et al., ACM/IEEE SEC 2019).

Reconstructed from the recursion r(i, n) = min over q of cost(i, i + q) + r(i + q, n - q) over fused blocks. The costs are those of this cost model,
shares are in proportion to capability instead of equal, and between blocks participants exchange halos instead of gathering at a gateway.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from iopopt.cluster.cluster import Cluster, Device
from iopopt.cost.stopwatch import Stopwatch, TimeUpError
from iopopt.methods.coedge import coedge_placements
from iopopt.methods.fused_rows import best_cut
from iopopt.methods.scheme import solve_by
from iopopt.methods.settings import checked_longest_block
from iopopt.methods.solution import Solution
from iopopt.network.graph import Graph
from iopopt.plan.plan import Plan
from iopopt.plan.team import Team, space_name


def solve_aofl(
    graph: Graph, devices: Cluster | Sequence[Device], *, team: Team = "all", most_fused: int = 16, time_limit_s: float = math.inf
) -> Solution:
    """Rows by capability everywhere, cut into the fused blocks of at most ``most_fused`` operators that give the least latency.

    Memory is ignored: a plan that breaks a limit is returned as ``violates_memory``. The plan is always the same unless the time limit, in seconds of
    wall clock for everything, cuts the search short (``termination="time_limit"``).

    Raises:
        ClusterError: if ``team`` names a device that does not exist.
        SolverError: if ``most_fused`` is no integer of at least 1, or ``time_limit_s`` is not positive.
    """
    longest = checked_longest_block(most_fused, "most_fused")

    def make_plan(graph: Graph, cluster: Cluster, members: tuple[int, ...], watch: Stopwatch) -> Plan:
        try:
            return best_cut(graph, cluster, members, longest, watch)
        except TimeUpError:
            return Plan.of(graph, coedge_placements(graph, cluster, members, "fastest"))

    return solve_by(make_plan, graph, devices, team, "aofl", time_limit_s, space=space_name(team, devices, longest))
