"""Better shares for the plans near the best of a search at fixed shares, by small exact programs.

Strategies are ranked by the relaxations of their programs, which take milliseconds and know the memory limits. Then the programs of the most
promising are solved, until no relaxation is left that is faster than the best plan.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from iopopt.cost.evaluation import evaluate
from iopopt.cost.instance import Instance
from iopopt.cost.stopwatch import Stopwatch
from iopopt.methods.dynamic.exact_shares import ShareProgram, program_sizes
from iopopt.methods.dynamic.near_strategies import NearStrategies, Strategies, strategies_of
from iopopt.plan.plan import Plan

_GAP = 2e-3
"""The relative gap at which a program is solved."""

_FINE_GAP = 2e-4
"""The gap at which a window is solved, of the whole latency: what all windows leave adds up."""

_ROUGH_GAP = 2e-2
"""The gap at which a large program is solved before its windows are."""

_RANKED = 9
"""How many strategies that may fit the memory are ranked, and at most how many that do not are passed over."""

_RANKED_IN_ALL = 1500
"""The size at which no more programs are ranked, in copies of shares (:func:`program_sizes`), so that deep networks do not take long."""

_SOLVED = 3
"""For how many strategies the program is solved."""

_SOLVED_IN_ALL = 500
"""The size at which no more programs are solved."""

_LARGEST_TOGETHER = 120
"""The largest program over several nodes of each operator."""

_LARGEST = 300
"""The largest program that is solved as a whole; of larger ones, windows are solved in turn."""


class Refinement:
    """The best plan so far, and its improvement.

    Attributes:
        plan: the best plan, by excess, then latency; None before the first.
    """

    def __init__(self, instance: Instance, team: Sequence[int], watch: Stopwatch) -> None:
        self._instance, self._team, self._watch = instance, team, watch
        self.plan: Plan | None = None
        self._least = (math.inf, math.inf)
        self._tried: set[tuple[Strategies, Plan]] = set()

    def offer(self, plan: Plan | None) -> None:
        """Take a plan if it is better."""
        if plan is not None and (cost := self._cost(plan)) < self._least:
            self.plan, self._least = plan, cost

    def improve(self, near: NearStrategies, start: Plan, least_gain: float) -> None:
        """Solve the programs of the most promising strategies near ``start``, the best plan at fixed shares.

        Args:
            least_gain: by how much, relatively, the relaxation of a program must be faster than the best plan.

        Raises:
            TimeUpError: if the time is up; the best plan so far stays.
        """
        excess, latency_s = self._cost(start)
        scale_s = latency_s or 1.0  # a network of pools and joins may take no time
        memory_is_short = excess > 0 or bool(near.prices.whole_s.any())
        if memory_is_short and self._size(strategies_of(self._instance.graph, start)) <= _LARGEST_TOGETHER:
            self._solve(self._together(near, start, scale_s), start, least_gain)
        solved = 0
        for program, plan in sorted(self._ranked(near, scale_s), key=lambda way: way[0].bound_s)[:_SOLVED]:
            if solved < _SOLVED_IN_ALL:
                self._solve(program, plan, least_gain)
            solved += self._size(program.strategies)

    def _cost(self, plan: Plan) -> tuple[float, float]:
        evaluation = evaluate(self._instance.graph, self._instance.cluster, plan)
        return sum(violation.demand_bytes - violation.limit_bytes for violation in evaluation.violations), evaluation.latency_s

    def _program(self, strategies: Strategies, scale_s: float) -> ShareProgram:
        return ShareProgram(self._instance, self._team, strategies, scale_s, self._watch)

    def _ranked(self, near: NearStrategies, scale_s: float) -> Iterator[tuple[ShareProgram, Plan]]:
        """The programs of near plans that may fit."""
        seen: set[Strategies] = set()
        fitting = passed_over = sizes = 0
        for plan in near.plans():
            strategies = strategies_of(self._instance.graph, plan)
            if strategies in seen:
                continue
            seen.add(strategies)
            sizes += self._size(strategies)
            program = self._program(strategies, scale_s)
            if math.isinf(program.bound_s):
                passed_over += 1
            else:
                fitting += 1
                yield program, plan
            if fitting == _RANKED or passed_over == _RANKED or (fitting and sizes >= _RANKED_IN_ALL):
                return

    def _together(self, near: NearStrategies, start: Plan, scale_s: float) -> ShareProgram:
        """One program over the nearest nodes of all operators, as many as it may hold: where memory is short, strategies that fit together need
        not be those of one priced plan."""
        together = strategies_of(self._instance.graph, start)
        for _, i, node in near.nodes:
            larger = (*together[:i], together[i] | {node}, *together[i + 1 :])
            if self._size(larger) > _LARGEST_TOGETHER:
                break
            together = larger
        return self._program(together, scale_s)

    def _solve(self, program: ShareProgram, plan: Plan, least_gain: float) -> None:
        """Solve a program if it promises a gain and was not solved before; in windows, from a plan of its strategies, if it is large."""
        hopeless = self._least[0] == 0 and program.bound_s >= self._least[1] * (1 - least_gain)
        if hopeless or (program.strategies, plan) in self._tried:
            return
        self._tried.add((program.strategies, plan))
        if self._size(program.strategies) <= _LARGEST:
            self.offer(program.best_plan(_GAP))
            return
        if self._cost(plan)[0] > 0:
            plan = program.best_plan(_ROUGH_GAP) or plan
            self.offer(plan)
        for better in program.polished(plan, _FINE_GAP, _LARGEST):
            self.offer(better)

    def _size(self, strategies: Strategies) -> int:
        return sum(program_sizes(self._instance, strategies, self._team))
