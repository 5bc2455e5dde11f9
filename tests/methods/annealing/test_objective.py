"""What plans cost in the annealing, against the evaluator and the simulation of the same plans."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable
from dataclasses import replace

import pytest
from support.any_teams import AnyTeams
from support.random_any import random_case
from support.random_blocks import random_fusible_graph
from support.random_branches import random_branched_graph
from support.random_instances import random_cluster, random_graph

from iopopt import Cluster, Device, Graph, GraphBuilder, Placement, Plan, evaluate, simulate
from iopopt.methods.annealing.moves import neighbour
from iopopt.methods.annealing.objective import Objective, _demand_at_most, _longest_s
from iopopt.methods.annealing.space import Space
from iopopt.plan.pieces import pieces_of, plan_of
from iopopt.simulation.simulate import Simulator

LONGEST = 9
"""Of a fused block of a random plan."""


def space_of(graph: Graph, cluster: Cluster, longest: int = LONGEST) -> Space:
    return Space(graph, cluster, tuple(range(len(cluster))), longest)


def with_limits(cluster: Cluster, limits: Iterable[float]) -> Cluster:
    """The cluster with these memories, bytes."""
    return replace(cluster, devices=tuple(replace(device, memory_bytes=limit) for device, limit in zip(cluster.devices, limits, strict=True)))


@pytest.mark.parametrize("seed", range(8))
def test_no_random_plan_exceeds_the_bounds(seed: int) -> None:
    """Chains, branches and blocks, any participants in any order: none demands more memory, none takes longer."""
    for number in range(40 * seed, 40 * (seed + 1)):
        graph, cluster, plan = random_case(number, gathers=False)
        space = space_of(graph, cluster)
        assert max(evaluate(graph, cluster, plan).memory_bytes) <= _demand_at_most(space) * (1 + 1e-12)
        assert simulate(graph, cluster, plan).makespan_s <= _longest_s(space)


@pytest.mark.parametrize("seed", range(9))
def test_no_plan_at_all_exceeds_the_bounds(seed: int) -> None:
    """All plans of tiny instances, or some hundreds of them, links from slow to fast; some plan comes near the bound on memory."""
    rng = random.Random(seed)
    graph = (lambda rng: random_graph(rng, tiny=True), random_branched_graph, random_fusible_graph)[seed % 3](rng)
    cluster = random_cluster(rng, devices=rng.choice([2, 3]))
    cluster = replace(cluster, devices=tuple(replace(device, bandwidth_bytes_per_s=10 ** rng.uniform(3, 9)) for device in cluster.devices))
    space, simulator = space_of(graph, cluster), Simulator(graph, cluster)
    pieces, most = pieces_of(graph, Plan.of(graph, [Placement.whole(0)] * len(graph))), 0.0
    for plan in plans_of(rng, space, pieces):
        most = max(most, *evaluate(graph, cluster, plan).memory_bytes)
        assert simulator.makespan_s(plan) <= _longest_s(space)
    assert 0.4 * _demand_at_most(space) <= most <= _demand_at_most(space) * (1 + 1e-12)


def plans_of(rng: random.Random, space: Space, pieces) -> Iterable[Plan]:
    every = AnyTeams(space.graph, space.cluster, space.longest_block)
    if every.count() <= 300:
        yield from every.plans()
        return
    for _ in range(300):
        pieces = neighbour(space, rng, pieces)
        yield plan_of(space.graph, pieces)


def padded_rows() -> tuple[Graph, Cluster]:
    """Three convolutions of nine rows on maps of two, on three devices whose links take no time."""
    net = GraphBuilder("padded", (1, 2, 1))
    for _ in range(3):
        net.conv(1, (9, 1), padding=(4, 0), bias=False)
    return net.build(), Cluster(tuple(Device(name, 1e3, 1e6, 1e12) for name in "abc"), connection_setup_s=0.0)


def test_a_share_may_take_more_than_the_whole() -> None:
    """Fused, for two rows of the last it takes 10 of the second and 18 of the first, and 26 of the input, most of them padding, which only the first
    participant and the last do without. The one in the middle with all the rows needs five times what the whole takes, 30 rows instead of 6, and
    holds 27 weights, 26 rows and 18. The bounds know it."""
    graph, cluster = padded_rows()
    plan = Plan.of(graph, [Placement.split("H", (0, 1, 2), (0, 2, 0))], [3])
    alone = Plan.of(graph, [Placement.whole(0)] * 3)
    assert simulate(graph, cluster, plan).makespan_s == pytest.approx(5 * simulate(graph, cluster, alone).makespan_s)
    assert simulate(graph, cluster, plan).makespan_s <= _longest_s(space_of(graph, cluster))
    needed = max(evaluate(graph, cluster, plan).memory_bytes)
    assert needed == 4 * (27 + 26 + 18) == _demand_at_most(space_of(graph, cluster))
    for limit, fits in ((needed, True), (needed - 1, False)):
        objective = Objective(space_of(graph, with_limits(cluster, [limit] * 3)))
        assert objective.fits(objective.cost(pieces_of(graph, plan))) == fits


@pytest.mark.parametrize("seed", [*range(60), 1019, 3770])
def test_what_fits_is_what_the_evaluator_calls_feasible(seed: int) -> None:
    """With limits around what a plan demands: it costs its makespan where it fits, and more than any makespan where it does not.

    In the last two instances a share of a block needs far more than all weights and tensors together.
    """
    graph, cluster, plan = random_case(seed, gathers=False)
    rng, needed = random.Random(seed), evaluate(graph, cluster, plan).memory_bytes
    around = [rng.choice([0.8, 1.0, 1.2]) * demand for demand in needed]
    for limits in (needed, around, [0.999 * demand for demand in needed], [0.999 * max(needed)] * len(needed)):
        limited = with_limits(cluster, [max(1.0, limit) for limit in limits])
        objective, pieces = Objective(space_of(graph, limited)), pieces_of(graph, plan)
        cost, makespan_s = objective.cost(pieces), simulate(graph, limited, plan).makespan_s
        assert objective.fits(cost) == evaluate(graph, limited, plan).feasible
        assert (cost == makespan_s) if objective.fits(cost) else (cost > objective.penalty_s + makespan_s)
        assert makespan_s < objective.penalty_s


@pytest.mark.parametrize("seed", range(20))
def test_costs_above_the_most_are_infinite(seed: int) -> None:
    """At the cost itself and above it is what it is; below it nothing is known, whether the memory lasts or not."""
    graph, cluster, plan = random_case(seed, gathers=False)
    for scale in (0.5, 1.0):
        limited = with_limits(cluster, [max(1.0, scale * demand) for demand in evaluate(graph, cluster, plan).memory_bytes])
        objective, pieces = Objective(space_of(graph, limited)), pieces_of(graph, plan)
        cost = objective.cost(pieces)
        assert objective.cost(pieces, cost) == objective.cost(pieces, 2 * cost) == cost
        assert objective.cost(pieces, cost * (1 - 1e-9)) == math.inf


def test_the_more_is_missing_the_more_it_costs() -> None:
    """Of one plan with less and less memory: each byte that is missing adds to the price."""
    graph, cluster = padded_rows()
    plan = Plan.of(graph, [Placement.whole(0)] * 3)
    needed = evaluate(graph, cluster, plan).memory_bytes[0]
    costs = [Objective(space_of(graph, with_limits(cluster, [needed - missing, 1e6, 1e6]))).cost(pieces_of(graph, plan)) for missing in (0, 1, 8, 16)]
    assert costs == sorted(costs)
    assert len(set(costs)) == 4
