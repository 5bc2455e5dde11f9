"""HTML for notebooks: text and tables, escaped, that read well on light and dark pages; and a graph as a table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

from iopopt.network.operator_texts import epilogue_text, inputs_text, short_count, splits_text

if TYPE_CHECKING:
    from iopopt.network.graph import Graph

_CELL = "padding:0.1em 0.6em;white-space:nowrap"
_LONGEST = 60
"""Longer names are cut: the table must stay readable."""


def text(value: object) -> str:
    """A value as escaped text, cut if it is long."""
    plain = str(value)
    return escape(plain if len(plain) <= _LONGEST else plain[: _LONGEST - 3] + "...")


def heading(name: object, rest: str) -> str:
    """The line above a table: a name in bold, and what there is to say in one line."""
    return f'<div style="margin:0.3em 0"><b>{text(name)}</b> {escape(rest)}</div>'


def table(headers: Sequence[str], rows: Iterable[Sequence[object]], figures: Sequence[str] = ()) -> str:
    """A table; the columns under the headers ``figures`` are aligned to the right, and long tables scroll. Cells are escaped."""
    styles = [f"{_CELL};text-align:{'right' if header in figures else 'left'}" for header in headers]
    head = "".join(f'<th style="{style}">{text(header)}</th>' for header, style in zip(headers, styles, strict=True))
    body = "".join(
        "<tr>" + "".join(f'<td style="{style}">{text(cell)}</td>' for cell, style in zip(row, styles, strict=True)) + "</tr>" for row in rows
    )
    return (
        '<div style="max-height:32em;overflow:auto"><table style="border-collapse:collapse;font-variant-numeric:tabular-nums">'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def graph_html(graph: Graph) -> str:
    """A row for each operator, below the totals."""
    rows = (
        (
            operator.name,
            operator.text,
            inputs_text(operator),
            operator.out_shape,
            splits_text(operator),
            short_count(operator.macs),
            short_count(operator.parameters),
            epilogue_text(operator),
        )
        for operator in graph.operators
    )
    totals = f"input {graph.input_shape}, {len(graph)} operators, {graph.macs:,} MACs, {graph.parameters:,} weights"
    return heading(graph.name, totals) + table(
        ("operator", "kind", "input", "output", "splits", "MACs", "weights", "epilogue"), rows, figures=("MACs", "weights")
    )
