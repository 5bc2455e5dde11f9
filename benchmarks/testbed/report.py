"""Predicted and measured latency: table, rank correlation, CSV."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from rich.table import Table
from scipy.stats import spearmanr

from iopopt.errors import FileFormatError


@dataclass(frozen=True)
class Row:
    """One plan: its price and its runs, seconds."""

    label: str
    predicted_s: float
    runs_s: tuple[float, ...]

    @property
    def measured_s(self) -> float:
        """The median run."""
        return statistics.median(self.runs_s)

    @property
    def relative_error(self) -> float:
        """(predicted - measured) / measured."""
        return (self.predicted_s - self.measured_s) / self.measured_s

    @property
    def variation(self) -> float:
        """(slowest - fastest run) / median."""
        return (max(self.runs_s) - min(self.runs_s)) / self.measured_s


def rank_correlation(rows: Sequence[Row]) -> float:
    """Spearman's rank correlation of predicted and measured latency."""
    return float(spearmanr([row.predicted_s for row in rows], [row.measured_s for row in rows]).statistic)


def median_error(rows: Sequence[Row]) -> float:
    """The median of the absolute relative errors."""
    return statistics.median(abs(row.relative_error) for row in rows)


def table(rows: Sequence[Row], title: str) -> Table:
    """A line for each plan, the fastest predicted first."""
    result = Table(title=title, title_justify="left")
    result.add_column("plan")
    for heading in ("predicted, ms", "measured, ms", "error", "spread of runs"):
        result.add_column(heading, justify="right")
    for row in sorted(rows, key=lambda row: row.predicted_s):
        figures = f"{row.predicted_s * 1e3:.0f}", f"{row.measured_s * 1e3:.0f}", f"{row.relative_error:+.1%}", f"{row.variation:.0%}"
        result.add_row(row.label, *figures)
    return result


def summary(rows: Sequence[Row]) -> str:
    """The two figures that measure the quality of the model."""
    return f"Spearman's rank correlation {rank_correlation(rows):.3f}; median relative error {median_error(rows):.1%}; {len(rows)} plans."


def frame(rows: Sequence[Row]) -> pd.DataFrame:
    """A row for each run."""
    columns = ["plan", "run", "predicted_s", "measured_s", "median_measured_s", "relative_error"]
    return pd.DataFrame(
        [(row.label, number, row.predicted_s, run, row.measured_s, row.relative_error) for row in rows for number, run in enumerate(row.runs_s)],
        columns=columns,
    )


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """Write a table.

    Raises:
        FileFormatError: if the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        table.to_csv(path, index=False)
    except OSError as error:
        raise FileFormatError(f"{path}: cannot be written ({error.strerror})") from None
