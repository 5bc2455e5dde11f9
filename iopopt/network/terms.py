"""Amounts as functions of a share: sums of clipped affine terms, defined once for numbers, arrays and linear expressions.

The rows of a fused block are cut at the map's upper edge for the first participant and at its lower edge for the last, so a term may have
other constants at these two positions.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from enum import IntEnum
from functools import cache
from typing import NamedTuple


class Position(IntEnum):
    """Where a participant stands in the order."""

    INNER = 0
    FIRST = 1
    LAST = 2


@cache
def positions(count: int) -> tuple[Position, ...]:
    """The position of each of ``count`` participants, in their order."""
    return tuple(Position.FIRST if rank == 0 else Position.LAST if rank == count - 1 else Position.INNER for rank in range(count))


class Term(NamedTuple):
    """``weight`` x max(0, ``slope`` n + ``constant``) of a share of n rows or channels.

    ``first`` and ``last`` are the constants of the first and the last participant; both None if these are no exception.
    """

    weight: float
    slope: float
    constant: float
    first: float | None = None
    last: float | None = None

    def at(self, place: Position) -> Term:
        """The term of a participant at that position, where it is no exception."""
        if self.first is None or self.last is None:
            return self
        return Term(self.weight, self.slope, (self.constant, self.first, self.last)[place])


Terms = tuple[Term, ...]
"""The sum of its terms: a convex function of the share, because no weight is negative."""


class Line(NamedTuple):
    """``constant`` + ``slope`` m, of a share of m granules."""

    constant: float
    slope: float


def fixed(amount: float) -> Term:
    """The same amount for every share, an empty one included."""
    return Term(amount, 0, 1)


def proportional(amount: float, size: int) -> Term:
    """The part n / ``size`` of an amount."""
    return Term(amount / size, 1, 0)


def amount(terms: Iterable[Term], n: float, place: Position = Position.INNER) -> float:
    """The value of the terms at a share of ``n``, of a participant at that position."""
    total = 0.0
    for weight, slope, constant, first, last in terms:
        if place and first is not None and last is not None:
            constant = first if place == Position.FIRST else last
        clipped = slope * n + constant
        if clipped > 0:
            total += weight * clipped
    return total


def lines(terms: Sequence[Term], granules: int, granularity: int) -> tuple[Line, ...]:
    """Lines, by rising slope, whose maximum equals the terms at every whole number of granules from 0 to ``granules``.

    They connect the values at the ends and at the whole numbers next to where a term stops being clipped, and are the tightest convex bound.
    The terms are those of one position (:meth:`Term.at`).
    """
    return _connecting([(m, amount(terms, m * granularity)) for m in sorted(_corners(terms, granules, granularity))])


def larger_lines(first: Sequence[Term], second: Sequence[Term], granules: int, granularity: int) -> tuple[Line, ...]:
    """The same for the larger of two sums of terms; they also connect the whole numbers next to where one overtakes the other."""
    corners = _corners(first, granules, granularity) | _corners(second, granules, granularity)
    for one, other in itertools.product(*(lines(terms, granules, granularity) for terms in (first, second))):
        if one.slope != other.slope:
            corners |= _beside((other.constant - one.constant) / (one.slope - other.slope), granules)
    return _connecting([(m, max(amount(first, m * granularity), amount(second, m * granularity))) for m in sorted(corners)])


def _connecting(values: Sequence[tuple[int, float]]) -> tuple[Line, ...]:
    """The lines from each point of a convex function to the next."""
    found: list[Line] = []
    for (m, low), (further, high) in itertools.pairwise(values):
        slope = (high - low) / (further - m)
        if not found or not math.isclose(slope, found[-1].slope, rel_tol=1e-12, abs_tol=1e-12 * abs(high)):
            found.append(Line(low - slope * m, slope))
    return tuple(found)


def _corners(terms: Sequence[Term], granules: int, granularity: int) -> set[int]:
    """Both ends, and for each term the whole numbers on either side of the share at which it stops being clipped."""
    corners = {0, granules}
    for _, slope, constant, _, _ in terms:
        if slope > 0 and constant < 0:
            corners |= _beside(-constant / (slope * granularity), granules)
    return corners


def _beside(corner: float, granules: int) -> set[int]:
    """The whole numbers on either side of a corner, between 0 and ``granules``."""
    return {m for m in (math.floor(corner), math.ceil(corner)) if 0 < m < granules}
