"""Nodes that no plan faster than a known one can take, ruled out before the program is built.

Lower bounds on the compute time at each node and on the cost of each edge between two nodes form a problem over nodes alone, which elimination
solves in milliseconds. If its minimum with an operator at some node (the min-marginal) exceeds the latency of a known plan, that node can be
left out: on deep networks most of them. These bounds need no back end, so they hold whatever a back end makes of the program.

The nodes that are left are divided by the largest share (:mod:`iopopt.milp.share_ranges`), which makes the problem larger and the bounds tighter, and
bounded again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from iopopt.cost.elimination import Array, Table, min_marginals
from iopopt.cost.instance import Instance
from iopopt.cost.stopwatch import NO_LIMIT, Stopwatch, TimeUpError
from iopopt.errors import InstanceTooLargeError
from iopopt.milp.arcs import Node
from iopopt.milp.place_tables import Places, PlaceTables, all_places
from iopopt.plan.splits import ALL_SPLITS, Splits

_LEVELS = (2, 4)
"""The levels of shares by which the nodes that are left are divided, in one pass after another; more than 4 were no better."""

_MOST_ENTRIES = 5_000_000
"""The largest table of elimination, entries."""

_SLACK = 1e-9
"""The margin for rounding errors of sums, relative: a node is ruled out if its bound exceeds the known latency by more than this."""


@dataclass(frozen=True)
class NodeBounds:
    """For each node of each operator, and of the fused blocks that end with it, a bound on the latency of every plan of the team that takes it.

    Attributes:
        nodes: of each operator.
        bounds_s: their bounds, in the same order.
        inside_s: for each operator, a bound on the latency of every plan in which it is a member of a fused block, but not the last; infinite where
            that cannot be. Empty without blocks.
    """

    nodes: Sequence[Sequence[Node]]
    bounds_s: Sequence[Array]
    inside_s: Sequence[float] = ()

    @property
    def least_s(self) -> float:
        """A bound on the latency of all plans, because every plan takes some node of each operator; lowered slightly to absorb rounding."""
        inside = self.inside_s or [math.inf] * len(self.bounds_s)
        return max(min(float(bounds.min(initial=math.inf)), least) for bounds, least in zip(self.bounds_s, inside, strict=True)) * (1 - _SLACK)

    def nodes_within(self, latency_s: float) -> list[list[Node]]:
        """The nodes of plans that may be as fast as ``latency_s``."""
        limit = latency_s * (1 + _SLACK)
        return [
            [node for node, bound in zip(ways, least, strict=True) if bound <= limit] for ways, least in zip(self.nodes, self.bounds_s, strict=True)
        ]


def bound_nodes(
    instance: Instance,
    team: Sequence[int],
    watch: Stopwatch = NO_LIMIT,
    longest_block: int = 1,
    splits: Splits = ALL_SPLITS,
    within_s: float = math.inf,
) -> NodeBounds:
    """The bounds of every node of every operator, and of every fused block of at most ``longest_block`` operators, over ``splits``.

    A block is a node of each of its members: tables of the edges inside make them take it together. Nodes whose bound is at most ``within_s``, the
    latency of a known plan, are bounded again with their shares divided, as far as tables and time allow; these bounds do not exceed ``within_s`` by
    more than a margin for rounding.

    Dropping costs keeps the bounds valid. If elimination would need too large a table (dense networks), only the first edge into each
    operator counts; if the time is up before the end, only compute times count.
    """
    search = _Search(instance, team, watch, longest_block, splits)
    with suppress(TimeUpError, InstanceTooLargeError):
        for levels in _LEVELS if math.isfinite(within_s) and len(search.team) > 1 else ():
            search.divide(levels, within_s)
    return search.bounds


class _Search:
    """The bounds of all places, raised by one pass after another."""

    def __init__(self, instance: Instance, team: Sequence[int], watch: Stopwatch, longest_block: int, splits: Splits) -> None:
        self.team = tuple(team)
        self._instance, self._watch, self._splits = instance, watch, splits
        self._places = all_places(instance, self.team, longest_block, splits)
        tables = self._tables(self._places, 0)
        computing = tables.compute_tables()
        try:
            found = _with_edges(tables, computing, watch)
        except TimeUpError:
            found = min_marginals(tables.domains, computing)
        self._bounds_s = tables.by_place(found)

    def divide(self, levels: int, within_s: float) -> None:
        """Raise the bounds of the places within a latency.

        Raises:
            TimeUpError: if the time is up before the end.
            InstanceTooLargeError: if some table would be too large.
        """
        kept = [bounds <= within_s * (1 + 3 * _SLACK) for bounds in self._bounds_s]
        places = [[of[number] for number in np.flatnonzero(inside)] for of, inside in zip(self._places, kept, strict=True)]
        if not all(places):
            return  # no plan is within it
        tables = self._tables(places, levels)
        found = min_marginals(tables.domains, [*tables.compute_tables(), *tables.edge_tables()], most_entries=_MOST_ENTRIES, watch=self._watch)
        most_s = within_s * (1 + 2 * _SLACK)  # a plan that takes a place that was left out is slower than this, so no bound may exceed it
        for bounds, inside, tighter in zip(self._bounds_s, kept, tables.by_place(found), strict=True):
            bounds[inside] = np.maximum(bounds[inside], np.minimum(tighter, most_s))

    def _tables(self, places: Places, levels: int) -> PlaceTables:
        return PlaceTables(self._instance, self.team, places, self._splits, levels, self._watch)

    @property
    def bounds(self) -> NodeBounds:
        ending = [np.array([place.members[-1] == i for place in of]) for i, of in enumerate(self._places)]
        parts = list(zip(self._places, self._bounds_s, ending, strict=True))
        return NodeBounds(
            [[place.node for place, ends in zip(of, last, strict=True) if ends] for of, _, last in parts],
            [bounds[last] for _, bounds, last in parts],
            [float(bounds[~last].min(initial=math.inf)) for _, bounds, last in parts],
        )


def _with_edges(tables: PlaceTables, computing: Sequence[Table], watch: Stopwatch) -> list[Array]:
    """The min-marginals of compute times and of all edges, or of the first edge into each operator.

    Raises:
        TimeUpError: if the time is up before the end.
    """
    try:
        return min_marginals(tables.domains, [*computing, *tables.edge_tables()], most_entries=_MOST_ENTRIES, watch=watch)
    except InstanceTooLargeError:
        return min_marginals(tables.domains, [*computing, *tables.first_edge_tables()], watch=watch)
