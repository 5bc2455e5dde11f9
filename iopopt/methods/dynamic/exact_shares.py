"""The exact program at fixed strategies: the best integer shares, memory limits included.

With one node for every operator, the program of :mod:`iopopt.milp.formulation` has little to choose but shares, and its relaxation is nearly tight.
HiGHS solves it in this process: it is small, and a limit on branches ends the search at the same plan on every machine.
"""

from __future__ import annotations

import itertools
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import replace
from functools import partial

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, OptimizeResult, milp
from scipy.sparse import csr_matrix

from iopopt.cost.instance import Instance
from iopopt.cost.stopwatch import Stopwatch
from iopopt.methods.dynamic.near_strategies import Strategies, strategies_of
from iopopt.milp.arcs import Node
from iopopt.milp.formulation import Formulation
from iopopt.milp.program import Program
from iopopt.milp.quiet import discarded_output
from iopopt.plan.plan import Plan

_MOST_BRANCHES = 50
"""The nodes of a search tree after which HiGHS stops, with what it has: a limit that does not depend on the machine's speed."""

_LEAST_S = 0.05
"""The shortest time limit of a solve, seconds."""


class ShareProgram:
    """The program over some nodes of each operator.

    Attributes:
        strategies: the nodes.
        bound_s: the latency of its relaxation; infinite if not even this fits the memory, or if HiGHS cannot solve it.

    Raises:
        TimeUpError: if the time is up before the program is complete.
    """

    def __init__(self, instance: Instance, team: Sequence[int], strategies: Strategies, scale_s: float, watch: Stopwatch) -> None:
        self.strategies = strategies
        self._instance, self._team, self._watch = instance, team, watch
        self._formulation = Formulation(instance, team, scale_s, nodes=[sorted(ways, key=str) for ways in strategies], watch=watch)
        program = self._formulation.program
        relaxed = self._solved(replace(program, integer=np.zeros_like(program.integer)), gap=0.0)
        self.bound_s = float(relaxed.fun) * scale_s if relaxed.status == 0 else math.inf

    def best_plan(self, gap: float) -> Plan | None:
        """The best plan over all nodes and shares, within a relative gap unless the limit on branches ends it; None if none was found."""
        return self._plan(self._formulation.program, gap)

    def polished(self, plan: Plan, gap: float, largest: float) -> Iterator[Plan]:
        """A plan of these nodes, one for each operator, after each of several windows of units: its shares are the best there, all others fixed.

        Windows have at most ``largest`` copies of shares and overlap by half.
        """
        for window in self._windows(plan, largest):
            plan = self._plan(self._with_window(plan, window), gap) or plan
            yield plan

    def _windows(self, plan: Plan, largest: float) -> Iterator[frozenset[str]]:
        """The names of the units of each window."""
        strategies = strategies_of(self._instance.graph, plan)
        names = list(plan.by_unit)
        sizes = [size for size, ways in zip(program_sizes(self._instance, strategies, self._team), strategies, strict=True) if ways]
        totals = [0.0, *itertools.accumulate(sizes)]
        start = 0
        while True:
            stop = max(start + 1, int(np.searchsorted(totals, totals[start] + largest, side="right")) - 1)
            yield frozenset(names[start:stop])
            if stop >= len(names):
                return
            start = max(start + 1, (start + stop) // 2)

    def _with_window(self, plan: Plan, window: frozenset[str]) -> Program:
        """The program with all shares outside the window at those of a plan."""
        program = self._formulation.program
        lower, upper = program.lower.copy(), program.upper.copy()
        for variable, value in self._formulation.integer_point(plan).items():
            family, unit = program.names[variable][:2]
            if family == "n" and unit not in window:
                lower[variable] = upper[variable] = value
        return replace(program, lower=lower, upper=upper)

    def _plan(self, program: Program, gap: float) -> Plan | None:
        result = self._solved(program, gap)
        return None if result.x is None else self._formulation.plan(np.asarray(result.x))

    def _solved(self, program: Program, gap: float) -> OptimizeResult:
        self._watch.check()
        matrix = csr_matrix((program.values, (program.rows, program.columns)), shape=(len(program.row_lower), len(program.objective)))
        limit = {} if math.isinf(self._watch.limit_s) else {"time_limit": max(_LEAST_S, self._watch.remaining_s)}
        solve = partial(
            milp,
            program.objective,
            integrality=program.integer.astype(int),
            bounds=Bounds(program.lower, program.upper),
            constraints=LinearConstraint(matrix, program.row_lower, program.row_upper),
            # The presolve of HiGHS in SciPy 1.17 ends the whole process on some of these programs.
            options={"mip_rel_gap": gap, "node_limit": _MOST_BRANCHES, "presolve": False, **limit},
        )
        with discarded_output():
            return _interruptible(solve)


def _interruptible(solve: Callable[[], OptimizeResult]) -> OptimizeResult:
    """The result of a call that may take seconds without looking at signals: Ctrl-C does not wait for its end."""
    outcome: Future[OptimizeResult] = Future()

    def run() -> None:
        try:
            outcome.set_result(solve())
        except BaseException as error:
            outcome.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return outcome.result()


def program_sizes(instance: Instance, strategies: Strategies, team: Sequence[int]) -> list[int]:
    """How many copies of shares the nodes of each operator add to the program: two for every way in from a producer's node, of every device."""
    graph = instance.graph
    splits = [sum(node.dim is not None for node in ways) for ways in strategies]

    def ways_into(i: int, node: Node) -> int:
        producers = [edge.producer for edge in graph.edges_into[i]] if node.span == 1 else [graph.outside_of(range(i - node.span + 1, i + 1))]
        return sum(1 if producer == graph.source else max(1, splits[producer]) for producer in producers)

    return [2 * (1 + len(team)) * sum(ways_into(i, node) for node in ways if node.dim is not None) for i, ways in enumerate(strategies)]
