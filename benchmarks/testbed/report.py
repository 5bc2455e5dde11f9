"""Predicted and measured latency, with barriers and without: table, rank correlation, gains, CSV."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from rich.table import Table
from scipy.stats import spearmanr

from iopopt.errors import FileFormatError


@dataclass(frozen=True)
class Row:
    """One plan, run with barriers or without: its price by the clock that belongs to that, and its runs, seconds."""

    label: str
    overlap: bool
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


class Gain(NamedTuple):
    """What a plan gains without barriers, of its time with them: promised by the two clocks, and measured."""

    promised: float
    measured: float


def rank_correlation(rows: Sequence[Row]) -> float:
    """Spearman's rank correlation of predicted and measured latency."""
    return float(spearmanr([row.predicted_s for row in rows], [row.measured_s for row in rows]).statistic)


def median_error(rows: Sequence[Row]) -> float:
    """The median of the absolute relative errors."""
    return statistics.median(abs(row.relative_error) for row in rows)


def gain(barriers: Row, overlap: Row) -> Gain:
    """The gain of one plan."""
    return Gain(1 - overlap.predicted_s / barriers.predicted_s, 1 - overlap.measured_s / barriers.measured_s)


def table(pairs: Sequence[tuple[Row, ...]], title: str) -> Table:
    """A line for each plan, the fastest predicted first: with barriers and, if it was run so, without."""
    result, both = Table(title=title, title_justify="left"), len(pairs[0]) > 1
    result.add_column("plan")
    for clock in ("barriers", "overlap")[: len(pairs[0])]:
        for heading in ("predicted\nms", "measured\nms", "error", "spread"):
            result.add_column(f"{clock}\n{heading}", justify="right")
    for heading in ("gain\npromised", "gain\nmeasured") if both else ():
        result.add_column(heading, justify="right")
    for pair in sorted(pairs, key=lambda pair: pair[-1].predicted_s):
        cells = [cell for row in pair for cell in _cells(row)]
        result.add_row(pair[0].label, *cells, *([f"{part:.1%}" for part in gain(*pair)] if both else []))
    return result


def _cells(row: Row) -> tuple[str, ...]:
    return f"{row.predicted_s * 1e3:.0f}", f"{row.measured_s * 1e3:.0f}", f"{row.relative_error:+.1%}", f"{row.variation:.0%}"


def summary(pairs: Sequence[tuple[Row, Row]]) -> str:
    """How well each clock predicts its runs, and what was gained, line by line."""
    lines = []
    for name, rows in zip(("equation (6), run with barriers", "events, run with overlap"), zip(*pairs, strict=True), strict=True):
        figures = f"Spearman's rank correlation {rank_correlation(rows):.3f}, median relative error {median_error(rows):.1%}"
        lines.append(f"{name}: {figures}, {len(rows)} plans.")
    gains = [gain(*pair) for pair in pairs]
    promised, measured = (statistics.median(parts) for parts in zip(*gains, strict=True))
    best, fastest = min(pairs, key=lambda pair: pair[1].measured_s), min(pair[0].measured_s for pair in pairs)
    lines.append(
        f"Overlap promises {promised:.1%} and gains {measured:.1%} in the median; the largest gain is {max(found.measured for found in gains):.1%}."
    )
    lines.append(
        f"The fastest run with overlap ({best[0].label}) takes {1 - best[1].measured_s / fastest:.1%} less than the fastest one with barriers."
    )
    return "\n".join(lines)


def frame(rows: Sequence[Row]) -> pd.DataFrame:
    """A row for each run."""
    columns = ["plan", "overlap", "run", "predicted_s", "measured_s", "median_measured_s", "relative_error"]
    runs = [(row, number, run) for row in rows for number, run in enumerate(row.runs_s)]
    return pd.DataFrame(
        [(row.label, row.overlap, number, row.predicted_s, run, row.measured_s, row.relative_error) for row, number, run in runs], columns=columns
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
