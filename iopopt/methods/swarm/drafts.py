"""Plans in the making, as arrays that a local search changes in place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from iopopt.methods.swarm.plan_space import Array, Numbers, PlanSpace
from iopopt.plan.batch import PlanBatch
from iopopt.plan.placement import Strategy

_WHOLE, _ROWS, _OUT, _IN, _IN_TWO_PHASE = Strategy  # members of an enumeration are slow to look up

Mask = npt.NDArray[np.bool_]


def proportional(granules: Numbers, weights: Array) -> Numbers:
    """Granules of several operators in proportion to ``weights``, rounded by largest remainder; shape (operators, weights)."""
    exact = granules[:, None] * (weights / weights.sum())
    shares = np.floor(exact + 1e-9)
    rank = np.argsort(np.argsort(shares - exact, axis=1, kind="stable"), axis=1)
    return np.asarray(shares + (rank < (granules - shares.sum(axis=1))[:, None]), np.int64)


class Draft(NamedTuple):
    """One plan: views of the arrays of :class:`Drafts`, through which it is changed."""

    space: PlanSpace
    strategies: npt.NDArray[np.int8]
    spans: npt.NDArray[np.int16]
    shares: Array

    def block_end(self, i: int) -> int:
        """The last operator of the block of which operator ``i`` is a member; itself outside blocks."""
        while not self.spans[i]:
            i += 1
        return i

    def block_ends(self) -> Numbers:
        """The last operators of the blocks."""
        return np.flatnonzero(self.spans > 1)

    def unfuse(self, end: int) -> None:
        """The members of the block that ends there become single operators, by rows in its proportions."""
        start, weights = end - int(self.spans[end]) + 1, self.shares[end, self.space.team]
        self.spans[start : end + 1] = 1
        self.place_whole(range(start, end + 1), int(self.space.team[weights.argmax()]))
        self.split(range(start, end + 1), _ROWS, weights)

    def free(self, run: range) -> None:
        """Unfuse the blocks that have members in ``run``."""
        i = run.start
        while i < run.stop:
            end = self.block_end(i)
            if self.spans[end] > 1:
                self.unfuse(end)
            i = end + 1

    def place_whole(self, run: range, device: int) -> None:
        """Single operators on one device."""
        self.strategies[run.start : run.stop] = _WHOLE
        self.shares[run.start : run.stop] = 0
        self.shares[run.start : run.stop, device] = 1

    def split(self, run: range, strategy: Strategy, weights: Array, *, nested: bool = False) -> None:
        """Split the single operators of a run that admit it, in proportion to ``weights``, one for each of the team.

        Args:
            nested: the boundaries of all shares coincide, if the granules of the operators are multiples of the least number.
        """
        space = self.space
        places = run.start + np.flatnonzero(space.admits[strategy, run.start : run.stop])
        if not len(places):
            return
        granules = space.granules[places, strategy]
        least = granules[granules.argmin(keepdims=True)]
        if nested and not (granules % least).any():
            counts = (granules // least)[:, None] * proportional(least, weights)
        else:
            counts = proportional(granules, weights)
        self.set(places, strategy, counts * space.granularities[places, strategy][:, None])

    def set(self, places: Numbers | Sequence[int], strategy: Strategy, shares: Numbers | Array) -> None:
        """Give single operators these shares of the team, shape (operators, team)."""
        self.strategies[places] = strategy
        self.shares[places] = 0
        self.shares[np.asarray(places)[:, None], self.space.team] = shares

    def fuse(self, members: range, weights: Array, *, granule: int = 1) -> None:
        """Make single operators a block, its rows in proportion to ``weights``, in units of ``granule`` rows where these divide the map."""
        end = members[-1]
        height = self.space.granules[end, _ROWS]
        granule = granule if height % granule == 0 else 1
        self.strategies[members.start : end] = _WHOLE
        self.shares[members.start : end] = 0
        self.spans[members.start : end] = 0
        self.spans[end] = len(members)
        self.set([end], _ROWS, granule * proportional(np.array([height // granule]), weights))

    def weights(self, i: int) -> Array:
        """The shares of an operator, or of the block that it belongs to, of each of the team: all of one device of it where it is whole."""
        return np.asarray(self.shares[self.block_end(i), self.space.team])

    def owned_channels(self, i: int) -> Array | None:
        """The output channels of each of the team; None where they are not split."""
        if self.strategies[i] == _IN_TWO_PHASE:
            return self.space.even_channels(i)
        return self.shares[i, self.space.team] if self.strategies[i] == _OUT else None

    def follow(self, i: int, reduce: Strategy) -> bool:
        """Split a single operator by channels as its input lies, so that nothing is sent to it; False if it cannot be."""
        space = self.space
        producer = space.followed[i]
        owned = None if producer is None else self.owned_channels(producer)
        if owned is None:
            return False
        if space.admits[_IN, i]:
            self.set([i], reduce, owned[None])
            return True
        groups = owned / space.channel_groups(i)
        if not space.admits[_OUT, i] or not space.units[i].reads_part("OC") or (groups != np.floor(groups)).any():
            return False
        self.set([i], _OUT, groups[None] * space.granularities[i, _OUT])
        return True


@dataclass(frozen=True)
class Drafts:
    """Several plans of one space.

    Attributes:
        strategies, spans: as those of :class:`iopopt.PlanBatch`, but of shape (plans, operators).
        shares: of shape (plans, operators, devices).
    """

    space: PlanSpace
    strategies: npt.NDArray[np.int8]
    spans: npt.NDArray[np.int16]
    shares: Array

    @classmethod
    def of(cls, space: PlanSpace, batch: PlanBatch) -> Drafts:
        """The plans of a batch."""
        shares = np.ascontiguousarray(batch.shares.transpose(2, 1, 0))
        return cls(space, np.ascontiguousarray(batch.strategies.T), np.ascontiguousarray(batch.operators_placed.T), shares)

    def __len__(self) -> int:
        return len(self.strategies)

    def __getitem__(self, number: int) -> Draft:
        return Draft(self.space, self.strategies[number], self.spans[number], self.shares[number])

    def take(self, numbers: Numbers | Sequence[int]) -> Drafts:
        """Copies of the plans of these numbers."""
        return Drafts(self.space, self.strategies[numbers], self.spans[numbers], self.shares[numbers])

    def batch(self) -> PlanBatch:
        """The plans as arrays for pricing."""
        strategies, spans = np.ascontiguousarray(self.strategies.T), np.ascontiguousarray(self.spans.T)
        shares = np.ascontiguousarray(self.shares.transpose(2, 1, 0))
        participants = shares > 0
        participants[self.space.team] |= strategies > _WHOLE
        order = self.space.order(strategies)
        return PlanBatch(strategies, shares, participants, order, spans if (spans != 1).any() else None)

    def changes(self, base: Drafts) -> Mask:
        """Where each plan differs from the one plan of ``base``, shape (plans, operators)."""
        shares = (self.shares != base.shares).any(axis=2)
        return np.asarray(shares | (self.strategies != base.strategies) | (self.spans != base.spans))

    def merged(self, base: Drafts, numbers: Sequence[int], changes: Mask) -> Drafts:
        """``base`` with the changes of the first, of the first two, ... of the numbered plans; these change different operators."""
        results = base.take([0] * len(numbers))
        for rank, number in enumerate(numbers):
            places = np.flatnonzero(changes[number])
            for target, source in ((results.strategies, self.strategies), (results.spans, self.spans), (results.shares, self.shares)):
                target[rank:, places] = source[number, places]
        return results
