"""Networks as DOT text, which Graphviz draws."""

from __future__ import annotations

from collections.abc import Iterator

from iopopt.network.graph import Graph
from iopopt.network.operator_texts import epilogue_text
from iopopt.network.operators.operator import INPUT, Operator


def to_dot(graph: Graph) -> str:
    """The network as a directed graph: a box for each operator, with kind, epilogue and output shape, and an edge for each tensor read."""
    return "\n".join(["digraph " + _quoted(graph.name) + " {", *(f"  {line}" for line in _lines(graph)), "}"]) + "\n"


def _lines(graph: Graph) -> Iterator[str]:
    yield 'node [shape=box, fontname="sans-serif"];'
    yield f"{_quoted(INPUT)} [label={_label(INPUT, str(graph.input_shape))}, shape=ellipse];"
    for operator in graph.operators:
        yield f"{_quoted(operator.name)} [label={_operator_label(operator)}];"
    for edges in graph.edges_into[: graph.sink]:
        for edge in edges:
            producer = INPUT if edge.producer == graph.source else edge.p.name
            style = "" if edge.read.by_rows else " [style=dashed]"
            yield f"{_quoted(producer)} -> {_quoted(edge.q.name)}{style};"


def _operator_label(operator: Operator) -> str:
    lines = [operator.name, operator.text, epilogue_text(operator), str(operator.out_shape)]
    return _label(*filter(None, lines))


def _label(*lines: str) -> str:
    """Several lines as one label; in labels, DOT reads a backslash and n as the end of a line."""
    return '"' + r"\n".join(_quoted(line)[1:-1] for line in lines) + '"'


def _quoted(text: str) -> str:
    """A DOT string: quotes and backslashes are escaped, line ends become spaces, other unprintable characters are replaced."""
    plain = "".join(" " if character in "\r\n" else character if character.isprintable() else "\ufffd" for character in text)
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'
