"""Random local moves: each changes one plan of a space, in place, into another of it.

Where a move places operators that are members of a block, the block is unfused first.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np

from iopopt.methods.swarm.drafts import Draft
from iopopt.methods.swarm.plan_space import Array, PlanSpace
from iopopt.plan.placement import Strategy

_WHOLE, _ROWS, _OUT, _IN, _IN_TWO_PHASE = Strategy  # members of an enumeration are slow to look up

_FINEST_STEP = 6
"""A shift moves 1 / 2**k of an operator's granules, k up to this, or a single one."""

_SPREAD = 0.5
"""The deviation of the logarithm of random weights from the speeds."""

_POWERS = (0.5, 2.0)
"""Of the speeds: beyond 1 the fast devices, which transfers hold up less, get more than their part."""

Move = Callable[[Draft], None]


class LocalMoves:
    """The moves of one space, drawn with a generator."""

    def __init__(self, space: PlanSpace, rng: random.Random) -> None:
        self._space, self._rng, self._count = space, rng, len(space)
        self._stops = [segment.stop for segment in space.segments]
        self._segment_of = [number for number, segment in enumerate(space.segments) for _ in segment]
        self._moves: list[tuple[Move, float]] = [(self._rerun, 4), (self._relocate, 1)]
        if len(space.team) > 1:
            self._moves += [(self._shift, 5), (self._rechannel, 2), (self._resplit, 2)]
        if space.blocks:
            self._moves += [(self._cover, 3), (self._new_block, 2), (self._move_boundary, 3), (self._unfuse, 1)]

    def __call__(self, draft: Draft) -> None:
        """One move, drawn at random."""
        moves, weights = zip(*self._moves, strict=True)
        self._rng.choices(moves, weights)[0](draft)

    # What moves are drawn from.

    def _run(self) -> range:
        """A run of operators: short ones are as likely as long ones; half of them are made of whole segments."""
        length = int((self._count + 1) ** self._rng.random())
        start = self._rng.randrange(self._count - length + 1)
        stop = start + length
        if self._rng.random() < 0.5:
            start, stop = self._space.segments[self._segment_of[start]].start, self._stops[self._segment_of[stop - 1]]
        return range(start, stop)

    def _alike(self, draft: Draft) -> range:
        """A longest run of single operators and blocks that are placed alike: by one dimension in the same proportions, or on one device."""
        ends = np.flatnonzero(draft.spans)
        strategies = draft.strategies[ends]
        parts = draft.shares[ends] / (self._space.granules[ends, strategies] * self._space.granularities[ends, strategies])[:, None]
        changes = np.flatnonzero((strategies[1:] != strategies[:-1]) | (parts[1:] != parts[:-1]).any(axis=1))
        bounds = [0, *(ends[changes] + 1).tolist(), self._count]
        run = self._rng.randrange(len(bounds) - 1)
        return range(bounds[run], bounds[run + 1])

    def _weights(self, draft: Draft, run: range) -> Array:
        """Weights of the team: its speeds, or powers of them; those of some of it, or near them; or the proportions of a neighbour of the run."""
        drawn, space = self._rng.random(), self._space
        if drawn < 0.3:
            beside = draft.block_end(self._neighbour(run))
            if draft.strategies[beside] != _WHOLE:
                return draft.weights(beside)
        if drawn < 0.5:
            return space.speeds
        if drawn < 0.7:
            return np.asarray(space.speeds ** self._rng.uniform(*_POWERS))
        if drawn < 0.85:
            return space.speeds * np.exp([self._rng.gauss(0, _SPREAD) for _ in space.speeds])
        chosen = self._rng.sample(range(len(space.speeds)), self._rng.randint(1, len(space.speeds)))
        weights = np.zeros(len(space.speeds))
        weights[chosen] = space.speeds[chosen]
        return weights

    def _neighbour(self, run: range) -> int:
        """The operator before the run or the one after it, or one of it where there is none."""
        return self._rng.choice([max(run.start - 1, 0), min(run.stop, self._count - 1)])

    # Runs of operators.

    def _rerun(self, draft: Draft) -> None:
        """A run is placed alike."""
        self._place(draft, self._run())

    def _place(self, draft: Draft, run: range) -> None:
        """A run is placed whole on one device, by rows, or by output channels."""
        strategy = self._rng.choice((_WHOLE, _WHOLE, _ROWS, _ROWS, _ROWS, _OUT))
        weights = self._weights(draft, run)
        if strategy == _WHOLE or len(weights) == 1:
            device = self._rng.randrange(self._space.device_count)
            draft.free(run)
            draft.place_whole(run, device)
            return
        draft.free(run)
        draft.split(run, strategy, weights, nested=self._rng.random() < 0.5)

    def _relocate(self, draft: Draft) -> None:
        """Operators that are placed alike are all placed in another way."""
        self._place(draft, self._alike(draft))

    def _rechannel(self, draft: Draft) -> None:
        """A run is split by output channels and, where its input lies so, by input channels."""
        run, reduce = self._run(), self._rng.choice((_IN, _IN_TWO_PHASE))
        if self._rng.random() < 0.5:
            run = range(run.start, min(self._count, run.start + 2))
        weights = self._weights(draft, run)
        draft.free(run)
        for i in run:
            if not draft.follow(i, reduce):
                draft.split(range(i, i + 1), _OUT, weights)

    def _resplit(self, draft: Draft) -> None:
        """A single operator gets any strategy that it admits, in any proportions."""
        i = self._rng.randrange(self._count)
        run, strategy = range(i, i + 1), Strategy(self._rng.choice(self._space.strategies[i]))
        weights = self._weights(draft, run)
        draft.free(run)
        if strategy == _WHOLE:
            draft.place_whole(run, self._rng.randrange(self._space.device_count))
        elif strategy == _ROWS or self._rng.random() < 0.5 or not draft.follow(i, strategy if strategy >= _IN else _IN):
            draft.split(run, strategy, weights)

    # Shares.

    def _shift(self, draft: Draft) -> None:
        """Granules go from one of the team to another, in one operator or block or in a run of them, in the same proportion."""
        drawn = self._rng.random()
        run = self._alike(draft) if drawn < 0.4 else self._run()
        if drawn > 0.7:
            run = range(run.start, run.start + 1)
        strategies = draft.strategies[run.start : draft.block_end(run.stop - 1) + 1]
        splits = np.flatnonzero(strategies)
        if not len(splits):
            return
        by_rows = strategies[splits] == _ROWS
        places = run.start + splits[by_rows == by_rows[0]]
        giver, taker = self._rng.sample(list(self._space.team), 2)
        granularities, granules = self._space.granularities[places, draft.strategies[places]], self._space.granules[places, draft.strategies[places]]
        least = int(granules.min())
        step = max(1, least >> self._rng.randint(1, _FINEST_STEP)) if self._rng.random() < 0.7 else 1
        moved = np.minimum(np.round(step / least * granules) * granularities, draft.shares[places, giver])
        draft.shares[places, giver] -= moved
        draft.shares[places, taker] += moved

    # Blocks.

    def _cover(self, draft: Draft) -> None:
        """A run is split by rows, and fused as far as blocks of some length go."""
        run = self._run()
        weights, longest = self._weights(draft, run), self._space.longest_within
        most, granule = self._rng.randrange(2, longest.shape[1]) if longest.shape[1] > 2 else longest.shape[1] - 1, 2 ** self._rng.randrange(3)
        draft.free(run)
        draft.split(run, _ROWS, weights, nested=self._rng.random() < 0.5)
        end = run.stop - 1
        while end >= run.start:
            span = int(longest[end, min(most, end - run.start + 1)])
            if span > 1:
                draft.fuse(range(end - span + 1, end + 1), weights, granule=granule)
            end -= span

    def _new_block(self, draft: Draft) -> None:
        """Any block, in the proportions of its last operator, or others."""
        members = self._rng.choice(self._space.blocks)
        weights = draft.weights(members[-1])
        if weights.sum() == 0 or draft.strategies[draft.block_end(members[-1])] == _WHOLE or self._rng.random() < 0.5:
            weights = self._weights(draft, members)
        draft.free(members)
        draft.fuse(members, weights, granule=2 ** self._rng.randrange(3))

    def _move_boundary(self, draft: Draft) -> None:
        """A block takes operators before or after it, gives some away, or is cut in two, in the same proportions."""
        ends = draft.block_ends()
        if not len(ends):
            self._new_block(draft)
            return
        end = int(self._rng.choice(ends))
        start, weights = end - int(draft.spans[end]) + 1, draft.weights(end)
        new_start, new_end = start, end
        kind = self._rng.randrange(3)
        step = self._rng.choice((-1, 1)) * self._rng.choice((1, 1, 2, 3))
        if kind == 0:
            new_start = start + step
        elif kind == 1:
            new_end = end + step
        pieces = [range(new_start, new_end + 1)]
        if kind == 2:
            middle = self._rng.randint(start, end)
            pieces = [range(start, middle), range(middle, end + 1)]
        touched = range(max(0, min(start, new_start)), min(self._count, max(end, new_end) + 1))
        before, after = draft.weights(start - 1) if start > 0 else weights, draft.weights(end + 1) if end + 1 < self._count else weights
        draft.free(touched)
        for piece in pieces:
            if len(piece) > 1 and piece.start >= 0 and piece.stop <= self._count and self._is_block(piece):
                draft.fuse(piece, weights)
        rest = [range(start, new_start), range(new_end + 1, end + 1)]
        for piece, others in zip(rest, (before, after), strict=True):
            if len(piece) > 0 and others.sum() > 0 and self._rng.random() < 0.5:
                draft.split(piece, _ROWS, others)

    def _is_block(self, members: range) -> bool:
        longest = self._space.longest_within
        return len(members) < longest.shape[1] and int(longest[members[-1], len(members)]) == len(members)

    def _unfuse(self, draft: Draft) -> None:
        """The members of a block become single operators."""
        ends = draft.block_ends()
        if len(ends):
            draft.unfuse(int(self._rng.choice(ends)))
