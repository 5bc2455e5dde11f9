"""A dynamic program over every strategy of the exact model, with shares solved exactly where it matters: no bound, mostly within 1 % of the optimum.

First, each operator has a few candidate placements at fixed shares, among which elimination finds the best combination
(:mod:`iopopt.methods.dynamic.table_search`). Then the shares of the plan, and of plans of other strategies that are nearly as fast, are solved by
small exact programs (:mod:`iopopt.methods.dynamic.refinement`), which also repair plans that overflow a device's memory.

With fused blocks, both steps are done with and without them, so that the plan is never worse than without.

When the time is up, the plan is the best so far: the best uniform scheme, one device among them, if there was no time for more.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress

from iopopt.cluster.cluster import Cluster, Device
from iopopt.cost.instance import Instance
from iopopt.cost.stopwatch import NO_LIMIT, Stopwatch, TimeUpError
from iopopt.methods.dynamic.table_search import TableSearch
from iopopt.methods.settings import checked_longest_block, limited
from iopopt.methods.single import single_plan
from iopopt.methods.solution import Solution, heuristic_solution
from iopopt.network.graph import Graph
from iopopt.plan.plan import Plan
from iopopt.plan.splits import ALL_SPLITS, Splits
from iopopt.plan.team import Team, resolve_team, space_name

_LEAST_GAIN = 2e-3
"""By how much, relatively, a program must promise to be faster than the best plan to be solved."""


def dp_plan(
    graph: Graph, cluster: Cluster, team: Sequence[int], watch: Stopwatch = NO_LIMIT, longest_block: int = 1, splits: Splits = ALL_SPLITS
) -> Plan:
    """The best plan of ``splits`` found at fixed shares alone; if none fits the memory, the one with the least excess.

    Raises:
        TimeUpError: if there is no time even for the first plans, the uniform schemes.
    """
    return TableSearch(graph, cluster, team, watch, longest_block, splits).best_plan()


def refined_plan(instance: Instance, team: Sequence[int], watch: Stopwatch, longest_block: int) -> Plan | None:
    """The plan of :func:`solve_dp`, or the best so far when the time is up; None if there was no time for any."""
    return _searched(instance, team, watch, longest_block).plan


def _searched(instance: Instance, team: Sequence[int], watch: Stopwatch, longest_block: int) -> _Search:
    search = _Search(instance, team, watch)
    with suppress(TimeUpError):
        search.run(longest_block)
        if longest_block > 1:
            search.run(1)
    return search


def solve_dp(
    graph: Graph, devices: Cluster | Sequence[Device], *, team: Team = "all", longest_block: int = 1, time_limit_s: float = math.inf
) -> Solution:
    """The dynamic program over all strategies at fixed shares, then exact programs for the shares.

    At the fixed shares it finds the best plan on chains and most networks with branches, unless memory binds or an operator joins many tensors. The
    programs give the best shares at the strategies of this plan, within 0.2 %, and at those of a few others; which strategies are looked at is a
    heuristic, and in deep networks the shares are too, because they are solved in windows of operators. ``violates_memory`` means that no plan that
    fits was found, not that none exists.

    The plan is always the same unless the time limit cuts the search short (``termination="time_limit"``): then it is the best so far, which
    depends on the machine.

    Args:
        graph: the network, branches included.
        devices: a cluster, or devices with the cluster defaults.
        team: ``"all"`` devices, or one sequence of them.
        longest_block: the most operators of a fused block; the plan is never worse than with 1.
        time_limit_s: seconds of wall clock for everything.

    Raises:
        ClusterError: if ``team`` names a device that does not exist.
        SolverError: if ``time_limit_s`` or ``longest_block`` is not positive.
    """
    cluster, watch = Instance.of(graph, devices).cluster, limited(time_limit_s)
    longest_block = checked_longest_block(longest_block)
    members = resolve_team(team, cluster)
    search = _searched(Instance(graph, cluster), members, watch, longest_block)
    return heuristic_solution(
        graph,
        cluster,
        search.plan or single_plan(graph, cluster),
        method="dp",
        space=space_name(team, cluster, longest_block),
        build_s=search.build_s,
        solve_s=watch.elapsed_s - search.build_s,
        termination="time_limit" if watch.cut_short else "finished",
    )


class _Search:
    """The search with fused blocks, and without.

    Attributes:
        plan: the best plan so far.
        build_s: the seconds in which tables were filled.
    """

    def __init__(self, instance: Instance, team: Sequence[int], watch: Stopwatch) -> None:
        # The program and its solver are loaded when the method is called, so that ``import iopopt`` stays fast.
        from iopopt.methods.dynamic.refinement import Refinement

        self._instance, self._team, self._watch = instance, team, watch
        self._refinement = Refinement(instance, team, watch)
        self.build_s = 0.0

    @property
    def plan(self) -> Plan | None:
        return self._refinement.plan

    def run(self, longest_block: int) -> None:
        """Search among plans with blocks of at most so many operators. After a run with blocks, one without looks at everything that it would look at
        alone, unless this cannot be better.

        Raises:
            TimeUpError: if the time is up; the best plan so far stays.
        """
        from iopopt.methods.dynamic.near_strategies import NearStrategies

        building, again = Stopwatch(), self.plan is not None
        tables = TableSearch(self._instance.graph, self._instance.cluster, self._team, self._watch, longest_block)
        self.build_s += building.elapsed_s
        start = tables.best_plan()
        self._refinement.offer(start)
        self._watch.check()
        if tables.search is not None:
            near = NearStrategies(tables.search, tables.prices)
            with suppress(ArithmeticError):  # of a program whose figures differ by hundreds of powers of ten: the plans at fixed shares stay
                self._refinement.improve(near, start, least_gain=0.0 if again else _LEAST_GAIN)
