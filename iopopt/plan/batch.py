"""Many plans of one graph as arrays, for :class:`iopopt.Pricer`. The axes are (device j, operator i, plan)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from iopopt.errors import PlanError, UnsupportedError
from iopopt.network.graph import Graph, as_graph
from iopopt.network.records import foreign
from iopopt.plan.placement import Placement, Strategy
from iopopt.plan.plan import Plan

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Ranks = npt.NDArray[np.int16]

_NO_DEVICE = -1

_OPTIONAL = ("order", "spans", "gathers")
"""The arrays of a batch that are None where no plan needs them."""


@dataclass(frozen=True)
class PlanBatch:
    """Many plans of one graph.

    Attributes:
        strategies: codes of :class:`iopopt.plan.placement.Strategy`, shape (operators, plans).
        shares: n_ij, shape (devices, operators, plans); 0 outside the participants, 1 for a whole operator on its device.
        participants: whether the device takes part, same shape.
        order: the position of each device in the order of the participants, same shape; None if that is always the order of the
            cluster. The entries of devices that take no part do not matter.
        spans: how many operators the placement of each operator places, shape (operators, plans): more than 1 for the last of a fused block, 0 for
            its other members, which have no participants of their own; None if it is always 1.
        gathers: the device on which the output of each operator is gathered, shape (operators, plans), -1 where participants keep their rows; None
            if nothing is gathered.
    """

    strategies: npt.NDArray[np.int8]
    shares: Array
    participants: Mask
    order: Ranks | None = None
    spans: npt.NDArray[np.int16] | None = None
    gathers: npt.NDArray[np.int16] | None = None

    def __len__(self) -> int:
        return int(self.strategies.shape[-1])

    def __getitem__(self, plans: slice) -> PlanBatch:
        return self._at(plans)

    def take(self, plans: npt.NDArray[np.int64]) -> PlanBatch:
        """The plans at these indices, in this order; an index may repeat."""
        return self._at(plans)

    def _at(self, plans: slice | npt.NDArray[np.int64]) -> PlanBatch:
        optional = (None if part is None else part[..., plans] for part in (self.order, self.spans, self.gathers))
        return PlanBatch(self.strategies[:, plans], self.shares[..., plans], self.participants[..., plans], *optional)

    def units(self, numbers: npt.NDArray[np.int64]) -> PlanBatch:
        """The placements of the operators at these indices, in this order; an index may repeat."""
        order = None if self.order is None else self.order[:, numbers]
        spans, gathers = (None if part is None else part[numbers] for part in (self.spans, self.gathers))
        return PlanBatch(self.strategies[numbers], self.shares[:, numbers], self.participants[:, numbers], order, spans, gathers)

    @staticmethod
    def nobody(device_count: int, plans: int) -> PlanBatch:
        """A place without participants, in several plans: a member inside a fused block, which stands at its last operator."""
        shape = (device_count, 1, plans)
        return PlanBatch(np.zeros((1, plans), np.int8), np.zeros(shape), np.zeros(shape, bool), None, np.zeros((1, plans), np.int16))

    @staticmethod
    def of_unit(placements: Sequence[Placement], span: int, device_count: int) -> PlanBatch:
        """The placements of one unit of so many operators, as the batches of each of these."""
        last = PlanBatch.of([[placement] for placement in placements], device_count)
        if span == 1:
            return last
        return PlanBatch.join([*[PlanBatch.nobody(device_count, len(last))] * (span - 1), last.of_span(span)])

    def of_span(self, span: int) -> PlanBatch:
        """The same placements as those of so many operators each, standing at the last."""
        return replace(self, spans=np.full(self.strategies.shape, span, np.int16))

    @staticmethod
    def join(operators: Sequence[PlanBatch]) -> PlanBatch:
        """Batches of single operators, one after another, as one batch of whole plans."""
        ordered, fused, gathered = (any(getattr(part, name) is not None for part in operators) for name in _OPTIONAL)
        return PlanBatch(
            np.concatenate([part.strategies for part in operators]),
            np.concatenate([part.shares for part in operators], axis=1),
            np.concatenate([part.participants for part in operators], axis=1),
            np.concatenate([part.ranks for part in operators], axis=1) if ordered else None,
            np.concatenate([part.operators_placed for part in operators]) if fused else None,
            np.concatenate([part.gathered_on for part in operators]) if gathered else None,
        )

    @staticmethod
    def beside(batches: Sequence[PlanBatch]) -> PlanBatch:
        """The plans of several batches of the same operators as one batch."""
        ordered, fused, gathered = (any(getattr(part, name) is not None for part in batches) for name in _OPTIONAL)
        return PlanBatch(
            np.concatenate([part.strategies for part in batches], axis=-1),
            np.concatenate([part.shares for part in batches], axis=-1),
            np.concatenate([part.participants for part in batches], axis=-1),
            np.concatenate([part.ranks for part in batches], axis=-1) if ordered else None,
            np.concatenate([part.operators_placed for part in batches], axis=-1) if fused else None,
            np.concatenate([part.gathered_on for part in batches], axis=-1) if gathered else None,
        )

    @classmethod
    def of(cls, placements: Sequence[Sequence[Placement]], device_count: int, spans: Sequence[Sequence[int] | None] | None = None) -> PlanBatch:
        """``placements[plan][unit]`` as arrays.

        Args:
            spans: how many operators each placement of each plan places; None, for a plan or for all, if that is always one.
        """
        if not placements:
            raise PlanError("a batch holds at least one plan")
        if spans is not None and any(spans):
            placements, placed = _at_last_operators(placements, spans)
            unfused, ends = cls.of(placements, device_count), placed > 0
            gathers = None if unfused.gathers is None else np.where(ends, unfused.gathers, np.int16(_NO_DEVICE))
            return replace(unfused, participants=unfused.participants & ends, shares=unfused.shares * ends, spans=placed, gathers=gathers)
        plans, operators = len(placements), len(placements[0])
        strategies = np.zeros((operators, plans), np.int8)
        shares = np.zeros((device_count, operators, plans))
        participants, order = np.zeros(shares.shape, bool), np.zeros(shares.shape, np.int16)
        gathers = np.full(strategies.shape, _NO_DEVICE, np.int16)
        ordered = False
        for number, plan in enumerate(placements):
            for i, placement in enumerate(plan):
                if placement.stream is not None:
                    raise UnsupportedError(
                        f"batch: {placement} is streamed, which arrays of plans do not know; price such plans with iopopt.evaluate"
                    )
                strategies[i, number] = placement.strategy
                ordered = ordered or list(placement.devices) != sorted(placement.devices)
                if placement.gather is not None:
                    gathers[i, number] = placement.gather
                for rank, shard in enumerate(placement.shards):
                    shares[shard.device, i, number] = shard.size
                    participants[shard.device, i, number] = True
                    order[shard.device, i, number] = rank
        gathered = bool((gathers != _NO_DEVICE).any())
        return cls(strategies, shares, participants, order if ordered else None, gathers=gathers if gathered else None)

    @classmethod
    def from_plans(cls, graph: Graph, plans: Sequence[Plan], device_count: int) -> PlanBatch:
        """Plans as arrays; they are assumed to be valid (:func:`iopopt.plan.plan.validate_plan`).

        Raises:
            GraphError: if ``graph`` is no Graph.
            PlanError: if something else than a Plan is among ``plans``, or there is none.
            UnsupportedError: if a plan has streams.
        """
        as_graph(graph)
        if isinstance(plans, Plan):
            raise PlanError("batch: found one Plan; a sequence of them is expected")
        for plan in plans:
            if not isinstance(plan, Plan):
                raise PlanError(f"batch: {foreign(plan)} is not a Plan")
            for name, placement in plan.items():
                if placement.stream is not None:
                    raise UnsupportedError(
                        f"batch: operator {name!r} is {placement}, which arrays of plans do not know; price this plan with iopopt.evaluate"
                    )
        return cls.of([plan.by_last_operator(graph) for plan in plans], device_count, [plan.spans(graph) for plan in plans])

    def plan(self, graph: Graph, number: int) -> Plan:
        """One plan of the batch."""
        if self.spans is None:
            return Plan.of(graph, [self.placement(i, number) for i in range(len(graph))])
        ends = [int(i) for i in np.flatnonzero(self.spans[:, number])]
        return Plan.of(graph, [self.placement(i, number) for i in ends], [int(span) for span in self.spans[ends, number]])

    def placement(self, operator: int, number: int) -> Placement:
        """One operator's placement in one plan."""
        devices = np.flatnonzero(self.participants[:, operator, number])
        strategy = Strategy(int(self.strategies[operator, number]))
        if strategy.dim is None:
            return Placement.whole(int(devices[0]))
        in_order = [int(j) for j in devices[np.argsort(self.ranks[devices, operator, number])]]
        shares = [int(share) for share in self.shares[in_order, operator, number]]
        gather = int(self.gathered_on[operator, number])
        return Placement.split(strategy.dim, in_order, shares, strategy.reduce or "direct", None if gather == _NO_DEVICE else gather)

    @property
    def operators_placed(self) -> npt.NDArray[np.int16]:
        """:attr:`spans`, written out."""
        return np.ones(self.strategies.shape, np.int16) if self.spans is None else self.spans

    @property
    def gathered_on(self) -> npt.NDArray[np.int16]:
        """:attr:`gathers`, written out."""
        return np.full(self.strategies.shape, _NO_DEVICE, np.int16) if self.gathers is None else self.gathers

    @cached_property
    def gatherers(self) -> Mask:
        """Whether each device gathers each operator's output, shape (devices, operators, plans)."""
        return np.asarray(np.arange(len(self.shares))[:, None, None] == self.gathered_on)

    @cached_property
    def handed_on(self) -> PlanBatch:
        """The placements of outputs as their readers meet them (:attr:`Placement.handed_on`): what is gathered is whole on one device."""
        if self.gathers is None:
            return self
        gathered = self.gathers != _NO_DEVICE
        strategies = np.where(gathered, np.int8(Strategy.WHOLE), self.strategies)
        shares, participants = np.where(gathered, self.gatherers, self.shares), np.where(gathered, self.gatherers, self.participants)
        return PlanBatch(strategies, shares, participants, None if self.order is None else np.where(gathered, np.int16(0), self.order), self.spans)

    # The order of the participants.

    @cached_property
    def ranks(self) -> Ranks:
        """Where each participant stands in the order, counted from 0; -1 for devices that take no part."""
        ranks = np.cumsum(self.participants, axis=0, dtype=np.int16) - np.int16(1) if self.order is None else self.order
        return np.where(self.participants, ranks, np.int16(-1))

    @cached_property
    def first(self) -> Mask:
        """Whether each device is the first participant."""
        return np.asarray(self.ranks == 0)

    @cached_property
    def last(self) -> Mask:
        """Whether each device is the last participant."""
        return np.asarray(self.participants & (self.ranks == self.participants.sum(axis=0) - 1))


def _at_last_operators(
    placements: Sequence[Sequence[Placement]], spans: Sequence[Sequence[int] | None]
) -> tuple[list[list[Placement]], npt.NDArray[np.int16]]:
    """A placement for every operator, and how many operators it places, of shape (operators, plans): all of them at the last one, and 0 elsewhere."""
    written, placed = [], []
    for of_plan, own in zip(placements, spans, strict=True):
        runs = list(zip(of_plan, own or [1] * len(of_plan), strict=True))
        written.append([placement for placement, span in runs for _ in range(span)])
        placed.append([part for _, span in runs for part in (*[0] * (span - 1), span)])
    return written, np.array(placed, np.int16).T


def along_order(ranks: Ranks | None, function: Callable[..., Array], *values: Array | Mask) -> Array:
    """A function along the first axis, such as a running sum, with the participants in the order of their ranks, None for that of the axis."""
    if ranks is None:
        return function(*values)
    places = np.argsort(np.where(ranks < 0, len(ranks), ranks), axis=0, kind="stable")
    result = np.empty(ranks.shape)
    np.put_along_axis(result, places, function(*(np.take_along_axis(array, places, 0) for array in values)), 0)
    return result
