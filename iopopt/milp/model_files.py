"""Programs as LP and MPS files.

Written here, because PuLP's writers print 12 significant digits: here every number has the digits that give the same double when read.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from iopopt.milp.program import FloatArray, IntArray, Program

_TERMS_A_LINE = 4
"""CPLEX reads lines of up to 560 characters."""


@dataclass(frozen=True)
class NamedProgram:
    """A program with the names of its variables and rows in files, and the comments at the top, one a line."""

    program: Program
    names: Sequence[str]
    row_names: Sequence[str]
    comments: Sequence[str]

    def lp(self) -> str:
        """The text of an LP file."""
        return "\n".join(self._lp_lines()) + "\n"

    def mps(self) -> str:
        """The text of an MPS file in free format, which separates fields by spaces."""
        return "\n".join(self._mps_lines()) + "\n"

    def _lp_lines(self) -> Iterator[str]:
        program = self.program
        yield from (f"\\ {line}".rstrip() for line in self.comments)
        costly = np.flatnonzero(program.objective)
        yield "Minimize"
        yield from _sum("latency", self._terms(costly.tolist(), program.objective[costly].tolist()))
        yield "Subject To"
        for name, (columns, values), sense, side in zip(self.row_names, self._by_row(), *self._sides(), strict=True):
            *lines, last = _sum(name, self._terms(columns, values))
            yield from (*lines, f"{last} {_LP_SENSE[sense]} {_number(side)}")
        yield "Bounds"
        yield from (f" {name} <= {_number(upper)}" for name, upper in zip(self.names, program.upper, strict=True) if not math.isinf(upper))
        yield "Generals"
        yield from (f" {self.names[column]}" for column in np.flatnonzero(program.integer).tolist())
        yield "End"

    def _mps_lines(self) -> Iterator[str]:
        senses, sides = self._sides()
        yield from (f"* {line}".rstrip() for line in self.comments)
        yield "NAME iopopt FREE"
        yield "ROWS"
        yield " N latency"
        yield from (f" {sense} {name}" for sense, name in zip(senses, self.row_names, strict=True))
        yield "COLUMNS"
        yield from self._mps_columns()
        yield "RHS"
        yield from (f" RHS {name} {_number(side)}" for name, side in zip(self.row_names, sides, strict=True) if side)
        yield "BOUNDS"
        for name, upper, integer in zip(self.names, self.program.upper, self.program.integer, strict=True):
            if not math.isinf(upper):
                yield f" UP BND {name} {_number(upper)}"
            elif integer:  # some readers take an integer without bounds for one of 0 and 1
                yield f" PL BND {name}"
        yield "ENDATA"

    def _mps_columns(self) -> Iterator[str]:
        program, marked = self.program, False
        entries = _grouped(program.columns, program.rows, program.values, len(self.names))
        for name, cost, integer, (rows, values) in zip(self.names, program.objective, program.integer, entries, strict=True):
            if integer != marked:
                yield f" MARKER 'MARKER' '{'INTORG' if integer else 'INTEND'}'"
                marked = integer
            if cost or not len(rows):
                yield f" {name} latency {_number(cost)}"
            yield from (f" {name} {self.row_names[row]} {_number(value)}" for row, value in zip(rows, values, strict=True))
        if marked:
            yield " MARKER 'MARKER' 'INTEND'"

    def _by_row(self) -> Iterator[tuple[Sequence[int], Sequence[float]]]:
        program = self.program
        return _grouped(program.rows, program.columns, program.values, len(self.row_names))

    def _sides(self) -> tuple[list[str], list[float]]:
        """The sense of each row as in MPS files, and its right-hand side; a program has no rows with two different ones."""
        senses, sides = [], []
        for lower, upper in zip(self.program.row_lower, self.program.row_upper, strict=True):
            assert lower == upper or math.isinf(lower) != math.isinf(upper)
            senses.append("E" if lower == upper else "L" if math.isinf(lower) else "G")
            sides.append(float(upper if math.isinf(lower) else lower))
        return senses, sides

    def _terms(self, columns: Iterable[int], values: Iterable[float]) -> list[str]:
        terms = [
            f"{'-' if value < 0 else '+'} {'' if abs(value) == 1 else f'{_number(abs(value))} '}{self.names[column]}"
            for column, value in zip(columns, values, strict=True)
        ]
        return terms or [f"0 {self.names[0]}"]


_LP_SENSE = {"E": "=", "L": "<=", "G": ">="}


def _sum(name: str, terms: Sequence[str]) -> Iterator[str]:
    """A named sum, a few terms a line."""
    for start in range(0, len(terms), _TERMS_A_LINE):
        yield f" {f'{name}: ' if start == 0 else '  '}{' '.join(terms[start : start + _TERMS_A_LINE])}"


def _grouped(keys: IntArray, others: IntArray, values: FloatArray, count: int) -> Iterator[tuple[Sequence[int], Sequence[float]]]:
    """The entries of a matrix by row, or by column: for each of ``count`` keys the other index and the value of each entry."""
    order = np.argsort(keys, kind="stable")
    starts = np.searchsorted(keys[order], np.arange(count + 1)).tolist()
    others, values = others[order], values[order]
    for start, stop in itertools.pairwise(starts):
        yield others[start:stop].tolist(), values[start:stop].tolist()


def _number(value: float) -> str:
    """The shortest text that reads as the same double."""
    return repr(float(value) + 0.0).removesuffix(".0")  # no -0
