"""The option ``--input-shape`` of the commands that read a network."""

from __future__ import annotations

import argparse


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
        raise argparse.ArgumentTypeError(f"{text!r} is no input shape; channels x height x width are expected, without the batch, such as 3x224x224")
    return int(sizes[0]), int(sizes[1]), int(sizes[2])
