"""Particle swarm optimisation over dimensions and shares, with pyswarms.

Every point of the search space decodes to a valid plan. Each operator has genes in [0, 1): one picks its strategy, one the device of a
whole operator or whether a channel split follows its producer's shares, and one for each device of the team scales its share
relative to its speed. Of several inputs, an operator follows the first that is not the graph's input.
"""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from iopopt.cluster.cluster import Cluster, Device
from iopopt.cost.instance import Instance
from iopopt.cost.pricer import Pricer
from iopopt.cost.stopwatch import Stopwatch, TimeUpError
from iopopt.errors import SolverError
from iopopt.methods.settings import MOST_SEED, checked_integer, limited
from iopopt.methods.solution import Point, Solution, Termination, heuristic_solution
from iopopt.network.graph import Graph
from iopopt.network.unit import Unit
from iopopt.plan.batch import PlanBatch
from iopopt.plan.placement import Strategy
from iopopt.plan.plan import Plan
from iopopt.plan.shares import even_shares
from iopopt.plan.team import Team, resolve_team, space_name

Array = npt.NDArray[np.float64]

_SCALE = 4.0
"""A share's weight runs from speed / _SCALE to speed x _SCALE."""

_FOLLOWS = 0.75
"""The part of a gene's range in which a split that reads a part of the input channels takes its producer's shares."""

_CHUNK = 256
"""Particles priced between two looks at the time."""

_MOST = 10**9
"""The largest number of particles, iterations or swarms."""


@dataclass(frozen=True)
class SwarmSettings:
    """The swarm: ``swarms`` one after another, each from random particles.

    Attributes:
        particles: of one swarm.
        iterations: of one swarm.
        inertia, cognitive, social: w, c1 and c2 of the velocity update.

    Raises:
        SolverError: if a number is out of range.
    """

    particles: int = 60
    iterations: int = 400
    swarms: int = 4
    inertia: float = 0.72
    cognitive: float = 1.5
    social: float = 1.5

    def __post_init__(self) -> None:
        for name in ("particles", "iterations", "swarms"):
            checked_integer(name, getattr(self, name), 1, _MOST)
        for name in ("inertia", "cognitive", "social"):
            if not math.isfinite(getattr(self, name)):
                raise SolverError(f"{name} is {getattr(self, name)}; it must be a finite number")


class Decoder:
    """Turns positions into plans of one team."""

    def __init__(self, graph: Graph, cluster: Cluster, team: Sequence[int]) -> None:
        self._units, self._team, self._devices = graph.placed_units, np.array(team), len(cluster)
        self._ranks = np.zeros(len(cluster), np.int16)
        self._ranks[self._team] = np.arange(len(team))
        self._in_order = list(team) == sorted(team)
        self._followed = [_followed(graph, i) for i in range(len(graph))]
        self._speeds = np.array([cluster.devices[j].flops_per_s for j in team])
        self._strategies = [_strategies(unit, len(team)) for unit in self._units]
        self.genes_per_operator = 2 + len(team)

    @property
    def dimensions(self) -> int:
        """The number of genes of a position."""
        return self.genes_per_operator * len(self._units)

    def decode(self, positions: Array) -> PlanBatch:
        """The plans at ``positions`` of shape (plans, dimensions); every position is valid."""
        plans = len(positions)
        genes = positions.reshape(plans, len(self._units), -1)
        strategies = np.zeros((len(self._units), plans), np.int8)
        shares = np.zeros((self._devices, len(self._units), plans))
        participants = np.zeros(shares.shape, bool)
        for i, unit in enumerate(self._units):
            allowed = self._strategies[i]
            strategies[i] = allowed[_pick(genes[:, i, 0], len(allowed))]
            whole = strategies[i] == Strategy.WHOLE
            device = _pick(genes[:, i, 1], self._devices)
            mine = ~whole
            participants[self._team, i] = mine
            participants[device[whole], i, np.flatnonzero(whole)] = True
            team_shares = self._shares(unit, strategies[i], genes[:, i, 2:])
            producer = self._followed[i]
            if producer is not None:
                follows = genes[:, i, 1] < _FOLLOWS
                owned, owns = self._owned_channels(self._units[producer], strategies[producer], shares[self._team, producer])
                self._follow(unit, strategies[i], follows & owns, owned, team_shares)
            shares[self._team, i] = np.where(mine, team_shares, 0)
            shares[device[whole], i, np.flatnonzero(whole)] = 1
        order = None if self._in_order else np.where(strategies == Strategy.WHOLE, 0, self._ranks[:, None, None]).astype(np.int16)
        return PlanBatch(strategies, shares, participants, order)

    def _shares(self, unit: Unit, strategies: npt.NDArray[np.int8], genes: Array) -> Array:
        """Shares of shape (team, plans): proportional to the speeds scaled by the genes, rounded by largest remainder."""
        granularities = np.array([1, unit.granularities["H"], unit.granularities["OC"], 1, 1], float)[strategies]
        sizes = np.array([1, *(unit.sizes[dim] for dim in ("H", "OC", "IC", "IC"))], float)[strategies] / granularities
        weights = self._speeds[:, None] * _SCALE ** (2 * genes.T - 1)
        exact = weights / weights.sum(axis=0) * sizes
        shares = np.floor(exact)
        missing = sizes - shares.sum(axis=0)
        rank = np.argsort(np.argsort(shares - exact, axis=0), axis=0)
        return np.asarray(granularities * (shares + (rank < missing)))

    def _owned_channels(self, producer: Unit, strategies: npt.NDArray[np.int8], shares: Array) -> tuple[Array, npt.NDArray[np.bool_]]:
        """The output channels of each team member, and whether the output is split by channels."""
        count = len(self._team)
        even = np.array(even_shares(producer.sizes["OC"], count), float)
        two_phase = strategies == Strategy.IC_TWO_PHASE
        return np.where(two_phase, even[:, None], shares), two_phase | (strategies == Strategy.OC)

    def _follow(self, unit: Unit, strategies: npt.NDArray[np.int8], follows: npt.NDArray[np.bool_], owned: Array, shares: Array) -> None:
        """Following splits take the shares of their input, so that nothing is sent between: IC, and OC in whole groups."""
        shares[:] = np.where(follows & (strategies >= Strategy.IC), owned, shares)
        if unit.reads_part("OC"):
            group = unit.granularities["OC"]
            groups = owned / (unit.reads[0].tensor.channels * group // unit.sizes["OC"])
            whole_groups = (groups == np.floor(groups)).all(axis=0)
            shares[:] = np.where(follows & (strategies == Strategy.OC) & whole_groups, groups * group, shares)


def _followed(graph: Graph, i: int) -> int | None:
    """The operator whose shares operator ``i`` may take: its first producer, if a share can read a part of the channels."""
    unit = graph.units[i]
    producers = (edge.producer for edge in graph.edges_into[i] if edge.producer != graph.source)
    return next(producers, None) if any(map(unit.reads_part, unit.dims)) else None


def _strategies(unit: Unit, team_size: int) -> npt.NDArray[np.int8]:
    if team_size == 1:
        return np.array([Strategy.WHOLE], np.int8)
    return np.array([strategy for strategy in Strategy if strategy.dim is None or strategy.dim in unit.dims], np.int8)


def _pick(genes: Array, count: int) -> npt.NDArray[np.int64]:
    """Which of ``count`` equal parts of [0, 1] contains a gene."""
    return np.minimum((genes * count).astype(np.int64), count - 1)


def solve_pso(
    graph: Graph,
    devices: Cluster | Sequence[Device],
    *,
    team: Team = "all",
    seed: int = 0,
    time_limit_s: float = 60.0,
    settings: SwarmSettings | None = None,
) -> Solution:
    """The best plan that a particle swarm finds, from random particles.

    Plans that break a memory limit cost more than any that fit, in proportion to the excess. At the time limit the search ends with the
    best plan so far (``termination="time_limit"``); it always prices some particles.

    Args:
        graph: the network, branches included.
        devices: a cluster, or devices with the cluster defaults.
        team: ``"all"`` devices, or one sequence of them.
        seed: of the random numbers. A run that ends at its iteration limit (``termination="iteration_limit"``) gives the same plan for the
            same seed, with the same versions of numpy and pyswarms. One that ends at its time limit does not: how far it gets depends on the
            machine and its load. For a plan that can be reproduced, limit the iterations in ``settings`` and give it time.
        time_limit_s: seconds of wall clock for everything.
        settings: the size of the swarm, and how it moves.

    Raises:
        ClusterError: if ``team`` names a device that does not exist.
        SolverError: if a setting is out of range.
    """
    cluster, watch = Instance.of(graph, devices).cluster, limited(time_limit_s)
    settings, seed = settings or SwarmSettings(), checked_integer("seed", seed, 0, MOST_SEED)
    search = _Search(graph, cluster, resolve_team(team, cluster), watch)
    build_s = watch.lap()
    termination: Termination = "iteration_limit"
    try:
        with _quiet_pyswarms(), _seeded(seed):
            _optimise(search, settings)
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
        space=space_name(team, cluster),
        build_s=build_s,
        solve_s=watch.lap(),
        termination=termination,
        seed=seed,
        trajectory=tuple(search.trajectory),
    )


class _Search:
    """The objective of the swarm; it keeps the best plan that was ever decoded."""

    def __init__(self, graph: Graph, cluster: Cluster, team: Sequence[int], watch: Stopwatch) -> None:
        self.decoder = Decoder(graph, cluster, team)
        self.plan: Plan | None = None
        self.trajectory: list[Point] = []
        self._graph, self._pricer, self._watch = graph, Pricer(graph, cluster), watch
        self._memory = sum(device.memory_bytes for device in cluster.devices)
        self._best = math.inf
        # Slower than any plan without transfers on the slowest device: the floor of the penalty.
        self._penalty_s = 10 * sum(operator.flops for operator in graph.operators) / min(device.flops_per_s for device in cluster.devices)

    def __call__(self, positions: Array) -> Array:
        """The cost of each position: latency, seconds, plus a penalty for each excess byte.

        Raises:
            TimeUpError: if the time is up, which ends the swarm: pyswarms has no stop criterion for it.
        """
        return np.concatenate([self._costs(positions[start : start + _CHUNK]) for start in range(0, len(positions), _CHUNK)])

    def _costs(self, positions: Array) -> Array:
        if self.plan is not None:
            self._watch.check()
        batch = self.decoder.decode(positions)
        price = self._pricer.price(batch)
        over = price.excess_bytes > 0
        cost = price.latency_s + over * self._penalty_s * (1 + price.excess_bytes / self._memory)
        number = int(cost.argmin())
        if cost[number] < self._best:
            self._best, self.plan = float(cost[number]), batch.plan(self._graph, number)
            latency = None if over[number] else float(price.latency_s[number])
            self.trajectory.append(Point(self._watch.elapsed_s, latency, None))
        return np.asarray(cost)


def _optimise(search: _Search, settings: SwarmSettings) -> None:
    """Every swarm, from random particles."""
    from pyswarms.single import GlobalBestPSO

    options = {"w": settings.inertia, "c1": settings.cognitive, "c2": settings.social}
    dimensions = search.decoder.dimensions
    for _ in range(settings.swarms):
        bounds = (np.zeros(dimensions), np.ones(dimensions))
        swarm = GlobalBestPSO(settings.particles, dimensions, options, bounds=bounds, bh_strategy="periodic")
        swarm.optimize(search, settings.iterations, verbose=False)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """pyswarms draws from numpy's global generator: seed it, and restore it afterwards."""
    state: Any = np.random.get_state()
    np.random.seed(seed)
    try:
        yield
    finally:
        np.random.set_state(state)


@contextmanager
def _quiet_pyswarms() -> Iterator[None]:
    """Keep pyswarms from configuring the root logger and writing ``report.log``, which it does at import and in every object."""
    before = os.environ.get("LOG_CFG")
    with tempfile.TemporaryDirectory(prefix="iopopt-") as directory:
        config = Path(directory, "logging.yaml")
        config.write_text("version: 1\nincremental: true\n", encoding="utf-8")
        os.environ["LOG_CFG"] = str(config)
        try:
            yield
        finally:
            if before is None:
                del os.environ["LOG_CFG"]
            else:
                os.environ["LOG_CFG"] = before
