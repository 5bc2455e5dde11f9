"""Plans of one pattern, which good plans without barriers mostly have: a front of blocks, rows in the middle, and one device at the end."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from random import Random
from typing import NamedTuple

from iopopt.cost.stopwatch import Stopwatch
from iopopt.methods.annealing.space import Pieces, Space, split_by
from iopopt.plan.pieces import Piece
from iopopt.plan.shares import proportional_shares

Offer = Callable[[str, Pieces], float]
"""Takes a name and a plan; returns what it costs."""

_KEPT = 3
"""From how many layouts one step of the search goes on to the next."""

_STEPS = 3

_MOST_ORDERS = 60

_POWERS = (1.0, 1.5)


class Layout(NamedTuple):
    """One such plan.

    Attributes:
        team: the devices, in the order of their rows.
        front: the operators before this one are fused as far as blocks go.
        end: the operators before this one are split by rows, where they have any; the others are whole.
        last: the device of those that are whole.
        power: the shares are in proportion to this power of the speeds; above 1 the slow devices, which add halos as the fast ones do, get less.
        level: the shares are multiples of 1 / level of the rows, so that boundaries of maps of several sizes coincide; 0 if they need not.
    """

    team: tuple[int, ...]
    front: int
    end: int
    last: int
    level: int = 0
    power: float = 1.0

    def pieces(self, space: Space) -> Pieces:
        """The plan."""
        speeds = [(space.speeds[device] / space.speeds[space.fastest]) ** self.power for device in self.team]
        weights = proportional_shares(self.level, speeds) if self.level else speeds
        pieces: Pieces = []
        for run in self._runs(space):
            unit = space.unit(run)
            if run.start < self.end and "H" in unit.dims:
                pieces.append(Piece(run, split_by(unit, "H", self.team, weights)))
            else:
                pieces += space.wholly(run, self.last)
        return pieces

    def _runs(self, space: Space) -> Iterator[range]:
        """Blocks as long as possible up to the front, then single operators."""
        start = 0
        while start < len(space.graph):
            longest = min(space.longest_block, min(self.front, self.end) - start)
            spans = (span for span in range(longest, 1, -1) if range(start, start + span) in space.is_block)
            run = range(start, start + next(spans, 1))
            yield run
            start = run.stop


def offer_layouts(space: Space, rng: Random, offer: Offer, watch: Stopwatch) -> None:
    """Find good layouts step by step: how many devices and where the rows end; how far blocks go and the alignment of boundaries; then the order.

    Each step gets a third of the time of ``watch``, and goes on from the best that it has seen by then.
    """
    name = "rows, then one device"

    def best(layouts: Iterable[Layout]) -> list[Layout]:
        costs: dict[Layout, float] = {}
        of_step = watch.within(watch.limit_s / _STEPS)
        for layout in dict.fromkeys(layouts):
            costs[layout] = offer(name, layout.pieces(space))
            if of_step.remaining_s <= 0:
                break
        return sorted(costs, key=costs.__getitem__)[:_KEPT]

    by_speed = sorted(space.devices, key=lambda device: -space.speeds[device])
    teams = [tuple(sorted(by_speed[:count])) for count in range(2, len(by_speed) + 1)]
    ends, lasts = rng.sample(range(1, len(space.graph) + 1), len(space.graph)), sorted({space.fastest, space.cluster.sink})
    found = best(Layout(team, 0, end, last) for end in ends for team in teams for last in lasts)
    heights = sorted({unit.granules("H") for unit in space.graph.placed_units if "H" in unit.dims})
    fronts = sorted({0, *(block.stop for block in space.blocks if block.start == 0)})
    found = best(layout._replace(front=front, level=level) for layout in found for front in fronts for level in (0, *heights))
    best(layout._replace(team=team, power=power) for layout in found for team in _orders(space, rng) for power in _POWERS)


def _orders(space: Space, rng: Random) -> Iterator[tuple[int, ...]]:
    """Ordered teams, one of each pair that are mirrored; a sample where they are too many."""
    every = (order for count in range(2, len(space.devices) + 1) for order in itertools.permutations(space.devices, count) if order[0] <= order[-1])
    first = list(itertools.islice(every, _MOST_ORDERS + 1))
    if len(first) <= _MOST_ORDERS:
        yield from first
        return
    for _ in range(_MOST_ORDERS):
        yield tuple(rng.sample(space.devices, rng.randint(max(2, len(space.devices) - 2), len(space.devices))))
