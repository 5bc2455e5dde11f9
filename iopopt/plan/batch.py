"""Many plans of one graph as arrays, for :class:`iopopt.Pricer`. The axes are (device j, operator i, plan)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from iopopt.errors import PlanError
from iopopt.network.graph import Graph
from iopopt.plan.plan import Placement, Plan

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


class Strategy(IntEnum):
    """A placement's dimension and reduce as one code."""

    WHOLE = 0
    H = 1
    OC = 2
    IC = 3
    IC_TWO_PHASE = 4


def strategy_of(placement: Placement) -> Strategy:
    """The code of a placement."""
    if placement.dim is None:
        return Strategy.WHOLE
    return Strategy.IC_TWO_PHASE if placement.reduce == "two_phase" else Strategy[placement.dim]


@dataclass(frozen=True)
class PlanBatch:
    """Many plans of one graph.

    Attributes:
        kinds: codes of :class:`Strategy`, shape (operators, plans).
        shares: n_ij, shape (devices, operators, plans); 0 outside the participants, 1 for a whole operator on its device.
        participants: whether the device takes part, same shape.
    """

    kinds: npt.NDArray[np.int8]
    shares: Array
    participants: Mask

    def __len__(self) -> int:
        return int(self.kinds.shape[-1])

    def __getitem__(self, plans: slice) -> PlanBatch:
        return PlanBatch(self.kinds[:, plans], self.shares[..., plans], self.participants[..., plans])

    def take(self, plans: npt.NDArray[np.int64]) -> PlanBatch:
        """The plans of these numbers, in this order; a number may repeat."""
        return PlanBatch(self.kinds[:, plans], self.shares[..., plans], self.participants[..., plans])

    @staticmethod
    def join(operators: Sequence[PlanBatch]) -> PlanBatch:
        """Batches of single operators, one after another, as one batch of whole plans."""
        return PlanBatch(
            np.concatenate([part.kinds for part in operators]),
            np.concatenate([part.shares for part in operators], axis=1),
            np.concatenate([part.participants for part in operators], axis=1),
        )

    @classmethod
    def of(cls, placements: Sequence[Sequence[Placement]], device_count: int) -> PlanBatch:
        """``placements[plan][operator]`` as arrays."""
        if not placements:
            raise PlanError("a batch holds at least one plan")
        plans, operators = len(placements), len(placements[0])
        kinds = np.zeros((operators, plans), np.int8)
        shares = np.zeros((device_count, operators, plans))
        participants = np.zeros(shares.shape, bool)
        for number, plan in enumerate(placements):
            for i, placement in enumerate(plan):
                kinds[i, number] = strategy_of(placement)
                for shard in placement.shards:
                    shares[shard.device, i, number] = shard.size
                    participants[shard.device, i, number] = True
        return cls(kinds, shares, participants)

    @classmethod
    def from_plans(cls, graph: Graph, plans: Sequence[Plan], device_count: int) -> PlanBatch:
        """Plans as arrays; they are taken to be valid (:func:`iopopt.plan.plan.validate_plan`)."""
        return cls.of([[plan[operator.name] for operator in graph.operators] for plan in plans], device_count)

    def plan(self, graph: Graph, number: int) -> Plan:
        """One plan of the batch."""
        return Plan.of(graph, [self.placement(i, number) for i in range(len(graph))])

    def placement(self, operator: int, number: int) -> Placement:
        """One operator's placement in one plan."""
        devices = [int(j) for j in np.flatnonzero(self.participants[:, operator, number])]
        kind = Strategy(int(self.kinds[operator, number]))
        if kind == Strategy.WHOLE:
            return Placement.whole(devices[0])
        shares = [int(share) for share in self.shares[devices, operator, number]]
        if kind in (Strategy.IC, Strategy.IC_TWO_PHASE):
            return Placement.split("IC", devices, shares, "direct" if kind == Strategy.IC else "two_phase")
        return Placement.split("H" if kind == Strategy.H else "OC", devices, shares)
