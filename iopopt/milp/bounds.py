"""Bounds on compute times that need no solver."""

from __future__ import annotations

from collections.abc import Sequence

from iopopt.cluster.cluster import Cluster
from iopopt.cost.work import share_work
from iopopt.network.shapes import Dim
from iopopt.network.unit import Unit
from iopopt.plan.placement import Placement
from iopopt.plan.shares import fastest_shares


def best_makespan_s(unit: Unit, dim: Dim, cluster: Cluster, team: Sequence[int]) -> float:
    """The least max_j t_cmp of equation (7) over integer shares of ``dim``."""
    e = cluster.bytes_per_element
    shares = fastest_shares(unit, dim, [cluster.devices[j] for j in team], e)
    return max(cluster.devices[j].compute_s(*work) for j, work in share_work(unit, Placement.split(dim, team, shares), e))
