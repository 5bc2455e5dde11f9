"""What each idea is worth: nested plan spaces, each solved to a proven optimum. ``python -m benchmarks.ideas``

The spaces: one device; output channels only; rows only; both; with input channels, which interleave with output channels in pairs; with
two-phase reduces, which is the paper's space; with fused blocks; and that again at the shares in proportion to speed. Each is solved from the best
plan of those that it holds. Results are written as they come: a run continues where the last one with the same settings was stopped.
"""

from __future__ import annotations

import argparse
import importlib.util
from pathlib import Path

import pandas as pd
from rich.console import Console

from benchmarks.command_line import run
from benchmarks.ideas.measure import Measurement, Settings, rows_of
from benchmarks.ideas.picture import draw
from benchmarks.ideas.spaces import SPACES
from benchmarks.ideas.table import page, summary
from benchmarks.instances import add_instances, instances_of
from benchmarks.resume import RowFile
from iopopt import FileFormatError, MissingExtraError
from iopopt.commands.command_line import write_text

_MODELS = ("alexnet", "vgg16", "resnet18", "mobilenet_v2")
_OUTPUT = Path("benchmark_results")
_PIXELS_PER_INCH = 150


def main() -> None:
    """Solve what is missing, write the files and print the essence."""
    options = _parser().parse_args()
    missing = [name for name in ("matplotlib", "tabulate") if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingExtraError(f"the table and the picture need {' and '.join(missing)}: pip install 'iopopt[figures]'")
    settings = Settings(options.time_limit, options.gap, options.longest_block)
    rows = RowFile(options.output / "ideas.csv")
    if not options.essence:
        _solve(options, settings, rows)
    found = rows_of(rows, settings)
    if found.empty:
        raise FileFormatError(f"{options.output / 'ideas.csv'}: has no rows of these settings; run the command without --essence")
    if not options.essence:
        _write(found, settings, options.output)
    print(summary(found))


def _solve(options: argparse.Namespace, settings: Settings, rows: RowFile) -> None:
    console = Console(stderr=True)
    instances = list(instances_of(options))
    for number, (model, graph, name, cluster) in enumerate(instances, start=1):
        measurement = Measurement(model, graph, name, cluster, settings, rows, options.output)
        for space in SPACES.values():
            with console.status(f"{number}/{len(instances)} {model} {name}: {space.label}"):
                row = measurement.row(space)
            found = f"{float(row['latency_ms']):.6g} ms, gap {100 * float(row['gap']):.2g} %" if row["latency_ms"] else "no plan"
            line = f"{model} {name}: {space.label}: {found}, {row['status']}, {row['seconds']} s"
            console.print(line, markup=False, highlight=False, soft_wrap=True)


def _write(rows: pd.DataFrame, settings: Settings, folder: Path) -> None:
    write_text(folder / "ideas.md", page(rows, settings))
    if len(rows) >= len(SPACES):
        draw(rows).savefig(folder / "ideas.png", dpi=_PIXELS_PER_INCH)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ideas", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_instances(parser, models=_MODELS, devices=(3, 4))
    parser.add_argument("--time-limit", type=float, default=60.0, metavar="SECONDS", help="of each space (default: %(default)g)")
    parser.add_argument("--gap", type=float, default=1e-4, help="relative gap at which to stop (default: %(default)g)")
    parser.add_argument("--longest-block", type=int, default=8, metavar="N", help="the most operators of a fused block (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=_OUTPUT, metavar="DIR", help="folder of the results (default: %(default)s)")
    parser.add_argument("--essence", action="store_true", help="solve and write nothing: print the gain of each idea from the results that there are")
    return parser


if __name__ == "__main__":
    run(main)
