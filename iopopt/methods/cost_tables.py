"""Equations (1), (7) and (8) as tables over a few candidate placements of each operator, for methods that choose among those."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from math import prod
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from iopopt.cluster.cluster import Cluster
from iopopt.cost.elimination import Table, restricted, total_cost
from iopopt.cost.instance import Instance
from iopopt.cost.pricer import BatchEvaluation, Pricer
from iopopt.cost.stopwatch import NO_LIMIT, Stopwatch
from iopopt.network.graph import Graph
from iopopt.network.tensor_edge import TensorEdge
from iopopt.network.unit import Unit
from iopopt.plan.batch import PlanBatch
from iopopt.plan.placement import Placement
from iopopt.plan.plan import Plan

Array = npt.NDArray[np.float64]
Choice = Sequence[int]
"""A plan: the number of each operator's candidate."""

MOST_TOGETHER = 50_000
"""The largest table for all edges into an operator together, entries."""


class MemoryPrices(NamedTuple):
    """Prices of memory in a Lagrangian relaxation of equation (1).

    Attributes:
        whole_s: the price of all the memory of each device, seconds.
        peaks: the part of it that each operator's activations carry, of shape (devices, operators); it sums to 1 over operators, because
            the peak is the maximum over their weighted means.
    """

    whole_s: Array
    peaks: Array


class Candidates:
    """A few placements of each operator, and the price of every combination of them as a whole plan.

    Attributes:
        instance: the graph on its cluster.
        pricer: prices plans of it.
        kinds: a number for each operator, the same for operators that differ only in name and have the same candidates.
        states: the candidates of each operator as a batch.
        domains: how many candidates each operator has.
    """

    def __init__(self, graph: Graph, cluster: Cluster, placements: Sequence[Sequence[Placement]]) -> None:
        self.instance, self.pricer = Instance(graph, cluster), Pricer(graph, cluster)
        self.kinds = _kinds(self.instance.operators, placements)
        of_kind = {kind: PlanBatch.of([[way] for way in ways], len(cluster)) for kind, ways in zip(self.kinds, placements, strict=True)}
        self.states = [of_kind[kind] for kind in self.kinds]
        self.domains = [len(states) for states in self.states]

    def batch(self, choices: Sequence[Choice]) -> PlanBatch:
        """The plans of several choices."""
        numbers = np.array(choices)
        return PlanBatch.join([states.take(numbers[:, i]) for i, states in enumerate(self.states)])

    def plan(self, choice: Choice) -> Plan:
        """The plan of one choice."""
        return self.batch([choice]).plan(self.instance.graph, 0)

    def price(self, choices: Sequence[Choice]) -> BatchEvaluation:
        """The prices of several choices as whole plans: those of the evaluator."""
        return self.pricer.price(self.batch(choices))


class CostTables:
    """The cost of each candidate by itself, of the edges between candidates, and the memory of candidates.

    Attributes:
        limits: the memory of each device, bytes.
        domains: how many candidates each operator has.
        alone_s: the cost of each operator's candidates by themselves.
        edges: t_com: for each operator one table over itself and its producers, or one for each of its edges.
        by_edge: the operators with one table for each edge. The sum of these tables is never below equation (8), which takes the slowest
            device over all edges together, and equals it if only one edge sends anything.

    Raises:
        TimeUpError: if the time is up before all tables are filled.
    """

    def __init__(self, candidates: Candidates, watch: Stopwatch = NO_LIMIT) -> None:
        self._instance, self._pricer, self._watch = candidates.instance, candidates.pricer, watch
        self._kinds, self._states, self.domains = candidates.kinds, candidates.states, candidates.domains
        self.limits = np.array([device.memory_bytes for device in self._instance.cluster.devices])
        demands = [self._pricer.operator_demands(i, states) for i, states in self._in_time(self._states)]
        self._weights, self._activations, self._live = ([demand[part] for demand in demands] for part in range(3))
        self.alone_s = [self._pricer.operator_s(i, states) for i, states in self._in_time(self._states)]
        self._known: dict[object, Array] = {}
        self.by_edge: set[int] = set()
        self.edges = [table for i in range(len(self.domains)) for table in self._incoming(i)]

    def _in_time(self, states: Sequence[PlanBatch]) -> Iterator[tuple[int, PlanBatch]]:
        for numbered in enumerate(states):
            self._watch.check()
            yield numbered

    def _incoming(self, i: int) -> list[Table]:
        edges = self._instance.edges_into[i]
        if len(edges) < 2 or prod(self.domains[end] for end in self._ends(edges)) <= MOST_TOGETHER:
            return [self._table(edges)] if edges else []
        self.by_edge.add(i)
        return [self._table([edge]) for edge in edges]

    def _ends(self, edges: Sequence[TensorEdge]) -> list[int]:
        """The operators at the ends of edges into one operator, that operator last."""
        return sorted({end for edge in edges for end in (edge.producer, edge.consumer)} - {self._instance.graph.source})

    def _table(self, edges: Sequence[TensorEdge]) -> Table:
        """t_com of some edges into one operator; edges between operators of equal structure are priced once."""
        ends = self._ends(edges)
        places = tuple((ends.index(edge.producer) if edge.producer in ends else None, edge.slot) for edge in edges)
        key = (tuple(self._kinds[end] for end in ends), places)
        if key not in self._known:
            self._watch.check()
            self._known[key] = self._pricer.edges_s(edges, {end: self._states[end] for end in ends})
        return Table(tuple(ends), self._known[key])

    @cached_property
    def edges_at(self) -> list[list[Table]]:
        """The tables of edges in which each operator takes part."""
        by_operator: list[list[Table]] = [[] for _ in self.domains]
        for table in self.edges:
            for i in table.variables:
                by_operator[i].append(table)
        return by_operator

    def latency_s(self, choice: Choice, i: int) -> Array:
        """The latency that each candidate of operator ``i`` adds according to the tables, with the others as in ``choice``."""
        others = set(range(len(choice))) - {i}
        return np.asarray(self.alone_s[i] + sum(restricted(table, others, choice).costs for table in self.edges_at[i]))

    def overestimated(self, choice: Choice) -> list[int]:
        """The operators whose tables for each edge sum to more than equation (8) at this choice."""
        placed = {i: states[slice(number, number + 1)] for i, (states, number) in enumerate(zip(self._states, choice, strict=True))}
        found = []
        for i in sorted(self.by_edge):
            tables = [table for table in self.edges if table.variables[-1] == i]
            together = float(self._pricer.edges_s(self._instance.edges_into[i], placed).item())
            if total_cost(tables, choice) > together * (1 + 1e-9):
                found.append(i)
        return found

    # Memory.

    def too_large(self, i: int) -> npt.NDArray[np.bool_]:
        """Which candidates of an operator exceed the memory of some device on their own."""
        return np.asarray((self._weights[i] + self._activations[i] > self.limits[:, None]).any(axis=0))

    def memory_s(self, prices: MemoryPrices) -> list[Array]:
        """The priced memory of every operator's candidates."""
        by_byte = prices.whole_s / self.limits
        running = by_byte[:, None] * prices.peaks
        later = running @ self._pricer.live
        parts = zip(self._weights, self._activations, self._live, running.T, later.T, strict=True)
        return [by_byte @ weights + now @ activations + then @ live for weights, activations, live, now, then in parts]

    def lagrangian_constant_s(self, prices: MemoryPrices) -> float:
        """The priced memory that operators may take; subtracted from the minimum of the priced tables, it gives the Lagrangian bound."""
        taken_by_input = (prices.peaks * self._pricer.live_input).sum(axis=1) / self.limits
        return float(prices.whole_s @ (1 - taken_by_input))

    def peaks(self, choice: Choice) -> npt.NDArray[np.int64]:
        """The operator at which the activations of each device are largest."""
        running = np.stack([amounts[:, number] for amounts, number in zip(self._activations, choice, strict=True)], axis=1)
        live = np.stack([amounts[:, number] for amounts, number in zip(self._live, choice, strict=True)], axis=1)
        return np.asarray((running + live @ self._pricer.live.T + self._pricer.live_input).argmax(axis=1))


def _kinds(units: Sequence[Unit], candidates: Sequence[Sequence[Placement]]) -> list[int]:
    """A number for each operator, the same for operators that differ only in name and have the same candidates."""
    numbers: dict[object, int] = {}
    keys = ((unit.key, tuple(ways)) for unit, ways in zip(units, candidates, strict=True))
    return [numbers.setdefault(key, len(numbers)) for key in keys]
