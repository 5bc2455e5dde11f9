"""The command ``iopopt plot``: a plan as a partition map, or in time as a Gantt chart."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from iopopt.commands.command_line import command_parser, print_error, write_text
from iopopt.commands.planned import add_planned, planned
from iopopt.cost.evaluation import Evaluation, evaluate
from iopopt.errors import FileFormatError, IopoptError
from iopopt.network.records import json_text, short_text
from iopopt.pictures import FORMATS, draw_memory, draw_plan, draw_timelines, save_figure
from iopopt.pictures.appearance import milliseconds
from iopopt.pictures.figures import check_format, figure_of, new_column, new_figure
from iopopt.pictures.memory import memory_heights
from iopopt.pictures.timeline import end_s, timeline_height
from iopopt.simulation.simulate import simulate
from iopopt.simulation.timeline import Timeline
from iopopt.simulation.timeline_files import read_timeline
from iopopt.simulation.trace import trace_record

OK, BAD_INPUT = 0, 2

_OF_SIMULATION = ("model", "input_shape", "cluster", "plan", "method", "boundary_first", "barriers", "inputs", "shared_medium")
"""The options that a timeline file leaves no use for."""

_MOST_NAMED = 3

_EPILOG = f"""\
pictures
  plan       how each operator is split, by which devices, and what is fused
  timeline   what each device computes, sends and receives when, what it waits for, and the critical path: what to speed up

The suffix of the file says what is written: {", ".join(FORMATS)}. 'iopopt plot plan --help' and 'iopopt plot timeline --help' list the options.
"""

_TIMELINE_EPILOG = """\
A timeline is simulated from a plan, without barriers, or read from FILE. Beside its makespan the command says what the critical path is made of, and
the latency by equation (6), in which devices wait for each other at every operator.

examples
  iopopt plot timeline --model vgg16 --cluster board-x4 --method coedge -o gantt.png
  iopopt plot timeline --model vgg16 --cluster board-x4 --plan plan.json --memory --trace trace.json -o gantt.pdf
  iopopt plot timeline --model vgg16 --cluster board-x4 --plan plan.json --measured measured.json -o both.png
  iopopt plot timeline measured.json -o gantt.svg
ui.perfetto.dev opens trace.json.
"""

_PLAN_EPILOG = """\
examples
  iopopt plot plan --model vgg16 --cluster board-x4 --plan plan.json -o map.png
  iopopt plot plan --model alexnet --cluster edge-x3 --method dp -o map.pdf
"""


def main(arguments: Sequence[str] | None = None, program: str = "iopopt plot") -> int:
    """Draw a picture; returns the exit code."""
    parser, timeline_parser = _parsers(program)
    options = parser.parse_args(arguments)
    if options.picture == "timeline":
        _check_timeline_options(timeline_parser, options)
    try:
        check_format(options.output)
        new_figure(1, 1)  # without Matplotlib nothing need be solved
        (_plot_plan if options.picture == "plan" else _plot_timeline)(options)
    except IopoptError as error:
        print_error(error)
        return BAD_INPUT
    return OK


def _plot_plan(options: argparse.Namespace) -> None:
    graph, cluster, plan = planned(options)
    axes = draw_plan(plan, device_names=[device.name for device in cluster.devices])
    save_figure(figure_of(axes), options.output)
    print(f"{plan!r}; equation (6): {milliseconds(evaluate(graph, cluster, plan).latency_s)}")


def _plot_timeline(options: argparse.Namespace) -> None:
    timelines, evaluation = _timelines(options)
    heights, until_s = [timeline_height(timeline) for timeline in timelines], max(map(end_s, timelines))
    axes = new_column([*heights, *(memory_heights(timelines[0]) if options.memory else [])])
    if options.memory:
        draw_memory(timelines[0], axes[len(timelines) :], demands_bytes=None if evaluation is None else evaluation.memory_bytes, until_s=until_s)
    draw_timelines(timelines, axes[: len(timelines)])
    save_figure(figure_of(axes[0]), options.output)
    _write_files(options, timelines[0])
    for timeline in timelines:
        print(summary(timeline, evaluation if timeline is timelines[0] else None))


def _timelines(options: argparse.Namespace) -> tuple[list[Timeline], Evaluation | None]:
    """The timelines to draw, from top to bottom, and the price of the plan by equation (6), if there is a plan."""
    if options.file is not None:
        timelines, evaluation = [read_timeline(options.file)], None
    else:
        graph, cluster, plan = planned(options)
        names = ("boundary_first", "barriers", "inputs", "shared_medium")
        timelines = [simulate(graph, cluster, plan, **{name: getattr(options, name) for name in names})]
        evaluation = evaluate(graph, cluster, plan)
    if options.measured is not None:
        timelines.append(read_timeline(options.measured))
        ours, theirs = ([device.name for device in timeline.cluster.devices] for timeline in timelines)
        if ours != theirs:
            raise FileFormatError(f"--measured {options.measured}: its devices are {', '.join(theirs)}, not {', '.join(ours)}")
    return timelines, evaluation


def _write_files(options: argparse.Namespace, timeline: Timeline) -> None:
    """What was asked for beside the picture."""
    if options.trace is not None:
        write_text(options.trace, json_text(trace_record(timeline)))
    if options.csv is not None:
        write_text(options.csv, timeline.to_frame().to_csv(index=False))
    if options.json is not None:
        write_text(options.json, json_text(timeline.to_dict()))


def summary(timeline: Timeline, evaluation: Evaluation | None = None) -> str:
    """The makespan, what most of the critical path is, and the latency of equation (6), on one line."""
    flow = f" for {len(timeline.outputs_s)} inputs, {timeline.throughput_per_s:.4g} per second" if len(timeline.outputs_s) > 1 else ""
    by_six = "" if evaluation is None else f"; equation (6): {milliseconds(evaluation.latency_s)}"
    return f"{timeline.origin}: {milliseconds(timeline.makespan_s)}{flow}; critical path: {critical_path_text(timeline)}{by_six}"


def critical_path_text(timeline: Timeline) -> str:
    """What most of the critical path is, in words."""
    frame = timeline.bottlenecks()
    parts = list(zip(frame["what"], frame["device"], frame["receiver"], frame["part"], strict=True))
    said = [f"{_named(what, device, receiver)} {part:.1%}" for what, device, receiver, part in parts[:_MOST_NAMED]]
    if rest := parts[_MOST_NAMED:]:
        said.append(f"{len(rest)} more {sum(part for *_, part in rest):.1%}")
    return ", ".join(said) or "nothing"


def _named(what: str, device: str, receiver: str) -> str:
    """A part of the critical path in words."""
    name = short_text(device, 24)
    return {"compute": f"{name} computes", "wait": f"{name} waits"}.get(what, f"{name} sends to {short_text(receiver, 24)}")


def _check_timeline_options(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Ask for one source of the timeline, and refuse what would be ignored."""
    if options.file is None and options.model is None:
        parser.error("give --model, whose plan is simulated, or FILE, a timeline")
    given = [name for name in _OF_SIMULATION if getattr(options, name) != parser.get_default(name)]
    if options.file is not None and given:
        option = {"boundary_first": "no-boundary-first"}.get(given[0], given[0].replace("_", "-"))
        parser.error(f"--{option} is for a simulation, but {options.file} is a timeline already; leave out one of them")


def _parsers(program: str) -> tuple[argparse.ArgumentParser, argparse.ArgumentParser]:
    """The parser of the command, and that of its timelines."""
    parser = command_parser(program, "Draw a plan, or what happens when it runs.", _EPILOG)
    pictures = parser.add_subparsers(dest="picture", required=True, metavar="plan|timeline")
    form = {"formatter_class": argparse.RawDescriptionHelpFormatter, "allow_abbrev": False}
    of_plan = pictures.add_parser("plan", description="Draw how a plan splits each operator.", epilog=_PLAN_EPILOG, **form)  # type: ignore[arg-type]
    add_planned(of_plan)
    of_time = pictures.add_parser("timeline", description="Draw a plan in time.", epilog=_TIMELINE_EPILOG, **form)  # type: ignore[arg-type]
    of_time.add_argument("file", nargs="?", type=Path, metavar="FILE", help="a timeline to draw, as --json writes it, instead of a simulation")
    add_planned(of_time, required=False)
    of_time.add_argument("--no-boundary-first", dest="boundary_first", action="store_false", help="compute each share of rows in one piece")
    of_time.add_argument("--barriers", action="store_true", help="let all devices wait for each other at every operator, as in equation (6)")
    of_time.add_argument("--inputs", type=int, default=1, metavar="N", help="how many inputs are in flight (default: 1)")
    of_time.add_argument("--shared-medium", type=float, metavar="BYTES_PER_S", help="let all transfers share one medium instead of the links")
    of_time.add_argument("--measured", type=Path, metavar="FILE", help="draw this timeline below, on the same time axis")
    of_time.add_argument("--memory", action="store_true", help="draw below what each device holds")
    of_time.add_argument("--trace", type=Path, metavar="FILE", help="also write the (upper) timeline as a trace that ui.perfetto.dev opens")
    of_time.add_argument("--csv", type=Path, metavar="FILE", help="also write its tasks and transfers as a table")
    of_time.add_argument("--json", type=Path, metavar="FILE", help="also write it as a timeline file, to be drawn again")
    for each in (of_plan, of_time):
        each.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help=f"picture to write: {', '.join(FORMATS)}")
    return parser, of_time
