"""A point at which linear expressions have values; it stands in for a program whose costs push every count down onto its rows."""

from __future__ import annotations

from collections.abc import Sequence

from iopopt.milp.affine import Affine
from iopopt.milp.arcs import Name


class Point:
    """Values of variables; one that is held above an expression takes the least value that it may, and none lies below 0."""

    def __init__(self, values: Sequence[float]) -> None:
        self._values = list(values)
        self.names: list[Name] = []

    def variable(self, name: Name) -> int:
        self.names.append(name)
        self._values.append(0.0)
        return len(self._values) - 1

    def at_least(self, name: Name, left: Affine, right: Affine) -> None:
        ((variable, coefficient),) = left.terms.items()
        assert (coefficient, left.constant) == (1, 0)
        self._values[variable] = max(self._values[variable], self.value(right))

    def value(self, expression: Affine) -> float:
        """What the expression comes to here."""
        return expression.constant + sum(coefficient * self._values[variable] for variable, coefficient in expression.terms.items())
