"""Seeded random graphs that are rich in runs which may be fused, and plans that fuse some of them.

Every function draws from a ``random.Random`` alone, so a seed names an instance. Clusters come from ``random_instances``.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from support.naive_units import block_field, naive_block, naive_blocks
from support.random_branches import Drawing, any_shares, differences, random_branched_plan
from support.random_instances import random_graph
from support.random_orders import random_order, reordered

from iopopt import Graph, Operator, Placement, Plan
from iopopt.errors import GraphError
from iopopt.network.epilogue import Pool
from iopopt.network.shapes import Window


def random_fusible_graph(rng: random.Random) -> Graph:
    """A chain or a graph with branches, of two to twelve operators, in which some run of them may be fused."""
    while True:
        try:
            graph = random_graph(rng, rng.randint(2, 7)) if rng.random() < 0.3 else _FusibleDrawing(rng, tiny=False).graph()
        except GraphError:  # something does not fit: draw again
            continue
        if 2 <= len(graph) <= 12 and naive_blocks(graph, 5):
            return graph


class _FusibleDrawing(Drawing):
    """Fewer gates and upsamplings than in the other graphs, and branches that go down by the same stride in different ways, or by another."""

    def graph(self) -> Graph:
        pieces = (self._residual, self._residual, self._concatenated, self._shuffled, self._joined_again, self._downwards, self._downwards)
        others = (self._gated, self._down_and_up, self._unequal)
        if self._rng.random() < 0.3:
            self._anything()
        for _ in range(self._rng.randint(1, 3)):
            self._rng.choice(pieces if self._rng.random() < 0.85 else others)()
            if self._rng.random() < 0.4:
                self._any_window()
        return self._net.build()

    def _any_window(self) -> None:
        """A convolution, often grouped and often with a pool, of any window."""
        groups = self._net.shape.channels if self._rng.random() < 0.3 else 1
        self._conv(
            self._net.shape.channels * self._rng.choice([1, 2]) if groups > 1 else self._rng.randint(1, 4), self._window(), self._window(), groups
        )
        self._steps(pool=True)
        self._tip()

    def _downwards(self) -> None:
        """Two branches of half the size, or a third: strided, pooled in an epilogue or alone, or blocks of pixels; often with more around it."""
        begin, factor, ends = self._tip(), self._rng.choice([2, 2, 3]), []
        for _ in range(self._rng.choice([1, 2, 2, 3])):
            self._net.at(begin)
            if self._rng.random() < 0.4:
                self._like()
            self._down(factor)
            if self._rng.random() < 0.3:
                self._like()
            ends.append(self._tip())
        if len(ends) > 1:
            same = len({self._shapes[name] for name in ends}) == 1
            self._join("add" if same and self._rng.random() < 0.7 else "concat", ends)

    def _down(self, factor: int) -> None:
        """All ways give the same sizes: one output for each whole ``factor`` of rows and columns."""
        height, width = self._net.shape[1:]
        exact = Window(factor, factor)
        wide = [Window(factor + 1, factor, 1, 0), Window(2 * factor - 1, factor, (factor - 1) // 2, factor - 1 - (factor - 1) // 2)]
        window = self._rng.choice([exact, exact, *wide])
        ways = ["conv", "conv", "pool", "epilogue"] + ["space_to_depth"] * 2 * (height % factor == width % factor == 0)
        way = self._rng.choice(ways)
        if way == "conv":
            self._conv(self._rng.randint(1, 4), window, window)
        elif way == "pool":
            self._pool_operator(window, window)
        elif way == "space_to_depth":
            self._net.space_to_depth(factor)
        else:
            self._conv(self._rng.randint(1, 4), self._same_window(), self._same_window())
            self._net.step(Pool(self._rng.choice(["max", "average"]), window, window))
        self._steps(pool=False)
        self._tip()

    def _unequal(self) -> None:
        """Branches of one size with different strides, which are no block: four rows become two by a stride or by a window of three."""
        self._net.operator("conv", 2, rows=Window(max(1, self._net.shape.height - 3)), columns=Window())
        begin, ends = self._tip(), []
        for window in (Window(2, 2), Window(3)):
            self._net.at(begin).operator("conv", 2, rows=window, columns=Window())
            ends.append(self._tip())
        self._join("add", ends)


def random_fused_plan(rng: random.Random, graph: Graph, device_count: int, longest: int = 5) -> Plan:
    """Any valid plan with participants in any order, which differ from unit to unit; often some runs of operators are fused.

    A block often keeps the row split that its last operator had, which what comes after it continues, or continues the one before it.
    """
    base = random_branched_plan(rng, graph, device_count)
    plan = base if rng.random() < 0.3 else reordered(rng, base, device_count)
    blocks, eager = naive_blocks(graph, longest), rng.choice([0.3, 0.7, 1.0])
    placements: dict[str, Placement] = {}
    spans, start = [], 0
    while start < len(graph):
        fitting = [block for block in blocks if block.start == start]
        span = len(rng.choice(fitting)) if fitting and rng.random() < eager else 1
        members = graph.operators[start : start + span]
        placed = plan[members[-1].name]
        placements[members[-1].name] = placed if span == 1 else _rows(rng, graph, members, placed, placements, device_count)
        spans.append(span)
        start += span
    return Plan.of(graph, list(placements.values()), spans)


def _rows(
    rng: random.Random, graph: Graph, members: Sequence[Operator], placed: Placement, before: dict[str, Placement], device_count: int
) -> Placement:
    """The placement of a block: its last operator's if that is by rows, or one that continues the split before it, or any."""
    if placed.dim == "H" and rng.random() < 0.4:
        return placed
    block, height = naive_block(graph, members), members[-1].out_shape.height
    previous = before.get(block.outside)
    if previous is not None and not previous.is_whole and rng.random() < 0.7:
        _, S, P = block_field(block)
        cuts = [min(height, max(0, round((shard.stop + P) / S))) for shard in previous.shards[:-1]]
        shares = differences([0, *cuts, height]) if previous.dim == "H" and rng.random() < 0.7 else any_shares(rng, height, len(previous.devices))
        return Placement.split("H", previous.devices, shares)
    devices = random_order(rng, device_count)[: rng.randint(min(2, device_count), device_count)]
    return Placement.split("H", devices, any_shares(rng, height, len(devices)))
