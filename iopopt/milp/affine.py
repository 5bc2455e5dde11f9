"""Linear expressions over the variables of a program, and the arithmetic of rows on them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from iopopt.milp.arcs import Name


class Affine:
    """A linear expression: coefficients by variable, and a constant. Expressions add, subtract, and multiply by numbers."""

    __slots__ = ("constant", "terms")

    def __init__(self, terms: Mapping[int, float], constant: float = 0.0) -> None:
        self.terms, self.constant = terms, constant

    def __add__(self, other: Affine) -> Affine:
        terms = dict(self.terms)
        for variable, coefficient in other.terms.items():
            terms[variable] = terms.get(variable, 0.0) + coefficient
        return Affine(terms, self.constant + other.constant)

    def __sub__(self, other: Affine) -> Affine:
        terms = dict(self.terms)
        for variable, coefficient in other.terms.items():
            terms[variable] = terms.get(variable, 0.0) - coefficient
        return Affine(terms, self.constant - other.constant)

    def __mul__(self, factor: float) -> Affine:
        return Affine({variable: factor * coefficient for variable, coefficient in self.terms.items()}, factor * self.constant)

    __rmul__ = __mul__

    def __repr__(self) -> str:
        return " + ".join([*(f"{coefficient:g} v{variable}" for variable, coefficient in self.terms.items()), f"{self.constant:g}"])


def constant(value: float) -> Affine:
    return Affine({}, value)


def times(coefficient: float, *variables: int) -> Affine:
    """``coefficient`` times the sum of the variables, which are distinct."""
    return Affine(dict.fromkeys(variables, coefficient))


def total(parts: Iterable[Affine]) -> Affine:
    """The sum of expressions."""
    terms: dict[int, float] = {}
    value = 0.0
    for part in parts:
        value += part.constant
        for variable, coefficient in part.terms.items():
            terms[variable] = terms.get(variable, 0.0) + coefficient
    return Affine(terms, value)


class _Builder(Protocol):
    def variable(self, name: Name) -> int: ...

    def at_least(self, name: Name, left: Affine, right: Affine) -> None: ...


class AffineRows:
    """The arithmetic of rows on expressions that are active while one of ``flows`` is: a constant is multiplied by the sum of the flows.

    A count that never falls below 0 is a separate variable that is at least the number of rows; costs make it equal.
    """

    def __init__(self, builder: _Builder, flows: Sequence[int], label: Name) -> None:
        self._builder, self._flows, self._label, self._count = builder, flows, label, 0

    def constant(self, value: float) -> Affine:
        return times(value, *self._flows) if value else Affine({})

    def choose(self, condition: bool, yes: Affine, no: Affine) -> Affine:
        return yes if condition else no

    def at_least_zero(self, value: Affine) -> Affine:
        name = ("rows", *self._label, str(self._count))
        self._count += 1
        variable = self._builder.variable(name)
        self._builder.at_least(name, times(1, variable), value)
        return times(1, variable)
