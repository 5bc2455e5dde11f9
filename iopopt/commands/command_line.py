"""Shared by the commands: parsers, the option ``--input-shape``, methods of the user's own, and the report of bad input."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console

from iopopt.errors import IopoptError


def command_parser(program: str, description: str, epilog: str) -> argparse.ArgumentParser:
    """A parser without abbreviated options, whose epilog is printed unchanged."""
    return argparse.ArgumentParser(
        prog=program, description=description, epilog=epilog, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )


def print_error(error: IopoptError) -> None:
    """Print one line to standard error."""
    Console(stderr=True).print(f"error: {error}", markup=False, highlight=False, soft_wrap=True)


def allow_own_modules() -> None:
    """Let ``package.module:name`` name modules of the current folder, as ``python -m`` does; what is installed comes first."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)


def add_input_shape(parser: argparse.ArgumentParser) -> None:
    """Add ``--input-shape`` to a command; its value is (C, H, W) or None."""
    parser.add_argument(
        "--input-shape",
        type=_shape,
        metavar="CxHxW",
        help="shape of the network's input, such as 3x224x224, if an .onnx file leaves it open, or to change its size",
    )


def _shape(text: str) -> tuple[int, int, int]:
    sizes = text.lower().replace(",", "x").split("x")
    if len(sizes) != 3 or not all(size.isascii() and size.isdigit() and len(size) < 10 and int(size) for size in sizes):
        raise argparse.ArgumentTypeError(f"{text!r} is not an input shape; expected channels x height x width without the batch, such as 3x224x224")
    return int(sizes[0]), int(sizes[1]), int(sizes[2])
