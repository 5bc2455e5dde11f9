"""Many plans of one graph as arrays, for :class:`iopopt.Pricer`. The axes are (device j, operator i, plan)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from iopopt.errors import PlanError
from iopopt.network.graph import Graph, as_graph
from iopopt.network.records import foreign
from iopopt.plan.placement import Placement, Strategy
from iopopt.plan.plan import Plan

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Ranks = npt.NDArray[np.int16]


@dataclass(frozen=True)
class PlanBatch:
    """Many plans of one graph.

    Attributes:
        strategies: codes of :class:`iopopt.plan.placement.Strategy`, shape (operators, plans).
        shares: n_ij, shape (devices, operators, plans); 0 outside the participants, 1 for a whole operator on its device.
        participants: whether the device takes part, same shape.
        order: the position of each device in the order of the participants, same shape; None if that is always the order of the
            cluster. The entries of devices that take no part do not matter.
    """

    strategies: npt.NDArray[np.int8]
    shares: Array
    participants: Mask
    order: Ranks | None = None

    def __len__(self) -> int:
        return int(self.strategies.shape[-1])

    def __getitem__(self, plans: slice) -> PlanBatch:
        return self._at(plans)

    def take(self, plans: npt.NDArray[np.int64]) -> PlanBatch:
        """The plans at these indices, in this order; an index may repeat."""
        return self._at(plans)

    def _at(self, plans: slice | npt.NDArray[np.int64]) -> PlanBatch:
        order = None if self.order is None else self.order[..., plans]
        return PlanBatch(self.strategies[:, plans], self.shares[..., plans], self.participants[..., plans], order)

    def units(self, numbers: npt.NDArray[np.int64]) -> PlanBatch:
        """The placements of the operators at these indices, in this order; an index may repeat."""
        order = None if self.order is None else self.order[:, numbers]
        return PlanBatch(self.strategies[numbers], self.shares[:, numbers], self.participants[:, numbers], order)

    @staticmethod
    def join(operators: Sequence[PlanBatch]) -> PlanBatch:
        """Batches of single operators, one after another, as one batch of whole plans."""
        ordered = any(part.order is not None for part in operators)
        return PlanBatch(
            np.concatenate([part.strategies for part in operators]),
            np.concatenate([part.shares for part in operators], axis=1),
            np.concatenate([part.participants for part in operators], axis=1),
            np.concatenate([part.ranks for part in operators], axis=1) if ordered else None,
        )

    @classmethod
    def of(cls, placements: Sequence[Sequence[Placement]], device_count: int) -> PlanBatch:
        """``placements[plan][operator]`` as arrays."""
        if not placements:
            raise PlanError("a batch holds at least one plan")
        plans, operators = len(placements), len(placements[0])
        strategies = np.zeros((operators, plans), np.int8)
        shares = np.zeros((device_count, operators, plans))
        participants, order = np.zeros(shares.shape, bool), np.zeros(shares.shape, np.int16)
        ordered = False
        for number, plan in enumerate(placements):
            for i, placement in enumerate(plan):
                strategies[i, number] = placement.strategy
                ordered = ordered or list(placement.devices) != sorted(placement.devices)
                for rank, shard in enumerate(placement.shards):
                    shares[shard.device, i, number] = shard.size
                    participants[shard.device, i, number] = True
                    order[shard.device, i, number] = rank
        return cls(strategies, shares, participants, order if ordered else None)

    @classmethod
    def from_plans(cls, graph: Graph, plans: Sequence[Plan], device_count: int) -> PlanBatch:
        """Plans as arrays; they are assumed to be valid (:func:`iopopt.plan.plan.validate_plan`).

        Raises:
            GraphError: if ``graph`` is no Graph.
            PlanError: if something else than a Plan is among ``plans``, or there is none.
        """
        as_graph(graph)
        if isinstance(plans, Plan):
            raise PlanError("batch: found one Plan; a sequence of them is expected")
        for plan in plans:
            if not isinstance(plan, Plan):
                raise PlanError(f"batch: {foreign(plan)} is not a Plan")
        return cls.of([[plan[operator.name] for operator in graph.operators] for plan in plans], device_count)

    def plan(self, graph: Graph, number: int) -> Plan:
        """One plan of the batch."""
        return Plan.of(graph, [self.placement(i, number) for i in range(len(graph))])

    def placement(self, operator: int, number: int) -> Placement:
        """One operator's placement in one plan."""
        devices = np.flatnonzero(self.participants[:, operator, number])
        strategy = Strategy(int(self.strategies[operator, number]))
        if strategy.dim is None:
            return Placement.whole(int(devices[0]))
        in_order = [int(j) for j in devices[np.argsort(self.ranks[devices, operator, number])]]
        shares = [int(share) for share in self.shares[in_order, operator, number]]
        return Placement.split(strategy.dim, in_order, shares, strategy.reduce or "direct")

    # The order of the participants.

    @cached_property
    def ranks(self) -> Ranks:
        """Where each participant stands in the order, counted from 0; -1 for devices that take no part."""
        ranks = np.cumsum(self.participants, axis=0, dtype=np.int16) - np.int16(1) if self.order is None else self.order
        return np.where(self.participants, ranks, np.int16(-1))


def along_order(ranks: Ranks | None, function: Callable[..., Array], *values: Array | Mask) -> Array:
    """A function along the first axis, such as a running sum, with the participants in the order of their ranks, None for that of the axis."""
    if ranks is None:
        return function(*values)
    places = np.argsort(np.where(ranks < 0, len(ranks), ranks), axis=0, kind="stable")
    result = np.empty(ranks.shape)
    np.put_along_axis(result, places, function(*(np.take_along_axis(array, places, 0) for array in values)), 0)
    return result
