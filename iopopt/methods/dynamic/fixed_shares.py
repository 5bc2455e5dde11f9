"""The placements of an operator or fused block at a few fixed shares, which follow rules of speed and memory."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from iopopt.cluster.cluster import Cluster
from iopopt.methods.coedge import coedge_placement
from iopopt.methods.oc import oc_placement
from iopopt.network.shapes import Dim
from iopopt.network.unit import Unit
from iopopt.plan.placement import Placement
from iopopt.plan.shares import coarse_shares, fastest_shares, unit_even_shares, unit_proportional_shares


def candidate_placements(unit: Unit, cluster: Cluster, team: Sequence[int]) -> list[Placement]:
    """The candidates of an operator: whole on each device, and split by every dimension at the shares of each rule; rows also coarsely.

    A fused block is never whole.
    """
    placements = [Placement.whole(device) for device in range(len(cluster))] if unit.span == 1 else []
    if len(team) > 1:
        for dim in unit.dims:
            rules = _share_rules(unit, dim, cluster, team) + (_coarse_rules(unit, cluster, team) if dim == "H" else [])
            for shares in dict.fromkeys(rules):
                placements.append(Placement.split(dim, team, shares))
                if dim == "IC":
                    placements.append(Placement.split(dim, team, shares, "two_phase"))
    return placements


def _share_rules(unit: Unit, dim: Dim, cluster: Cluster, team: Sequence[int]) -> list[tuple[int, ...]]:
    """Shares of the least makespan, proportional to speed, to the geometric mean of speed and memory, to memory, and even."""
    speeds = np.array([cluster.devices[j].flops_per_s for j in team])
    memory = np.array([cluster.devices[j].memory_bytes for j in team])
    fastest = fastest_shares(unit, dim, [cluster.devices[j] for j in team], cluster.bytes_per_element)
    blends = [speeds, np.sqrt(speeds / speeds.sum() * memory / memory.sum()), memory]
    proportional = [unit_proportional_shares(unit, dim, list(blend)) for blend in blends]
    return [fastest, *proportional, unit_even_shares(unit, dim, len(team))]


def _coarse_rules(unit: Unit, cluster: Cluster, team: Sequence[int]) -> list[tuple[int, ...]]:
    """Rows by twos, fours, eights, ..., proportional to speed, so that boundaries coincide in coarser and finer maps of the network."""
    speeds = [cluster.devices[j].flops_per_s for j in team]
    together = itertools.takewhile(lambda rows: rows * len(team) <= unit.sizes["H"], (2**power for power in itertools.count(1)))
    found = (coarse_shares(unit, speeds, rows) for rows in together)
    return [shares for shares in found if shares is not None]


def uniform_schemes(unit: Unit, cluster: Cluster, team: Sequence[int]) -> list[Placement]:
    """The operator's candidate in each uniform scheme: one device, output channels, CoEdge with the row shares of each rule."""
    rows = coedge_placement(unit, cluster, team)
    ways = [rows] * 5 if rows.dim is None else [Placement.split("H", team, shares) for shares in _share_rules(unit, "H", cluster, team)]
    return [*(Placement.whole(device) for device in range(len(cluster))), oc_placement(unit, cluster, team), *ways]
