"""What the figures of channels, candidates and requests may be."""

from __future__ import annotations

from typing import Any

from iopopt.errors import ServiceError
from iopopt.network.records import is_number, short_repr

LEAST_FIGURE, MOST_FIGURE = 1e-24, 1e24
"""Far beyond any channel, and such that nothing overflows."""


def positive(value: Any, name: str) -> float:
    """A positive number of a sensible size, as a float.

    Raises:
        ServiceError: if it is anything else; the message begins with ``name``.
    """
    if not is_number(value) or not LEAST_FIGURE <= value <= MOST_FIGURE:
        raise ServiceError(f"{name} is {short_repr(value)}; it must be a positive finite number, from {LEAST_FIGURE:g} to {MOST_FIGURE:g}")
    return float(value)


def not_negative(value: Any, name: str) -> float:
    """The same, or 0.

    Raises:
        ServiceError: if it is anything else; the message begins with ``name``.
    """
    if not is_number(value) or not 0 <= value <= MOST_FIGURE:
        raise ServiceError(f"{name} is {short_repr(value)}; it must be a number from 0 to {MOST_FIGURE:g}")
    return float(value)


def probability(value: Any, name: str) -> float:
    """A probability above 0 and up to 1.

    Raises:
        ServiceError: if it is anything else; the message begins with ``name``.
    """
    if not is_number(value) or not LEAST_FIGURE <= value <= 1:
        raise ServiceError(f"{name} is {short_repr(value)}; it must be a probability above 0 and at most 1")
    return float(value)
