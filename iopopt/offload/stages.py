"""A network as a chain of stages: the operators between two tensors through which everything passes.

In a chain every operator is a stage. A branched network has fewer: those of a residual block form one. Only between stages can a path be cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from iopopt.network.block import block_fault, block_name
from iopopt.network.cut_points import single_tensor_runs
from iopopt.network.graph import Graph
from iopopt.network.shapes import Shape


@dataclass(frozen=True, eq=False)
class Stages:
    """The stages of a network.

    Attributes:
        runs: the operators of each, by number; together all of them, in order.
    """

    graph: Graph
    runs: tuple[range, ...]

    @classmethod
    def of(cls, graph: Graph) -> Stages:
        """Cut a network wherever only one tensor passes."""
        return cls(graph, single_tensor_runs(graph))

    def __len__(self) -> int:
        return len(self.runs)

    def tensor(self, cut: int) -> int:
        """The number of the tensor that passes after ``cut`` stages: that of the input for 0."""
        return self.graph.source if cut == 0 else self.runs[cut - 1][-1]

    def shape(self, cut: int) -> Shape:
        """The shape of that tensor."""
        return self.graph.input_shape if cut == 0 else self.graph.operators[self.tensor(cut)].out_shape

    def tensor_name(self, cut: int) -> str:
        """The name of that tensor in reports."""
        return "input" if cut == 0 else self.name(cut - 1)

    def name(self, stage: int) -> str:
        """The name of a stage in reports."""
        names = [self.graph.operators[member].name for member in self.runs[stage]]
        return names[0] if len(names) == 1 else block_name(names)

    def fault(self, fused: int) -> str | None:
        """Why the first ``fused`` stages cannot be split by rows into several paths; None if they can."""
        members = range(self.runs[fused - 1].stop)
        first = self.graph.operators[0]
        if len(members) > 1:
            return block_fault(self.graph.operators, self.graph.unfused, members)
        if not first.fusible:
            return f"{first.name!r} ({first.text}) is not computed by rows"
        return f"{first.name!r} has one row, which cannot be split" if first.out_shape.height < 2 else None

    @cached_property
    def fusible(self) -> Sequence[int]:
        """How many stages, from the first on, can be fused and split into paths."""
        return [fused for fused in range(1, len(self) + 1) if self.fault(fused) is None]
