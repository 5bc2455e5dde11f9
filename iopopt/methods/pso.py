"""Particle swarm optimisation over dimensions, shares and blocks, with pyswarms, and local search between its iterations.

Some particles start as the plans of cheap schemes, the others at random. After every few iterations a local search improves the best plan, and the
particle that costs most is put there. The plain variant is the swarm alone, from random particles.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from iopopt.cluster.cluster import Cluster, Device
from iopopt.cost.instance import Instance
from iopopt.cost.stopwatch import Stopwatch, TimeUpError
from iopopt.errors import SolverError
from iopopt.methods.coedge import coedge_placements
from iopopt.methods.greedy import greedy_plan
from iopopt.methods.oc import oc_placement
from iopopt.methods.settings import MOST_SEED, checked_integer, checked_longest_block, limited
from iopopt.methods.single import single_plan
from iopopt.methods.solution import Solution, Termination, heuristic_solution
from iopopt.methods.swarm.decoder import Decoder
from iopopt.methods.swarm.local_search import LocalSearch
from iopopt.methods.swarm.objective import Objective
from iopopt.methods.swarm.plan_space import Array
from iopopt.methods.swarm.pyswarms_runs import quiet_pyswarms, seeded
from iopopt.network.graph import Graph
from iopopt.plan.batch import PlanBatch
from iopopt.plan.plan import Plan
from iopopt.plan.team import Team, resolve_team, space_name

_CHUNK = 256
"""Particles priced between two looks at the time."""

_MOST = 10**9
"""The largest number of particles, iterations, swarms or passes."""


@dataclass(frozen=True)
class SwarmSettings:
    """The swarm: ``swarms`` one after another, each from cheap schemes and random particles.

    Attributes:
        particles: of one swarm.
        iterations: of one swarm.
        inertia, cognitive, social: w, c1 and c2 of the velocity update.
        plain: no cheap schemes and no local search: the swarm from random particles alone, for comparison.
        stretch: iterations between two local searches.
        passes: of one local search; in each, some hundred neighbours are priced together.
        patience: local searches without an improvement after which a swarm ends.

    Raises:
        SolverError: if a number is out of range.
    """

    particles: int = 60
    iterations: int = 400
    swarms: int = 4
    inertia: float = 0.72
    cognitive: float = 1.5
    social: float = 1.5
    plain: bool = False
    stretch: int = 20
    passes: int = 30
    patience: int = 3

    def __post_init__(self) -> None:
        for name in ("particles", "iterations", "swarms", "stretch", "passes", "patience"):
            checked_integer(name, getattr(self, name), 1, _MOST)
        for name in ("inertia", "cognitive", "social"):
            if not math.isfinite(getattr(self, name)):
                raise SolverError(f"{name} is {getattr(self, name)}; it must be a finite number")
        if not isinstance(self.plain, bool):
            raise SolverError(f"plain is {self.plain!r}; it must be True or False")


def solve_pso(
    graph: Graph,
    devices: Cluster | Sequence[Device],
    *,
    team: Team = "all",
    longest_block: int = 1,
    seed: int = 0,
    time_limit_s: float = 60.0,
    settings: SwarmSettings | None = None,
) -> Solution:
    """The best plan that a particle swarm with local search finds, from cheap schemes (single, OC, CoEdge, greedy) and random particles.

    It is never slower than the best of these schemes that fits the memory; ``Solution.started_from`` names that, and ``start_latency_s`` is its
    latency. Plans that break a memory limit cost more than any that fit, in proportion to the excess. At the time limit the search ends with the
    best plan so far (``termination="time_limit"``); it always prices the schemes, or in the plain variant some particles.

    Args:
        graph: the network, branches included.
        devices: a cluster, or devices with the cluster defaults.
        team: ``"all"`` devices, or one sequence of them.
        longest_block: the most operators of a fused block; 1 fuses nothing.
        seed: of the random numbers. A run that ends at its iteration limit (``termination="iteration_limit"``) gives the same plan for the
            same seed, with the same versions of numpy and pyswarms. One that ends at its time limit does not: how far it gets depends on the
            machine and its load. For a plan that can be reproduced, limit the iterations in ``settings`` and give it time.
        time_limit_s: seconds of wall clock for everything.
        settings: the size of the swarm, how it moves, and how often the local search takes over.

    Raises:
        ClusterError: if ``team`` names a device that does not exist.
        SolverError: if a setting is out of range.
    """
    cluster, watch = Instance.of(graph, devices).cluster, limited(time_limit_s)
    settings, seed = settings or SwarmSettings(), checked_integer("seed", seed, 0, MOST_SEED)
    search = _Search(graph, cluster, resolve_team(team, cluster), watch, checked_longest_block(longest_block))
    build_s = watch.lap()
    termination: Termination = "iteration_limit"
    try:
        if not settings.plain:
            search.price_schemes()
        with quiet_pyswarms(), seeded(seed):
            _optimise(search, settings, random.Random(seed))
    except TimeUpError:
        termination = "time_limit"
    except KeyboardInterrupt:
        termination = "interrupted"
    if search.plan is None:
        raise KeyboardInterrupt  # interrupted before the first plan was priced: there is nothing to return
    return heuristic_solution(
        graph,
        cluster,
        search.plan,
        method="pso",
        space=space_name(team, cluster, longest_block),
        build_s=build_s,
        solve_s=watch.lap(),
        termination=termination,
        seed=seed,
        trajectory=tuple(search.objective.trajectory),
        started_from=search.started_from,
        start_latency_s=search.start_latency_s,
    )


class _Search:
    """What a swarm minimises: the costs of the plans that positions stand for.

    Attributes:
        decoder: from positions to plans.
        objective: prices them, and keeps the best.
        started_from, start_latency_s: the cheap scheme that was best, and its latency, seconds; None if none fits the memory or none was priced.
    """

    def __init__(self, graph: Graph, cluster: Cluster, team: Sequence[int], watch: Stopwatch, longest_block: int = 1) -> None:
        self.decoder = Decoder(graph, cluster, team, longest_block)
        self.objective = Objective(graph, cluster, watch)
        self.started_from: str | None = None
        self.start_latency_s: float | None = None
        self._graph, self._cluster, self._team, self._watch = graph, cluster, tuple(team), watch
        self._schemes = np.empty((0, self.decoder.dimensions))

    @property
    def plan(self) -> Plan | None:
        """The best plan that was ever priced."""
        return self.objective.plan

    def __call__(self, positions: Array) -> Array:
        """The cost of each position: latency, seconds, plus a penalty for each excess byte.

        Raises:
            TimeUpError: if the time is up, which ends the swarm: pyswarms has no stop criterion for it.
        """
        return np.concatenate([self._costs(positions[start : start + _CHUNK]) for start in range(0, len(positions), _CHUNK)])

    def _costs(self, positions: Array) -> Array:
        self.objective.check()
        return self.objective.costs(self.decoder.decode(positions))

    def price_schemes(self) -> None:
        """Price the cheap schemes; the swarm starts at them."""
        plans = _cheap_plans(self._graph, self._cluster, self._team, self._watch)
        batch = PlanBatch.from_plans(self._graph, list(plans.values()), len(self._cluster))
        costs = self.objective.costs(batch)
        self.start_latency_s = self.objective.latency_s
        if self.start_latency_s is not None:
            self.started_from = list(plans)[int(costs.argmin())]
        self._schemes = self.decoder.encode(batch)

    def first_positions(self, particles: int) -> Array | None:
        """Where the particles of a swarm start, the schemes first; None for random positions alone."""
        if not len(self._schemes):
            return None
        positions = np.random.random((particles, self.decoder.dimensions))
        positions[: len(self._schemes)] = self._schemes[:particles]
        return positions


def _cheap_plans(graph: Graph, cluster: Cluster, team: tuple[int, ...], watch: Stopwatch) -> dict[str, Plan]:
    """The plans of the schemes from which the search starts, by the name of the method."""
    return {
        "single": single_plan(graph, cluster),
        "oc": Plan.of(graph, [oc_placement(unit, cluster, team) for unit in graph.placed_units]),
        "coedge": Plan.of(graph, coedge_placements(graph, cluster, team, "fastest")),
        "greedy": greedy_plan(graph, cluster, team, watch=watch),
    }


def _optimise(search: _Search, settings: SwarmSettings, rng: random.Random) -> None:
    """Every swarm, one after another."""
    for _ in range(settings.swarms):
        if settings.plain:
            _swarm(search, settings).optimize(search, settings.iterations, verbose=False)
        else:
            _improve(search, settings, rng)


def _swarm(search: _Search, settings: SwarmSettings) -> Any:
    from pyswarms.single import GlobalBestPSO

    options = {"w": settings.inertia, "c1": settings.cognitive, "c2": settings.social}
    dimensions = search.decoder.dimensions
    bounds, start = (np.zeros(dimensions), np.ones(dimensions)), search.first_positions(settings.particles)
    return GlobalBestPSO(settings.particles, dimensions, options, bounds=bounds, bh_strategy="periodic", init_pos=start)


def _improve(search: _Search, settings: SwarmSettings, rng: random.Random) -> None:
    """One swarm, with a local search after each stretch of iterations from the best plan of the swarm.

    What it finds takes the place of the particle that costs most. The swarm ends when several searches have found nothing better.
    """
    swarm, decoder = _swarm(search, settings), search.decoder
    local = LocalSearch(decoder.space, search.objective.costs, rng)
    best: PlanBatch | None = None
    least, idle = math.inf, 0
    for done in range(0, settings.iterations, settings.stretch):
        cost, position = swarm.optimize(search, min(settings.stretch, settings.iterations - done), verbose=False)
        if best is None or cost < least:
            best = decoder.decode(position[None])
        improved, cost = local.improved(best, settings.passes)
        idle = 0 if cost < least else idle + 1
        best, least = improved, min(cost, least)
        swarm.swarm.position[int(swarm.swarm.current_cost.argmax())] = decoder.encode(best)[0]
        if idle >= settings.patience:
            return
