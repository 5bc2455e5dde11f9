"""Equations (1), (7) and (8) as tables over a few candidate placements of each operator, for methods that choose among those."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from math import prod
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from iopopt.cost.elimination import Table, restricted, total_cost
from iopopt.cost.stopwatch import NO_LIMIT, Stopwatch
from iopopt.methods.candidates import Candidates, Choice, Part
from iopopt.network.tensor_edge import TensorEdge

Array = npt.NDArray[np.float64]


MOST_TOGETHER = 50_000
"""The largest table for all edges into an operator together, entries."""

_MORE_WITH_BLOCKS = 8
"""How many times larger it may be with fused blocks, whose combinations are mostly forbidden."""


class MemoryPrices(NamedTuple):
    """Prices of memory in a Lagrangian relaxation of equation (1).

    Attributes:
        whole_s: the price of all the memory of each device, seconds.
        peaks: the part of it that each operator's activations carry, of shape (devices, operators); it sums to 1 over operators, because
            the peak is the maximum over their weighted means.
    """

    whole_s: Array
    peaks: Array


class CostTables:
    """The cost of each candidate by itself, of the edges between candidates, and the memory of candidates.

    A fused block is a candidate of each of its members: they take it together, because the tables of edges inside forbid everything else. Its own
    cost counts at the last member, the edge into it at the first that reads the tensor from outside.

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
        self._candidates, self._watch = candidates, watch
        self._instance, self._pricer = candidates.instance, candidates.pricer
        self._states, self.domains = candidates.states, candidates.domains
        self.limits = np.array([device.memory_bytes for device in self._instance.cluster.devices])
        demands = [self._demands(i) for i in self._in_time()]
        self._weights, self._activations, self._live = ([demand[part] for demand in demands] for part in range(3))
        self.alone_s = [self._alone(i) for i in self._in_time()]
        self._known: dict[object, Array] = {}
        self.by_edge: set[int] = set()
        self.edges = [table for i in range(len(self.domains)) for table in self._incoming(i)]

    def _in_time(self) -> Iterator[int]:
        for i in range(len(self.domains)):
            self._watch.check()
            yield i

    def _alone(self, i: int) -> Array:
        """The cost of each candidate by itself; nothing for members inside a block."""
        if len(self._candidates.parts[i]) == 1:
            return self._pricer.operator_s(i, self._states[i])
        seconds = np.zeros(self.domains[i])
        for part in self._candidates.parts[i]:
            if part.ends_here:
                seconds[part.at] = self._pricer.operator_s(i, self._states[i].take(part.numbers), part.block)
        return seconds

    def _demands(self, i: int) -> tuple[Array, Array, Array]:
        """What each candidate needs of the memory of each device; nothing for members inside a block."""
        if len(self._candidates.parts[i]) == 1:
            return self._pricer.operator_demands(i, self._states[i])
        found = tuple(np.zeros((len(self.limits), self.domains[i])) for _ in range(3))
        for part in self._candidates.parts[i]:
            if part.ends_here:
                for demand, of_part in zip(found, self._pricer.operator_demands(i, self._states[i].take(part.numbers), part.block), strict=True):
                    demand[:, part.at] = of_part
        return found[0], found[1], found[2]

    def _incoming(self, i: int) -> list[Table]:
        edges = self._instance.edges_into[i]
        most = MOST_TOGETHER * (_MORE_WITH_BLOCKS if self._candidates.fuse else 1)
        if len(edges) < 2 or prod(self.domains[end] for end in self._ends(edges)) <= most:
            return [self._table(edges)] if edges else []
        self.by_edge.add(i)
        return [self._table([edge]) for edge in edges]

    def _ends(self, edges: Sequence[TensorEdge]) -> list[int]:
        """The operators at the ends of edges into one operator, that operator last."""
        return sorted({end for edge in edges for end in (edge.producer, edge.consumer)} - {self._instance.source})

    def _table(self, edges: Sequence[TensorEdge]) -> Table:
        """t_com of some edges into one operator; edges between operators of equal structure are priced once."""
        ends = self._ends(edges)
        places = tuple((ends.index(edge.producer) if edge.producer in ends else None, edge.slot) for edge in edges)
        blocks = any(len(self._candidates.parts[end]) > 1 for end in ends)
        apart = tuple(end - ends[-1] for end in ends) if blocks else ()
        key = (tuple(self._candidates.kinds[end] for end in ends), places, apart)
        if key not in self._known:
            self._watch.check()
            self._known[key] = self._costs(edges, ends) if blocks else self._pricer.edges_s(edges, {end: self._states[end] for end in ends})
        return Table(tuple(ends), self._known[key])

    def _costs(self, edges: Sequence[TensorEdge], ends: Sequence[int]) -> Array:
        """t_com for every combination of candidates, infinite where it is no plan."""
        own, *blocks = self._candidates.parts[ends[-1]]
        sources = [self._candidates.sources(end) for end in ends[:-1]]
        placements = {end: self._states[end].take(numbers) for end, numbers in zip(ends, [*sources, own.numbers], strict=True)}
        among_own = self._pricer.edges_s(edges, placements)
        costs = np.full([self.domains[end] for end in ends], np.inf)
        costs[np.ix_(*sources, own.numbers)] = among_own
        for part in blocks:
            into = [self._into_block(edge, part) for edge in edges]
            axes = [tuple(slice(None) if end in (edge.producer, ends[-1]) else None for end in ends) for edge in edges]
            costs[..., part.at] = sum(of_edge[axis] for of_edge, axis in zip(into, axes, strict=True))
        return costs

    def _into_block(self, edge: TensorEdge, part: Part) -> Array:
        """The cost of one edge into a member of a block, by candidate of the producer and of the block: of shape (candidates, placements), or
        (placements,) if the producer is the input."""
        count = len(part.numbers)
        if edge.producer in part.members:
            inside = np.full((self.domains[edge.producer], count), np.inf)
            inside[self._candidates.part_of(edge.producer, part.members).numbers, np.arange(count)] = 0
            return inside
        assert part.block is not None  # operators by themselves are priced together
        producers = np.zeros(0, np.int64) if edge.producer == self._instance.source else self._candidates.sources(edge.producer)
        placed = {edge.producer: self._states[edge.producer].take(producers)} if len(producers) else {}
        seconds = np.zeros((len(producers), count) if len(producers) else count)
        if self._instance.graph.fetches(part.members, edge.consumer, edge.slot):
            into = TensorEdge(edge.producer, edge.consumer, 0, edge.p, part.block)
            seconds = self._pricer.edges_s([into], placed | {edge.consumer: self._candidates.placements_of(part.members)})
        if not len(producers):
            return seconds
        outside = np.full((self.domains[edge.producer], count), np.inf)
        outside[producers] = seconds
        return outside

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
            if choice[i] not in self._candidates.parts[i][0].numbers:
                continue  # a block has one edge
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
        held = running + live @ self._pricer.live.T + self._pricer.live_input
        return np.asarray(np.where(self._candidates.runs(choice), held, -1).argmax(axis=1))
