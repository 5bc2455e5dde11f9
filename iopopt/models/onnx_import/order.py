"""The nodes that the output needs, and their order."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Mapping

import onnx

from iopopt.errors import FileFormatError
from iopopt.models.onnx_import.file import OnnxFile
from iopopt.models.onnx_import.node import where
from iopopt.models.onnx_import.values import Dims
from iopopt.network.records import short_repr

SHAPE_READERS = ("Shape", "Size")
"""Operators that read only a tensor's dimensions."""


class Order:
    """The nodes that the output needs, in topological order; the order of the file if that is topological.

    Attributes:
        readers: how many inputs of these nodes read each value, except those that read only its dimensions.

    Raises:
        FileFormatError: if the graph has a cycle, a value is computed twice, or a node reads a value that nothing computes.
    """

    def __init__(self, file: OnnxFile, known_dims: Mapping[str, Dims]) -> None:
        self._file, self._nodes = file, file.graph.node
        self._producers = self._find_producers()
        live = self._needed(known_dims)
        self.nodes = tuple(self._nodes[number] for number in self._sorted(live, known_dims))
        self.readers = Counter(name for node in self.nodes if node.op_type not in SHAPE_READERS for name in node.input)

    def _find_producers(self) -> dict[str, int]:
        producers: dict[str, int] = {}
        for number, node in enumerate(self._nodes):
            for name in filter(None, node.output):
                if name in producers or name in self._file.inputs or name in self._file.initializers:
                    raise FileFormatError(f"{where(self._file.path, node)}: its output {short_repr(name)} is the name of another value already")
                producers[name] = number
        return producers

    def _needed(self, known_dims: Mapping[str, Dims]) -> set[int]:
        """The nodes that the output depends on."""
        output = self._file.output
        if output not in self._producers:
            raise FileFormatError(f"{self._file.path}: no node computes its output {short_repr(output)}")
        live, waiting = set[int](), [self._producers[output]]
        while waiting:
            number = waiting.pop()
            if number not in live:
                live.add(number)
                waiting += self._sources(self._nodes[number], known_dims)
        return live

    def _sources(self, node: onnx.NodeProto, known_dims: Mapping[str, Dims]) -> list[int]:
        """The nodes that must run first."""
        if node.op_type in SHAPE_READERS and node.input and node.input[0] in known_dims:
            return []
        for name in filter(None, node.input):
            if name not in self._producers and name not in self._file.inputs and name not in self._file.initializers:
                raise FileFormatError(f"{where(self._file.path, node)}: it reads {short_repr(name)}, which nothing computes")
        return [self._producers[name] for name in node.input if name in self._producers]

    def _sorted(self, live: set[int], known_dims: Mapping[str, Dims]) -> list[int]:
        """The live nodes in the first topological order by number."""
        sources = {number: set(self._sources(self._nodes[number], known_dims)) for number in live}
        followers: dict[int, list[int]] = {number: [] for number in live}
        for number, before in sources.items():
            for other in before:
                followers[other].append(number)
        ready, remaining = [number for number in live if not sources[number]], {number: len(before) for number, before in sources.items()}
        heapq.heapify(ready)
        order = []
        while ready:
            order.append(heapq.heappop(ready))
            for number in followers[order[-1]]:
                remaining[number] -= 1
                if not remaining[number]:
                    heapq.heappush(ready, number)
        if len(order) < len(live):
            node = self._nodes[min(live - set(order))]
            raise FileFormatError(
                f"{where(self._file.path, node)}: it is part of a cycle or depends on one; a graph must have none. Export the model again"
            )
        return order
