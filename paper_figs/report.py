"""The output of a script, as CSV, Markdown and PNG files and on the terminal."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import rich.box
import rich.table
from rich.console import Console
from rich.measure import Measurement
from rich.text import Text

from iopopt import __version__
from paper_figs.columns import MARK_NOTE, Column, Table

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

PIXELS_PER_INCH = 150


@dataclass(frozen=True)
class Report:
    """Tables to read, frames to compute with, and remarks on them.

    Attributes:
        stem: name of its files, and of the script.
        tables: as shown in Markdown, PNG and on the terminal.
        frames: as written to CSV, by the stem of the file.
        setting: one sentence for each cluster.
        notes: how to read the numbers, and what they are not.
        figure: the PNG.
    """

    stem: str
    title: str
    tables: tuple[Table, ...]
    frames: Mapping[str, pd.DataFrame]
    setting: tuple[str, ...]
    notes: tuple[str, ...]
    figure: Figure | None = None

    @property
    def remarks(self) -> tuple[str, ...]:
        """Setting and notes, and the meaning of the mark if it occurs."""
        marked = any(any(table.marked) for table in self.tables)
        return (*(f"Setting. {sentence}" for sentence in self.setting), *((MARK_NOTE,) if marked else ()), *self.notes)

    def with_figure(self, figure: Figure) -> Report:
        """The same, with its PNG."""
        return dataclasses.replace(self, figure=figure)


def write(report: Report, directory: Path) -> list[Path]:
    """Write every file of the report, creating the directory if necessary; returns the paths."""
    directory.mkdir(parents=True, exist_ok=True)
    paths = []
    for stem, frame in report.frames.items():
        paths.append(directory / f"{stem}.csv")
        frame.to_csv(paths[-1], index=False, float_format="%.10g", lineterminator="\n")
    paths.append(directory / f"{report.stem}.md")
    paths[-1].write_text(markdown(report), encoding="utf-8")
    if report.figure is not None:
        paths.append(directory / f"{report.stem}.png")
        report.figure.savefig(paths[-1], dpi=PIXELS_PER_INCH)
    return paths


def markdown(report: Report) -> str:
    """The report as one Markdown page."""
    made_by = f"Made by `python -m paper_figs.{report.stem}` with iopopt {__version__}."
    remarks = "\n".join(f"* {remark}" for remark in report.remarks)
    picture = f"![{report.title}]({report.stem}.png)"
    return "\n\n".join([f"# {report.title}", made_by, *(_markdown_table(table) for table in report.tables), remarks, picture]) + "\n"


def _markdown_table(table: Table) -> str:
    import pandas as pd

    frame = pd.DataFrame(table.cells(), columns=[column.heading for column in table.columns])
    alignment = [column.alignment for column in table.columns]
    return str(frame.to_markdown(index=False, disable_numparse=True, colalign=alignment))


def show(report: Report) -> None:
    """Print the tables block by block, so that they fit a terminal of ordinary width, and the remarks; no digit is cut off."""
    console = Console()
    console.print(Text(report.title, style="bold"))
    drawn = [_rich_table(table, block) for table in report.tables for block in table.blocks()]
    unbounded = console.options.update(max_width=1000)
    wide = Console(width=max(console.width, *(Measurement.get(console, unbounded, table).maximum for table in drawn)))
    for table in drawn:
        wide.print(table)
    for remark in report.remarks:
        console.print(Text(f"- {remark}", style="dim"))


def _rich_table(table: Table, block: tuple[Column, ...]) -> rich.table.Table:
    """The columns that identify a row, and those of one block under the name of its group."""
    drawn = rich.table.Table(title=Text(block[0].group), title_justify="left", box=rich.box.SIMPLE_HEAVY, padding=(0, 1, 0, 0))
    for column in (*table.key_columns, *block):
        style = "magenta" if column.is_paper else None
        drawn.add_column(Text(column.name), justify=column.alignment, no_wrap=True, style=style)
    kept = [table.columns.index(column) for column in (*table.key_columns, *block)]
    for cells in table.cells():
        drawn.add_row(*(Text(cells[number]) for number in kept))
    return drawn
