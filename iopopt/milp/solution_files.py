"""The solution files of HiGHS, SCIP and CBC."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from iopopt.errors import FileFormatError
from iopopt.network.records import read_text, short_repr


@dataclass(frozen=True)
class SolutionFile:
    """What a solution file states: the objective, and the values of variables by name; those left out are 0."""

    solver: str
    objective: float
    values: Mapping[str, float]


def read_solution_file(path: str | Path) -> SolutionFile:
    """Read a solution file; its beginning tells the solver.

    Raises:
        FileFormatError: if it is of none of these solvers, holds no solution, or is truncated.
    """
    lines = [line for line in read_text(path).splitlines() if line.strip()]
    first = lines[0].strip() if lines else ""
    if first == "Model status":
        return _highs(str(path), lines)
    if re.match(r"(solution status|objective value):|no solution available", first):
        return _scip(str(path), lines)
    if re.match(r"\S.* - objective value ", first):
        return _cbc(str(path), lines)
    raise FileFormatError(f"{path}: begins with {short_repr(first)}; a solution file of HiGHS, SCIP or CBC is expected")


def _highs(path: str, lines: list[str]) -> SolutionFile:
    """``Objective v``, ``# Columns n``, and n lines ``name value``, after the line ``# Primal solution values``."""
    words = [line.split() for line in lines]
    start = next((number for number, line in enumerate(lines) if line.startswith("# Primal solution values")), len(lines))
    if start + 1 < len(lines) and lines[start + 1].strip() == "None":
        raise FileFormatError(f"{path}: holds no solution; HiGHS ended with {lines[1].strip()!r}")
    head = words[start + 1 : start + 4]
    if len(head) < 3 or len(head[1]) != 2 or head[1][0] != "Objective" or head[2][:2] != ["#", "Columns"]:
        raise FileFormatError(f"{path}: the objective and the number of columns are missing; the file is truncated")
    count, columns = int(_float(path, head[2][-1])), words[start + 4 :]
    if len(columns) < count:
        raise FileFormatError(f"{path}: has {len(columns)} of {count} columns; the file is truncated")
    return SolutionFile("HiGHS", _float(path, head[1][1]), _values(path, columns[:count], 2, 0, 1))


def _scip(path: str, lines: list[str]) -> SolutionFile:
    """``objective value: v``, and lines ``name value (obj:cost)`` of what is not 0."""
    start = next((number for number, line in enumerate(lines) if line.startswith("objective value:")), None)
    if start is None:
        raise FileFormatError(f"{path}: holds no solution ({lines[-1].strip()})")
    return SolutionFile("SCIP", _float(path, lines[start].split(":")[1]), _values(path, [line.split() for line in lines[start + 1 :]], 3, 0, 1))


def _cbc(path: str, lines: list[str]) -> SolutionFile:
    """``status - objective value v``, and lines ``index name value cost`` of what is not 0, after ** where a bound or row is broken."""
    status, _, objective = lines[0].strip().rpartition(" - objective value ")
    if re.search("infeasible|unbounded|no integer solution", status, re.IGNORECASE):
        raise FileFormatError(f"{path}: holds no solution; CBC ended with {status!r}")
    return SolutionFile("CBC", _float(path, objective), _values(path, [line.replace("**", " ").split() for line in lines[1:]], 4, 1, 2))


def _values(path: str, rows: Iterable[list[str]], words: int, name: int, value: int) -> dict[str, float]:
    values = {}
    for row in rows:
        if len(row) != words:
            raise FileFormatError(
                f"{path}: line {short_repr(' '.join(row))} has {len(row)} words instead of {words}; the file is truncated or damaged"
            )
        values[row[name]] = _float(path, row[value])
    return values


def _float(path: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise FileFormatError(f"{path}: {short_repr(text.strip())} where a number is expected; the file is truncated or damaged")
    return value
