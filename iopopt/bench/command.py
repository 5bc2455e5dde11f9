"""The command line of the benchmark."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import get_args

from rich.console import Console

from iopopt.bench.benchmark import Benchmark
from iopopt.bench.instance import Variations, load_instances
from iopopt.bench.output import OutputDirectory
from iopopt.bench.run import Settings, best_latency_s
from iopopt.cluster.boards import board_names, link_names
from iopopt.cluster.reference import TIERS
from iopopt.commands.command_line import (
    add_input_shape,
    allow_own_modules,
    command_parser,
    input_size,
    milliseconds,
    positive,
    print_error,
    shown_warnings,
    words,
)
from iopopt.errors import IopoptError, UnsupportedError
from iopopt.methods import METHODS
from iopopt.methods.objective import Objective
from iopopt.milp.backends import BACKENDS
from iopopt.models import ZOO

OK, METHOD_FAILED, BAD_INPUT, NOTHING_FITS, INTERRUPTED = 0, 1, 2, 3, 130

_EPILOG = """\
models     {models}, a .json file written by Graph.to_dict, or an .onnx file
clusters   reference instances <tier>-x<count>[-loose|-tight-<x>], tiers {tiers} (for example edge-x4-tight-0.5);
           boards <board>[-x<count>][+...][@<link>], boards {boards}, links {links}
           (for example pi3-x2+nano@wifi); or a .yaml or .json file
methods    {methods}, or package.module:function for one of your own
back ends  {backends}, or package.module:Class for one of your own

examples
  python -m iopopt.bench --model alexnet
  python -m iopopt.bench --model lenet5 vgg16 --cluster slow-link-x4 --methods coedge greedy milp
  python -m iopopt.bench --model vgg16 --cluster pi4-x4 --bandwidth-mbit 10 100 1000 --team best
  python -m iopopt.bench --model vgg16 --cluster wifi-x4 --longest-block 8
  python -m iopopt.bench --model vgg11 --cluster cluster.yaml --output results/ --explain

reading the table
  gap to best   how much slower than the best plan of the table that fits the memory
  proven gap    the most by which any plan of the method's space could be faster; with a unit, draw or need less
  times CoEdge, times single   how many times faster than CoEdge, and than the best single device
  perfect split   the latency of all work at the sum of all speeds, without transfers, as a share of the plan's
  space         the plans for which the bound holds: operators split over all devices or whole on one, over one team, or over the best team

exit codes
  {ok} done; {failed} a method failed; {bad_input} bad input; {nothing_fits} an instance without a plan that fits the memory;
  {interrupted} interrupted
"""


def main(arguments: Sequence[str] | None = None, program: str = "python -m iopopt.bench") -> int:
    """Run the benchmark; returns the exit code."""
    options = _parser(program).parse_args(arguments)
    progress = Console(stderr=True, quiet=options.quiet)
    allow_own_modules()
    try:
        benchmark = _benchmark(options, progress)
        finished = benchmark.run()
    except IopoptError as error:
        print_error(error)
        return BAD_INPUT
    return _exit_code(benchmark) if finished else INTERRUPTED


def _benchmark(options: argparse.Namespace, progress: Console) -> Benchmark:
    """The benchmark that the options ask for; everything that they name is checked."""
    BACKENDS.find(options.backend)
    methods = words(options.methods) or [name for name, method in METHODS.items() if not method.tiny_only]
    for method in methods:
        METHODS.find(method)
    variations = Variations(options.input_size, options.input_shape, options.bandwidth_mbit or (), options.setup_ms or (), options.team)
    with shown_warnings(progress):
        instances = load_instances(words(options.model), words(options.cluster), variations)
    return Benchmark(
        instances=instances,
        methods=methods,
        settings=Settings(
            options.time_limit, options.gap, options.backend, options.threads, options.longest_block, options.objective, _deadline_s(options)
        ),
        seeds=options.seeds,
        explain=options.explain,
        progress=progress,
        output=OutputDirectory(options.output) if options.output else None,
    )


def _deadline_s(options: argparse.Namespace) -> float | None:
    """The deadline, seconds.

    Raises:
        UnsupportedError: if there is one for the latency.
    """
    if options.deadline_ms is None:
        return None
    if options.objective == "latency":
        raise UnsupportedError("--deadline-ms needs --objective energy, memory or memory_bytes: the objective latency looks for the fastest plan")
    return float(options.deadline_ms) / 1e3


def _exit_code(benchmark: Benchmark) -> int:
    if any(run.solution.status == "error" for run in benchmark.runs):
        return METHOD_FAILED
    if any(math.isinf(best_latency_s(benchmark.runs_of(instance))) for instance in benchmark.instances):
        return NOTHING_FITS
    return OK


def _gap(text: str) -> float:
    """A fraction, or a percentage such as 1%."""
    value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a gap: at least 0 and below 1 is expected (1e-4 or 0.01%)")
    return value


def _parser(program: str) -> argparse.ArgumentParser:
    parser = command_parser(
        program,
        "Compare every way of partitioning a CNN over several devices: latency, optimality gaps, memory, traffic, run time.",
        _EPILOG.format(
            models=", ".join(ZOO),
            tiers=", ".join(TIERS),
            boards=", ".join(board_names()),
            links=", ".join(link_names()),
            methods=", ".join(METHODS),
            backends=", ".join(BACKENDS),
            ok=OK,
            failed=METHOD_FAILED,
            bad_input=BAD_INPUT,
            nothing_fits=NOTHING_FITS,
            interrupted=INTERRUPTED,
        ),
    )
    several = partial(parser.add_argument, nargs="+", action="extend", metavar="NAME")
    several("--model", required=True, help="networks, by name or file")
    add_input_shape(parser)
    parser.add_argument(
        "--input-size", type=input_size, metavar="HxW", help="height and width of the input of networks of the zoo, one number for both"
    )
    several("--cluster", help="clusters, by name or file (default: the reference instance of three devices for the model)")
    several("--bandwidth-mbit", type=positive(float), metavar="MBIT", help="set every link to this bandwidth, Mbit/s; each of several is an instance")
    several("--setup-ms", type=milliseconds, metavar="MS", help="set the connection set-up time t_est, ms; each of several is an instance")
    parser.add_argument(
        "--team",
        default="all",
        metavar="TEAM",
        help="split operators over all devices, over these (names or indices, separated by commas), or over the best subset, "
        "which exact methods find; the others then split over all (default: all)",
    )
    parser.add_argument(
        "--longest-block",
        type=positive(int),
        default=1,
        metavar="N",
        help="also fuse up to N operators, whose devices then recompute rows instead of exchanging them (default: 1, the paper's space)",
    )
    parser.add_argument(
        "--objective",
        choices=get_args(Objective),
        default="latency",
        help="what methods that have a choice minimise: the latency, the energy, or the largest demand of memory as a share of the limit or in "
        "bytes; the others always minimise the latency (default: latency)",
    )
    parser.add_argument("--deadline-ms", type=positive(float), metavar="MS", help="the longest latency of plans, ms; not with --objective latency")
    several("--methods", help="methods to compare (default: all except exhaustive)")
    parser.add_argument("--seeds", type=positive(int), default=3, metavar="N", help="number of runs of each random method (default: 3)")
    parser.add_argument("--time-limit", type=positive(float), default=60.0, metavar="SECONDS", help="limit for each run of a method (default: 60)")
    parser.add_argument("--gap", type=_gap, default=1e-4, metavar="FRACTION", help="relative gap at which the MILP stops (default: 1e-4, or 0.01%%)")
    parser.add_argument("--backend", default="highs", metavar="NAME", help="solver of the MILP (default: highs)")
    parser.add_argument("--threads", type=positive(int), default=1, metavar="N", help="threads of the solver of the MILP (default: 1)")
    parser.add_argument("--output", type=Path, metavar="DIR", help="write results.csv and devices.csv, and each plan and solution as JSON, into DIR")
    parser.add_argument("--explain", action="store_true", help="explain the best plan: how operators are split, and what dominates the latency")
    parser.add_argument("--quiet", action="store_true", help="no progress lines, only the tables")
    return parser
