"""Plans as pieces: the runs of operators that are placed together, by number, and where each is placed. Searches change these."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import NamedTuple

from iopopt.network.graph import Graph
from iopopt.network.unit import Unit
from iopopt.plan.placement import Placement
from iopopt.plan.plan import Plan


class Piece(NamedTuple):
    """A single operator, or a fused block of a run of them, and its placement."""

    run: range
    placement: Placement


def pieces_of(graph: Graph, plan: Plan) -> list[Piece]:
    """The pieces of a plan of this graph, in order."""
    spans = plan.spans(graph) or (1,) * len(graph)
    runs = [range(stop - span, stop) for span, stop in zip(spans, itertools.accumulate(spans), strict=True)]
    return list(map(Piece, runs, plan.by_last_operator(graph)))


def plan_of(graph: Graph, pieces: Iterable[tuple[range, Placement]]) -> Plan:
    """The plan of these pieces, which come in order and cover the graph."""
    runs, placements = zip(*pieces, strict=True)
    return Plan.of(graph, placements, [len(run) for run in runs])


def unit_of(graph: Graph, run: range) -> Unit:
    """The operator of a run of one, or the fused block of several."""
    return graph.placed_units[run.start] if len(run) == 1 else graph.block(run)
