"""Which unit and which edges stand at each operator, in plans with fused blocks.

A block stands at its last operator, and its one edge takes the place of that operator's first edge. The other members, and the edges into them,
stand empty.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from iopopt.cost.instance import Instance
from iopopt.network.tensor_edge import TensorEdge
from iopopt.network.unit import Unit

Numbers = npt.NDArray[np.int64]

_NONE = -1


class EdgePlaces(NamedTuple):
    """For every place of an edge in every plan, each of shape (edges, plans).

    Attributes:
        edges: the number of the edge that stands there, of :attr:`BlockTable.edges`.
        producers, consumers: the operators at its ends, where their units stand; ``nobody`` where the place is empty.
    """

    edges: Numbers
    producers: Numbers
    consumers: Numbers


class BlockTable:
    """All fused blocks of at most so many operators, beside the operators and edges of the graph.

    Attributes:
        units: the operators, then the blocks.
        edges: the given edges, then one into each block that fetches its input.
    """

    def __init__(self, instance: Instance, edges: Sequence[TensorEdge], longest: int) -> None:
        graph = instance.graph
        self._count, self._nobody = len(graph), len(graph) + 2
        self.units: list[Unit] = list(instance.placed)
        self.edges: list[TensorEdge] = list(edges)
        self._base = np.array([[edge.producer, edge.consumer] for edge in edges])
        self._first_edge = {edge.consumer: number for number, edge in reversed(list(enumerate(edges)))}
        self._unit_at, self._edge_at, self._producer_at = (np.full((len(graph) + 2, longest + 1), _NONE) for _ in range(3))
        self._unit_at[: len(graph), 1] = np.arange(len(graph))
        for members in graph.blocks(longest):
            self._add(instance, members)

    def _add(self, instance: Instance, members: range) -> None:
        graph, end, span = instance.graph, members[-1], len(members)
        unit = graph.block(members)
        self._unit_at[end, span] = len(self.units)
        self.units.append(unit)
        producer = graph.outside_of(members)
        if instance.edges_from(producer):
            self._edge_at[end, span], self._producer_at[end, span] = len(self.edges), producer
            self.edges.append(TensorEdge(producer, end, 0, graph.units[producer], unit))

    def unit_rows(self, spans: npt.NDArray[np.int16]) -> Numbers:
        """The number in :attr:`units` of what stands at each operator, of shape (operators, plans); a member inside a block counts as itself."""
        operators = np.arange(self._count)[:, None]
        return np.asarray(np.where(spans > 0, self._unit_at[operators, spans], operators))

    def edge_places(self, spans: npt.NDArray[np.int16]) -> EdgePlaces:
        """What stands at the place of each edge of the graph."""
        producers, consumers = self._base[:, :1], self._base[:, 1:]
        written = np.concatenate([spans, np.ones((2, spans.shape[1]), spans.dtype)])[consumers[:, 0]]
        is_first = np.array([self._first_edge[consumer] == number for number, (_, consumer) in enumerate(self._base)])[:, None]
        fused = np.where(is_first & (written > 1), self._edge_at[consumers, written], _NONE)
        single = written == 1
        return EdgePlaces(
            np.where(single, np.arange(len(self._base))[:, None], np.maximum(fused, 0)),
            np.where(single, producers, np.where(fused >= 0, self._producer_at[consumers, written], self._nobody)),
            np.where(single | (fused >= 0), consumers, self._nobody),
        )
