"""Amounts as functions of a share: sums of clipped affine terms, defined once for numbers, arrays and linear expressions."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from typing import NamedTuple


class Term(NamedTuple):
    """``weight`` x max(0, ``slope`` n + ``constant``) of a share of n rows or channels."""

    weight: float
    slope: float
    constant: float


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


def amount(terms: Iterable[Term], n: float) -> float:
    """The value of the terms at a share of ``n``."""
    total = 0.0
    for weight, slope, constant in terms:
        clipped = slope * n + constant
        if clipped > 0:
            total += weight * clipped
    return total


def lines(terms: Terms, granules: int, granularity: int) -> tuple[Line, ...]:
    """Lines, by rising slope, whose maximum equals the terms at every whole number of granules from 0 to ``granules``.

    They connect the values at the ends and at the whole numbers next to where a term stops being clipped, and are the tightest convex bound.
    """
    values = [(m, amount(terms, m * granularity)) for m in _corners(terms, granules, granularity)]
    found: list[Line] = []
    for (m, low), (further, high) in itertools.pairwise(values):
        slope = (high - low) / (further - m)
        if not found or not math.isclose(slope, found[-1].slope, rel_tol=1e-12, abs_tol=1e-12 * abs(high)):
            found.append(Line(low - slope * m, slope))
    return tuple(found)


def _corners(terms: Terms, granules: int, granularity: int) -> list[int]:
    """Both ends, and for each term the whole numbers on either side of the share at which it stops being clipped."""
    corners = {0, granules}
    for _, slope, constant in terms:
        if slope > 0 and constant < 0:
            corner = -constant / (slope * granularity)
            corners |= {m for m in (math.floor(corner), math.ceil(corner)) if 0 < m < granules}
    return sorted(corners)
