"""HTML of networks, and what all HTML is made of."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.markup import cells, read_html

from iopopt import Graph, GraphBuilder
from iopopt.network.html import heading, table

NASTY = "<script>alert('1')</script>&\"x\""


def test_a_table_has_what_it_was_given() -> None:
    """Headers, then rows, cell by cell; figures are aligned to the right."""
    html = table(("a", "b"), [("x", 1), ("y", 22)], figures=("b",))
    assert cells(html) == ["a", "b", "x", "1", "y", "22"]
    styles = [str(attributes["style"]) for tag, attributes in read_html(html)[0] if tag == "td"]
    assert ["right" in style for style in styles] == [False, True, False, True]


@pytest.mark.parametrize("html", [heading(NASTY, NASTY), table((NASTY,), [(NASTY,)])])
def test_everything_is_escaped(html: str) -> None:
    """Markup in a name is shown as it is and makes no tag."""
    tags, _ = read_html(html)
    assert "script" not in {tag for tag, _ in tags}
    assert "".join(cells(html)).count(NASTY) == 2


def test_long_names_are_cut() -> None:
    """A name of thousands of characters keeps its beginning."""
    assert cells(table(("a",), [("n" * 5000,)])) == ["a", "n" * 57 + "..."]


def test_a_graph_is_a_table(trio_graph: Graph) -> None:
    """The totals, then a row for each operator with its shapes, work and epilogue."""
    found = cells(trio_graph._repr_html_())
    assert found[:2] == ["trio", "input 2x8x4, 3 operators, 4,272 MACs, 543 weights"]
    start = found.index("a")
    assert found[start : start + 8] == ["a", "conv 3x3", "2x8x4", "4x4x2", "H:4 OC:4 IC:2", "2.3 k", "76", "relu, max 2x2/2"]


def test_names_from_files_cannot_bring_tags() -> None:
    """An operator and a network named as a tag are only text."""
    graph = replace(GraphBuilder("net", (1, 4, 4)).conv(2, 3, name=NASTY).fc(2).build(), name=NASTY)
    tags, texts = read_html(graph._repr_html_())
    assert "script" not in {tag for tag, _ in tags}
    assert texts.count(NASTY) == 2
