"""Random plans, and small random changes of plans: what a local search is made of.

Every plan is valid (equations 2 to 5) and belongs to the space of one team; whether it fits the memory is for the evaluator to say.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from iopopt.cluster.cluster import Cluster, Device, as_cluster
from iopopt.network.graph import Graph
from iopopt.network.unit import Unit
from iopopt.plan.placement import Placement, Strategy
from iopopt.plan.plan import Plan
from iopopt.plan.shares import unit_proportional_shares
from iopopt.plan.team import Team, resolve_team

_LARGEST_STEP = 4
"""A move of granules takes 1 / 2**k of a share, k up to this, or a single one."""


def random_plan(graph: Graph, devices: Cluster | Sequence[Device], rng: np.random.Generator, *, team: Team = "all") -> Plan:
    """A plan whose operators are placed independently: any strategy that an operator admits, any device, shares by random weights.

    Raises:
        ClusterError: if ``team`` names a device that does not exist.
    """
    cluster = as_cluster(devices)
    members = resolve_team(team, cluster)
    return Plan.of(graph, [_random_placement(unit, len(cluster), members, rng) for unit in graph.placed_units])


def random_neighbour(graph: Graph, devices: Cluster | Sequence[Device], plan: Plan, rng: np.random.Generator, *, team: Team = "all") -> Plan:
    """A plan one random move away from ``plan``, a plan of ``team``; some moves change nothing.

    The moves: an operator gets a random placement; granules go from one of its participants to another; an operator and some that follow it
    are placed as their predecessor is, as far as they admit it (alone a change of strategy seldom pays, because both its edges need an exchange).

    Raises:
        ClusterError: if ``team`` names a device that does not exist.
    """
    cluster = as_cluster(devices)
    members = resolve_team(team, cluster)
    placements = [plan[operator.name] for operator in graph.operators]
    i = int(rng.integers(len(graph)))
    move = rng.integers(3)
    if move == 0:
        placements[i] = _random_placement(graph.placed_units[i], len(cluster), members, rng)
    elif move == 1:
        placements[i] = _shifted(graph.placed_units[i], placements[i], rng)
    else:
        for j in range(i + 1, min(len(graph), i + 1 + int(rng.geometric(0.3)))):
            placements[j] = _like(graph.placed_units[j], placements[i])
    return Plan.of(graph, placements)


def _random_placement(unit: Unit, device_count: int, team: Sequence[int], rng: np.random.Generator) -> Placement:
    strategies = [Strategy.WHOLE, *(strategy for strategy in Strategy if strategy.dim in unit.dims and len(team) > 1)]
    strategy = strategies[rng.integers(len(strategies))]
    if strategy.dim is None:
        return Placement.whole(int(rng.integers(device_count)))
    shares = unit_proportional_shares(unit, strategy.dim, rng.dirichlet(np.ones(len(team))).tolist())
    return Placement.split(strategy.dim, team, shares, strategy.reduce or "direct")


def _shifted(unit: Unit, placement: Placement, rng: np.random.Generator) -> Placement:
    """The placement after some granules went from one participant to another; a whole operator stays as it is."""
    if placement.dim is None:
        return placement
    granule, shares = unit.granularities[placement.dim], list(placement.shares)
    giver, taker = rng.choice(len(shares), 2, replace=False)
    owned = shares[giver] // granule
    moved = min(owned, max(1, owned >> int(rng.integers(1, _LARGEST_STEP + 1)))) * granule
    shares[giver], shares[taker] = shares[giver] - moved, shares[taker] + moved
    return Placement.split(placement.dim, placement.devices, shares, placement.reduce or "direct")


def _like(unit: Unit, model: Placement) -> Placement:
    """The placement of a unit that resembles ``model``: whole on its device, or split in its proportions, by its dimension if there is one."""
    dim = model.dim if model.dim in unit.dims else next(iter(unit.dims), None)
    if model.dim is None or dim is None:
        return Placement.whole(model.devices[int(np.argmax(model.shares))])
    return Placement.split(dim, model.devices, unit_proportional_shares(unit, dim, model.shares), model.reduce or "direct")
