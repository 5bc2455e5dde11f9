"""Points of the search space of a swarm, and the plans that they stand for.

Every point decodes to a valid plan. Each operator has genes in [0, 1): one picks its strategy, one the device of a whole operator or whether a
channel split follows its producer's shares, and one for each device of the team scales its share relative to its speed. Where blocks are searched,
one more says whether the operator is fused with the one before it. Of several inputs, an operator follows the first that is not the graph's input.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from iopopt.cluster.cluster import Cluster
from iopopt.methods.swarm.plan_space import Array, Numbers, PlanSpace
from iopopt.network.graph import Graph
from iopopt.plan.batch import PlanBatch
from iopopt.plan.placement import Strategy

_SCALE = 4.0
"""A share's weight runs from speed / _SCALE to speed x _SCALE."""

_FOLLOWS = 0.75
"""The part of a gene's range in which a split that reads a part of the input channels takes its producer's shares."""

_FUSES = 0.5
"""The part of a gene's range in which an operator is fused with the one before it, as far as the run is a block."""


class Decoder:
    """Turns positions into plans of one team, and plans into positions."""

    def __init__(self, graph: Graph, cluster: Cluster, team: Sequence[int], longest_block: int = 1) -> None:
        self.space = PlanSpace(graph, cluster, team, longest_block)
        self._fuses = bool(self.space.blocks)
        self.genes_per_operator = 2 + len(team) + self._fuses

    @property
    def dimensions(self) -> int:
        """The number of genes of a position."""
        return self.genes_per_operator * len(self.space)

    # Positions to plans.

    def decode(self, positions: Array) -> PlanBatch:
        """The plans at ``positions`` of shape (plans, dimensions); every position is valid."""
        space, plans = self.space, len(positions)
        genes = positions.reshape(plans, len(space), -1)
        share_genes = genes[:, :, 2 : 2 + len(space.team)]
        spans = self._spans(genes[:, :, -1].T < _FUSES) if self._fuses else None
        strategies = np.zeros((len(space), plans), np.int8)
        shares = np.zeros((space.device_count, len(space), plans))
        participants = np.zeros(shares.shape, bool)
        for i, allowed in enumerate(space.strategies):
            strategies[i] = allowed[_pick(genes[:, i, 0], len(allowed))]
            runs = np.ones(plans, bool) if spans is None else spans[i] > 0
            if spans is not None:
                strategies[i] = np.where(spans[i] == 1, strategies[i], np.where(runs, Strategy.H, Strategy.WHOLE))
            whole = runs & (strategies[i] == Strategy.WHOLE)
            device = _pick(genes[:, i, 1], space.device_count)
            mine = runs & ~whole
            participants[space.team, i] = mine
            participants[device[whole], i, np.flatnonzero(whole)] = True
            team_shares = self._shares(i, strategies[i], share_genes[:, i])
            producer = space.followed[i]
            if producer is not None:
                follows = genes[:, i, 1] < _FOLLOWS
                owned, owns = self._owned_channels(producer, strategies[producer], shares[space.team, producer])
                self._follow(i, strategies[i], follows & owns, owned, team_shares)
            shares[space.team, i] = np.where(mine, team_shares, 0)
            shares[device[whole], i, np.flatnonzero(whole)] = 1
        return PlanBatch(strategies, shares, participants, space.order(strategies), spans)

    def _spans(self, fused: npt.NDArray[np.bool_]) -> npt.NDArray[np.int16]:
        """How many operators the placement of each operator places, where those are to be fused with the one before them.

        From the last operator on, each takes the longest block within the run of fused ones that ends with it.
        """
        count, plans = fused.shape
        run = np.ones((count, plans), np.int64)
        for i in range(1, count):
            run[i] += fused[i] * run[i - 1]
        spans, inside = np.zeros((count, plans), np.int16), np.zeros(plans, np.int64)
        longest = self.space.longest_within
        for i in range(count - 1, -1, -1):
            spans[i] = np.where(inside > 0, 0, longest[i, np.minimum(run[i], longest.shape[1] - 1)])
            inside = np.where(inside > 0, inside - 1, spans[i] - 1)
        return spans

    def _shares(self, i: int, strategies: npt.NDArray[np.int8], genes: Array) -> Array:
        """Shares of shape (team, plans): proportional to the speeds scaled by the genes, rounded by largest remainder."""
        granularities = self.space.granularities[i].astype(float)[strategies]
        sizes = self.space.granules[i].astype(float)[strategies]
        weights = self.space.speeds[:, None] * _SCALE ** (2 * genes.T - 1)
        exact = weights / weights.sum(axis=0) * sizes
        shares = np.floor(exact)
        missing = sizes - shares.sum(axis=0)
        rank = np.argsort(np.argsort(shares - exact, axis=0), axis=0)
        return np.asarray(granularities * (shares + (rank < missing)))

    def _owned_channels(self, producer: int, strategies: npt.NDArray[np.int8], shares: Array) -> tuple[Array, npt.NDArray[np.bool_]]:
        """The output channels of each team member, and whether the output is split by channels."""
        even = self.space.even_channels(producer)
        two_phase = strategies == Strategy.IC_TWO_PHASE
        return np.where(two_phase, even[:, None], shares), two_phase | (strategies == Strategy.OC)

    def _follow(self, i: int, strategies: npt.NDArray[np.int8], follows: npt.NDArray[np.bool_], owned: Array, shares: Array) -> None:
        """Following splits take the shares of their input, so that nothing is sent between: IC, and OC in whole groups."""
        shares[:] = np.where(follows & (strategies >= Strategy.IC), owned, shares)
        if self.space.units[i].reads_part("OC"):
            groups = owned / self.space.channel_groups(i)
            whole_groups = (groups == np.floor(groups)).all(axis=0)
            shares[:] = np.where(follows & (strategies == Strategy.OC) & whole_groups, groups * self.space.units[i].granularities["OC"], shares)

    # Plans to positions.

    def encode(self, batch: PlanBatch) -> Array:
        """Positions of the plans of a batch of this space, of shape (plans, dimensions).

        They decode to these plans, but for shares outside the scale: of devices with a far larger or smaller part of the work than of the speed.
        """
        space, plans = self.space, len(batch)
        genes = np.full((plans, len(space), self.genes_per_operator), 0.5)
        numbers, placed_at = np.arange(plans), np.zeros(plans, np.int64)
        for i in range(len(space) - 1, -1, -1):
            inside = batch.operators_placed[i] == 0
            placed_at = np.where(inside, placed_at, i)
            strategies, shares = batch.strategies[placed_at, numbers], batch.shares[:, placed_at, numbers]
            whole, allowed = strategies == Strategy.WHOLE, space.strategies[i]
            genes[:, i, 0] = (np.minimum(np.searchsorted(allowed, strategies), len(allowed) - 1) + 0.5) / len(allowed)
            genes[:, i, 1] = np.where(whole, (shares.argmax(axis=0) + 0.5) / space.device_count, self._follow_genes(batch, i))
            genes[:, i, 2 : 2 + len(space.team)] = np.where(whole, 0.5, self._share_genes(shares[space.team])).T
            if self._fuses and i + 1 < len(space):
                genes[:, i + 1, -1] = np.where(inside, _FUSES / 2, (1 + _FUSES) / 2)
        return genes.reshape(plans, -1)

    def _share_genes(self, shares: Array) -> Array:
        """Genes of shape (team, plans) whose weights are proportional to the shares, as far as the scale reaches."""
        relative = np.maximum(shares, 1e-3) / self.space.speeds[:, None]
        logarithms = np.log(relative) / np.log(_SCALE)
        logarithms = logarithms - (logarithms.max(axis=0) + np.maximum(logarithms.min(axis=0), logarithms.max(axis=0) - 2)) / 2
        return np.asarray(np.clip((logarithms + 1) / 2, 0, 1))

    def _follow_genes(self, batch: PlanBatch, i: int) -> Array:
        """A gene that follows where the shares are those that following would give."""
        producer, team = self.space.followed[i], self.space.team
        shares = batch.shares[team, i]
        if producer is None:
            return np.full(len(batch), (1 + _FOLLOWS) / 2)
        owned, owns = self._owned_channels(producer, batch.strategies[producer], batch.shares[team, producer])
        followed = shares.copy()
        self._follow(i, batch.strategies[i], owns, owned, followed)
        return np.where(owns & (followed == shares).all(axis=0), _FOLLOWS / 2, (1 + _FOLLOWS) / 2)


def _pick(genes: Array, count: int) -> Numbers:
    """Which of ``count`` equal parts of [0, 1] contains a gene."""
    return np.minimum((genes * count).astype(np.int64), count - 1)
