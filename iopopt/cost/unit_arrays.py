"""Equations (7) and (1) for many plans at once. Arrays have the axes (device j, unit i, plan)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce

import numpy as np
import numpy.typing as npt

from iopopt.network.shapes import Dim
from iopopt.network.terms import Position, Terms, fixed
from iopopt.network.unit import Unit
from iopopt.plan.batch import Array, PlanBatch, Ranks
from iopopt.plan.placement import Strategy

Columns = npt.NDArray[np.int64]

_DIMS = tuple(strategy.dim for strategy in Strategy)


def column(values: Sequence[float]) -> Array:
    """Figures of units or edges along the middle axis."""
    return np.array([float(value) for value in values])[:, None]


class TermArrays:
    """Sums of clipped affine terms of several units, by strategy."""

    def __init__(self, by_unit: Sequence[Mapping[Dim | None, Terms]]) -> None:
        rows = [[terms.get(dim, ()) for dim in _DIMS] for terms in by_unit]
        most = max(len(terms) for row in rows for terms in row)
        padded = [(*terms, *[fixed(0)] * (most - len(terms))) for row in rows for terms in row]
        excepted = any(term.first is not None for terms in padded for term in terms)
        places = tuple(Position) if excepted else (Position.INNER,)
        by_position = [[part for terms in padded for term in terms for part in term.at(place)[:3]] for place in places]
        table = np.array(by_position, float).reshape(len(places), -1, most, 3)
        self._terms = [_TermArray(*np.ascontiguousarray(table[:, :, number].transpose(2, 0, 1))) for number in range(most)]

    def amounts(self, places: Columns, n: Array, batch: PlanBatch) -> Array | float:
        """The values at shares ``n`` of the participants of a batch; ``places`` give the unit and strategy of each share (:func:`table_places`)."""
        total: Array | float = 0.0
        for term in self._terms:
            if term.weight.any():
                total = total + term.amounts(places, n, batch)
        return total


class _TermArray:
    """One term of several units; the constants are those at each position."""

    def __init__(self, weights: Array, slopes: Array, constants: Array) -> None:
        self.weight, self._slope, self._constants = weights[0], slopes[0], constants
        self._by_position = len(constants) > 1 and bool((constants != constants[Position.INNER]).any())

    def amounts(self, places: Columns, n: Array, batch: PlanBatch) -> Array:
        """weight x max(0, slope n + constant)."""
        constants = self._constants
        if not self._slope.any():
            return np.asarray((self.weight * np.maximum(constants[Position.INNER], 0))[places])
        affine = self._slope[places] * n
        if self._by_position:
            inner, first, last = (of_place[places] for of_place in constants)
            affine = affine + np.where(batch.first, first, np.where(batch.last, last, inner))
        elif constants.any():
            affine = affine + constants[Position.INNER][places]
        return np.asarray(self.weight[places] * (np.maximum(affine, 0) if (constants < 0).any() else affine))


def table_places(strategies: npt.NDArray[np.int8], rows: Columns | None = None) -> Columns:
    """The index in a :class:`TermArrays` of each unit's terms at its strategy; ``rows`` are the units' numbers, one after another unless given."""
    return np.asarray(strategies + len(Strategy) * (np.arange(len(strategies))[:, None] if rows is None else rows))


class UnitArrays:
    """Work and memory of units."""

    def __init__(self, units: Sequence[Unit], e: int) -> None:
        self._e = e
        self.pre = column([e * unit.pre_pool_shape.elements for unit in units])
        self.post = column([e * unit.out_shape.elements for unit in units])
        self.OC, self.H_o = (column([unit.sizes[dim] for unit in units]) for dim in ("OC", "H"))
        self._work = TermArrays([unit.work for unit in units])
        self._touched = TermArrays([unit.touched for unit in units])
        self._weights = TermArrays([unit.weights for unit in units])
        self._output = TermArrays([unit.output for unit in units])
        alternatives = max(len(terms) for unit in units for terms in unit.activations.values())
        self._activations = [TermArrays([_alternative(unit, number) for unit in units]) for number in range(alternatives)]

    def flops(self, batch: PlanBatch, rows: Columns | None = None) -> Array:
        """C_ij of equation (7); ``rows`` are the numbers of the units in the batch, as for :func:`table_places`."""
        return np.asarray(self._work.amounts(table_places(batch.strategies, rows), batch.shares, batch) * batch.participants)

    def touched_bytes(self, batch: PlanBatch, rows: Columns | None = None) -> Array:
        """D_ij of equation (7)."""
        amounts = self._touched.amounts(table_places(batch.strategies, rows), batch.shares, batch)
        return np.asarray(amounts * (batch.participants * float(self._e)))

    def memory(self, batch: PlanBatch, rows: Columns | None = None) -> tuple[Array, Array]:
        """w_ij and a_ij of equation (1)."""
        places, mine = table_places(batch.strategies, rows), batch.participants * float(self._e)
        activations = reduce(np.maximum, [terms.amounts(places, batch.shares, batch) for terms in self._activations]) * mine
        if batch.gathers is not None:
            activations = np.maximum(activations, batch.gatherers * (self.post if rows is None else self.post[rows, 0]))
        return np.asarray(self._weights.amounts(places, batch.shares, batch) * mine), np.asarray(activations)

    def live(self, batch: PlanBatch) -> Array:
        """What each participant, or the device that has gathered it, holds of the output or the partial sums while they are live, bytes; a block's
        output is its last operator's."""
        two_phase = batch.strategies == Strategy.IC_TWO_PHASE
        n = np.where(two_phase, even_slices(self.OC, batch.participants.sum(axis=0), batch.ranks), batch.shares) if two_phase.any() else batch.shares
        owned = self._output.amounts(table_places(batch.strategies), n, batch)
        held = np.asarray(np.where(batch.strategies == Strategy.IC, self.pre, self._e * owned) * batch.participants)
        return held if batch.gathers is None else np.where(batch.gatherers.any(axis=0), batch.gatherers * self.post, held)


def _alternative(unit: Unit, number: int) -> dict[Dim | None, Terms]:
    """One of the alternatives of which activations are the largest; the last one of a dimension that has fewer."""
    return {dim: terms[min(number, len(terms) - 1)] for dim, terms in unit.activations.items()}


def even_slices(OC: Array, count: npt.NDArray[np.int64], ranks: Ranks) -> Array:
    """c_k: the even slices of the output channels that a reduce-scatter completes; 0 for devices that take no part."""
    count = np.maximum(count, 1)  # a member inside a block has no participants
    return np.asarray(np.where(ranks >= 0, np.floor(OC / count) + (ranks < OC % count), 0))
