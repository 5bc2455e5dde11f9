"""What the commands have in common: their parsers, the option ``--input-shape``, and how they refuse bad input."""

from __future__ import annotations

import argparse

from rich.console import Console

from iopopt.errors import IopoptError


def command_parser(program: str, description: str, epilog: str) -> argparse.ArgumentParser:
    """A parser without abbreviated options, whose epilog is printed as it is."""
    return argparse.ArgumentParser(
        prog=program, description=description, epilog=epilog, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )


def print_error(error: IopoptError) -> None:
    """One line on the standard error."""
    Console(stderr=True).print(f"error: {error}", markup=False, highlight=False, soft_wrap=True)


def add_input_shape(parser: argparse.ArgumentParser) -> None:
    """Give a command the option; its value is (C, H, W) or None."""
    parser.add_argument(
        "--input-shape",
        type=_shape,
        metavar="CxHxW",
        help="input of the network, for an .onnx file that leaves it open or for another size, such as 3x224x224",
    )


def _shape(text: str) -> tuple[int, int, int]:
    sizes = text.lower().replace(",", "x").split("x")
    if len(sizes) != 3 or not all(size.isascii() and size.isdigit() and len(size) < 10 and int(size) for size in sizes):
        raise argparse.ArgumentTypeError(f"{text!r} is not an input shape; expected channels x height x width without the batch, such as 3x224x224")
    return int(sizes[0]), int(sizes[1]), int(sizes[2])
