"""The plans that the annealing chooses from: every unit placed by itself, over any of the devices in any order."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from iopopt.cluster.cluster import Cluster
from iopopt.errors import PlanError
from iopopt.network.graph import Graph
from iopopt.network.shapes import Dim
from iopopt.network.unit import Unit
from iopopt.plan.pieces import Piece, unit_of
from iopopt.plan.placement import Placement
from iopopt.plan.plan import Plan

Pieces = list[Piece]
"""A plan on its way: :func:`iopopt.plan.pieces.plan_of` makes one of it."""


@dataclass(frozen=True)
class Space:
    """The plans of a graph on a cluster.

    Attributes:
        devices: those among which operators may be split; a whole operator may be on any device of the cluster.
        longest_block: the most operators of a fused block.
    """

    graph: Graph
    cluster: Cluster
    devices: tuple[int, ...]
    longest_block: int

    @property
    def name(self) -> str:
        """As a Solution names it."""
        blocks = f", blocks of up to {self.longest_block}" if self.longest_block > 1 else ""
        return f"any teams of {self.devices} in any order" + blocks

    def check(self, plan: Plan) -> None:
        """Refuse a plan outside the space.

        Raises:
            PlanError: the message names the operator, what was found and what is allowed.
        """
        longest = max(plan.blocks, key=len, default=())
        if len(longest) > self.longest_block:
            raise PlanError(f"the plan fuses {longest[0]} to {longest[-1]}, {len(longest)} operators; ask for longest_block={len(longest)}")
        for name, placement in plan.items():
            if placement.gather is not None:
                raise PlanError(f"the plan gathers the rows of {name!r} on device {placement.gather}; a plan of this space has no gathers")
            if placement.stream is not None:
                raise PlanError(f"the plan streams the channels of {name!r}; a plan of this space has no streams")
            if placement.dim and not set(placement.devices) <= set(self.devices):
                others = sorted(set(placement.devices) - set(self.devices))
                raise PlanError(f"the plan splits {name!r} over {list(placement.devices)}, but {others} are not in the team {list(self.devices)}")

    @cached_property
    def speeds(self) -> tuple[float, ...]:
        """f_j of every device of the cluster."""
        return tuple(device.flops_per_s for device in self.cluster.devices)

    @cached_property
    def fastest(self) -> int:
        """The fastest device."""
        return self.speeds.index(max(self.speeds))

    @cached_property
    def blocks(self) -> tuple[range, ...]:
        """The members of every fused block."""
        return tuple(self.graph.blocks(self.longest_block)) if len(self.devices) > 1 else ()

    @cached_property
    def is_block(self) -> frozenset[range]:
        """The same, to look them up."""
        return frozenset(self.blocks)

    def unit(self, run: range) -> Unit:
        """The operator or fused block of a run."""
        return unit_of(self.graph, run)

    def singly(self, run: range, model: Placement) -> Pieces:
        """The operators of a run, each placed like ``model``."""
        return [Piece(range(i, i + 1), like(self.graph.placed_units[i], model)) for i in run]

    def wholly(self, run: range, device: int) -> Pieces:
        """The operators of a run, each whole on one device."""
        return [Piece(range(i, i + 1), Placement.whole(device)) for i in run]


def replaced(pieces: Pieces, run: range, change: Callable[[Piece], Pieces]) -> Pieces:
    """A plan with other pieces in the place of each piece of a run; numbers of the run that are none of a piece count for nothing."""
    start, stop = max(0, run.start), max(0, run.stop)
    return [*pieces[:start], *(new for piece in pieces[start:stop] for new in change(piece)), *pieces[stop:]]


def split_by(unit: Unit, dim: Dim, devices: Sequence[int], weights: Sequence[float], model: Placement | None = None) -> Placement:
    """A unit split in these proportions; whole where there is one device. Its reduce is that of ``model``, direct without one.

    Boundaries are rounded, not shares: so units of the same proportions have boundaries near each other, and exchange least.
    """
    if len(devices) == 1:
        return Placement.whole(devices[0])
    size, total, passed, cuts = unit.granules(dim), sum(weights), 0.0, [0]
    for weight in weights[:-1]:
        passed += weight
        cuts.append(min(size, round(passed / total * size)))
    return at_cuts(unit, dim, devices, [*cuts, size], model)


def at_cuts(unit: Unit, dim: Dim, devices: Sequence[int], cuts: Sequence[int], model: Placement | None = None) -> Placement:
    """A unit split at these boundaries, in granules; its reduce is that of ``model``, direct without one."""
    granule = unit.granularities[dim]
    shares = [(stop - start) * granule for start, stop in itertools.pairwise(cuts)]
    return Placement.split(dim, devices, shares, (model and model.reduce) or "direct")


def like(unit: Unit, model: Placement, dim: Dim | None = None) -> Placement:
    """A unit placed like ``model``: on its device, or in its proportions, by ``dim``, by its dimension, or by another if it has not that one."""
    chosen = dim or (model.dim if model.dim in unit.dims else next(iter(unit.dims), None))
    if model.dim is None or chosen is None:
        return Placement.whole(max(model.shards, key=lambda shard: shard.size).device)
    return split_by(unit, chosen, model.devices, model.shares, model)
