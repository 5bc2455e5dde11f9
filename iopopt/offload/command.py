"""The command line of partial offloading."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import get_args

from rich.console import Console
from rich.text import Text

from iopopt.cluster.boards import board_flops_per_s, board_names
from iopopt.commands.command_line import (
    add_input_shape,
    allow_own_modules,
    command_parser,
    milliseconds,
    positive,
    print_error,
    shown_warnings,
    words,
)
from iopopt.commands.tables import ms_text, wide_enough
from iopopt.errors import IopoptError, MissingExtraError
from iopopt.models import ZOO, load_model
from iopopt.offload.comparison import Case, OffloadRun, Settings, best_run, seeded_runs
from iopopt.offload.explanation import explain_offload
from iopopt.offload.files import load_offload_instance
from iopopt.offload.instance import Client, End, Link, OffloadInstance, Server
from iopopt.offload.methods import OFFLOAD_METHODS
from iopopt.offload.output import OffloadOutput, draw
from iopopt.offload.recursion import OffloadObjective
from iopopt.offload.space import OffloadSpace
from iopopt.offload.table import notes, offload_table
from iopopt.pictures import FORMATS
from iopopt.pictures.figures import check_format, new_figure

OK, METHOD_FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130

BOARD, SERVER_GFLOPS, UPLINK_MBIT, DELAY_MS = "pi3", 100.0, 20.0, 5.0
"""The default device, server and uplink: a small board on Wi-Fi or a mobile network."""

_OF_MODELS = (
    "board",
    "device_gflops",
    "server_gflops",
    "workers",
    "uplink_mbit",
    "delay_ms",
    "downlink_mbit",
    "input_at",
    "result_at",
    "input_shape",
)
"""The options that an instance file leaves no use for."""

_EPILOG = """\
models     {models}, a .json file written by Graph.to_dict, or an .onnx file
boards     {boards}
methods    {methods}, or package.module:function for one of your own

A plan fuses the first m stages of a network, splits their output by rows into n paths, and computes each path up to its cut on the device and from
there on the server; the other stages follow on the server. An instance file names several devices that share servers:

  schema_version: 1
  devices:
    - {{name: camera, model: vgg16, board: pi4, uplink: {{bytes_per_s: 2.5e6, delay_s: 5e-3}}}}
    - {{name: phone, model: alexnet, flops_per_s: 8e9, uplink: {{bytes_per_s: 5e6}}, result_at: device}}
  servers:
    - {{name: edge, flops_per_s: 1e11, workers: 4}}

examples
  python -m iopopt.offload --model vgg16 --uplink-mbit 20
  python -m iopopt.offload --model vgg16 alexnet --uplink-mbit 5 20 100 --workers 4 --methods best-cut mw psomw
  python -m iopopt.offload --model vgg16 --row-steps 16 --explain --plot best.png
  python -m iopopt.offload --instance instance.yaml --objective mean --output results/

reading the table
  gap to best   how much slower than the best plan of the table
  proven gap    the most by which any plan of the method's space could be faster
  times best cut, local, remote   how many times faster than without fused layers: one cut at the best place, all on the device, all on the server
  m, n, cuts    the stages that are fused, the paths, and after how many stages each is cut, in their order; of several devices, between slashes

exit codes
  {ok} done; {failed} a method failed; {bad_input} bad input; {interrupted} interrupted
"""


def main(arguments: Sequence[str] | None = None, program: str = "python -m iopopt.offload") -> int:
    """Compare methods on offloading instances; returns the exit code."""
    parser = _parser(program)
    options = parser.parse_args(arguments)
    _check_options(parser, options)
    allow_own_modules()
    try:
        comparison = _comparison(options)
        finished = comparison.run()
    except IopoptError as error:
        print_error(error)
        return BAD_INPUT
    if not finished:
        return INTERRUPTED
    return METHOD_FAILED if any(run.solution is None for run in comparison.runs) else OK


@dataclass
class Comparison:
    """Methods on cases, and the runs so far.

    Attributes:
        methods: those that were asked for; None for all that plan so many devices.
        explain: whether to explain the best plan of each case.
        plot: where to draw the best plan of the last case, if anywhere.
        progress: where the lines about finished runs go.
    """

    cases: Sequence[Case]
    methods: Sequence[str] | None
    seeds: int
    explain: bool
    plot: Path | None
    progress: Console
    output: OffloadOutput | None
    runs: list[OffloadRun] = field(default_factory=list)

    def run(self) -> bool:
        """Run everything, and show the finished runs even after an error or Ctrl-C; False if the user interrupted it."""
        finished = False
        try:
            finished = all(self._run_case(case) for case in self.cases)
        except KeyboardInterrupt:
            pass
        finally:
            self._show()
        if not finished:
            self.progress.print("Interrupted: the tables have what was finished.", highlight=False)
        return finished

    def _run_case(self, case: Case) -> bool:
        """Every method on one case; False if the user interrupted one."""
        for method in self._methods(case):
            with self.progress.status(Text(f"{case.name}: {OFFLOAD_METHODS.find(method).label} ...")):
                for run in seeded_runs(case, method, self.seeds):
                    self.runs.append(run)
                    self._announce(run)
                    if self.output:
                        self.output.save_runs(self.runs)
                    if run.interrupted:
                        return False
        return True

    def _methods(self, case: Case) -> Sequence[str]:
        return self.methods if self.methods is not None else [name for name in OFFLOAD_METHODS if name not in self._skipped(case)]

    def _skipped(self, case: Case) -> list[str]:
        """The methods that nobody asked for, and that cannot plan so many devices."""
        several = len(case.instance.clients) > 1
        return [name for name, method in OFFLOAD_METHODS.items() if self.methods is None and several and not method.several_devices]

    def _announce(self, run: OffloadRun) -> None:
        seed = "" if run.seed is None else f", seed {run.seed}"
        found = run.reason if run.solution is None else f"{ms_text(run.value_s)} ms, {run.solution.status}"
        self.progress.print(f"{run.case.name}: {run.label}{seed}: {found}, {run.seconds:.2f} s", markup=False, highlight=False, soft_wrap=True)

    def _show(self) -> None:
        """Print a table for each case, and the notes on it; draw the best plans."""
        for case in self.cases:
            runs = [run for run in self.runs if run.case is case]
            if runs:
                table = offload_table(runs)
                console = wide_enough(table)
                console.print(table)
                for note in [*notes(runs, self._skipped(case)), *self._explanation(runs)]:
                    console.print(note, markup=False, highlight=False, soft_wrap=True)
                console.print()
                self._draw(runs)

    def _explanation(self, runs: Sequence[OffloadRun]) -> Iterator[str]:
        best = best_run(runs)
        if self.explain and best is not None and best.solution is not None:
            yield f"\nThe best plan, by {best.label}:\n{explain_offload(best.case.instance, best.solution.plan)}"

    def _draw(self, runs: Sequence[OffloadRun]) -> None:
        """The best plan's timeline, where one was asked for; a directory of results does without Matplotlib."""
        best = best_run(runs)
        if best is None or best.solution is None:
            return
        if self.plot is not None:
            draw(best.case.instance, best.solution.plan, self.plot)
        if self.output is not None:
            try:
                self.output.draw_best(runs)
            except MissingExtraError as error:
                self.progress.print(f"no picture: {error}", markup=False, highlight=False, soft_wrap=True)


def _comparison(options: argparse.Namespace) -> Comparison:
    """The comparison that the options ask for; everything that they name is checked."""
    progress = Console(stderr=True, quiet=options.quiet)
    methods = words(options.methods) or None
    for method in methods or ():
        OFFLOAD_METHODS.find(method)
    space = OffloadSpace(options.most_paths, options.row_steps, options.fused, options.paths)
    settings = Settings(space, options.objective, options.time_limit)
    with shown_warnings(progress):
        cases = list(_cases_of_files(options, settings) if options.instance else _cases_of_models(options, settings))
    for case in cases:
        space.check(case.instance)
    if options.plot is not None:
        check_format(options.plot)
        new_figure(1, 1)  # without Matplotlib nothing need be solved
    output = OffloadOutput(options.output) if options.output else None
    return Comparison(cases, methods, options.seeds, options.explain, options.plot, progress, output)


def _cases_of_files(options: argparse.Namespace, settings: Settings) -> Iterator[Case]:
    """The instance files, by the stem of their names where those differ."""
    paths = [Path(word) for word in words(options.instance)]
    count = Counter(path.stem for path in paths)
    for path in paths:
        yield Case(path.stem if count[path.stem] == 1 else str(path), load_offload_instance(path), settings)


def _cases_of_models(options: argparse.Namespace, settings: Settings) -> Iterator[Case]:
    """Every network at every uplink."""
    names = words(options.model)
    graphs = [load_model(word, input_shape=options.input_shape) for word in names]
    count = Counter(graph.name for graph in graphs)
    flops_per_s = board_flops_per_s(options.board or BOARD) if options.device_gflops is None else options.device_gflops * 1e9
    delay_s = (DELAY_MS if options.delay_ms is None else options.delay_ms) / 1e3
    down = None if options.downlink_mbit is None else Link(options.downlink_mbit * 1e6 / 8, delay_s)
    server = Server("server", (options.server_gflops or SERVER_GFLOPS) * 1e9, options.workers or 1)
    for word, graph in zip(names, graphs, strict=True):
        for mbit in options.uplink_mbit or [UPLINK_MBIT]:
            client = Client(
                options.board or ("device" if options.device_gflops else BOARD),
                graph,
                flops_per_s,
                Link(mbit * 1e6 / 8, delay_s),
                down,
                options.input_at or "device",
                options.result_at or "server",
            )
            name = graph.name if count[graph.name] == 1 else word
            yield Case(f"{name} at {mbit:g} Mbit/s", OffloadInstance((client,), (server,)), settings, mbit)


def _check_options(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Refuse what would be ignored."""
    given = [name for name in _OF_MODELS if getattr(options, name) is not None]
    if options.instance and given:
        parser.error(f"--{given[0].replace('_', '-')} goes with --model: an instance file says it itself")
    several = max(len(words(options.instance)), len(words(options.model)) * len(options.uplink_mbit or [0]))
    if options.plot is not None and several > 1:
        parser.error("--plot is the picture of one instance; --output DIR has one for each")


def _parser(program: str) -> argparse.ArgumentParser:
    parser = command_parser(
        program,
        "Partial offloading of a CNN from a device to a server: fused layers, split into paths, each cut where it is best.",
        _EPILOG.format(
            models=", ".join(ZOO),
            boards=", ".join(board_names()),
            methods=", ".join(OFFLOAD_METHODS),
            ok=OK,
            failed=METHOD_FAILED,
            bad_input=BAD_INPUT,
            interrupted=INTERRUPTED,
        ),
    )
    several = partial(parser.add_argument, nargs="+", action="extend")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--model", nargs="+", action="extend", metavar="NAME", help="networks of the device, by name or file")
    what.add_argument("--instance", nargs="+", action="extend", metavar="FILE", help="instances, with one device or several, as .yaml or .json files")
    add_input_shape(parser)
    device = parser.add_mutually_exclusive_group()
    device.add_argument("--board", choices=board_names(), help=f"the device, a board by name (default: {BOARD})")
    device.add_argument("--device-gflops", type=positive(float), metavar="GFLOPS", help="the speed of the device, GFLOP/s (2 per MAC)")
    parser.add_argument(
        "--server-gflops", type=positive(float), metavar="GFLOPS", help=f"the speed of a worker, GFLOP/s (default: {SERVER_GFLOPS:g})"
    )
    parser.add_argument("--workers", type=positive(int), metavar="Q", help="the workers of the server (default: 1)")
    several("--uplink-mbit", type=positive(float), metavar="MBIT", help=f"uplink, Mbit/s; each of several is an instance (default: {UPLINK_MBIT:g})")
    parser.add_argument("--delay-ms", type=milliseconds, metavar="MS", help=f"what every transfer waits before it flows, ms (default: {DELAY_MS:g})")
    parser.add_argument("--downlink-mbit", type=positive(float), metavar="MBIT", help="downlink, Mbit/s (default: as the uplink)")
    parser.add_argument("--input-at", choices=get_args(End), help="who has the input (default: device)")
    parser.add_argument("--result-at", choices=get_args(End), help="who needs the result (default: server)")
    several("--methods", metavar="NAME", help="methods to compare (default: all that plan so many devices)")
    parser.add_argument("--most-paths", type=positive(int), default=8, metavar="N", help="the most paths of a plan (default: 8)")
    parser.add_argument("--fused", type=positive(int), metavar="M", help="fuse exactly so many stages (default: any)")
    parser.add_argument("--paths", type=positive(int), metavar="N", help="exactly so many paths (default: any)")
    parser.add_argument("--row-steps", type=positive(int), metavar="N", help="paths may begin at any of N even steps (default: even rows only)")
    parser.add_argument(
        "--objective",
        choices=get_args(OffloadObjective),
        default="makespan",
        help="when the last device's result is there, or the mean over devices (default: makespan)",
    )
    parser.add_argument("--seeds", type=positive(int), default=3, metavar="N", help="number of runs of each random method (default: 3)")
    parser.add_argument("--time-limit", type=positive(float), default=10.0, metavar="SECONDS", help="limit for each run of a method (default: 10)")
    parser.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        help="write results.csv, instances, plans and solutions as JSON, and pictures of the best plans into DIR",
    )
    parser.add_argument("--plot", type=Path, metavar="FILE", help=f"draw the best plan in time: {', '.join(FORMATS)}")
    parser.add_argument("--explain", action="store_true", help="explain the best plan: what is fused, where paths are cut, and what waits for what")
    parser.add_argument("--quiet", action="store_true", help="no progress lines, only the tables")
    return parser
