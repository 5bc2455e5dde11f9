"""Bounds that need no solver."""

from __future__ import annotations

from collections.abc import Sequence

from iopopt.cluster import Cluster
from iopopt.graph import Graph
from iopopt.operators import Dim, Operator
from iopopt.plan import Placement
from iopopt.shares import operator_makespan_shares
from iopopt.workload import share_flops


def best_makespan_s(operator: Operator, dim: Dim, cluster: Cluster, team: Sequence[int]) -> float:
    """The least max_j t_cmp of equation (7) over integer shares of ``dim``."""
    shares = operator_makespan_shares(operator, dim, [cluster.devices[j].flops_per_s for j in team])
    assert shares is not None  # nothing limits them here
    return max(flops / cluster.devices[j].flops_per_s for j, flops in share_flops(operator, Placement.split(dim, team, shares)))


def compute_bound_s(graph: Graph, cluster: Cluster, team: Sequence[int]) -> float:
    """The computation that no plan of the team does without, seconds."""
    fastest = cluster.devices[cluster.fastest].flops_per_s
    total = 0.0
    for operator in graph.operators:
        dims = operator.splittable_dims if len(team) > 1 else ()
        total += min([operator.flops / fastest, *(best_makespan_s(operator, dim, cluster, team) for dim in dims)])
    return total
