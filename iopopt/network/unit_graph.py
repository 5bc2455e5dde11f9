"""Units and the edges between them: how runs of operators cover a graph."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from iopopt.network.tensor_edge import LiveTensor, TensorEdge
from iopopt.network.unit import Unit


@dataclass(frozen=True, eq=False)
class UnitGraph:
    """Units by number: those that a plan places in order, then the sink, then the source.

    Attributes:
        reads: for each placed unit, the producers of its inputs by number, in the order of its input slots.
    """

    units: tuple[Unit, ...]
    reads: tuple[tuple[int, ...], ...]

    @property
    def sink(self) -> int:
        """The number of the unit that stands for the graph's output."""
        return len(self.units) - 2

    @property
    def source(self) -> int:
        """The number of the unit that stands for the graph's input."""
        return len(self.units) - 1

    @property
    def placed(self) -> tuple[Unit, ...]:
        """The units that a plan places."""
        return self.units[: self.sink]

    @cached_property
    def edges_into(self) -> tuple[tuple[TensorEdge, ...], ...]:
        """The edges into each placed unit, in the order of its inputs, and into the sink."""
        seen: set[int] = set()
        edges = []
        for consumer, producers in enumerate([*self.reads, (self.sink - 1,)]):
            into = []
            for slot, producer in enumerate(producers):
                into.append(TensorEdge(producer, consumer, slot, self.units[producer], self.units[consumer], producer not in seen))
                seen.add(producer)
            edges.append(tuple(into))
        return tuple(edges)

    @cached_property
    def edges_from(self) -> tuple[tuple[TensorEdge, ...], ...]:
        """The edges out of each unit by number, the first consumer's first; the sink has none."""
        by_producer: list[list[TensorEdge]] = [[] for _ in self.units]
        for edge in itertools.chain.from_iterable(self.edges_into):
            by_producer[edge.producer].append(edge)
        return tuple(map(tuple, by_producer))

    @cached_property
    def live_tensors(self) -> tuple[LiveTensor, ...]:
        """The live tensors: their owners hold them while the units before their last consumer run (equation 1)."""
        last = {edge.producer: edge.consumer for edges in self.edges_into[: self.sink] for edge in edges}
        spans = [LiveTensor(producer, range(0 if producer == self.source else producer + 1, consumer)) for producer, consumer in last.items()]
        return tuple(live for live in spans if live.during)


def contracted(unfused: UnitGraph, runs: Sequence[range], blocks: Sequence[Unit | None]) -> UnitGraph:
    """The graph whose units are ``runs`` of those of ``unfused``, in order; ``blocks`` gives the unit of each run of several."""
    numbers = {member: number for number, run in enumerate(runs) for member in run} | {unfused.source: len(runs) + 1}
    units = [unfused.units[run[0]] if block is None else block for run, block in zip(runs, blocks, strict=True)]
    reads = []
    for run, block in zip(runs, blocks, strict=True):
        producers = [producer for member in run for producer in unfused.reads[member] if producer not in run]
        reads.append(tuple(numbers[producer] for producer in (producers if block is None else producers[:1])))
    return UnitGraph((*units, *unfused.units[unfused.sink :]), tuple(reads))
