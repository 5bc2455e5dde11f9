"""A few candidate placements of each operator, fused blocks among them, for methods that choose among those."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from iopopt.cluster.cluster import Cluster
from iopopt.cost.instance import Instance
from iopopt.cost.pricer import BatchEvaluation, Pricer
from iopopt.network.graph import Graph
from iopopt.network.unit import Unit
from iopopt.plan.batch import PlanBatch
from iopopt.plan.placement import Placement
from iopopt.plan.plan import Plan

Numbers = npt.NDArray[np.int64]
Choice = Sequence[int]
"""A plan: the number of each operator's candidate. All members of a fused block take it, at the same placement."""

_NO_BLOCKS: Mapping[range, Sequence[Placement]] = MappingProxyType({})


@dataclass(frozen=True)
class Part:
    """Some candidates of an operator: those by itself, or those of a fused block of which it is a member.

    Attributes:
        members: the operators that they place, by number.
        block: the unit of the block; None for the operator by itself.
        numbers: which of the operator's candidates they are; these are consecutive.
        ends_here: whether the operator is the last of the members, where what they place counts.
    """

    members: range
    block: Unit | None
    numbers: Numbers
    ends_here: bool

    @property
    def at(self) -> slice:
        """The candidates as an index."""
        return slice(int(self.numbers[0]), int(self.numbers[-1]) + 1)


class Candidates:
    """The candidates of each operator, and the price of every combination of them as a whole plan.

    Args:
        placements: of each operator by itself.
        blocks: of each fused block, by its members.

    Attributes:
        instance: the graph on its cluster.
        pricer: prices plans of it.
        parts: the candidates of each operator: by itself, then those of each block of which it is a member.
        kinds: a number for each operator, the same for operators that differ only in name and have the same candidates.
        states: the candidates of each operator as a batch.
        domains: how many candidates each operator has.
        fuse: whether blocks are among them.
    """

    def __init__(
        self,
        graph: Graph,
        cluster: Cluster,
        placements: Sequence[Sequence[Placement]],
        blocks: Mapping[range, Sequence[Placement]] = _NO_BLOCKS,
    ) -> None:
        self.instance, self.pricer = Instance(graph, cluster), Pricer(graph, cluster)
        self._blocks = {members: PlanBatch.of([[way] for way in ways], len(cluster)) for members, ways in blocks.items()}
        self.parts = [self._parts(i, len(ways)) for i, ways in enumerate(placements)]
        self.kinds = self._kinds(placements, blocks)
        of_kind = {kind: PlanBatch.of([[way] for way in ways], len(cluster)) for kind, ways in zip(self.kinds, placements, strict=True)}
        self.states = [self._states(i, of_kind[kind]) for i, kind in enumerate(self.kinds)]
        self.domains = [len(states) for states in self.states]
        self.fuse = bool(blocks)

    def _parts(self, i: int, own: int) -> list[Part]:
        parts, start = [Part(range(i, i + 1), None, np.arange(own), ends_here=True)], own
        for members, batch in self._blocks.items():
            if i in members:
                parts.append(Part(members, self.instance.graph.block(members), np.arange(start, start + len(batch)), i == members[-1]))
                start += len(batch)
        return parts

    def _kinds(self, placements: Sequence[Sequence[Placement]], blocks: Mapping[range, Sequence[Placement]]) -> list[int]:
        numbers: dict[object, int] = {}
        kinds = []
        for i, (unit, ways) in enumerate(zip(self.instance.placed, placements, strict=True)):
            fused = tuple((part.block.key, i - part.members.start, tuple(blocks[part.members])) for part in self.parts[i] if part.block is not None)
            kinds.append(numbers.setdefault((unit.key, tuple(ways), fused), len(numbers)))
        return kinds

    def _states(self, i: int, own: PlanBatch) -> PlanBatch:
        """The candidates of one operator as a batch; a member inside a block stands empty."""
        devices, batches = len(self.instance.cluster), [own]
        for part in self.parts[i][1:]:
            count = len(part.numbers)
            batches.append(self._blocks[part.members].of_span(len(part.members)) if part.ends_here else PlanBatch.nobody(devices, count))
        return own if len(batches) == 1 else PlanBatch.beside(batches)

    def placements_of(self, members: range) -> PlanBatch:
        """The placements of a block."""
        return self._blocks[members]

    def part_of(self, i: int, members: range) -> Part:
        """The candidates of an operator that place these members."""
        return next(part for part in self.parts[i] if part.members == members)

    def sources(self, i: int) -> Numbers:
        """The candidates of an operator after which others may read its tensor: all but those inside a block."""
        return np.concatenate([part.numbers for part in self.parts[i] if part.ends_here])

    def runs(self, choice: Choice) -> npt.NDArray[np.bool_]:
        """Whether anything runs at each operator: not at members inside a block."""
        return np.array([any(number in part.numbers for part in parts if part.ends_here) for parts, number in zip(self.parts, choice, strict=True)])

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
