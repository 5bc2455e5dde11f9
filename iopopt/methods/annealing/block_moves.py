"""Moves that fuse operators into blocks, take blocks apart and move their ends. All have the proportions of what was there."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from iopopt.methods.annealing.run_moves import team_of_some, weights_near_speeds
from iopopt.methods.annealing.space import Pieces, Space, like, replaced, split_by
from iopopt.plan.pieces import Piece
from iopopt.plan.placement import Placement


def fuse(space: Space, rng: Random, pieces: Pieces) -> Pieces | None:
    """Any block."""
    return _covered(space, rng, pieces, [rng.choice(space.blocks)]) if space.blocks else None


def unfuse(space: Space, rng: Random, pieces: Pieces) -> Pieces | None:
    """The members of a block become single operators."""
    blocks = [number for number, piece in enumerate(pieces) if len(piece.run) > 1]
    if not blocks:
        return None
    block = rng.choice(blocks)
    return replaced(pieces, range(block, block + 1), lambda piece: space.singly(*piece))


def move_end(space: Space, rng: Random, pieces: Pieces) -> Pieces | None:
    """A block takes in operators before or after it, gives some up, or is cut in two."""
    blocks = [piece.run for piece in pieces if len(piece.run) > 1]
    if not blocks:
        return fuse(space, rng, pieces)
    block, step = rng.choice(blocks), rng.choice((1, 1, 1, 2, 3))
    cut, given = rng.randint(block.start, block.stop), min(step, len(block) - 1)
    ways = (
        [range(block.start - step, block.stop)],
        [range(block.start, block.stop + step)],
        [range(block.start, cut), range(cut, block.stop)],
        [range(block.start, block.stop - given), *_single(range(block.stop - given, block.stop))],
        [*_single(range(block.start, block.start + given)), range(block.start + given, block.stop)],
    )
    runs = [run for run in rng.choice(ways) if len(run)]
    if not all(len(run) == 1 or run in space.is_block for run in runs):
        return None
    return _covered(space, rng, pieces, runs)


def _single(run: range) -> list[range]:
    return [range(i, i + 1) for i in run]


def _covered(space: Space, rng: Random, pieces: Pieces, runs: Sequence[range]) -> Pieces | None:
    """The plan with these runs as pieces; blocks in their way are taken apart."""
    taken = range(min(run.start for run in runs), max(run.stop for run in runs))
    before = [piece.placement for piece in pieces for _ in piece.run]
    placed: Pieces = []
    for piece in pieces:
        if piece.run.stop <= taken.start or piece.run.start >= taken.stop:
            placed.append(piece)
        else:
            placed += [alone for alone in space.singly(piece.run, piece.placement) if alone.run.start not in taken]
    for run in runs:
        placement = like(space.unit(run), before[run[-1]]) if len(run) == 1 else _fused(space, rng, run, before)
        if placement is None:
            return None
        placed.append(Piece(run, placement))
    return sorted(placed, key=lambda piece: piece.run.start)


def _fused(space: Space, rng: Random, run: range, before: Sequence[Placement]) -> Placement | None:
    """A block in the proportions of its last member that is split by rows, or of the operator before it; in any if none is."""
    models = (before[i] for i in (*reversed(run), run.start - 1) if i >= 0 and before[i].dim == "H")
    model, unit = next(models, None), space.unit(run)
    if model is not None:
        return like(unit, model, "H")
    team = team_of_some(space, rng)
    return split_by(unit, "H", team, weights_near_speeds(space, rng, team))
