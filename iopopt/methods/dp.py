"""A dynamic program over every strategy of the exact model, at a few fixed shares for each: milliseconds to seconds, no bound.

Each operator has a list of candidate placements. The latency is a sum over operators: the cost of the operator's own placement, and the cost
of its incoming edges, which depends on this placement and on those of its producers. With fixed shares the best plan minimises a sum of cost
tables over candidates, by elimination (:mod:`iopopt.cost.elimination`); on a chain this is a shortest path.

Unless a memory limit binds, the choice among the candidates is exact, with two exceptions:

* If the table for all edges into an operator would be too large (often with three or more inputs), there is one for each edge instead. Their
  sum is an upper bound, exact if only one edge sends anything or one device is the slowest on every edge. Where it is not exact at the plan
  found, the operator and its producers are re-optimised one at a time, with whole plans priced.
* If the elimination itself would need too large a table (dense networks), some operators are fixed in turn, starting from the best uniform
  scheme. Uniform schemes follow one rule for all operators; the plan is never worse than any of them.

Memory limits couple all operators. If the minimum breaks one, prices are put on resident weights and on the largest activations, and rise on
devices that overflow (a Lagrangian relaxation). Then windows of consecutive operators are re-optimised at several multiples of these prices.

When the time is up, the plan is the best so far: the best uniform scheme, one device among them, if there was no time for more.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from contextlib import suppress

import numpy as np
import numpy.typing as npt

from iopopt.cluster.cluster import Cluster, Device
from iopopt.cost.elimination import Table, improve, minimise, restricted, total_cost
from iopopt.cost.instance import Instance
from iopopt.cost.stopwatch import NO_LIMIT, Stopwatch, TimeUpError
from iopopt.errors import InstanceTooLargeError
from iopopt.methods.candidates import Candidates
from iopopt.methods.coedge import coedge_placement
from iopopt.methods.cost_tables import CostTables, MemoryPrices
from iopopt.methods.oc import oc_placement
from iopopt.methods.settings import checked_longest_block, limited
from iopopt.methods.single import single_plan
from iopopt.methods.solution import Solution, heuristic_solution
from iopopt.network.graph import Graph
from iopopt.network.shapes import Dim
from iopopt.network.unit import Unit
from iopopt.plan.placement import Placement
from iopopt.plan.plan import Plan
from iopopt.plan.shares import coarse_shares, unit_even_shares, unit_makespan_shares, unit_proportional_shares
from iopopt.plan.splits import ALL_SPLITS, Splits
from iopopt.plan.team import Team, resolve_team, space_name

Array = npt.NDArray[np.float64]
Choice = tuple[int, ...]

_PRICE_ROUNDS = 60
_PATIENCE = 5
"""How many rounds may pass without a better bound before steps are shortened."""

_WINDOWS = (48, 24, 12, 6)
"""The length of a window, in operators, in each pass; consecutive windows overlap by half."""

_MULTIPLES = (0.0, 0.5, 0.8, 1.0, 1.25, 2.0, 4.0, 16.0)
"""The multiples of the prices at which each window is re-optimised."""

_PENALTIES = (2.0, 1e6, 1e6)
"""The cost of excess in each sweep over all windows, as a multiple of its price: small at first, so that overflowing plans can change."""

_PROHIBITIVE = 1e6
"""The cost of candidates that cannot fit, as a multiple of the most expensive candidate of any operator."""

_SWEEPS = 4
"""The largest number of sweeps over single operators."""

_MOST_ADDED_UP = 3_000_000
"""The largest table of the elimination, entries."""

_MOST_HELD = 100_000
"""The largest table of the elimination when some operators are fixed, entries."""


def dp_plan(
    graph: Graph, cluster: Cluster, team: Sequence[int], watch: Stopwatch = NO_LIMIT, longest_block: int = 1, splits: Splits = ALL_SPLITS
) -> Plan:
    """The best plan of ``splits`` found at fixed shares; if none fits the memory, the one with the least excess.

    Raises:
        TimeUpError: if there is no time even for the first plans, the uniform schemes.
    """
    return _DynamicProgram(graph, cluster, team, watch, longest_block, splits).best_plan()


def solve_dp(
    graph: Graph, devices: Cluster | Sequence[Device], *, team: Team = "all", longest_block: int = 1, time_limit_s: float = math.inf
) -> Solution:
    """The dynamic program over all strategies at fixed shares.

    On chains and most networks with branches it finds the best plan at these shares, unless memory binds or an operator joins many
    tensors; then it is a heuristic. ``violates_memory`` means that no plan that fits was found, not that none exists.

    The plan is always the same unless the time limit cuts the search short (``termination="time_limit"``): then it is the best so far, which
    depends on the machine.

    Args:
        graph: the network, branches included.
        devices: a cluster, or devices with the cluster defaults.
        team: ``"all"`` devices, or one sequence of them.
        longest_block: the most operators of a fused block.
        time_limit_s: seconds of wall clock for everything.

    Raises:
        ClusterError: if ``team`` names a device that does not exist.
        SolverError: if ``time_limit_s`` or ``longest_block`` is not positive.
    """
    cluster, watch = Instance.of(graph, devices).cluster, limited(time_limit_s)
    longest_block = checked_longest_block(longest_block)
    members = resolve_team(team, cluster)
    try:
        program = _DynamicProgram(graph, cluster, members, watch, longest_block)
        build_s = watch.elapsed_s
        plan = program.best_plan()
    except TimeUpError:
        build_s, plan = watch.elapsed_s, single_plan(graph, cluster)
    return heuristic_solution(
        graph,
        cluster,
        plan,
        method="dp",
        space=space_name(team, cluster, longest_block),
        build_s=build_s,
        solve_s=watch.elapsed_s - build_s,
        termination="time_limit" if watch.cut_short else "finished",
    )


def candidate_placements(unit: Unit, cluster: Cluster, team: Sequence[int]) -> list[Placement]:
    """The candidates of an operator: whole on each device, and split by every dimension at the shares of each rule; rows also coarsely.

    A fused block is never whole.
    """
    placements = [Placement.whole(device) for device in range(len(cluster))] if unit.span == 1 else []
    if len(team) > 1:
        for dim in unit.dims:
            rules = _share_rules(unit, dim, cluster, team) + (_coarse_rules(unit, cluster, team) if dim == "H" else [])
            for shares in dict.fromkeys(rules):
                placements.append(Placement.split(dim, team, shares))
                if dim == "IC":
                    placements.append(Placement.split(dim, team, shares, "two_phase"))
    return placements


def _share_rules(unit: Unit, dim: Dim, cluster: Cluster, team: Sequence[int]) -> list[tuple[int, ...]]:
    """Shares of the least makespan, proportional to speed, to the geometric mean of speed and memory, to memory, and even."""
    speeds = np.array([cluster.devices[j].flops_per_s for j in team])
    memory = np.array([cluster.devices[j].memory_bytes for j in team])
    makespan = unit_makespan_shares(unit, dim, speeds.tolist())
    blends = [speeds, np.sqrt(speeds / speeds.sum() * memory / memory.sum()), memory]
    proportional = [unit_proportional_shares(unit, dim, list(blend)) for blend in blends]
    assert makespan is not None  # without limits it always exists
    return [makespan, *proportional, unit_even_shares(unit, dim, len(team))]


def _coarse_rules(unit: Unit, cluster: Cluster, team: Sequence[int]) -> list[tuple[int, ...]]:
    """Rows by twos, fours, eights, ..., proportional to speed, so that boundaries coincide in coarser and finer maps of the network."""
    speeds = [cluster.devices[j].flops_per_s for j in team]
    together = itertools.takewhile(lambda rows: rows * len(team) <= unit.sizes["H"], (2**power for power in itertools.count(1)))
    found = (coarse_shares(unit, speeds, rows) for rows in together)
    return [shares for shares in found if shares is not None]


def _schemes(unit: Unit, cluster: Cluster, team: Sequence[int]) -> list[Placement]:
    """The operator's candidate in each uniform scheme: one device, output channels, CoEdge with the row shares of each rule."""
    rows = coedge_placement(unit, cluster, team)
    ways = [rows] * 5 if rows.dim is None else [Placement.split("H", team, shares) for shares in _share_rules(unit, "H", cluster, team)]
    return [*(Placement.whole(device) for device in range(len(cluster))), oc_placement(unit, cluster, team), *ways]


class _DynamicProgram:
    """The search for the best choice: the number of a candidate for each operator. ``_best`` is the best so far, by excess, then latency.

    Raises:
        TimeUpError: if the time is up before the first plans, the uniform schemes, can be compared.
    """

    def __init__(
        self, graph: Graph, cluster: Cluster, team: Sequence[int], watch: Stopwatch, longest_block: int, splits: Splits = ALL_SPLITS
    ) -> None:
        self._graph, self._cluster, self._team, self._watch, self._splits = graph, cluster, team, watch, splits
        self._placements = [self._candidates_of(unit) for unit in graph.placed_units]
        blocks = graph.blocks(splits.longest_block(longest_block)) if len(team) > 1 else ()
        self._candidates = Candidates(graph, cluster, self._placements, {members: self._candidates_of(graph.block(members)) for members in blocks})
        self._scheme = self._best_scheme()
        self._offered: dict[Choice, tuple[float, Array]] = {}
        self._best: Choice = ()
        self._least = (math.inf, math.inf)
        with suppress(TimeUpError):  # the search then ends before it looks at the tables
            self._tables = CostTables(self._candidates, watch)
            self._alone_s = self._possible()

    def best_plan(self) -> Plan:
        """The best plan that the search finds in time."""
        try:
            self._search()
        except TimeUpError:
            self._offer([self._scheme])
        return self._candidates.plan(self._best)

    def _candidates_of(self, unit: Unit) -> list[Placement]:
        self._watch.check()
        found = candidate_placements(unit, self._cluster, self._team)
        return [placement for placement in found if self._splits.allow(unit, placement, self._cluster)]

    def _search(self) -> None:
        """Offer the best plan for the tables; if it does not fit the memory, the results of memory prices and of re-optimised windows too."""
        self._watch.check()
        count = len(self._graph)
        free = MemoryPrices(np.zeros(len(self._cluster)), np.full((len(self._cluster), count), 1 / count))
        self._offer([self._minimum([*self._priced(free), *self._tables.edges], self._scheme, rounds=24)])
        memory_is_short = self._least[0] > 0
        if memory_is_short:
            self._reoptimise_windows(self._rising_prices(free))
        self._offer([self._scheme])
        self._reoptimise_single(range(count) if memory_is_short else self._with_producers(self._tables.overestimated(self._best)))

    def _possible(self) -> list[Array]:
        """The cost of each operator's candidates; those that exceed a device get a prohibitive cost if the operator has others."""
        prohibitive = _PROHIBITIVE * (max(float(alone.max()) for alone in self._tables.alone_s) or 1.0)
        too_large = [self._tables.too_large(i) for i in range(len(self._graph))]
        return [
            alone if unfit.all() else np.asarray(alone + np.where(unfit, prohibitive, 0.0))
            for alone, unfit in zip(self._tables.alone_s, too_large, strict=True)
        ]

    def _offer(self, choices: Sequence[Choice]) -> tuple[Array, Array]:
        """Price whole plans and keep the best so far; returns their latencies and their memory, of shape (devices, choices)."""
        new = [choice for choice in choices if choice not in self._offered]
        if new:
            price = self._candidates.price(new)
            for choice, excess, latency, memory in zip(new, price.excess_bytes, price.latency_s, price.memory_bytes.T, strict=True):
                self._offered[choice] = float(latency), memory
                if (excess, latency) < self._least:
                    self._best, self._least = choice, (float(excess), float(latency))
        known = [self._offered[choice] for choice in choices]
        return np.array([latency for latency, _ in known]), np.stack([memory for _, memory in known], axis=1)

    # The sum of all tables.

    def _best_scheme(self) -> Choice:
        """The best uniform scheme, of those that are among the candidates; one device always is."""
        self._watch.check()
        ways = [_schemes(unit, self._cluster, self._team) for unit in self._graph.placed_units]
        schemes = (list(zip(self._placements, scheme, strict=True)) for scheme in zip(*ways, strict=True))
        choices = [tuple(candidates.index(way) for candidates, way in of) for of in schemes if all(way in candidates for candidates, way in of)]
        price = self._candidates.price(choices)
        return choices[int(np.lexsort((price.latency_s, price.excess_bytes))[0])]

    def _priced(self, prices: MemoryPrices, multiple: float = 1.0) -> list[Table]:
        """The cost of each operator's candidates, plus their memory at a multiple of its price."""
        parts = zip(self._alone_s, self._tables.memory_s(prices), strict=True)
        return [Table((i,), alone + multiple * memory) for i, (alone, memory) in enumerate(parts)]

    def _minimum(self, tables: Sequence[Table], start: Choice, rounds: int) -> Choice:
        """The minimum of the tables; if they are too large, the result of that many rounds of improvement from ``start``."""
        domains = self._tables.domains
        try:
            return tuple(minimise(domains, tables, start, most_entries=_MOST_ADDED_UP, watch=self._watch))
        except InstanceTooLargeError:
            return tuple(improve(domains, tables, start, most_entries=_MOST_HELD, rounds=rounds, watch=self._watch))

    # Memory.

    def _rising_prices(self, prices: MemoryPrices) -> MemoryPrices:
        """The prices of the greatest Lagrangian bound found, by steps along the excess; the plan of every step is offered.

        A step is long enough to close the gap between the bound and the best plan if the bound were linear (Polyak's rule). The part of the
        prices on activations moves to the operators at which they peak.
        """
        choice, highest, best_prices, length, waited = self._best, -math.inf, prices, 1.0, 0
        for round_ in range(_PRICE_ROUNDS):
            self._watch.check()
            tables = [*self._priced(prices), *self._tables.edges]
            choice = self._minimum(tables, choice, rounds=2)
            latency, memory = self._offer([choice])
            bound = total_cost(tables, choice) - self._tables.lagrangian_constant_s(prices)
            waited = 0 if bound > highest else waited + 1
            if bound > highest:
                highest, best_prices = bound, prices
            elif waited % _PATIENCE == 0:
                length *= 0.6
            excess = memory[:, 0] / self._tables.limits - 1
            target = min(1.3 * highest, self._least[1] if self._least[0] == 0 else math.inf)
            prices = self._stepped(prices, choice, round_, excess, length * max(target - bound, 0.002 * target), float(latency[0]))
        return best_prices if best_prices.whole_s.any() else prices

    def _stepped(self, prices: MemoryPrices, choice: Choice, round_: int, excess: Array, gain_s: float, latency_s: float) -> MemoryPrices:
        """Prices after a step that raises the linearised bound by ``gain_s``; ``excess`` is relative to each device's memory."""
        moving = np.where((prices.whole_s <= 0) & (excess < 0), 0, excess)
        largest = float(np.abs(moving).max())
        step = min(gain_s / float(moving @ moving), latency_s / (2 * largest)) if largest > 0 else 0.0
        peaks = np.zeros_like(prices.peaks)
        peaks[np.arange(len(peaks)), self._tables.peaks(choice)] = 1
        new = 2 / (round_ + 3)
        return MemoryPrices(np.maximum(0, prices.whole_s + step * excess), (1 - new) * prices.peaks + new * peaks)

    def _reoptimise_windows(self, prices: MemoryPrices) -> None:
        """Each window in turn takes its best choice over several multiples of the prices, with the other operators fixed."""
        current = self._best
        ways = [self._priced(prices, multiple) for multiple in _MULTIPLES]
        penalties = (prices.whole_s + prices.whole_s.mean()) / self._tables.limits
        for penalty in _PENALTIES:
            for window in self._windows():
                self._watch.check()
                choices = [current, *self._window_choices(ways, window, current)]
                latency, memory = self._offer(choices)
                excess = np.maximum(0, memory - self._tables.limits[:, None])
                current = choices[int((latency + penalty * penalties @ excess).argmin())]

    def _windows(self) -> Iterator[range]:
        count = len(self._graph)
        for length in _WINDOWS:
            for start in range(0, max(1, count - length // 2), length // 2):
                yield range(start, min(count, start + length))

    def _window_choices(self, ways: Sequence[Sequence[Table]], window: range, current: Choice) -> list[Choice]:
        """The best choice of the operators of a window with the others fixed, for each pricing (``ways``) of operators."""
        others = set(range(len(current))).difference(window)
        touching = (table for table in self._tables.edges if not others.issuperset(table.variables))
        edges = [restricted(table, others, current) for table in touching]
        found = (self._minimum([*edges, *(alone[i] for i in window)], current, rounds=1) for alone in ways)
        return list(dict.fromkeys(found))

    # One operator at a time.

    def _with_producers(self, operators: Sequence[int]) -> list[int]:
        """These operators and their producers."""
        producers = {edge.producer for i in operators for edge in self._graph.edges_into[i]}
        return sorted({*operators, *producers} - {self._graph.source})

    def _reoptimise_single(self, operators: Sequence[int]) -> None:
        """Each operator in turn takes its best candidate with all others fixed."""
        for _ in range(_SWEEPS if operators else 0):
            before, uncertain = self._least, set(self._with_producers(self._tables.overestimated(self._best)))
            for i in operators:
                self._watch.check()
                numbers = self._may_be_better(i, i in uncertain)
                if numbers:
                    self._offer([(*self._best[:i], number, *self._best[i + 1 :]) for number in numbers])
            if self._least == before:
                return

    def _may_be_better(self, i: int, uncertain: bool) -> list[int]:
        """The candidates of operator ``i`` that may improve on the best plan's: those that are faster according to the tables, or all if
        the tables are ``uncertain`` or memory is short."""
        latency = self._tables.latency_s(self._best, i)
        possible = np.isfinite(latency) if uncertain or self._least[0] > 0 else latency < latency[self._best[i]]
        return [int(number) for number in np.flatnonzero(possible)]
