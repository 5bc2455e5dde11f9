"""Plans that split everything alike and evenly: a start where the memory counts, not the time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from iopopt.network.graph import Graph
from iopopt.network.shapes import Dim
from iopopt.network.unit import Unit
from iopopt.plan.placement import Placement
from iopopt.plan.plan import Plan
from iopopt.plan.shares import unit_even_shares

_PREFERENCES: Sequence[Sequence[Dim]] = (("IC", "OC", "H"), ("OC", "IC", "H"), ("H", "OC", "IC"))


def even_plans(graph: Graph, team: Sequence[int]) -> Iterator[Plan]:
    """For each dimension the plan that splits every operator by it over the team, where it can be, else by another; nothing where nobody can."""
    for dims in _PREFERENCES if len(team) > 1 else ():
        yield Plan.of(graph, [_even(unit, dims, team) for unit in graph.placed_units])


def _even(unit: Unit, dims: Sequence[Dim], team: Sequence[int]) -> Placement:
    dim = next((dim for dim in dims if dim in unit.dims), None)
    if dim is None:
        return Placement.whole(team[0])
    return Placement.split(dim, team, unit_even_shares(unit, dim, len(team)), "two_phase")
