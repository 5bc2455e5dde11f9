"""A mixed-integer linear program as plain arrays, independent of the solver."""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from iopopt.cost.stopwatch import NO_LIMIT, Stopwatch
from iopopt.milp.affine import Affine, constant
from iopopt.milp.arcs import Name

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

INF = math.inf


@dataclass(frozen=True)
class Program:
    """Minimise ``objective @ x`` subject to ``row_lower <= A x <= row_upper`` and ``lower <= x <= upper``.

    A is given by triplets ``(rows, columns, values)``; ``integer`` marks the integral variables.
    """

    objective: FloatArray
    lower: FloatArray
    upper: FloatArray
    integer: npt.NDArray[np.bool_]
    rows: IntArray
    columns: IntArray
    values: FloatArray
    row_lower: FloatArray
    row_upper: FloatArray
    names: tuple[Name, ...]
    row_names: tuple[Name, ...]

    @property
    def size(self) -> str:
        """Rows, columns and integers, for a progress line."""
        return f"{len(self.row_lower)} rows, {len(self.objective)} columns ({int(self.integer.sum())} integer)"


class ProgramBuilder:
    """Collects variables and rows; a variable is identified by its index. Adding one raises TimeUpError when the time of ``watch`` is up."""

    def __init__(self, watch: Stopwatch = NO_LIMIT) -> None:
        self._watch = watch
        self._objective: list[float] = []
        self._lower: list[float] = []
        self._upper: list[float] = []
        self._integer: list[bool] = []
        self._names: list[Name] = []
        self._rows, self._columns, self._values = array("q"), array("q"), array("d")
        self._row_lower: list[float] = []
        self._row_upper: list[float] = []
        self._row_names: list[Name] = []

    def variable(self, name: Name, *, upper: float = INF, integer: bool = False, cost: float = 0.0) -> int:
        """A variable of at least 0; returns its index."""
        self._watch.check()
        self._names.append(name)
        self._objective.append(cost)
        self._lower.append(0.0)
        self._upper.append(upper)
        self._integer.append(integer)
        return len(self._names) - 1

    def add_cost(self, variable: int, cost: float) -> None:
        self._objective[variable] += cost

    @property
    def objective(self) -> Affine:
        """The objective so far."""
        return Affine({variable: cost for variable, cost in enumerate(self._objective) if cost})

    def minimise(self, objective: Affine) -> None:
        """Replace the objective; its constant is left out."""
        self._objective = [objective.terms.get(variable, 0.0) for variable in range(len(self._names))]

    def equal(self, name: Name, left: Affine, right: Affine) -> None:
        """left = right."""
        self._row(name, left, right, 0.0, 0.0)

    def at_least(self, name: Name, left: Affine, right: Affine) -> None:
        """left >= right."""
        self._row(name, left, right, 0.0, INF)

    def at_most(self, name: Name, left: Affine, right: Affine) -> None:
        """left <= right."""
        self._row(name, left, right, -INF, 0.0)

    def cost_at_most(self, name: Name, limit: float) -> None:
        """Exclude points with a larger objective."""
        self.at_most(name, self.objective, constant(limit))

    def build(self) -> Program:
        return Program(
            objective=np.array(self._objective),
            lower=np.array(self._lower),
            upper=np.array(self._upper),
            integer=np.array(self._integer, bool),
            rows=np.array(self._rows, np.int64),
            columns=np.array(self._columns, np.int64),
            values=np.array(self._values, float),
            row_lower=np.array(self._row_lower),
            row_upper=np.array(self._row_upper),
            names=tuple(self._names),
            row_names=tuple(self._row_names),
        )

    def _row(self, name: Name, left: Affine, right: Affine, lower: float, upper: float) -> None:
        self._watch.check()
        number = len(self._row_names)
        difference = left - right
        for variable, value in sorted(difference.terms.items()):
            if value:
                self._rows.append(number)
                self._columns.append(variable)
                self._values.append(value)
        self._row_lower.append(lower - difference.constant)
        self._row_upper.append(upper - difference.constant)
        self._row_names.append(name)
