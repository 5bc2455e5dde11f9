"""The command ``iopopt export``: a network as DOT for Graphviz, or as JSON."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from iopopt.commands.command_line import add_input_shape, command_parser, print_error, write_text
from iopopt.errors import FileFormatError, IopoptError
from iopopt.models import ZOO, load_model
from iopopt.network.dot import to_dot
from iopopt.network.graph import Graph
from iopopt.network.records import json_text, short_repr

OK, BAD_INPUT = 0, 2


def _to_json(graph: Graph) -> str:
    return json_text(graph.to_dict())


WRITERS: Mapping[str, Callable[[Graph], str]] = {".dot": to_dot, ".gv": to_dot, ".json": _to_json}
"""The writer of a network for each file suffix."""

_EPILOG = f"""\
models   {", ".join(ZOO)}, a .json file written by Graph.to_dict, or an .onnx file

examples
  iopopt export vgg11 -o vgg11.dot && dot -Tsvg vgg11.dot -o vgg11.svg
  iopopt export net.onnx --input-shape 3x224x224 -o net.json
"""


def main(arguments: Sequence[str] | None = None, program: str = "iopopt export") -> int:
    """Write a network; returns the exit code."""
    options = _parser(program).parse_args(arguments)
    try:
        writer = _writer(options.output)
        text = writer(load_model(options.model, input_shape=options.input_shape))
        if options.output is None:
            sys.stdout.write(text)
        else:
            write_text(options.output, text)
    except IopoptError as error:
        print_error(error)
        return BAD_INPUT
    return OK


def _writer(output: Path | None) -> Callable[[Graph], str]:
    suffix = ".dot" if output is None else output.suffix.lower()
    if suffix not in WRITERS:
        raise FileFormatError(f"{output}: suffix {short_repr(suffix)} is unknown; known are {', '.join(WRITERS)}")
    return WRITERS[suffix]


def _parser(program: str) -> argparse.ArgumentParser:
    parser = command_parser(program, "Write a network as DOT, which Graphviz draws, or as JSON, which every command reads.", _EPILOG)
    parser.add_argument("model", metavar="MODEL", help="network, by name or file")
    add_input_shape(parser)
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help=f"file to write: {', '.join(WRITERS)} (default: DOT on standard output)")
    return parser
