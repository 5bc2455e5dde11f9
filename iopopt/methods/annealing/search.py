"""Simulated annealing: neighbours are taken that are better, or worse by as much as the temperature allows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random

from iopopt.cost.stopwatch import Stopwatch
from iopopt.errors import SolverError
from iopopt.methods.annealing.moves import neighbour
from iopopt.methods.annealing.objective import Objective
from iopopt.methods.annealing.share_moves import exchange
from iopopt.methods.annealing.space import Pieces, Space
from iopopt.methods.settings import checked_integer
from iopopt.methods.solution import Point

_MOST = 10**9

_LATE = 0.05
"""How far, in parts of a cooling, the time may be ahead of the moves before it sets the temperature."""

_GAIN = 1e-6
"""A cooling that gains less, relatively, gained nothing."""

_TURNS = 4
"""Of so many coolings one starts from the best plan as it is."""

_FEWEST = 10
"""As if a network had so many operators at least."""


@dataclass(frozen=True)
class AnnealingSettings:
    """The schedule. First a tournament of plans with unlike orders of devices, whose better half goes on after each round; then coolings from the
    best plan, mostly with two devices exchanged everywhere.

    Attributes:
        moves_per_operator: the length of a cooling, for each operator of the network; fewer where the time does not last.
        hottest, coldest: temperatures, as parts of the makespan; a neighbour is taken that is slower by the temperature times an exponential random
            number.
        reheated: the hottest temperature after the tournament.
        longer: how many times as long the coolings from the best plan as it is are.
        contenders: how many plans enter the tournament.
        coolings: the most after the tournament.
        patience: coolings without a gain after which the search ends.

    Raises:
        SolverError: if a number is out of range.
    """

    moves_per_operator: int = 100
    hottest: float = 0.04
    coldest: float = 0.0003
    reheated: float = 0.01
    longer: int = 2
    contenders: int = 6
    coolings: int = 100
    patience: int = 10

    def __post_init__(self) -> None:
        for name in ("moves_per_operator", "longer", "contenders", "coolings", "patience"):
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
        self._offered: dict[tuple[tuple[int, ...], ...], tuple[float, Pieces]] = {}
        self._space, self._settings, self._watch, self._rng = space, settings, watch, Random(seed)

    @property
    def makespan_s(self) -> float | None:
        """Of the best plan, seconds; None if it breaks a memory limit or there is none."""
        return self.least if self.objective.fits(self.least) else None

    def offer(self, name: str, pieces: Pieces) -> float:
        """A plan from which the search may start; returns what it costs."""
        cost = self.objective.cost(pieces)
        self._keep(pieces, cost)
        if self._take(pieces, cost) and self.makespan_s is not None:
            self.started_from, self.start_s = name, self.makespan_s
        return cost

    def _keep(self, pieces: Pieces, cost: float) -> None:
        """Keep the cheapest plan of each sequence of teams."""
        alike = _teams(pieces)
        if cost < self._offered.get(alike, (math.inf, pieces))[0]:
            self._offered[alike] = cost, pieces

    def run(self, enough_s: float = 0.0) -> None:
        """Search until nothing is gained any more, or a plan takes no longer than ``enough_s``.

        Raises:
            TimeUpError: if the time is up; the best plan so far stays.
        """
        settings, moves = self._settings, self._settings.moves_per_operator * max(_FEWEST, len(self._space.graph))
        contenders = sorted(self._offered.values(), key=lambda offered: offered[0])[: settings.contenders]
        while len(contenders) > 1 and self.least > enough_s:
            to_come = _runs_of_tournament(len(contenders)) + settings.longer
            results = [self._cool(pieces, moves, settings.hottest, self._watch.remaining_s / to_come) for _, pieces in contenders]
            contenders = sorted(results, key=lambda result: result[0])[: len(results) // 2]
        idle = 0
        for number in range(settings.coolings):
            if idle == settings.patience or self.least <= enough_s:
                return
            before, as_it_is = self.least, number % _TURNS == 0 or len(self._space.devices) < 2
            assert self.best is not None  # one was offered
            start = self.best if as_it_is else exchange(self._space, self._rng, self.best)
            length = settings.longer if as_it_is else 1
            self._cool(start, length * moves, settings.reheated, self._watch.remaining_s / _TURNS * length)
            idle = 0 if self.least < before * (1 - _GAIN) else idle + 1

    def _cool(self, current: Pieces, moves: int, hottest: float, time_s: float) -> tuple[float, Pieces]:
        """Cool down from a plan within so many moves, and so many seconds; returns the best plan found, and what it costs."""
        cost, start_s = self.objective.cost(current), self._watch.elapsed_s
        least, best = cost, current
        fall = math.log(self._settings.coldest / hottest)
        for move in range(moves):
            self._watch.check()
            passed = max(move / moves, (self._watch.elapsed_s - start_s) / time_s - _LATE)
            if passed >= 1:
                break
            temperature = hottest * math.exp(fall * passed)
            most = cost * (1 + temperature * self._rng.expovariate(1))
            changed = neighbour(self._space, self._rng, current)
            of_changed = self.objective.cost(changed, most)
            self.plans += 1
            if of_changed <= most:
                current, cost = changed, of_changed
                if cost < least:
                    least, best = cost, current
                    self._take(current, cost)
        return least, best

    def _take(self, pieces: Pieces, cost: float) -> bool:
        """Keep a plan if it is the best so far."""
        if cost >= self.least:
            return False
        self.best, self.least = pieces, cost
        self.trajectory.append(Point(self._watch.elapsed_s, self.makespan_s, None))
        return True


def _runs_of_tournament(contenders: int) -> int:
    """How often one of them runs: all, half of them, and so on, down to two."""
    return 0 if contenders < 2 else contenders + _runs_of_tournament(contenders // 2)


def _teams(pieces: Pieces) -> tuple[tuple[int, ...], ...]:
    """The orders of devices over which pieces are split, each as often as it changes; of an order and its mirror image the smaller."""
    found: list[tuple[int, ...]] = []
    for piece in pieces:
        devices = min(piece.placement.devices, piece.placement.devices[::-1])
        if piece.placement.dim and devices not in found[-1:]:
            found.append(devices)
    return tuple(found)
