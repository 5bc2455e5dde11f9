"""The neighbourhood: which moves there are, and how often each is tried."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from iopopt.methods.annealing.block_moves import fuse, move_end, unfuse
from iopopt.methods.annealing.run_moves import follow, gather_whole, rechannel, resplit
from iopopt.methods.annealing.share_moves import align, enlist, reweigh, shift, swap
from iopopt.methods.annealing.space import Pieces, Space

Move = Callable[[Space, Random, Pieces], Pieces | None]
"""Changed pieces, which may be as they were; None where the move does not apply."""

MOVES: dict[Move, float] = {
    shift: 8,
    align: 3,
    reweigh: 2,
    follow: 2,
    resplit: 1,
    gather_whole: 1,
    rechannel: 0.7,
    enlist: 1.5,
    swap: 1,
    fuse: 1,
    unfuse: 0.5,
    move_end: 2.5,
}
"""The moves and their weights."""

_MOST_TRIES = 20


def neighbour(space: Space, rng: Random, pieces: Pieces) -> Pieces:
    """A plan one move away; the same if one move after another changes nothing."""
    for move in rng.choices(list(MOVES), list(MOVES.values()), k=_MOST_TRIES):
        changed = move(space, rng, pieces)
        if changed is not None and changed != pieces:
            return changed
    return pieces
