"""A dynamic program over every strategy of the exact model, at a few fixed shares for each: milliseconds to seconds, no bound.

The latency is a sum over operators of what their own placement costs and what their incoming edges cost, which depends on it and on the
placements of those that they read. With shares fixed the best plan minimises a sum of tables, by elimination
(:mod:`iopopt.cost.elimination`): on a chain a shortest path.

Where memory is no matter the choice among the candidates is exact, with two exceptions. Too large a table for all edges of an operator
together (most with three inputs or more) is replaced by one for each edge. Their sum is an upper bound, exact where only one edge sends
anything or one device is the slowest on every edge; where it is not exact at the plan found, the operator and those that it reads are
looked at once more, one at a time, at the prices of whole plans. And where the elimination itself would need too large a table (dozens
of operators that are read by dozens), a part of the operators is held fixed in turn, from the best of the schemes on that treat all
operators alike. The plan is never worse than any of these schemes.

Memory couples all operators. It is respected by prices on resident weights and on the largest activations, which rise where a device
overflows, and then by choosing stretches of the network anew, at several multiples of these prices.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from iopopt.cluster.cluster import Cluster, Device, as_cluster
from iopopt.cost.elimination import Table, improve, minimise, restricted, total_cost
from iopopt.errors import InstanceTooLargeError
from iopopt.methods.coedge import coedge_placement
from iopopt.methods.cost_tables import CostTables, MemoryPrices
from iopopt.methods.oc import oc_placement
from iopopt.methods.solution import Solution, heuristic_solution
from iopopt.methods.stopwatch import Stopwatch
from iopopt.network.graph import Graph
from iopopt.network.shapes import Dim
from iopopt.network.unit import Unit
from iopopt.plan.placement import Placement
from iopopt.plan.plan import Plan
from iopopt.plan.shares import coarse_shares, unit_even_shares, unit_makespan_shares, unit_proportional_shares
from iopopt.plan.team import Team, resolve_team, space_name

Array = npt.NDArray[np.float64]
Choice = tuple[int, ...]

_PRICE_ROUNDS = 60
_PATIENCE = 5
"""How many rounds may pass without a better bound before steps are shortened."""

_STRETCHES = (48, 24, 12, 6)
"""How many operators are chosen anew together; the next stretch begins in the middle of the last."""

_MULTIPLES = (0.0, 0.5, 0.8, 1.0, 1.25, 2.0, 4.0, 16.0)
"""The multiples of the prices at which each stretch is chosen anew."""

_PENALTIES = (2.0, 1e6, 1e6)
"""What excess costs in each sweep over all stretches, as a multiple of its price: little at first, so that plans may change that overflow."""

_TOO_MUCH = 1e6
"""What candidates cost that cannot fit, as a multiple of the dearest candidate of any operator."""

_SWEEPS = 4
"""How often operators are looked at one at a time, at most."""

_MOST_ADDED_UP = 3_000_000
"""The largest table of the elimination, entries."""

_MOST_HELD = 100_000
"""The same where a part of the operators keep their candidates."""


def dp_plan(graph: Graph, cluster: Cluster, team: Sequence[int]) -> Plan:
    """The best plan at fixed shares; if none found fits the memory, the one of the least excess."""
    return _DynamicProgram(graph, cluster, team).best_plan()


def solve_dp(graph: Graph, devices: Cluster | Sequence[Device], *, team: Team = "all") -> Solution:
    """The dynamic program over all strategies at fixed shares: exact among these on chains and most networks with branches while
    memory is no matter, a heuristic where it is short or one operator joins many.

    ``violates_memory`` says that no plan was found that fits, not that there is none.

    Raises:
        ClusterError: if ``team`` names a device that does not exist.
    """
    cluster, watch = as_cluster(devices), Stopwatch()
    program = _DynamicProgram(graph, cluster, resolve_team(team, cluster))
    build_s = watch.lap()
    plan = program.best_plan()
    return heuristic_solution(graph, cluster, plan, method="dp", space=space_name(team, cluster), build_s=build_s, solve_s=watch.lap())


def candidate_placements(unit: Unit, cluster: Cluster, team: Sequence[int]) -> list[Placement]:
    """Whole on each device, and every dimension at each rule's shares; rows also in blocks."""
    placements = [Placement.whole(device) for device in range(len(cluster))]
    if len(team) > 1:
        for dim in unit.dims:
            rules = _share_rules(unit, dim, cluster, team) + (_block_rules(unit, cluster, team) if dim == "H" else [])
            for shares in dict.fromkeys(rules):
                placements.append(Placement.split(dim, team, shares))
                if dim == "IC":
                    placements.append(Placement.split(dim, team, shares, "two_phase"))
    return placements


def _share_rules(unit: Unit, dim: Dim, cluster: Cluster, team: Sequence[int]) -> list[tuple[int, ...]]:
    """Of the least makespan, proportional to speed, between that and memory, proportional to memory, and even."""
    speeds = np.array([cluster.devices[j].flops_per_s for j in team])
    memory = np.array([cluster.devices[j].memory_bytes for j in team])
    makespan = unit_makespan_shares(unit, dim, speeds.tolist())
    blends = [speeds, np.sqrt(speeds / speeds.sum() * memory / memory.sum()), memory]
    proportional = [unit_proportional_shares(unit, dim, list(blend)) for blend in blends]
    assert makespan is not None  # nothing limits it
    return [makespan, *proportional, unit_even_shares(unit, dim, len(team))]


def _block_rules(unit: Unit, cluster: Cluster, team: Sequence[int]) -> list[tuple[int, ...]]:
    """Rows in blocks, proportional to speed, down to one block a device: with bounds that coarser and finer maps of the network share."""
    speeds = [cluster.devices[j].flops_per_s for j in team]
    blocks = itertools.takewhile(lambda block: block * len(team) <= unit.sizes["H"], (2**power for power in itertools.count(1)))
    found = (coarse_shares(unit, speeds, block) for block in blocks)
    return [shares for shares in found if shares is not None]


def _schemes(unit: Unit, cluster: Cluster, team: Sequence[int]) -> list[Placement]:
    """One candidate for each of the schemes that treat all operators alike: one device, output channels, CoEdge at every rule's rows."""
    rows = coedge_placement(unit, cluster, team)
    ways = [rows] * 5 if rows.dim is None else [Placement.split("H", team, shares) for shares in _share_rules(unit, "H", cluster, team)]
    return [*(Placement.whole(device) for device in range(len(cluster))), oc_placement(unit, cluster, team), *ways]


class _DynamicProgram:
    """The search for the best choice among the candidates; ``_best`` is the best so far, by excess and then by latency."""

    def __init__(self, graph: Graph, cluster: Cluster, team: Sequence[int]) -> None:
        self._graph, self._cluster, self._team = graph, cluster, team
        self._candidates = [candidate_placements(unit, cluster, team) for unit in graph.placed_units]
        self._tables = CostTables(graph, cluster, self._candidates)
        self._alone_s = self._possible()
        self._offered: dict[Choice, tuple[float, Array]] = {}
        self._best: Choice = ()
        self._least = (math.inf, math.inf)

    def best_plan(self) -> Plan:
        """The minimum of all tables, or where that does not fit what prices on memory and stretches chosen anew come to."""
        count = len(self._graph)
        free = MemoryPrices(np.zeros(len(self._cluster)), np.full((len(self._cluster), count), 1 / count))
        scheme = self._best_scheme()
        self._offer([self._minimum([*self._priced(free), *self._tables.edges], scheme, rounds=24)])
        memory_is_short = self._least[0] > 0
        if memory_is_short:
            self._choose_stretches_anew(self._rising_prices(free))
        self._offer([scheme])
        self._look_once_more(range(count) if memory_is_short else self._around(self._tables.overestimated(self._best)))
        return self._tables.batch([self._best]).plan(self._graph, 0)

    def _possible(self) -> list[Array]:
        """The price of each operator's candidates by themselves; those that some device could not hold cost too much, if others do not."""
        too_much = _TOO_MUCH * (max(float(alone.max()) for alone in self._tables.alone_s) or 1.0)
        too_large = [self._tables.too_large(i) for i in range(len(self._graph))]
        return [
            alone if unfit.all() else np.asarray(alone + np.where(unfit, too_much, 0.0))
            for alone, unfit in zip(self._tables.alone_s, too_large, strict=True)
        ]

    def _offer(self, choices: Sequence[Choice]) -> tuple[Array, Array]:
        """Keep the best of these whole plans, if it is better than all before; also gives their latencies and memory (devices, choices)."""
        new = [choice for choice in choices if choice not in self._offered]
        if new:
            price = self._tables.price(new)
            for choice, excess, latency, memory in zip(new, price.excess_bytes, price.latency_s, price.memory_bytes.T, strict=True):
                self._offered[choice] = float(latency), memory
                if (excess, latency) < self._least:
                    self._best, self._least = choice, (float(excess), float(latency))
        known = [self._offered[choice] for choice in choices]
        return np.array([latency for latency, _ in known]), np.stack([memory for _, memory in known], axis=1)

    # The sum of all tables.

    def _best_scheme(self) -> Choice:
        """The best of the schemes that treat all operators alike."""
        ways = [_schemes(unit, self._cluster, self._team) for unit in self._graph.placed_units]
        numbers = [[candidates.index(way) for way in scheme] for candidates, scheme in zip(self._candidates, ways, strict=True)]
        choices = list(zip(*numbers, strict=True))
        price = self._tables.price(choices)
        return choices[int(np.lexsort((price.latency_s, price.excess_bytes))[0])]

    def _priced(self, prices: MemoryPrices, multiple: float = 1.0) -> list[Table]:
        """What each operator costs by itself, with its memory at a multiple of its price."""
        parts = zip(self._alone_s, self._tables.memory_s(prices), strict=True)
        return [Table((i,), alone + multiple * memory) for i, (alone, memory) in enumerate(parts)]

    def _minimum(self, tables: Sequence[Table], start: Choice, rounds: int) -> Choice:
        """The least sum of the tables; where they are too large, what that many rounds from ``start`` on come to."""
        domains = self._tables.domains
        try:
            return tuple(minimise(domains, tables, start, most_entries=_MOST_ADDED_UP))
        except InstanceTooLargeError:
            return tuple(improve(domains, tables, start, most_entries=_MOST_HELD, rounds=rounds))

    # Memory.

    def _rising_prices(self, prices: MemoryPrices) -> MemoryPrices:
        """The prices of the greatest Lagrangian bound found, by steps along the excess; every choice on the way is offered.

        A step would close the gap between the bound and the best plan (Polyak's rule); the activations' part moves to the peaks.
        """
        choice, highest, best_prices, length, waited = self._best, -math.inf, prices, 1.0, 0
        for round_ in range(_PRICE_ROUNDS):
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
        """Prices after a step that would raise the bound by ``gain_s``; ``excess`` is relative to each device's memory."""
        moving = np.where((prices.whole_s <= 0) & (excess < 0), 0, excess)
        largest = float(np.abs(moving).max())
        step = min(gain_s / float(moving @ moving), latency_s / (2 * largest)) if largest > 0 else 0.0
        peaks = np.zeros_like(prices.peaks)
        peaks[np.arange(len(peaks)), self._tables.peaks(choice)] = 1
        new = 2 / (round_ + 3)
        return MemoryPrices(np.maximum(0, prices.whole_s + step * excess), (1 - new) * prices.peaks + new * peaks)

    def _choose_stretches_anew(self, prices: MemoryPrices) -> None:
        """Stretch after stretch takes the best of what it would be at several multiples of the prices, the rest as it is."""
        current = self._best
        ways = [self._priced(prices, multiple) for multiple in _MULTIPLES]
        penalties = (prices.whole_s + prices.whole_s.mean()) / self._tables.limits
        for penalty in _PENALTIES:
            for stretch in self._stretches():
                choices = [current, *self._anew(ways, stretch, current)]
                latency, memory = self._offer(choices)
                excess = np.maximum(0, memory - self._tables.limits[:, None])
                current = choices[int((latency + penalty * penalties @ excess).argmin())]

    def _stretches(self) -> Iterator[range]:
        count = len(self._graph)
        for length in _STRETCHES:
            for start in range(0, max(1, count - length // 2), length // 2):
                yield range(start, min(count, start + length))

    def _anew(self, ways: Sequence[Sequence[Table]], stretch: range, current: Choice) -> list[Choice]:
        """The best choices of the operators of a stretch while the others keep theirs, for each way to price operators by themselves."""
        others = set(range(len(current))).difference(stretch)
        touching = (table for table in self._tables.edges if not others.issuperset(table.variables))
        edges = [restricted(table, others, current) for table in touching]
        found = (self._minimum([*edges, *(alone[i] for i in stretch)], current, rounds=1) for alone in ways)
        return list(dict.fromkeys(found))

    # One operator at a time.

    def _around(self, operators: Sequence[int]) -> list[int]:
        """These operators and those that they read."""
        producers = {edge.producer for i in operators for edge in self._graph.edges_into[i]}
        return sorted({*operators, *producers} - {self._graph.source})

    def _look_once_more(self, operators: Sequence[int]) -> None:
        """Each operator in turn takes its best candidate while all others keep theirs."""
        for _ in range(_SWEEPS if operators else 0):
            before, uncertain = self._least, set(self._around(self._tables.overestimated(self._best)))
            for i in operators:
                numbers = self._may_be_better(i, i in uncertain)
                if numbers:
                    self._offer([(*self._best[:i], number, *self._best[i + 1 :]) for number in numbers])
            if self._least == before:
                return

    def _may_be_better(self, i: int, uncertain: bool) -> list[int]:
        """The candidates of operator ``i`` that may be better than the one of the best plan: those that are faster by the tables, or all
        if these are ``uncertain`` or memory is short."""
        if uncertain or self._least[0] > 0:
            return list(range(self._tables.domains[i]))
        latency = self._tables.latency_s(self._best, i)
        return [int(number) for number in np.flatnonzero(latency < latency[self._best[i]])]
