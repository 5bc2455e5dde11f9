"""The plans from which the search starts, under the names by which Solutions speak of them."""

from __future__ import annotations

from collections.abc import Iterator

from iopopt.cost.instance import Instance
from iopopt.cost.stopwatch import Stopwatch
from iopopt.methods.annealing.space import Pieces, Space
from iopopt.methods.coedge import coedge_placements
from iopopt.methods.dp import refined_plan
from iopopt.methods.greedy import greedy_plan
from iopopt.methods.halp import halp_plan
from iopopt.methods.milp import solve_milp
from iopopt.methods.single import single_plan
from iopopt.plan.pieces import pieces_of
from iopopt.plan.plan import Plan

_PART = 0.05
"""Of the time limit, for the greedy pairs, for layouts, for HALP, for the exact program and for each dynamic program."""


def scheme_plans(space: Space, watch: Stopwatch) -> Iterator[tuple[str, Pieces]]:
    """Plans that cost little: one device, CoEdge, IOP's greedy pairs, as far as these come in a part of the time.

    Raises:
        TimeUpError: if the time is up.
    """
    graph, cluster, team = space.graph, space.cluster, space.devices
    yield "single", pieces_of(graph, single_plan(graph, cluster))
    if len(team) > 1:
        yield "coedge", pieces_of(graph, Plan.of(graph, coedge_placements(graph, cluster, team, "fastest")))
        yield "greedy", pieces_of(graph, greedy_plan(graph, cluster, team, watch=some_of(watch)))


def searched_plans(space: Space, watch: Stopwatch, seed: int) -> Iterator[tuple[str, Pieces]]:
    """The plans that other methods find: HALP by the same clock; by equation (6) the dynamic program, without blocks and with them, and the exact
    optimum.

    Each gets a part of the time limit, and gives the best that it has by then; the exact one comes last.

    Raises:
        TimeUpError: if the time is up.
        SolverError: if the exact program cannot be solved here.
    """
    graph, cluster, team = space.graph, space.cluster, space.devices
    if len(team) < 2:
        return
    yield "halp", pieces_of(graph, halp_plan(graph, cluster, team=team, refine="layer", time_limit_s=some_of(watch).limit_s))
    for longest in sorted({1, space.longest_block}):
        plan = refined_plan(Instance(graph, cluster), team, some_of(watch), longest)
        if plan is not None:
            yield "dp" if longest == 1 else "dp with blocks", pieces_of(graph, plan)
    exact = solve_milp(graph, cluster, team=team, seed=seed, time_limit_s=some_of(watch).limit_s, longest_block=space.longest_block)
    if exact.plan is not None:
        yield "milp", pieces_of(graph, exact.plan)


def some_of(watch: Stopwatch) -> Stopwatch:
    """The time that one of the methods from which the search starts may take.

    Raises:
        TimeUpError: if none is left.
    """
    watch.check()
    return watch.within(min(watch.remaining_s, watch.limit_s * _PART))
