"""Iterated local search from a plan: improve by random moves, then leave the local optimum by some that do not."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np

from iopopt.methods.swarm.drafts import Drafts, Mask
from iopopt.methods.swarm.local_moves import LocalMoves
from iopopt.methods.swarm.plan_space import Array, PlanSpace
from iopopt.plan.batch import PlanBatch

NEIGHBOURS = 256
"""Plans priced in one pass."""

_PATIENCE = 4
"""Passes without an improvement after which the search leaves a local optimum."""

_EXCURSION = 12
"""Passes after which a search that found nothing better returns to the best plan."""

_MOST_MERGED = 16
"""The most improvements made in one pass."""

_MOST_KICKS = 3


class LocalSearch:
    """Improves one plan after another of a space.

    Args:
        costs: the cost of every plan of a batch; it may raise an error that ends the search.
    """

    def __init__(self, space: PlanSpace, costs: Callable[[PlanBatch], Array], rng: random.Random) -> None:
        self._space, self._costs, self._rng = space, costs, rng
        self._move = LocalMoves(space, rng)

    def improved(self, start: PlanBatch, passes: int) -> tuple[PlanBatch, float]:
        """The best plan that some passes over neighbours find from the one plan of ``start``, and what it costs."""
        current = best = Drafts.of(self._space, start)
        cost = least = float(self._costs(start)[0])
        idle = astray = 0
        for _ in range(passes):
            neighbours = self._neighbours(current)
            changes, costs = neighbours.changes(current), self._costs(neighbours.batch())
            found = self._combined(current, neighbours, changes, costs, cost)
            if found is None:
                idle += 1
                even = np.flatnonzero((costs <= cost) & changes.any(axis=1))
                if len(even):
                    current = neighbours.take([self._rng.choice(even)])
            else:
                idle, (current, cost) = 0, found
            astray += 1
            if cost < least:
                best, least, astray = current, cost, 0
            if idle >= _PATIENCE:
                if astray > _EXCURSION:
                    current, cost, astray = best, least, 0
                current, cost, idle = *self._kicked(current), 0
        return best.batch(), least

    def _neighbours(self, current: Drafts) -> Drafts:
        neighbours = current.take([0] * NEIGHBOURS)
        for number in range(NEIGHBOURS):
            self._move(neighbours[number])
        return neighbours

    def _combined(self, current: Drafts, neighbours: Drafts, changes: Mask, costs: Array, cost: float) -> tuple[Drafts, float] | None:
        """The best of the improvements, made together as far as they change operators that are apart; None if there are none."""
        better = np.flatnonzero(costs < cost)
        if not len(better):
            return None
        taken, chosen = np.zeros(changes.shape[1], bool), list[int]()
        for number in better[np.argsort(costs[better], kind="stable")]:
            if len(chosen) < _MOST_MERGED and not (changes[number] & taken).any():
                chosen.append(int(number))
                near = changes[number].copy()
                near[1:] |= changes[number][:-1]
                near[:-1] |= changes[number][1:]
                taken |= near
        if len(chosen) == 1:
            return neighbours.take(chosen), float(costs[chosen[0]])
        merged = neighbours.merged(current, chosen, changes)
        merged_costs = self._costs(merged.batch())
        number = int(merged_costs.argmin())
        return merged.take([number]), float(merged_costs[number])

    def _kicked(self, current: Drafts) -> tuple[Drafts, float]:
        """A plan some moves away, among the cheapest of several."""
        kicked = current.take([0] * (NEIGHBOURS // 4))
        moves = self._rng.randint(1, _MOST_KICKS)
        for number in range(len(kicked)):
            for _ in range(moves):
                self._move(kicked[number])
        costs = self._costs(kicked.batch())
        changed = np.flatnonzero(kicked.changes(current).any(axis=1))
        if not len(changed):
            return current, float(costs[0])
        cheapest = changed[np.argsort(costs[changed], kind="stable")][: max(1, len(changed) // 8)]
        number = int(self._rng.choice(cheapest))
        return kicked.take([number]), float(costs[number])
