"""The best combination of candidate placements at fixed shares, by elimination over cost tables.

Each operator has a list of candidate placements. The latency is a sum over operators: the cost of the operator's own placement, and the cost
of its incoming edges, which depends on this placement and on those of its producers. With fixed shares the best plan minimises a sum of cost
tables over candidates, by elimination (:mod:`iopopt.cost.elimination`); on a chain this is a shortest path.

Unless a memory limit binds, the choice among the candidates is exact, with two exceptions:

* If the table for all edges into an operator would be too large (often with three or more inputs), there is one for each edge instead. Their
  sum is an upper bound, exact if only one edge sends anything or one device is the slowest on every edge. Where it is not exact at the plan
  found, the operator and its producers are re-optimised one at a time, with whole plans priced.
* If the elimination itself would need too large a table (dense networks), some operators are fixed in turn, starting from the best uniform
  scheme. Uniform schemes follow one rule for all operators; the plan is never worse than any of them.

If the minimum breaks a memory limit, memory gets prices (:mod:`iopopt.methods.dynamic.short_memory`).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import numpy as np

from iopopt.cluster.cluster import Cluster
from iopopt.cost.stopwatch import Stopwatch, TimeUpError
from iopopt.methods.candidates import Candidates
from iopopt.methods.cost_tables import CostTables, MemoryPrices
from iopopt.methods.dynamic.choice_search import Choice, ChoiceSearch
from iopopt.methods.dynamic.fixed_shares import candidate_placements, uniform_schemes
from iopopt.methods.dynamic.short_memory import reoptimise_windows, rising_prices
from iopopt.network.graph import Graph
from iopopt.network.unit import Unit
from iopopt.plan.placement import Placement
from iopopt.plan.plan import Plan
from iopopt.plan.splits import ALL_SPLITS, Splits

_SWEEPS = 4
"""The largest number of sweeps over single operators."""


class TableSearch:
    """The search at fixed shares.

    Attributes:
        search: the best choice so far, with the tables; None if the time was up before they were filled.
        prices: the prices of memory at which the search ended; all 0 if memory is not short.

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
        self.prices = MemoryPrices(np.zeros(len(cluster)), np.full((len(cluster), len(graph)), 1 / len(graph)))
        self.search: ChoiceSearch | None = None
        with suppress(TimeUpError):
            self.search = ChoiceSearch(self._candidates, CostTables(self._candidates, watch), watch)

    def best_plan(self) -> Plan:
        """The best plan that the search finds in time; the best uniform scheme if there is no time for more."""
        if self.search is None:
            return self._candidates.plan(self._scheme)
        try:
            self._run(self.search)
        except TimeUpError:
            self.search.offer([self._scheme])
        return self._candidates.plan(self.search.best)

    def _candidates_of(self, unit: Unit) -> list[Placement]:
        self._watch.check()
        found = candidate_placements(unit, self._cluster, self._team)
        return [placement for placement in found if self._splits.allow(unit, placement, self._cluster)]

    def _best_scheme(self) -> Choice:
        """The best uniform scheme, of those that are among the candidates; one device always is."""
        self._watch.check()
        ways = [uniform_schemes(unit, self._cluster, self._team) for unit in self._graph.placed_units]
        schemes = (list(zip(self._placements, scheme, strict=True)) for scheme in zip(*ways, strict=True))
        choices = [tuple(candidates.index(way) for candidates, way in of) for of in schemes if all(way in candidates for candidates, way in of)]
        price = self._candidates.price(choices)
        return choices[int(np.lexsort((price.latency_s, price.excess_bytes))[0])]

    def _run(self, search: ChoiceSearch) -> None:
        """Offer the best plan for the tables; if it does not fit the memory, the results of memory prices and of re-optimised windows too."""
        search.watch.check()
        search.offer([search.minimum([*search.priced(self.prices), *search.tables.edges], self._scheme, rounds=24)])
        memory_is_short = search.least[0] > 0
        if memory_is_short:
            self.prices = rising_prices(search, self.prices)
            reoptimise_windows(search, self.prices)
        search.offer([self._scheme])
        every = range(len(self._graph))
        self._reoptimise_single(search, every if memory_is_short else self._with_producers(search.tables.overestimated(search.best)))

    # One operator at a time.

    def _with_producers(self, operators: Sequence[int]) -> list[int]:
        """These operators and their producers."""
        producers = {edge.producer for i in operators for edge in self._graph.edges_into[i]}
        return sorted({*operators, *producers} - {self._graph.source})

    def _reoptimise_single(self, search: ChoiceSearch, operators: Sequence[int]) -> None:
        """Each operator in turn takes its best candidate with all others fixed."""
        for _ in range(_SWEEPS if operators else 0):
            before, uncertain = search.least, set(self._with_producers(search.tables.overestimated(search.best)))
            for i in operators:
                search.watch.check()
                numbers = _may_be_better(search, i, i in uncertain)
                if numbers:
                    search.offer([(*search.best[:i], number, *search.best[i + 1 :]) for number in numbers])
            if search.least == before:
                return


def _may_be_better(search: ChoiceSearch, i: int, uncertain: bool) -> list[int]:
    """The candidates of operator ``i`` that may improve on the best plan's: those that are faster according to the tables, or all if
    the tables are ``uncertain`` or memory is short."""
    latency = search.tables.latency_s(search.best, i)
    possible = np.isfinite(latency) if uncertain or search.least[0] > 0 else latency < latency[search.best[i]]
    return [int(number) for number in np.flatnonzero(possible)]
