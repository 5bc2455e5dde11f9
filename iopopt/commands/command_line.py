"""Shared by the commands: parsers, common options, methods of the user's own, the report of bad input, and how a command may end."""

from __future__ import annotations

import argparse
import math
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from iopopt.cluster.cluster import Cluster
from iopopt.errors import ClusterError, FileFormatError, IopoptError
from iopopt.plan.team import Team, resolve_team
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


def allow_own_modules() -> None:
    """Let ``package.module:name`` name modules of the current folder, as ``python -m`` does; what is installed comes first."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)


def write_text(path: Path, text: str) -> None:
    """Write a file that a command was asked for.

    Raises:
        FileFormatError: if it cannot be written; the message names it.
    """
    try:
        path.write_text(text, encoding="utf-8")
    except (OSError, ValueError) as error:
        raise FileFormatError(f"{str(path)!r}: cannot be written ({getattr(error, 'strerror', None) or error})") from None


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


def add_exact(parser: argparse.ArgumentParser, *, time_limit_s: float, gap: float) -> None:
    """Add what commands of the exact method share: ``--model``, ``--input-shape``, ``--cluster``, ``--team``, and the settings of the search."""
    parser.add_argument("--model", required=True, metavar="NAME", help="a network, by name or file")
    add_input_shape(parser)
    parser.add_argument("--cluster", metavar="NAME", help="a cluster, by name or file (default: the reference instance for the model)")
    parser.add_argument("--team", default="all", help="devices over which operators are split, by name or index, or all, or best (default: all)")
    parser.add_argument("--longest-block", type=int, default=1, metavar="N", help="also fuse up to N operators (default: 1)")
    parser.add_argument("--time-limit", type=float, default=time_limit_s, metavar="SECONDS", help=f"limit for everything (default: {time_limit_s:g})")
    parser.add_argument("--gap", type=float, default=gap, metavar="FRACTION", help=f"relative gap at which a search stops (default: {gap:g})")
    parser.add_argument("--backend", default="highs", metavar="NAME", help="solver (default: highs)")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="threads of the solver (default: 1)")


def exact_settings(options: argparse.Namespace) -> dict[str, Any]:
    """The settings of the search that :func:`add_exact` has read, except the team and the gap."""
    return {"longest_block": options.longest_block, "time_limit_s": options.time_limit, "backend": options.backend, "threads": options.threads}


def named_team(text: str, cluster: Cluster, cluster_name: str) -> Team:
    """The team that ``--team`` names on a cluster: ``all``, ``best``, or devices by name or index, separated by commas."""
    if text in ("all", "best"):
        return text  # type: ignore[return-value]  # mypy does not narrow a str to a Literal
    numbers = {device.name: number for number, device in enumerate(cluster.devices)}
    words = [word.strip() for word in text.split(",")]
    for word in words:
        if word not in numbers and not (word.isascii() and word.isdigit() and int(word) < len(cluster)):
            raise ClusterError(
                f"--team {text}: {cluster_name} has no device {word!r}; allowed are all, best, or devices separated by commas: "
                f"{', '.join(numbers)}, or their indices 0 to {len(cluster) - 1}"
            )
    return resolve_team([numbers[word] if word in numbers else int(word) for word in words], cluster)


@contextmanager
def shown_warnings(console: Console) -> Iterator[None]:
    """Print warnings about the input as plain lines."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for warning in caught:
        console.print(f"warning: {warning.message}", markup=False, highlight=False, soft_wrap=True)


def words(values: Sequence[str] | None) -> list[str]:
    """Names separated by spaces or commas, or given by repeating the option; duplicates removed."""
    return list(dict.fromkeys(word for value in values or () for word in value.split(",") if word))


def positive(kind: Callable[[str], float]) -> Callable[[str], float]:
    """The type of an option that is a positive and finite ``int`` or ``float``."""

    def parse(text: str) -> float:
        value = kind(text)
        if not 0 < value < float("inf"):
            raise argparse.ArgumentTypeError(f"{text} is not positive" + ("" if kind is int else " and finite"))
        return value

    parse.__name__ = f"positive {kind.__name__}"
    return parse


def milliseconds(text: str) -> float:
    """The type of an option that is a time, which may be 0."""
    value = float(text)
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not a time in milliseconds: at least 0 and finite is expected")
    return value


def input_size(text: str) -> tuple[int, int]:
    """The type of an option that is a height and a width, or one number for both."""
    sizes = text.lower().split("x")
    if len(sizes) > 2 or not all(size.isascii() and size.isdigit() and len(size) < 10 and int(size) for size in sizes):
        raise argparse.ArgumentTypeError(f"{text!r} is not an input size; expected height x width, such as 160 or 160x192")
    return int(sizes[0]), int(sizes[-1])


def _shape(text: str) -> tuple[int, int, int]:
    sizes = text.lower().replace(",", "x").split("x")
    if len(sizes) != 3 or not all(size.isascii() and size.isdigit() and len(size) < 10 and int(size) for size in sizes):
        raise argparse.ArgumentTypeError(f"{text!r} is not an input shape; expected channels x height x width without the batch, such as 3x224x224")
    return int(sizes[0]), int(sizes[1]), int(sizes[2])
