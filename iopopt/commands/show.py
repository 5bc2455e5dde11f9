"""The command ``iopopt show``: a network as a table."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from iopopt.commands.command_line import add_input_shape, command_parser, print_error
from iopopt.errors import IopoptError
from iopopt.models import ZOO, load_model
from iopopt.network.graph import Graph
from iopopt.network.operator_texts import epilogue_text, inputs_text, short_count, splits_text

OK, BAD_INPUT = 0, 2
_WIDEST = 2000

_EPILOG = f"""\
models   {", ".join(ZOO)}, a .json file written by Graph.to_dict, or an .onnx file

columns
  splits     the dimensions by which the operator can be split, with their sizes: rows H, output channels OC, input channels IC
  MACs       multiply-accumulates of the kernel
  weights    parameters: kernel, bias, and those of the epilogue
  epilogue   what runs after the operator on the same device
"""


def main(arguments: Sequence[str] | None = None, program: str = "iopopt show") -> int:
    """Print a network; returns the exit code."""
    options = _parser(program).parse_args(arguments)
    try:
        graph = load_model(options.model, input_shape=options.input_shape)
    except IopoptError as error:
        print_error(error)
        return BAD_INPUT
    table = network_table(graph)
    console = _console_for(table)
    console.print(table)
    console.print(totals(graph), markup=False, highlight=False, soft_wrap=True)
    return OK


def network_table(graph: Graph) -> Table:
    """A row for each operator."""
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    for name, figures in (("operator", {}), ("kind", {}), ("input", {}), ("output", {}), ("splits", {}), ("MACs", _NUMBER), ("weights", _NUMBER)):
        table.add_column(name, overflow="fold", **figures)  # type: ignore[arg-type]
    table.add_column("epilogue", overflow="fold")
    for operator in graph.operators:
        shapes = inputs_text(operator), str(operator.out_shape)
        work = short_count(operator.macs), short_count(operator.parameters)
        cells = operator.name, operator.text, *shapes, splits_text(operator), *work, epilogue_text(operator)
        table.add_row(*map(Text, cells))
    return table


_NUMBER = {"justify": "right", "no_wrap": True}


def totals(graph: Graph) -> str:
    """The line below the table."""
    count = f"{len(graph)} operator{'s' if len(graph) > 1 else ''}"
    return f"{graph.name}: input {graph.input_shape}, {count}, {graph.macs:,} MACs, {graph.parameters:,} weights"


def _console_for(table: Table) -> Console:
    """Standard output: as wide as the terminal; if it is not a terminal, as wide as the table, so that each operator stays on one line."""
    console = Console()
    if console.is_terminal:
        return console
    return Console(width=Measurement.get(console, console.options.update(max_width=_WIDEST), table).maximum)


def _parser(program: str) -> argparse.ArgumentParser:
    parser = command_parser(program, "Show a network: operators, shapes, work, parameters, and possible splits.", _EPILOG)
    parser.add_argument("model", metavar="MODEL", help="network, by name or file")
    add_input_shape(parser)
    return parser
