"""Random plans, and small random changes of plans: what a local search is made of.

Every plan is valid (equations 2 to 5) and belongs to the space of one team; whether it fits the memory is for the evaluator to say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from iopopt.cluster.cluster import Cluster, Device, as_cluster
from iopopt.network.graph import Graph
from iopopt.network.unit import Unit
from iopopt.plan.pieces import pieces_of, plan_of, unit_of
from iopopt.plan.placement import Placement, Strategy
from iopopt.plan.plan import Plan
from iopopt.plan.shares import unit_proportional_shares
from iopopt.plan.team import Team, check_in_space, resolve_team

_LARGEST_STEP = 4
"""A move of granules takes 1 / 2**k of a share, k up to this, or a single one."""


def random_plan(graph: Graph, devices: Cluster | Sequence[Device], rng: np.random.Generator, *, team: Team = "all", longest_block: int = 1) -> Plan:
    """A plan whose units are placed independently: any strategy that a unit admits, any device, shares by random weights.

    Args:
        longest_block: the most operators of a fused block; of the runs that may end with an operator, from the last one on, each is as likely.

    Raises:
        ClusterError: if ``team`` names a device that does not exist.
    """
    cluster = as_cluster(devices)
    members = resolve_team(team, cluster)
    runs = _random_cover(graph, _blocks(graph, members, longest_block), rng)
    return plan_of(graph, [(run, _random_placement(unit_of(graph, run), len(cluster), members, rng)) for run in runs])


def random_neighbour(
    graph: Graph, devices: Cluster | Sequence[Device], plan: Plan, rng: np.random.Generator, *, team: Team = "all", longest_block: int = 1
) -> Plan:
    """A plan one random move away from ``plan``, a plan of ``team`` and of blocks of at most so many operators; some moves change nothing.

    The moves: a unit gets a random placement; granules go from one of its participants to another; a unit and some that follow it are placed
    as their predecessor is, as far as they admit it (alone a change of strategy seldom pays, because both its edges need an exchange). With
    blocks also: the members of any block are fused, and those of the blocks in its way become single operators; or a block is taken apart.

    Raises:
        ClusterError: if ``team`` names a device that does not exist.
        PlanError: if ``plan`` is not of that space.
    """
    cluster = as_cluster(devices)
    check_in_space(plan, team, cluster, longest_block)
    members = resolve_team(team, cluster)
    placements, blocks = dict[range, Placement](pieces_of(graph, plan)), _blocks(graph, members, longest_block)
    runs = list(placements)
    number = int(rng.integers(len(runs)))
    run, move = runs[number], rng.integers(5 if blocks else 3)
    if move == 0:
        placements[run] = _random_placement(unit_of(graph, run), len(cluster), members, rng)
    elif move == 1:
        placements[run] = _shifted(unit_of(graph, run), placements[run], rng)
    elif move == 2:
        for other in runs[number + 1 : number + 1 + int(rng.geometric(0.3))]:
            if len(other) == 1 or not placements[run].is_whole:  # a block is never whole
                placements[other] = _like(unit_of(graph, other), placements[run])
    elif move == 3:
        placements = _fused(graph, placements, blocks[rng.integers(len(blocks))], members, rng)
    else:
        placements = _taken_apart(graph, placements, [run])
    return plan_of(graph, sorted(placements.items(), key=lambda piece: piece[0].start))


def _blocks(graph: Graph, team: Sequence[int], longest: int) -> list[range]:
    """The blocks up to a length, which need two devices."""
    return list(graph.blocks(longest)) if len(team) > 1 and longest > 1 else []


def _random_cover(graph: Graph, blocks: Sequence[range], rng: np.random.Generator) -> list[range]:
    """Runs that cover the operators, in order."""
    runs, stop = list[range](), len(graph)
    while stop:
        ending = [range(stop - 1, stop), *(block for block in blocks if block.stop == stop)]
        runs.insert(0, ending[rng.integers(len(ending))] if len(ending) > 1 else ending[0])
        stop = runs[0].start
    return runs


def _fused(
    graph: Graph, placements: Mapping[range, Placement], block: range, team: Sequence[int], rng: np.random.Generator
) -> dict[range, Placement]:
    """The same with a block, in the proportions of its last operator, or in random ones if that is whole."""
    freed = _taken_apart(graph, placements, [run for run in placements if run.start < block.stop and block.start < run.stop])
    model, unit = freed[range(block.stop - 1, block.stop)], unit_of(graph, block)
    kept = {run: placement for run, placement in freed.items() if run.start not in block}
    return kept | {block: _random_placement(unit, 0, team, rng) if model.is_whole else _like(unit, model)}


def _taken_apart(graph: Graph, placements: Mapping[range, Placement], runs: Sequence[range]) -> dict[range, Placement]:
    """The same without the blocks among ``runs``: their members are placed singly, as the block was."""
    kept = {run: placement for run, placement in placements.items() if run not in runs or len(run) == 1}
    singles = {range(i, i + 1): _like(graph.placed_units[i], placements[run]) for run in runs if len(run) > 1 for i in run}
    return kept | singles


def _random_placement(unit: Unit, device_count: int, team: Sequence[int], rng: np.random.Generator) -> Placement:
    whole = [Strategy.WHOLE] if unit.span == 1 else []
    strategies = [*whole, *(strategy for strategy in Strategy if strategy.dim in unit.dims and len(team) > 1)]
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
