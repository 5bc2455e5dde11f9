"""The arithmetic of rows: one implementation for numbers, for arrays, and for linear expressions over the shares of a program.

:class:`Arithmetic` is what differs: constants, the choice between two values, and counts that never fall below 0. Cuts at a tensor's edge
need no separate arithmetic, because for any shares the interval of the first participant starts at row 0 and that of the last ends with
the last row.
"""

from __future__ import annotations

from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from iopopt.network.unit import Field, PoolRows

V = TypeVar("V")


class Arithmetic(Protocol[V]):
    """What the arithmetic of rows needs besides values that can be added, subtracted, and multiplied by numbers."""

    def constant(self, value: Any) -> V:
        """A number as a value."""

    def choose(self, condition: Any, yes: V, no: V) -> V:
        """``yes`` where the condition holds, ``no`` elsewhere."""

    def at_least_zero(self, value: V) -> V:
        """The value, or 0 if it is negative."""


class Numbers:
    """Plain numbers."""

    def constant(self, value: float) -> float:
        return value

    def choose(self, condition: bool, yes: float, no: float) -> float:
        return yes if condition else no

    def at_least_zero(self, value: float) -> float:
        return max(0, value)


NUMBERS = Numbers()


class Rows(NamedTuple, Generic[V]):
    """The interval [start, stop)."""

    start: V
    stop: V


class Place(NamedTuple):
    """Whether a participant is the first in the order, and whether it is the last."""

    first: Any
    last: Any


def needed_rows(field: Field, share: Rows[V], place: Place, of: Arithmetic[V]) -> Rows[V]:
    """[a S - P, (b - 1) S - P + K): the input rows under the granules [a, b), cut above the first participant and below the last."""
    above: Any = share.start * field.stride - of.constant(field.above)  # type: ignore[operator]
    below: Any = share.stop * field.stride + of.constant(field.overlap - field.above)  # type: ignore[operator]
    return Rows(of.choose(place.first, of.constant(0), above), of.choose(place.last, of.constant(field.end), below))


def pre_pool_rows(pool: PoolRows, end: Any, rows: Rows[V], place: Place, of: Arithmetic[V]) -> Rows[V]:
    """[lo s_p - p_p, (hi - 1) s_p - p_p + k_p): the pre-pool rows under the output rows [lo, hi), cut in the same way.

    ``end`` is the end of the pre-pool rows of the last participant.
    """
    above: Any = rows.start * pool.stride - of.constant(pool.before)  # type: ignore[operator]
    below: Any = rows.stop * pool.stride + of.constant(pool.extent - pool.stride - pool.before)  # type: ignore[operator]
    return Rows(of.choose(place.first, of.constant(0), above), of.choose(place.last, of.constant(end), below))


def count(rows: Rows[V], of: Arithmetic[V]) -> V:
    """How many rows an interval holds, never below 0."""
    return of.at_least_zero(rows.stop - rows.start)  # type: ignore[operator]


def missing_rows(owned: Rows[V], needed: Rows[V], of: Arithmetic[V]) -> tuple[V, V]:
    """How many rows a participant needs above and below those that it owns."""
    above: Any = owned.start - needed.start  # type: ignore[operator]
    below: Any = needed.stop - owned.stop  # type: ignore[operator]
    return of.at_least_zero(above), of.at_least_zero(below)
