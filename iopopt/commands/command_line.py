"""Shared by the commands: parsers, the option ``--input-shape``, the report of bad input, and how a command may end."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable

from rich.console import Console

from iopopt.errors import IopoptError
from iopopt.version import __version__

WARNING = "warning: "
"""How a warning begins."""

_READER_LEFT, _INTERRUPTED = 1, 130


def ended(command: Callable[[], int]) -> int:
    """Run a command to its end, and say with which exit code: its own, 1 if the reader of its output leaves early, 130 on Ctrl-C."""
    try:
        try:
            return command()
        finally:  # also when the parser ends it, after --help
            sys.stdout.flush()
    except BrokenPipeError:  # the reader has seen enough, as with ``| head``
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _READER_LEFT
    except KeyboardInterrupt:
        return _INTERRUPTED


def command_parser(program: str, description: str, epilog: str) -> argparse.ArgumentParser:
    """A parser without abbreviated options, whose epilog is printed unchanged; it knows ``--version``."""
    parser = argparse.ArgumentParser(
        prog=program, description=description, epilog=epilog, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=__version__, help="show the version of iopopt and exit")
    return parser


def print_error(error: IopoptError) -> None:
    """Print one line to standard error."""
    Console(stderr=True).print(f"error: {error}", markup=False, highlight=False, soft_wrap=True)


def print_warning(text: str) -> None:
    """Print one line to standard error."""
    Console(stderr=True).print(f"{WARNING}{text}", markup=False, highlight=False, soft_wrap=True)


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
