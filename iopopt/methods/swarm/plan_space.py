"""The plans of one team with blocks up to a length, as tables: what each operator admits, in which granules, and which runs are blocks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from iopopt.cluster.cluster import Cluster
from iopopt.network.graph import Graph
from iopopt.network.shapes import Dim
from iopopt.network.unit import Unit
from iopopt.plan.batch import Ranks
from iopopt.plan.placement import Strategy
from iopopt.plan.shares import even_shares

Numbers = npt.NDArray[np.int64]
Array = npt.NDArray[np.float64]

_SIZED: tuple[Dim, ...] = ("H", "OC", "IC", "IC")
"""The dimensions of the strategies that split, in the order of their codes."""


class PlanSpace:
    """Tables of the operators of a graph, and of its blocks, for one team.

    Attributes:
        units: the operators.
        team: the devices over which operators are split, in order.
        device_count: of the cluster, for whole operators run anywhere.
        speeds: of the team, FLOP/s.
        strategies: those that each operator admits, in ascending order.
        admits: whether each strategy (first axis) is one of those of each operator.
        granularities, granules: what every share is a multiple of, and how many of them there are, shape (operators, strategies); 1 for a whole one.
        followed: of each operator, the one whose shares it may take: the first that it reads, if a share can read a part of the channels; else None.
        blocks: the members of every block.
        longest_within: the length of the longest block that ends with an operator and has at most so many members, 1 without any; shape (operators,
            lengths).
        segments: runs of operators between two places where only one tensor is read on, such as residual blocks, in order; they cover the graph.
    """

    def __init__(self, graph: Graph, cluster: Cluster, team: Sequence[int], longest_block: int = 1) -> None:
        self.graph, self.units, self.device_count = graph, graph.placed_units, len(cluster)
        self.team = np.array(team)
        self.speeds = np.array([cluster.devices[j].flops_per_s for j in team])
        self.strategies = [_strategies(unit, len(team)) for unit in self.units]
        self.admits = np.array([[strategy in allowed for allowed in self.strategies] for strategy in Strategy])
        self.granularities = np.array([[1, *(unit.granularities[dim] for dim in _SIZED)] for unit in self.units])
        self.granules = np.array([[1, *(unit.sizes[dim] for dim in _SIZED)] for unit in self.units]) // self.granularities
        self.followed = [_followed(graph, i) for i in range(len(graph))]
        self.blocks = list(graph.blocks(longest_block)) if len(team) > 1 else []
        self.longest_within = self._longest_within()
        self.segments = _segments(graph)
        self._ranks = np.zeros(len(cluster), np.int16)
        self._ranks[self.team] = np.arange(len(team))
        self._in_order = list(team) == sorted(team)

    def __len__(self) -> int:
        return len(self.units)

    def _longest_within(self) -> Numbers:
        longest = max(map(len, self.blocks), default=1)
        lengths = np.ones((len(self), longest + 1), np.int64)
        for members in self.blocks:  # of those that end with an operator, the shortest first
            lengths[members[-1], len(members) :] = len(members)
        return lengths

    def order(self, strategies: npt.NDArray[np.int8]) -> Ranks | None:
        """The order of the participants for a batch of plans with these strategies, of shape (operators, plans)."""
        if self._in_order:
            return None
        return np.where(strategies == Strategy.WHOLE, 0, self._ranks[:, None, None]).astype(np.int16)

    def even_channels(self, i: int) -> Array:
        """The output channels of each of the team after a reduce-scatter of an operator."""
        return np.array(even_shares(self.units[i].sizes["OC"], len(self.team)), float)

    def channel_groups(self, i: int) -> float:
        """How many input channels a group of output channels of a channel-local operator reads."""
        unit = self.units[i]
        return unit.reads[0].tensor.channels * unit.granularities["OC"] // unit.sizes["OC"]


def _followed(graph: Graph, i: int) -> int | None:
    unit = graph.units[i]
    producers = (edge.producer for edge in graph.edges_into[i] if edge.producer != graph.source)
    return next(producers, None) if any(map(unit.reads_part, unit.dims)) else None


def _strategies(unit: Unit, team_size: int) -> npt.NDArray[np.int8]:
    if team_size == 1:
        return np.array([Strategy.WHOLE], np.int8)
    return np.array([strategy for strategy in Strategy if strategy.dim is None or strategy.dim in unit.dims], np.int8)


def _segments(graph: Graph) -> list[range]:
    """A segment ends where every tensor read later is the one made there."""
    segments, start, open_until = [], 0, -1
    for i in range(len(graph)):
        if open_until <= i:
            segments.append(range(start, i + 1))
            start = i + 1
        open_until = max([open_until, *(edge.consumer for edge in graph.edges_from[i])])
    return segments
