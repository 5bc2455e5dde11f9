"""Brute force with pruning: every split, choice of rows, cut, server and order of the paths of one device, by depth-first search."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import chain
from math import comb, factorial, inf
from operator import le

import numpy as np

from iopopt.cost.stopwatch import NO_LIMIT, Stopwatch, TimeUpError
from iopopt.errors import OffloadError
from iopopt.methods.settings import limited
from iopopt.methods.solution import Point, Termination
from iopopt.offload.bounds import Begun, FloatArray, Kind, OpenSplits, Rest, SplitBound, Weights, split_bounds
from iopopt.offload.instance import OffloadInstance
from iopopt.offload.plan import ClientPlan, OffloadPlan
from iopopt.offload.recursion import OffloadObjective, OffloadPricer
from iopopt.offload.solution import OffloadSolution, offload_solution
from iopopt.offload.space import OffloadSpace
from iopopt.offload.stages import Stages

_SAME = 1 - 1e-12
"""What would be better only by less than this, which is rounding, is not searched."""


def plan_count(stages: Stages, space: OffloadSpace, servers: int) -> int:
    """The number of plans of one device: every split, rows, cut, server of what is served, and order."""
    total = 0
    for split in space.splits(stages):
        rows = comb(len(space.starts(stages, split)) - 2, split.paths - 1)
        tails = servers if split.fused < len(stages) else 1
        total += rows * factorial(split.paths) * (split.fused * servers + 1) ** split.paths * tails
    return total


def solve_bf(
    instance: OffloadInstance, *, space: OffloadSpace | None = None, objective: OffloadObjective = "makespan", time_limit_s: float = 60.0
) -> OffloadSolution:
    """The best plan of one device: every split, choice of rows, cut, server and order, but for what bounds and dominance exclude.

    A beginning of a plan is not continued if a bound (:mod:`iopopt.offload.bounds`) says that no plan that begins like it is better than the best
    so far, or if another with the same paths was nowhere later. ``searched`` says how many plans there are, and how many were priced.

    Returns:
        ``status="optimal"`` with the value, to within 1e-12 of it, as its bound; at the time limit, or at Ctrl-C, the best plan so far and the least
        bound of what was not searched.

    Raises:
        OffloadError: if there are several devices, or a device has no plan in ``space``.
        SolverError: if ``time_limit_s`` is no positive number.
    """
    watch, space = limited(time_limit_s), space or OffloadSpace()
    if len(instance.clients) > 1:
        raise OffloadError(f"method bf plans one device; the instance has {len(instance.clients)}. Every other method plans several")
    space.check(instance)
    pricer = OffloadPricer(instance)
    search = BruteForce(split_bounds(pricer, space), watch)
    termination = search.run()
    if search.best is None:
        raise KeyboardInterrupt  # before the first plan was priced: there is nothing to return
    optimal = termination == "exhausted"
    return offload_solution(
        instance,
        search.best,
        status="optimal" if optimal else "feasible",
        termination=termination,
        bound_s=pricer.value_s(search.best) if optimal else min(search.bound_s, search.best_s),
        objective=objective,
        space=space.name,
        method="bf",
        searched=_searched(plan_count(pricer.stages[0], space, len(instance.servers)), search) + ("" if optimal else " or not reached"),
        solve_s=watch.elapsed_s,
        trajectory=tuple(search.trajectory),
    )


def _searched(plans: int, search: BruteForce) -> str:
    splits = f"{search.splits:,} split{'s' * (search.splits > 1)}"
    priced = f"{search.priced:,} were priced and {search.extended:,} beginnings extended"
    return f"{plans:,} plans in {splits}, of which {priced}, the rest cut off by bounds and dominance"


class BruteForce:
    """The search over all splits, that of the least bound first.

    Attributes:
        best, best_s: the best plan, and its value, seconds.
        bound_s: the least bound of the splits that are not searched through.
        extended, priced: how many beginnings of plans were continued, and how many plans were priced.
        splits: how many there are.
    """

    def __init__(self, splits: Sequence[SplitBound], watch: Stopwatch) -> None:
        self.best: OffloadPlan | None = None
        self.best_s = self.bound_s = inf
        self.extended = self.priced = 0
        self.splits = len(splits)
        self.trajectory: list[Point] = []
        self._watch, self._open = watch, OpenSplits(splits)

    def run(self) -> Termination:
        """Search until nothing better can be left, or the time is up."""
        self.bound_s = self._open.bound_s
        try:
            while (split := self._open.pop(self.best_s * _SAME, NO_LIMIT if self.best is None else self._watch)) is not None:
                self.bound_s = split.bound_s
                _SplitSearch(self, split).run()
                self.bound_s = self._open.bound_s
        except TimeUpError:
            return "time_limit"
        except KeyboardInterrupt:
            return "interrupted"
        return "exhausted"

    def promising(self, bound_s: float) -> bool:
        """Whether plans with this bound can be better than the best; there is always time for a first plan."""
        if self.best is not None:
            self._watch.check()
        return bound_s < self.best_s * _SAME

    def offer(self, value_s: float, plan: Callable[[], OffloadPlan]) -> None:
        """A plan with its value."""
        self.priced += 1
        if value_s < self.best_s:
            self.best, self.best_s = plan(), value_s
            self.trajectory.append(Point(self._watch.elapsed_s, value_s, self.bound_s))


class _SplitSearch:
    """The search in one split: over the rows of its paths, then over their order and options."""

    def __init__(self, search: BruteForce, split: SplitBound) -> None:
        self._search, self._split, self._block, self._weights = search, split, split.block, split.weights
        self._least = split.least_from(self._weights)
        self._more = np.min([self._weights.more_if_last(kind) for kind in set(split.kinds.values())], axis=0)
        self._searched: set[tuple[int, ...]] = set()

    def run(self) -> None:
        self._rows(0, [], np.zeros(len(self._weights.values)))

    def _rows(self, start: int, rows: list[tuple[int, int]], least: FloatArray) -> None:
        """Choose where the next path ends, the most promising first; order paths that cover all rows."""
        left = self._split.split.paths - len(rows)
        if not left:
            self._order(rows)
            return
        bounds = []
        for (begin, end), kind in self._split.kinds.items():
            if begin == start and np.isfinite(self._least[left - 1, end, 0]):
                reached = least + self._weights.least(kind)
                rest = Rest(reached + self._least[left - 1, end] + self._more, self._split.upload_s)
                bounds.append((self._weights.end_s(self._block.begin(), rest), end, reached))
        for bound_s, end, reached in sorted(bounds, key=lambda found: found[0]):
            if not self._search.promising(bound_s):
                break
            self._rows(end, [*rows, (start, end)], reached)

    def _order(self, rows: Sequence[tuple[int, int]]) -> None:
        """Search the orders and options of paths of these rows, unless paths that take equally long have been searched before."""
        numbers = tuple(sorted(self._split.kinds[pair].number for pair in rows))
        if numbers not in self._searched:
            self._searched.add(numbers)
            _OrderSearch(self._search, self._split, self._weights, rows).run()


class _OrderSearch:
    """Depth-first search over positions, for paths of given rows: which kind of path comes next, with which option."""

    def __init__(self, search: BruteForce, split: SplitBound, weights: Weights, rows: Sequence[tuple[int, int]]) -> None:
        self._search, self._split, self._block, self._weights = search, split, split.block, weights
        self._rows: dict[Kind, list[tuple[int, int]]] = {}
        for start, end in rows:
            self._rows.setdefault(split.kinds[start, end], []).append((split.starts[start], split.starts[end]))
        self._kinds = tuple(self._rows)
        self._rests: dict[tuple[int, ...], Rest] = {}
        self._met: dict[tuple[int, ...], list[tuple[float, ...]]] = {}

    def run(self) -> None:
        self._extend(tuple(len(rows) for rows in self._rows.values()), self._block.begin(), [])

    def _extend(self, left: tuple[int, ...], begun: Begun, chosen: list[tuple[Kind, int]]) -> None:
        """Continue the beginning of a plan with each kind of path that is left, of equal paths with one, the most promising first."""
        self._search.extended += 1
        found = []
        for number, kind in enumerate(self._kinds):
            if left[number]:
                after = (*left[:number], left[number] - 1, *left[number + 1 :])
                for option, job in enumerate(kind.jobs):
                    longer = begun.then(job)
                    found.append((self._bound_s(after, longer), after, longer, (kind, option)))
        for bound_s, after, longer, choice in sorted(found, key=lambda entry: entry[0]):
            if not self._search.promising(bound_s):
                break
            if not any(after):
                self._search.offer(self._block.end_s(longer), partial(self._plan, [*chosen, choice]))
            elif not self._dominated(after, longer, bound_s):
                self._extend(after, longer, [*chosen, choice])

    def _bound_s(self, left: tuple[int, ...], begun: Begun) -> float:
        """A lower bound on when the result is there; the value itself once no path is left."""
        return self._weights.end_s(begun, self._rest(left)) if any(left) else self._block.end_s(begun)

    def _rest(self, left: tuple[int, ...]) -> Rest:
        if left not in self._rests:
            self._rests[left] = self._weights.rest([kind for kind, number in zip(self._kinds, left, strict=True) for _ in range(number)])
        return self._rests[left]

    def _dominated(self, left: tuple[int, ...], begun: Begun, bound_s: float) -> bool:
        """Whether a beginning that leaves the same paths was nowhere later; it is remembered otherwise.

        Its end does not count as long as it is before the bound, which no plan that begins like it is below.
        """
        progress, free_s = begun.progress, self._block.free_s(begun, self._rest(left).upload_s)
        busy = (progress.fetched_s, progress.computed_s, begun.sent_s, progress.returned_s, begun.carried_s, *chain.from_iterable(free_s))
        met = self._met.setdefault(left, [])
        within = (max(progress.ended_s, bound_s - self._block.tail_s - self._block.tail_return_s), *busy)
        if any(all(map(le, other, within)) for other in met):
            return True
        met.append((progress.ended_s, *busy))
        return False

    def _plan(self, chosen: Sequence[tuple[Kind, int]]) -> OffloadPlan:
        """The plan of so chosen paths."""
        left = {kind: iter(rows) for kind, rows in self._rows.items()}
        paths = [self._block.options(*next(left[kind]))[option].path for kind, option in chosen]
        return OffloadPlan((ClientPlan(self._block.fused, tuple(paths), self._block.tail_server),))
