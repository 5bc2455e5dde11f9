"""The exact optimum over the IOP paper's segments: single operators as CoEdge places them, and OC-IC pairs.

Algorithm 1 is greedy, and a pair that it takes can block a better one. A dynamic program finds the best plan over the same segments: each
operator is single, the first of a pair or the second, half a pair has infinite cost, and the cost tables of operators and edges are
minimised by elimination, on a chain in linear time. When the time is up before that, the plan is the one that the greedy has by then.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from iopopt.cluster.cluster import Cluster, Device
from iopopt.cost.elimination import MOST_ENTRIES, Table, minimise
from iopopt.cost.evaluation import evaluate
from iopopt.cost.stopwatch import NO_LIMIT, Stopwatch, TimeUpError
from iopopt.errors import InstanceTooLargeError
from iopopt.methods.coedge import FullyConnected, coedge_placements
from iopopt.methods.cost_tables import Candidates, CostTables
from iopopt.methods.greedy import greedy_plan, iop_pair, paired_successor
from iopopt.methods.scheme import solve_by
from iopopt.methods.solution import Solution
from iopopt.network.graph import Graph
from iopopt.plan.placement import Placement, Reduce
from iopopt.plan.plan import Plan
from iopopt.plan.team import Team

_MOST_ADDED_UP = MOST_ENTRIES
"""The largest table of the elimination, entries."""


def segments_plan(
    graph: Graph,
    cluster: Cluster,
    team: Sequence[int],
    fully_connected: FullyConnected = "fastest",
    reduce: Reduce = "direct",
    watch: Stopwatch = NO_LIMIT,
) -> Plan:
    """The fastest plan over the pairs that Algorithm 1 may take (:func:`iopopt.methods.greedy.paired_successor`), ignoring memory.

    For operators with very many inputs the tables may be upper bounds for each edge, or the elimination too large; even then the plan is
    never slower than the greedy's.
    """
    ways: list[list[Placement]] = [[placement] for placement in coedge_placements(graph, cluster, team, fully_connected)]
    half_pairs = []
    for i, unit in enumerate(graph.placed_units):
        successor = paired_successor(graph, i) if len(team) > 1 else None
        if successor is not None:
            for end, placement in zip((i, successor), iop_pair(unit, cluster, team, reduce), strict=True):
                ways[end].append(placement)
            half_pairs.append((i, successor, len(ways[i]) - 1))
    candidates = Candidates(graph, cluster, ways)
    forbidden = [_both_or_neither(i, successor, first, candidates.domains) for i, successor, first in half_pairs]
    try:
        tables = CostTables(candidates, watch)
        alone = [Table((i,), own) for i, own in enumerate(tables.alone_s)]
        choice = minimise(candidates.domains, [*alone, *tables.edges, *forbidden], most_entries=_MOST_ADDED_UP, watch=watch)
    except (InstanceTooLargeError, TimeUpError):
        return greedy_plan(graph, cluster, team, fully_connected, reduce, watch)
    plan = candidates.plan(choice)
    if tables.by_edge:
        greedy = greedy_plan(graph, cluster, team, fully_connected, reduce, watch)
        return min(plan, greedy, key=lambda found: evaluate(graph, cluster, found).latency_s)
    return plan


def _both_or_neither(i: int, successor: int, first: int, domains: Sequence[int]) -> Table:
    """Infinite if operator ``i`` is the first of a pair (its candidate ``first``) but its successor is not the second (its candidate 1), or
    the other way round."""
    mixed = (np.arange(domains[i]) == first)[:, None] != (np.arange(domains[successor]) == 1)
    return Table((i, successor), np.where(mixed, np.inf, 0.0))


def solve_iop_segments(
    graph: Graph,
    devices: Cluster | Sequence[Device],
    *,
    team: Team = "all",
    fully_connected: FullyConnected = "fastest",
    reduce: Reduce = "direct",
    time_limit_s: float = math.inf,
) -> Solution:
    """The optimum over the paper's segments; a plan that breaks a memory limit is returned as ``violates_memory``.

    The plan is always the same unless the time limit, in seconds of wall clock for everything, cuts the search short
    (``termination="time_limit"``): then it may be slower than the optimum, but never slower than CoEdge.

    Raises:
        ClusterError: if ``team`` names a device that does not exist.
        SolverError: if ``time_limit_s`` is not positive.
        UnsupportedError: if an option is unknown.
    """

    def make_plan(graph: Graph, cluster: Cluster, members: tuple[int, ...], watch: Stopwatch) -> Plan:
        return segments_plan(graph, cluster, members, fully_connected, reduce, watch)

    return solve_by(make_plan, graph, devices, team, "iop_segments", time_limit_s)
