"""The command ``iopopt pareto``: memory against latency, as a table and a picture."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from iopopt.cluster.files import load_cluster
from iopopt.cluster.reference import default_reference
from iopopt.commands.command_line import add_exact, command_parser, exact_settings, named_team, print_error, write_text
from iopopt.commands.tables import wide_enough
from iopopt.errors import FileFormatError, IopoptError
from iopopt.methods.pareto import ParetoFront, pareto
from iopopt.models import load_model
from iopopt.network.records import json_text
from iopopt.pictures import FORMATS, draw_pareto, save_figure
from iopopt.pictures.figures import check_format, figure_of, new_figure

OK, BAD_INPUT, NOTHING_FITS, INTERRUPTED = 0, 2, 3, 130

_EPILOG = f"""\
Within each of several caps on the memory, as a share of every device's limit, the latency is minimised, from the least memory that any plan needs to
the least latency within the limits. No plan of the space lies below the staircase of the proven bounds.

--output writes front.json, front.csv and the plan of each point into DIR; --plot draws the front ({", ".join(FORMATS)}).

examples
  iopopt pareto --model vgg16 --cluster board-x4 --plot front.png
  iopopt pareto --model yolov2 --cluster wifi-x4 --points 5 --time-limit 600 --inputs 8 --output results/

exit codes
  {OK} done; {BAD_INPUT} bad input; {NOTHING_FITS} no plan fits the memory, or none was found that does; {INTERRUPTED} interrupted
"""


def main(arguments: Sequence[str] | None = None, program: str = "iopopt pareto") -> int:
    """Find, print and draw a front; returns the exit code."""
    options = _parser(program).parse_args(arguments)
    try:
        if options.plot is not None:
            check_format(options.plot)
            new_figure(1, 1)  # without Matplotlib nothing need be solved
        if options.output is not None:
            _make(options.output)
        graph = load_model(options.model, input_shape=options.input_shape)
        name = options.cluster or default_reference(graph)
        cluster = load_cluster(name, graph)
        team = named_team(options.team, cluster, name)
        front = pareto(graph, cluster, points=options.points, team=team, gap=options.gap, inputs=options.inputs, **exact_settings(options))
        _print(front, name)
        _write(front, options)
    except IopoptError as error:
        print_error(error)
        return BAD_INPUT
    if front.ending == "interrupted":
        return INTERRUPTED
    return OK if front.points else NOTHING_FITS


def _make(directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileFormatError(f"--output {directory}: cannot be made ({error.strerror})") from None


def _print(front: ParetoFront, cluster_name: str) -> None:
    if front.points:
        table = front_table(front, cluster_name)
        wide_enough(table).print(table)
    print(summary(front))


def front_table(front: ParetoFront, cluster_name: str) -> Table:
    """A row for each point."""
    table = Table(title=f"{front.model} on {cluster_name}", title_justify="left")
    headings = ["cap", "memory\nof the limit", "latency\nms", "proven\nbound, ms", "proven\ngap", "status"]
    simulated = [f"{front.inputs} inputs\nms", "inputs\nper second"] if front.inputs is not None else []
    for heading in (*headings[:-1], *simulated, headings[-1]):
        table.add_column(heading, justify="left" if heading == "status" else "right", no_wrap=True)
    for point in front.points:
        figures = [f"{point.cap:.2%}", f"{point.share:.2%}", f"{point.latency_s * 1e3:,.2f}", f"{point.bound_s * 1e3:,.2f}", f"{point.gap:.3%}"]
        if point.makespan_s is not None and point.throughput_per_s is not None:
            figures += [f"{point.makespan_s * 1e3:,.1f}", f"{point.throughput_per_s:.4g}"]
        table.add_row(*figures, point.status)
    return table


def summary(front: ParetoFront) -> str:
    """What is proven about all plans, and how the search ended."""
    if not front.points:
        return front.reason or f"no plan that fits the memory was found ({front.ending.replace('_', ' ')})"
    ended = {
        "finished": "",
        "time_limit": " The time limit cut points short, or left gaps wider than asked for.",
        "interrupted": " The search was interrupted.",
    }.get(front.ending, "")
    return f"Some device needs at least {front.least_share:.2%} of its limit in every plan of {front.space} (proven).{ended} {front.solve_s:.1f} s."


def _write(front: ParetoFront, options: argparse.Namespace) -> None:
    """What was asked for beside the table."""
    if options.output is not None:
        write_text(options.output / "front.json", json_text(front.to_dict()))
        write_text(options.output / "front.csv", front.to_frame().to_csv(index=False))
        for number, point in enumerate(front.points):
            write_text(options.output / f"plan-{number}.json", json_text(point.plan.to_dict()))
    if options.plot is not None and front.points:
        save_figure(figure_of(draw_pareto(front)), options.plot)


def _parser(program: str) -> argparse.ArgumentParser:
    parser = command_parser(program, "Memory against latency: the fastest plan within each of several memory caps, with proven bounds.", _EPILOG)
    add_exact(parser, time_limit_s=300.0, gap=1e-3)
    parser.add_argument("--points", type=int, default=8, metavar="N", help="how many caps, both ends included (default: 8)")
    parser.add_argument("--inputs", type=int, metavar="N", help="also simulate each plan with N inputs in flight, without barriers")
    parser.add_argument("--output", type=Path, metavar="DIR", help="write the front as JSON and CSV, and its plans, into DIR")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the front")
    return parser
