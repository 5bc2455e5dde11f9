"""The command line of all scripts."""

from __future__ import annotations

import argparse
import importlib.util
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from iopopt import IopoptError
from paper_figs.comparison import Progress
from paper_figs.report import Report, show, write

RESULTS = Path(__file__).parent / "results"
"""The tracked output; ``--update`` renews it, and nothing else writes there."""

OUTPUT = Path("paper_results")
"""Where files go otherwise, in the current folder."""

EXTRAS = ("matplotlib", "tabulate")

Build = Callable[[float, Progress], Report]


def run(
    stem: str,
    description: str,
    build: Build,
    steps: int,
    argv: Sequence[str] | None,
    *,
    time_limit_s: float = 60.0,
) -> int:
    """Parse the command line, build the report, write and show it; returns the exit code.

    ``time_limit_s`` is the default of the option.

    Progress and errors go to the standard error stream, the tables to the standard output.
    """
    parser = _parser(stem, description, time_limit_s)
    options = parser.parse_args(argv)
    if options.output.resolve() == RESULTS.resolve():
        parser.error("--output is the folder of the tracked results; --update renews them")
    missing = [name for name in EXTRAS if importlib.util.find_spec(name) is None]
    if missing:
        print(f"{stem} needs {' and '.join(missing)}: pip install 'iopopt[figures]'", file=sys.stderr)
        return 2
    try:
        report = build(options.time_limit, StepPrinter(steps))
        paths = write(report, RESULTS if options.update else options.output)
    except (IopoptError, OSError) as error:
        print(f"{stem}: {error}", file=sys.stderr)
        return 1
    show(report)
    for path in paths:
        print(f"wrote {path}", file=sys.stderr)
    return 0


def _parser(stem: str, description: str, time_limit_s: float) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"python -m paper_figs.{stem}", description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--output", type=Path, default=OUTPUT, metavar="DIR", help="directory of the output files (default: %(default)s)")
    where.add_argument("--update", action="store_true", help="renew the tracked results in paper_figs/results instead")
    parser.add_argument(
        "--time-limit",
        type=_seconds,
        default=time_limit_s,
        metavar="SECONDS",
        help="time limit of the longest search, for each instance (default: %(default)g)",
    )
    return parser


def _seconds(text: str) -> float:
    value = float(text)
    if not (value > 0 and math.isfinite(value)):
        raise argparse.ArgumentTypeError(f"{text} is not a positive number of seconds")
    return value


class StepPrinter:
    """Prints one numbered line for each step."""

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._done = 0

    def __call__(self, line: str) -> None:
        self._done += 1
        print(f"[{self._done}/{self._steps}] {line}", file=sys.stderr, flush=True)
