"""DPFP's partition: fused blocks of rows, cut by dynamic programming, over devices chosen once (Li, Iosifidis, Zhang, arXiv 2207.11293).

Reconstructed: the devices are chosen greedily, the one that shortens the plan most is added first, until none does; between blocks only halos are
exchanged. The costs are those of this cost model, and shares are in proportion to capability.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from iopopt.cluster.cluster import Cluster, Device
from iopopt.cost.evaluation import evaluate
from iopopt.cost.stopwatch import Stopwatch, TimeUpError
from iopopt.methods.fused_rows import best_cut
from iopopt.methods.scheme import solve_by
from iopopt.methods.settings import checked_longest_block
from iopopt.methods.solution import Solution
from iopopt.network.graph import Graph
from iopopt.plan.placement import Placement
from iopopt.plan.plan import Plan
from iopopt.plan.team import Team, subsets_name


def solve_dpfp(
    graph: Graph, devices: Cluster | Sequence[Device], *, team: Team = "all", most_fused: int = 16, time_limit_s: float = math.inf
) -> Solution:
    """Rows by capability over some devices of the team, cut into the fused blocks that give the least latency.

    Memory is ignored: a plan that breaks a limit is returned as ``violates_memory``. The plan is always the same unless the time limit, in seconds of
    wall clock for everything, cuts the search short (``termination="time_limit"``).

    Raises:
        ClusterError: if ``team`` names a device that does not exist.
        SolverError: if ``most_fused`` is no integer of at least 1, or ``time_limit_s`` is not positive.
    """
    longest = checked_longest_block(most_fused, "most_fused")

    def make_plan(graph: Graph, cluster: Cluster, members: tuple[int, ...], watch: Stopwatch) -> Plan:
        return _over_chosen_devices(graph, cluster, members, longest, watch)

    return solve_by(make_plan, graph, devices, team, "dpfp", time_limit_s, space=subsets_name(team, devices, longest))


def _over_chosen_devices(graph: Graph, cluster: Cluster, members: Sequence[int], longest: int, watch: Stopwatch) -> Plan:
    """The best plan over devices that are added one at a time, in the order of ``members``."""
    alone = [Plan.of(graph, [Placement.whole(j)] * len(graph)) for j in members]
    best = _best(graph, cluster, [((j,), plan) for j, plan in zip(members, alone, strict=True)])
    try:
        while len(best.team) < len(members):
            teams = [tuple(j for j in members if j in best.team or j == more) for more in members if more not in best.team]
            found = _best(graph, cluster, [(team, best_cut(graph, cluster, team, longest, watch)) for team in teams])
            if found.latency_s >= best.latency_s:
                break
            best = found
    except TimeUpError:
        pass  # the best so far
    return best.plan


class _Found(NamedTuple):
    """A plan over some devices."""

    latency_s: float
    team: tuple[int, ...]
    plan: Plan


def _best(graph: Graph, cluster: Cluster, plans: Sequence[tuple[tuple[int, ...], Plan]]) -> _Found:
    return min((_Found(evaluate(graph, cluster, plan).latency_s, team, plan) for team, plan in plans), key=lambda found: found.latency_s)
