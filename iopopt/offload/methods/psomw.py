"""PSOMW: a particle swarm over splits, orders and cuts, with pyswarms, in which Minimizing Waiting plans what the swarm splits anew.

Rebuilt from the description of PSOMW (Zhou et al., IEEE TPDS 2023): a particle is (m, n), random keys for the order and a cut for each path, every
particle is a valid plan, and MW re-seeds a particle whose (m, n) changed. What is ours: the swarm starts after MW over all splits, with some
particles at its plans, leaves out splits that cannot be better, and MW's local changes improve the best particles between iterations.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from iopopt.cost.stopwatch import TimeUpError
from iopopt.errors import SolverError
from iopopt.methods.settings import MOST_SEED, checked_integer, limited
from iopopt.methods.solution import Termination
from iopopt.methods.swarm.pyswarms_runs import quiet_pyswarms, seeded
from iopopt.offload.instance import OffloadInstance
from iopopt.offload.methods.mw import MwSearch, start_search
from iopopt.offload.recursion import OffloadObjective
from iopopt.offload.search.drafts import Draft, together
from iopopt.offload.search.local_search import FALL
from iopopt.offload.search.positions import Position, Positions
from iopopt.offload.solution import OffloadSolution
from iopopt.offload.space import OffloadSpace, Split

_MOST = 10**6


@dataclass(frozen=True)
class PsomwSettings:
    """The swarm: ``swarms`` one after another.

    Attributes:
        particles: of one swarm; a half starts at MW's plans of the best splits, the others at random.
        iterations: of one swarm.
        inertia, cognitive, social: w, c1 and c2 of the velocity update.
        stretch: iterations between two local searches.
        improved: particles, of unlike splits, from which local changes start after a stretch.
        patience: stretches without an improvement after which a swarm ends.

    Raises:
        SolverError: if a number is out of range.
    """

    particles: int = 40
    iterations: int = 200
    swarms: int = 2
    inertia: float = 0.72
    cognitive: float = 1.5
    social: float = 1.5
    stretch: int = 5
    improved: int = 10
    patience: int = 6

    def __post_init__(self) -> None:
        for name in ("particles", "iterations", "swarms", "stretch", "improved", "patience"):
            checked_integer(name, getattr(self, name), 1, _MOST)
        for name in ("inertia", "cognitive", "social"):
            if not math.isfinite(getattr(self, name)):
                raise SolverError(f"{name} is {getattr(self, name)}; it must be a finite number")


def solve_psomw(
    instance: OffloadInstance,
    *,
    space: OffloadSpace | None = None,
    objective: OffloadObjective = "makespan",
    seed: int = 0,
    time_limit_s: float = 10.0,
    settings: PsomwSettings | None = None,
) -> OffloadSolution:
    """The best plan that MW over all splits, and then a particle swarm with MW, find.

    It is never above :func:`solve_mw` of the same space, if there is time for that. At the time limit the search ends with the best plan so far
    (``termination="time_limit"``); it always has one.

    Args:
        space: which plans are searched.
        objective: of several devices, the ``"makespan"`` or the ``"mean"`` of their latencies.
        seed: of the random numbers. A run that ends at its iteration limit (``termination="iteration_limit"``) gives the same plan for the same
            seed, with the same versions of numpy and pyswarms. One that ends at its time limit does not.
        time_limit_s: seconds of wall clock for everything.
        settings: the size of the swarm, how it moves, and how often local changes improve its particles.

    Raises:
        OffloadError: if a device has no plan in the space, or the objective is unknown.
        SolverError: if a setting is out of range.
    """
    watch, space, settings = limited(time_limit_s), space or OffloadSpace(), settings or PsomwSettings()
    seed = checked_integer("seed", seed, 0, MOST_SEED)
    search = start_search(instance, space, objective, watch)
    termination: Termination = "iteration_limit"
    try:
        search.minimise()
        with quiet_pyswarms(), seeded(seed):
            for _ in range(settings.swarms):
                splits = search.promising()
                if all(splits):
                    MwSwarm(search, settings, splits).run()
    except TimeUpError:
        termination = "time_limit"
    except KeyboardInterrupt:
        termination = "interrupted"
    return search.solution(method="psomw", termination=termination, searched="MW of each split, then a particle swarm with MW", seed=seed)


class MwSwarm:
    """One swarm over the splits that may be better than what MW found.

    Attributes:
        swarm: of pyswarms.
        positions: what its positions stand for.
    """

    def __init__(self, search: MwSearch, settings: PsomwSettings, splits: Sequence[Sequence[Split]]) -> None:
        from pyswarms.backend import create_swarm
        from pyswarms.backend.handlers import BoundaryHandler, VelocityHandler
        from pyswarms.backend.topology import Star

        self._search, self._settings, self.positions = search, settings, Positions(search.pricer, search.waiting, splits)
        options = {"w": settings.inertia, "c1": settings.cognitive, "c2": settings.social}
        first = np.random.random((settings.particles, self.positions.dimensions))
        for position, draft in zip(first[: math.ceil(settings.particles / 2)], search.ranked(splits), strict=False):
            self.positions.write(draft, position)
        self.swarm = create_swarm(*first.shape, options=options, init_pos=first)
        self.swarm.velocity = np.random.uniform(-0.5, 0.5, first.shape)
        self.swarm.pbest_cost = np.full(settings.particles, np.inf)
        self._splits = [self.positions.splits(position) for position in first]
        self._known = set[Draft]()
        self._topology, self._in_bounds, self._unclamped = Star(), BoundaryHandler("periodic"), VelocityHandler("unmodified")

    def run(self) -> None:
        """Iterate until the limit, or until nothing better is found for some stretches.

        Raises:
            TimeUpError: if the time is up.
        """
        incumbent, idle = self._search.incumbent, 0
        for begin in range(0, self._settings.iterations, self._settings.stretch):
            least = incumbent.least
            for _ in range(min(self._settings.stretch, self._settings.iterations - begin)):
                self._price()
                self._move()
                self.reseed()
            self._improve()
            idle = 0 if incumbent.least < least * (1 - FALL) else idle + 1
            if idle >= self._settings.patience:
                return

    def _price(self) -> None:
        swarm: Any = self.swarm
        swarm.current_cost = np.array([self._search.incumbent.offer(self.positions.draft(position)) for position in swarm.position])
        better = swarm.current_cost < swarm.pbest_cost
        swarm.pbest_pos = np.where(better[:, None], swarm.position, swarm.pbest_pos)
        swarm.pbest_cost = np.where(better, swarm.current_cost, swarm.pbest_cost)
        swarm.best_pos, swarm.best_cost = self._topology.compute_gbest(swarm)

    def _move(self) -> None:
        bounds = np.zeros(self.positions.dimensions), np.ones(self.positions.dimensions)
        self.swarm.velocity = self._topology.compute_velocity(self.swarm, None, self._unclamped, bounds)
        self.swarm.position = self._topology.compute_position(self.swarm, bounds, self._in_bounds)

    def reseed(self) -> int:
        """Write MW's plan of the new split into each particle whose (m, n) changed; how many there were."""
        changed = 0
        for number, position in enumerate(self.swarm.position):
            splits = self.positions.splits(position)
            if splits != self._splits[number]:
                self.positions.write(self._reseeded(position, splits, self._splits[number]), position)
                self._splits[number] = splits
                changed += 1
        return changed

    def _reseeded(self, position: Position, splits: Any, before: Any) -> Draft:
        """A particle's plan with MW's plan for each device whose split changed, and servers that take first what arrives first."""
        clients = [
            client if split == old else self._search.waiting.planned(client.client, split)[1]
            for client, split, old in zip(self.positions.draft(position).clients, splits, before, strict=True)
        ]
        return together(self._search.pricer, clients)

    def _improve(self) -> None:
        """Local changes from the best particle of each of some splits, written into it; none twice from the same plan."""
        swarm: Any = self.swarm
        found: dict[tuple[Split, ...], tuple[Draft, int]] = {}
        for number in np.argsort(swarm.current_cost, kind="stable"):
            draft = self.positions.draft(swarm.position[number])
            if draft not in self._known:
                found.setdefault(self.positions.splits(swarm.position[number]), (draft, int(number)))
        for draft, number in list(found.values())[: self._settings.improved]:
            better, value = self._search.improve(draft)
            self._known |= {draft, better}
            self.positions.write(better, swarm.position[number])
            if value < swarm.pbest_cost[number]:
                swarm.pbest_pos[number], swarm.pbest_cost[number] = swarm.position[number], value
        swarm.best_pos, swarm.best_cost = self._topology.compute_gbest(swarm)
