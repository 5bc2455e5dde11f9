"""Results that outlive an interrupted run: a CSV file to which every row is written as soon as it is known, and which a later run continues."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd

from iopopt import FileFormatError, Solution

Row = Mapping[str, object]
"""One row by column; a cell is a word, a number or None."""


class RowFile:
    """The rows of a CSV file, and the keys under which a run looks for those that are there already.

    A key is all that decides what a row says: instance, settings, version. Rows of other keys stay in the file, and a row that a stopped run
    left unfinished is cut off. Without a path the rows are in memory only.

    Raises:
        FileFormatError: if the file cannot be read, or is no such CSV.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._columns: list[str] = []
        self._rows: list[dict[str, str]] = []
        if path is not None and path.exists():
            self._read(path)

    def row(self, key: Row, measure: Callable[[], Row]) -> dict[str, str]:
        """The row of ``key`` as the file holds it, with every cell as text; if there is none, what ``measure`` returns is added first.

        Whatever ``measure`` raises, KeyboardInterrupt included, leaves the file as it is.

        Raises:
            FileFormatError: if the file has other columns than the row, or cannot be written.
        """
        found = self.find(key)
        return found if found is not None else self._add({**key, **measure()})

    def find(self, key: Row) -> dict[str, str] | None:
        """The row of ``key``; None if there is none."""
        wanted = {column: _cell(value) for column, value in key.items()}
        return next((row for row in reversed(self._rows) if wanted.items() <= row.items()), None)

    def frame(self, key: Row) -> pd.DataFrame:
        """All rows that agree with ``key``, whose cells are numbers where all of their column are."""
        wanted = {column: _cell(value) for column, value in key.items()}
        text = io.StringIO(_line(self._columns) + "".join(_line(row.values()) for row in self._rows if wanted.items() <= row.items()))
        return pd.read_csv(text) if self._columns else pd.DataFrame()

    def _read(self, path: Path) -> None:
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise FileFormatError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from None
        whole = text[: text.rfind("\n") + 1]
        lines = list(csv.reader(io.StringIO(whole)))
        self._columns = lines[0] if lines else []
        for number, cells in enumerate(lines[1:], start=2):
            if len(cells) != len(self._columns):
                raise FileFormatError(f"{path}: row {number} has {len(cells)} cells, but there are {len(self._columns)} columns; repair or move it")
            self._rows.append(dict(zip(self._columns, cells, strict=True)))
        if whole != text:
            self._write(path, whole, "w")

    def _add(self, row: Row) -> dict[str, str]:
        cells = {column: _cell(value) for column, value in row.items()}
        if self._columns and list(cells) != self._columns:
            raise FileFormatError(
                f"{self._path}: has the columns {', '.join(self._columns)}; this run has {', '.join(cells)}; move the file or name another"
            )
        if self._path is not None:
            self._write(self._path, ("" if self._columns else _line(cells)) + _line(cells.values()), "a")
        self._columns = list(cells)
        self._rows.append(cells)
        return cells

    @staticmethod
    def _write(path: Path, text: str, mode: str) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open(mode, encoding="utf-8", newline="") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise FileFormatError(f"{path}: cannot be written ({error.strerror})") from None


def finished(solution: Solution) -> Solution:
    """The solution of a method that was not interrupted: an interrupted one is no result, and the run ends.

    Raises:
        KeyboardInterrupt: if Ctrl-C ended the search.
    """
    if solution.termination == "interrupted":
        raise KeyboardInterrupt
    return solution


def _cell(value: object) -> str:
    return "" if value is None else " ".join(str(value).split())


def _line(cells: object) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)  # type: ignore[arg-type]
    return text.getvalue()
