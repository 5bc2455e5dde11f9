"""Simulated annealing: neighbours are taken that are better, or worse by as much as the temperature allows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random

from iopopt.cost.stopwatch import Stopwatch
from iopopt.errors import SolverError
from iopopt.methods.annealing.moves import neighbour
from iopopt.methods.annealing.objective import Objective
from iopopt.methods.annealing.space import Pieces, Space
from iopopt.methods.settings import checked_integer
from iopopt.methods.solution import Point

_MOST = 10**9

_LATE = 0.05
"""How far, in parts of a cycle, the time may be ahead of the moves before it sets the temperature."""

_GAIN = 1e-6
"""A cycle that gains less, relatively, gained nothing."""


@dataclass(frozen=True)
class AnnealingSettings:
    """The schedule: cycles of cooling, each from the best plan so far.

    Attributes:
        moves_per_operator: the length of a cycle, for each operator of the network; fewer where the time does not last.
        hottest, coldest: temperatures of the first cycle, as parts of the makespan; a neighbour is taken that is slower by the temperature times an
            exponential random number.
        reheated: the hottest temperature of later cycles.
        cycles: the most of them.
        patience: cycles without a gain after which the search ends.

    Raises:
        SolverError: if a number is out of range.
    """

    moves_per_operator: int = 1000
    hottest: float = 0.02
    coldest: float = 0.0003
    reheated: float = 0.005
    cycles: int = 20
    patience: int = 2

    def __post_init__(self) -> None:
        for name in ("moves_per_operator", "cycles", "patience"):
            checked_integer(name, getattr(self, name), 1, _MOST)
        for name in ("hottest", "coldest", "reheated"):
            value = getattr(self, name)
            if not isinstance(value, float) or not 0 < value < 1:
                raise SolverError(f"{name} is {value!r}; it must be a number above 0 and below 1, a part of the makespan")


class Annealing:
    """The search over one space.

    Attributes:
        best, least: the best plan and its cost; none and infinite before the first is offered.
        started_from, start_s: the best of the plans from which the search started and its makespan, seconds; None if none fits the memory.
        trajectory: the improvements over time.
        plans: how many were priced.
    """

    def __init__(self, space: Space, settings: AnnealingSettings, watch: Stopwatch, seed: int) -> None:
        self.best: Pieces | None = None
        self.least = math.inf
        self.started_from: str | None = None
        self.start_s: float | None = None
        self.trajectory: list[Point] = []
        self.plans = 0
        self.objective = Objective(space)
        self._space, self._settings, self._watch, self._rng = space, settings, watch, Random(seed)

    @property
    def makespan_s(self) -> float | None:
        """Of the best plan, seconds; None if it breaks a memory limit or there is none."""
        return self.least if self.objective.fits(self.least) else None

    def offer(self, name: str, pieces: Pieces) -> None:
        """A plan from which the search may start."""
        if self._take(pieces, self.objective.cost(pieces)) and self.makespan_s is not None:
            self.started_from, self.start_s = name, self.makespan_s

    def run(self) -> None:
        """Search until nothing is gained any more.

        Raises:
            TimeUpError: if the time is up; the best plan so far stays.
        """
        idle = 0
        for cycle in range(self._settings.cycles):
            before = self.least
            self._cool(self._settings.hottest if cycle == 0 else self._settings.reheated)
            idle = 0 if self.least < before * (1 - _GAIN) else idle + 1
            if idle == self._settings.patience:
                return

    def _cool(self, hottest: float) -> None:
        """One cycle from the best plan."""
        assert self.best is not None  # one was offered
        current, cost = self.best, self.least
        moves, start_s, remaining_s = self._settings.moves_per_operator * len(self._space.graph), self._watch.elapsed_s, self._watch.remaining_s
        fall = math.log(self._settings.coldest / hottest)
        for move in range(moves):
            self._watch.check()
            passed = max(move / moves, (self._watch.elapsed_s - start_s) / remaining_s - _LATE)
            temperature = hottest * math.exp(fall * passed)
            most = cost * (1 + temperature * self._rng.expovariate(1))
            changed = neighbour(self._space, self._rng, current)
            of_changed = self.objective.cost(changed, most)
            self.plans += 1
            if of_changed <= most:
                current, cost = changed, of_changed
                self._take(current, cost)

    def _take(self, pieces: Pieces, cost: float) -> bool:
        """Keep a plan if it is the best so far."""
        if cost >= self.least:
            return False
        self.best, self.least = pieces, cost
        self.trajectory.append(Point(self._watch.elapsed_s, self.makespan_s, None))
        return True
