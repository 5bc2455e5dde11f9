"""Columns of the tables: the key in CSV, the heading, and the format of the cells."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from paper_figs.appearance import label

if TYPE_CHECKING:
    import pandas as pd

PAPER = "paper's IOP"
MARK = " †"
MARK_NOTE = "† the plan breaks a memory limit of equation (1)."
MISSING = "–"  # noqa: RUF001 - an en dash, as printed tables have it


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        key: name in the CSV file, with the unit.
        group: heading over neighbouring columns; may be empty.
        name: heading of this column.
        show: formats the value, which is finite if it is a number, as the text of the cell.
    """

    key: str
    group: str
    name: str
    show: Callable[[Any], str] = str

    @property
    def alignment(self) -> Literal["left", "right"]:
        """Texts to the left, numbers to the right."""
        return "right" if self.group or self.show is not str else "left"

    @property
    def is_paper(self) -> bool:
        """Whether it holds published numbers."""
        return self.key.startswith("paper_")

    @property
    def heading(self) -> str:
        """Group and name in one line."""
        return f"{self.group}: {self.name}" if self.group else self.name


@dataclass(frozen=True)
class Table:
    """Rows of values by key; ``stem`` names its CSV file; ``marked`` holds, row by row, the keys of cells whose plan breaks a memory limit."""

    stem: str
    columns: tuple[Column, ...]
    rows: tuple[Mapping[str, Any], ...]
    marked: tuple[frozenset[str], ...]

    def frame(self) -> pd.DataFrame:
        """The values, for CSV: unrounded, in the units that the keys name."""
        import pandas as pd

        return pd.DataFrame([dict(row) for row in self.rows])

    def cells(self) -> list[list[str]]:
        """The texts of the shown columns, row by row."""
        return [[_cell(column, row, marked) for column in self.columns] for row, marked in zip(self.rows, self.marked, strict=True)]

    @property
    def key_columns(self) -> tuple[Column, ...]:
        """The columns on the left that identify a row."""
        return tuple(itertools.takewhile(lambda column: not column.group, self.columns))

    def blocks(self) -> list[tuple[Column, ...]]:
        """The other columns, in blocks that start with a new group; a column without a group belongs to the block before it."""
        blocks: list[list[Column]] = []
        for column in self.columns[len(self.key_columns) :]:
            if not blocks or column.group not in ("", blocks[-1][0].group):
                blocks.append([])
            blocks[-1].append(column)
        return [tuple(block) for block in blocks]


def _cell(column: Column, row: Mapping[str, Any], marked: frozenset[str]) -> str:
    value = row[column.key]
    if isinstance(value, float) and not math.isfinite(value):
        return MISSING
    return column.show(value) + (MARK if column.key in marked else "")


def fixed(digits: int, scale: float = 1.0) -> Callable[[float], str]:
    """A format for ``value * scale`` with that many decimals; what rounds to zero has no sign."""
    return lambda value: f"{round(value * scale, digits) + 0.0:.{digits}f}"


def small_percent(value: float) -> str:
    """A proven gap: a value that would round to zero is shown as small, not as zero."""
    return f"{value:.2f}" if value >= 0.01 else "<0.01"


def method_columns(methods: Iterable[str], key: str, group: str, show: Callable[[Any], str]) -> tuple[Column, ...]:
    """One column for each method, whose key in the CSV file starts with the method's name."""
    return tuple(Column(f"{method}_{key}", group, label(method), show) for method in methods)
