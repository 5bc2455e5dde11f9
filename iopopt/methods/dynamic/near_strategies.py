"""The strategies worth a second look after a search at fixed shares: those of plans that are nearly as fast.

What a plan's shares cost blurs which strategies are best, by a few per cent. So the search goes on with several plans, of different strategies.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import numpy as np
import numpy.typing as npt

from iopopt.cost.elimination import Table, min_marginals
from iopopt.errors import InstanceTooLargeError
from iopopt.methods.cost_tables import MemoryPrices
from iopopt.methods.dynamic.choice_search import MOST_ADDED_UP, ChoiceSearch
from iopopt.milp.arcs import Node, node_of
from iopopt.network.graph import Graph
from iopopt.plan.plan import Plan

Array = npt.NDArray[np.float64]
Strategies = tuple[frozenset[Node], ...]
"""For each operator the nodes that it may take, and those of fused blocks that end with it."""

_OFFERED = 5
"""How many plans that the search has priced are taken up again."""

_FORBIDDEN = 100.0
"""The cost of what is no plan, as a multiple of the largest entry of any table: finite, as the backward pass of the elimination requires."""


def strategies_of(graph: Graph, plan: Plan) -> Strategies:
    """The one node of every operator and fused block of a plan."""
    spans = plan.spans(graph) or (1,) * len(graph)
    nodes: list[frozenset[Node]] = [frozenset()] * len(graph)
    end = -1
    for span, placement in zip(spans, plan.by_last_operator(graph), strict=True):
        end += span
        nodes[end] = frozenset([node_of(placement, span)])
    return tuple(nodes)


class NearStrategies:
    """The plans and nodes near the best of a search; with ``prices`` of memory, by the latency plus the priced memory."""

    def __init__(self, search: ChoiceSearch, prices: MemoryPrices) -> None:
        self._search, self.prices = search, prices
        self._graph = search.candidates.instance.graph
        self._tables = [*search.priced(prices), *search.tables.edges]

    def plans(self) -> Iterator[Plan]:
        """Plans of different strategies: the best that the search has priced, then for each node that none so far takes, the nearest first, the
        best plan that takes it."""
        seen: list[Strategies] = []
        for plan in self._offered():
            strategies = strategies_of(self._graph, plan)
            if strategies not in seen and len(seen) < _OFFERED:
                seen.append(strategies)
                yield plan
        for _, i, node in self.nodes:
            if not any(node in strategies[i] for strategies in seen):
                plan = self._forced(i, node)
                seen.append(strategies_of(self._graph, plan))
                yield plan

    @cached_property
    def nodes(self) -> list[tuple[float, int, Node]]:
        """Every node with the last operator that it places, the nearest first: how much slower the best plan that takes it is, in seconds."""
        highest = max(float(table.costs[np.isfinite(table.costs)].max(initial=0)) for table in self._tables)
        finite = [Table(table.variables, np.minimum(table.costs, _FORBIDDEN * highest)) for table in self._tables]
        try:
            marginals = min_marginals(self._search.tables.domains, finite, most_entries=MOST_ADDED_UP, watch=self._search.watch)
        except InstanceTooLargeError:
            return []
        found = []
        for i, seconds in enumerate(marginals):
            least: dict[Node, float] = {}
            for number, node in self._nodes_at(i):
                least[node] = min(float(seconds[number]), least.get(node, np.inf))
            found += [(second - float(seconds.min()), i, node) for node, second in least.items()]
        return sorted(found, key=lambda near: near[:2])

    def _offered(self) -> Iterator[Plan]:
        """The plans that the search has priced."""
        offered, limits = self._search.offered, self._search.tables.limits
        latency = np.array([seconds for seconds, _ in offered.values()])
        memory = np.stack([of_plan for _, of_plan in offered.values()], axis=1)
        choices = list(offered)
        for number in np.argsort(latency + self.prices.whole_s @ (memory / limits[:, None] - 1), kind="stable"):
            yield self._search.candidates.plan(choices[int(number)])

    def _forced(self, i: int, node: Node) -> Plan:
        """The best plan that takes a node."""
        elsewhere = np.full(self._search.tables.domains[i], np.inf)
        elsewhere[[number for number, own in self._nodes_at(i) if own == node]] = 0
        choice = self._search.minimum([*self._tables, Table((i,), elsewhere)], self._search.best, rounds=1)
        return self._search.candidates.plan(choice)

    def _nodes_at(self, i: int) -> Iterator[tuple[int, Node]]:
        """The candidates of an operator by itself and of the blocks that end with it, with their nodes."""
        candidates = self._search.candidates
        for part in candidates.parts[i]:
            for number in part.numbers if part.ends_here else ():
                yield int(number), node_of(candidates.states[i].placement(0, int(number)), len(part.members))
