"""The command line of the benchmark."""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from iopopt.bench.instance import Instance, load_instance
from iopopt.bench.output import OutputDirectory
from iopopt.bench.run import Run, Settings, best_latency_s, run_method, seeds_of
from iopopt.bench.table import instance_table
from iopopt.cluster.boards import board_names, link_names
from iopopt.cluster.reference import TIERS
from iopopt.commands.command_line import add_input_shape, command_parser, print_error
from iopopt.errors import IopoptError
from iopopt.methods import METHODS
from iopopt.methods.exhaustive import plan_count, written_count
from iopopt.milp.backends import BACKENDS
from iopopt.models import ZOO

OK, METHOD_FAILED, BAD_INPUT, NOTHING_FITS, INTERRUPTED = 0, 1, 2, 3, 130
_NARROWEST, _WIDEST = 120, 1000

_EPILOG = f"""\
models     {", ".join(ZOO)}, a .json file written by Graph.to_dict, or an .onnx file
clusters   reference instances <tier>-x<count>[-loose|-tight-<x>], tiers {", ".join(TIERS)} (for example edge-x4-tight-0.5);
           boards <board>[-x<count>][+...][@<link>], boards {", ".join(board_names())}, links {", ".join(link_names())}
           (for example pi3-x2+nano@wifi); or a .yaml or .json file
methods    {", ".join(METHODS)}
back ends  {", ".join(BACKENDS)}

examples
  python -m iopopt.bench --model alexnet
  python -m iopopt.bench --model lenet5 vgg16 --cluster slow-link-x4 --methods coedge greedy milp
  python -m iopopt.bench --model vgg11 --cluster cluster.yaml --output results/ --explain

reading the table
  gap to best   how much slower than the best plan of the table that fits the memory
  proven gap    the most by which any plan of the method's space could be faster
  times CoEdge, times single   how many times faster than CoEdge, and than the best single device

exit codes
  {OK} done; {METHOD_FAILED} a method failed; {BAD_INPUT} bad input; {NOTHING_FITS} an instance without a plan that fits the memory;
  {INTERRUPTED} interrupted
"""


def main(arguments: Sequence[str] | None = None, program: str = "python -m iopopt.bench") -> int:
    """Run the benchmark; returns the exit code."""
    options = _parser(program).parse_args(arguments)
    progress = Console(stderr=True, quiet=options.quiet)
    try:
        return _Benchmark(options, progress).run()
    except IopoptError as error:
        print_error(error)
        return BAD_INPUT


class _Benchmark:
    """One invocation of the benchmark: its checked input, and the runs so far."""

    def __init__(self, options: argparse.Namespace, progress: Console) -> None:
        BACKENDS.find(options.backend)
        self._methods = _words(options.methods) or [name for name, method in METHODS.items() if not method.tiny_only]
        for method in self._methods:
            METHODS.find(method)
        self._settings = Settings(options.time_limit, options.gap, options.backend)
        self._seeds, self._explain, self._progress = options.seeds, options.explain, progress
        with _shown_warnings(progress):
            clusters: list[str | None] = [*_words(options.cluster)] or [None]
            self._instances = [load_instance(model, cluster, options.input_shape) for model in _words(options.model) for cluster in clusters]
        self._output = OutputDirectory(options.output) if options.output else None
        self._runs: list[Run] = []

    def run(self) -> int:
        """Run everything; show the finished runs even after an error or Ctrl-C."""
        interrupted = False
        try:
            for instance in self._instances:
                interrupted = interrupted or not self._run_instance(instance)
        except KeyboardInterrupt:
            interrupted = True
        finally:
            self._show()
        return INTERRUPTED if interrupted else self._exit_code()

    def _run_instance(self, instance: Instance) -> bool:
        """Every method on one instance; False if the user interrupted one."""
        for method in self._methods:
            for seed in seeds_of(method, self._seeds):
                with self._announced(instance, method, seed) as finish:
                    run = run_method(instance, method, seed, self._settings)
                    self._runs.append(run)
                    finish(run)
                if self._output:
                    self._output.save(self._runs)
                if run.solution.termination == "interrupted":
                    return False
        return True

    @contextmanager
    def _announced(self, instance: Instance, method: str, seed: int | None) -> Iterator[Callable[[Run], None]]:
        """A line while the method runs (on a terminal), and one when it has finished."""
        name = f"{instance.model} on {instance.cluster_name}: {METHODS[method].label}" + ("" if seed is None else f", seed {seed}")

        def finish(run: Run) -> None:
            solution = run.solution
            found = f"{solution.latency_s * 1e3:.4g} ms" if solution.plan else (solution.reason or "no plan")
            seconds = solution.build_s + solution.solve_s
            self._progress.print(
                f"{name}: {found}, {solution.status.replace('_', ' ')}, {seconds:.2f} s", markup=False, highlight=False, soft_wrap=True
            )

        with self._progress.status(Text(f"{name} ...")):
            yield finish

    def _show(self) -> None:
        """Print a table for each instance, and notes such as why a method has no plan."""
        for instance in self._instances:
            runs = [run for run in self._runs if run.instance is instance]
            if runs:
                table = instance_table(runs)
                console = _wide_enough(table)
                console.print(table)
                for note in self._notes(instance, runs):
                    console.print(note, markup=False, highlight=False, soft_wrap=True)
                console.print()

    def _notes(self, instance: Instance, runs: list[Run]) -> Iterator[str]:
        for run in runs:
            if run.solution.reason:
                yield f"{METHODS[run.method].label}: {run.solution.reason}"
        if "exhaustive" not in self._methods:
            yield f"Exhaustive search is left out: {written_count(plan_count(instance.graph, instance.cluster))} plans."
        fitting = [run for run in runs if run.solution.status in ("optimal", "feasible")]
        if self._explain and fitting:
            yield "\n" + min(fitting, key=lambda run: (run.solution.latency_s, run.solution.bound_s is None)).solution.explain()

    def _exit_code(self) -> int:
        if any(run.solution.status == "error" for run in self._runs):
            return METHOD_FAILED
        for instance in self._instances:
            if best_latency_s([run for run in self._runs if run.instance is instance]) == float("inf"):
                return NOTHING_FITS
        return OK


def _wide_enough(table: Table) -> Console:
    """Standard output, at least as wide as the table: a narrower terminal wraps lines, but no figure is cut off."""
    console = Console()
    needed = Measurement.get(console, console.options.update(max_width=_WIDEST), table).maximum
    return Console(width=max(needed, console.width if console.is_terminal else _NARROWEST))


@contextmanager
def _shown_warnings(console: Console) -> Iterator[None]:
    """Print warnings about the input as plain lines."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for warning in caught:
        console.print(f"warning: {warning.message}", markup=False, highlight=False, soft_wrap=True)


def _words(values: Sequence[str] | None) -> list[str]:
    """Names separated by spaces or commas, or given by repeating the option; duplicates removed."""
    return list(dict.fromkeys(word for value in values or () for word in value.split(",") if word))


def _positive(kind: Callable[[str], float]) -> Callable[[str], float]:
    def parse(text: str) -> float:
        value = kind(text)
        if not 0 < value < float("inf"):
            raise argparse.ArgumentTypeError(f"{text} is not positive and finite")
        return value

    parse.__name__ = f"positive {kind.__name__}"
    return parse


def _gap(text: str) -> float:
    value = float(text)
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a gap: at least 0 and below 1 is expected (1e-4 is 0.01 %)")
    return value


def _parser(program: str) -> argparse.ArgumentParser:
    parser = command_parser(
        program, "Compare every way of partitioning a CNN over several devices: latency, optimality gaps, memory, traffic, run time.", _EPILOG
    )
    several = partial(parser.add_argument, nargs="+", action="extend", metavar="NAME")
    several("--model", required=True, help="networks, by name or file")
    add_input_shape(parser)
    several("--cluster", help="clusters, by name or file (default: the reference instance of three devices for the model)")
    several("--methods", help="methods to compare (default: all except exhaustive)")
    parser.add_argument("--seeds", type=_positive(int), default=3, metavar="N", help="number of runs of each random method (default: 3)")
    parser.add_argument("--time-limit", type=_positive(float), default=60.0, metavar="SECONDS", help="limit for each run of a method (default: 60)")
    parser.add_argument("--gap", type=_gap, default=1e-4, metavar="FRACTION", help="relative gap at which the MILP stops (default: 1e-4)")
    parser.add_argument("--backend", default="highs", metavar="NAME", help="solver of the MILP (default: highs)")
    parser.add_argument("--output", type=Path, metavar="DIR", help="write results.csv, and each plan and solution as JSON, into DIR")
    parser.add_argument("--explain", action="store_true", help="explain the best plan: how operators are split, and what dominates the latency")
    parser.add_argument("--quiet", action="store_true", help="no progress lines, only the tables")
    return parser
