"""Bounds on compute times that need no solver."""

from __future__ import annotations

from collections.abc import Sequence

from iopopt.cluster.cluster import Cluster
from iopopt.cost.work import share_flops
from iopopt.network.shapes import Dim
from iopopt.network.unit import Unit
from iopopt.plan.placement import Placement
from iopopt.plan.shares import unit_makespan_shares


def best_makespan_s(unit: Unit, dim: Dim, cluster: Cluster, team: Sequence[int]) -> float:
    """The least max_j t_cmp of equation (7) over integer shares of ``dim``."""
    shares = unit_makespan_shares(unit, dim, [cluster.devices[j].flops_per_s for j in team])
    assert shares is not None  # without limits they always exist
    return max(flops / cluster.devices[j].flops_per_s for j, flops in share_flops(unit, Placement.split(dim, team, shares)))
