"""Tables as pictures: rules above and below, groups over their columns, published numbers on a tinted background."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING

from paper_figs.appearance import PAPER_COLOUR
from paper_figs.columns import Column, Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from paper_figs.report import Report

MARGIN = 0.25
ROW = 0.27
NOTE_LINE = 0.16
NOTE_PADDING = 0.15
COLUMN_PADDING = 0.32
CHARACTER = 0.092
"""Inches; CHARACTER is a generous width of one character at 10 points."""


@dataclass(frozen=True)
class _Span:
    """The position of a column, inches from the left."""

    column: Column
    left: float
    right: float


def draw_tables(report: Report) -> Figure:
    """All tables of the report, one below the other, then its remarks."""
    from matplotlib.figure import Figure

    layouts = [_spans(table) for table in report.tables]
    width = max(spans[-1].right for spans in layouts) + MARGIN
    lines = remark_lines(report.remarks, width - 2 * MARGIN)
    height = 2 * MARGIN + ROW + sum(_height(table) for table in report.tables) + NOTE_PADDING + NOTE_LINE * len(lines)
    figure = Figure(figsize=(width, height))
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0))
    axes.set_axis_off()
    axes.text(MARGIN, MARGIN, report.title, size=12, weight="bold", va="top")
    top = MARGIN + ROW
    for table, spans in zip(report.tables, layouts, strict=True):
        _draw(axes, table, spans, top)
        top += _height(table)
    axes.text(MARGIN, top + NOTE_PADDING, "\n".join(lines), size=8, va="top", linespacing=1.35)
    return figure


def remark_lines(remarks: tuple[str, ...], width: float) -> list[str]:
    """The remarks as lines of at most ``width`` inches at 8 points."""
    columns = int(width / (0.66 * CHARACTER))
    return [line for remark in remarks for line in textwrap.wrap(remark, columns, subsequent_indent="   ")]


def _height(table: Table) -> float:
    """Two rows of headings, the body, and a blank row."""
    return ROW * (2 + len(table.rows) + 1)


def _spans(table: Table) -> list[_Span]:
    """The position of each column: wide enough for its texts and for its part of the group's heading."""
    cells = table.cells()
    spans, left = [], MARGIN
    for number, column in enumerate(table.columns):
        texts = [column.name, *(row[number] for row in cells)]
        peers = sum(other.group == column.group for other in table.columns)
        longest = max(max(map(len, texts)), len(column.group) / peers if column.group else 0)
        right = left + CHARACTER * longest + COLUMN_PADDING
        spans.append(_Span(column, left, right))
        left = right
    return spans


def _draw(axes: Axes, table: Table, spans: list[_Span], top: float) -> None:
    names, body = top + ROW, top + 2 * ROW
    bottom = body + ROW * len(table.rows)
    for span in spans:
        if span.column.is_paper:
            axes.fill_betweenx([names, bottom], span.left, span.right, color=PAPER_COLOUR, alpha=0.45, lw=0)
        _write(axes, span, names, span.column.name, weight="bold")
    for block in table.blocks():
        _head(axes, [span for span in spans if span.column in block and span.column.group], top)
    for number, row in enumerate(table.cells()):
        for span, text in zip(spans, row, strict=True):
            _write(axes, span, body + ROW * number, text)
    for y, line_width in ((top, 1.2), (body, 0.6), (bottom, 1.2)):
        axes.hlines(y, spans[0].left, spans[-1].right, color="black", lw=line_width)


def _head(axes: Axes, spans: list[_Span], top: float) -> None:
    """The group's name over its columns, underlined."""
    left, right = spans[0].left + COLUMN_PADDING / 2, spans[-1].right - COLUMN_PADDING / 4
    axes.text((left + right) / 2, top + ROW / 2, spans[0].column.group, size=10, ha="center", va="center")
    axes.hlines(top + ROW, left, right, color="black", lw=0.5)


def _write(axes: Axes, span: _Span, top: float, text: str, weight: str = "normal") -> None:
    side = span.column.alignment
    x = span.left + COLUMN_PADDING / 4 if side == "left" else span.right - COLUMN_PADDING / 4
    axes.text(x, top + ROW / 2, text, size=10, weight=weight, ha=side, va="center")
