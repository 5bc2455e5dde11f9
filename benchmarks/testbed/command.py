"""The command line ``python -m benchmarks.testbed``."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console

from benchmarks.testbed.account import account_frame, account_table
from benchmarks.testbed.layout import PREFIX, Node, nominal_cluster, parse_node
from benchmarks.testbed.plans import Candidate, calibration_plans, candidates, of_methods, spread, within
from benchmarks.testbed.report import Row, frame, summary, table, write_csv
from benchmarks.testbed.requirements import why_not
from benchmarks.testbed.session import Crew, Stopped, Testbed, clean, ending_in_order
from iopopt.cluster.cluster import Cluster
from iopopt.errors import ExecutionError, IopoptError
from iopopt.executor.calibration import Fit, describe_fit, doubts
from iopopt.models import load_model
from iopopt.network.graph import Graph
from iopopt.plan.plan import Plan

OK, FAILED, BAD_INPUT = 0, 1, 2

DEFAULT_NODES = ("0.2:40", "0.3:60", "0.45:80")

_EPILOG = """\
what happens
  1. Each device becomes a network namespace on one bridge (in a separate namespace: the host's network is not changed). tbf limits its link in
     both directions, and a quota limits its processor time in periods of 10 ms.
  2. Some plans of --calibrate-on are run, and iopopt.executor.calibration fits speeds, bandwidths and set-up time to them; nothing else is tuned.
  3. Unlike plans of --model, another network, none more than --within times as slow as the fastest, are priced with the fitted cluster by
     equation (6) and by events, and run with barriers and with overlap; the table compares each clock with its runs, and the gain of overlap with
     what was promised.
  Each plan runs once to warm up and then --repeat times; plans take turns, with barriers and without; the median counts.

what the model does not count, and the table shows
  Barriers before each operator. Operators limited by memory bandwidth instead of arithmetic (fully connected ones, and the first convolution, whose
  input has three channels): they take several times as long as their FLOPs at the one speed of their device. Devices run plain SSE code of MKL,
  and oneDNN is off: with wider vectors the factor would be twenty, unlike on small boards. --output gives both times of every operator.

examples
  python -m benchmarks.testbed
  python -m benchmarks.testbed --input-size 112 --repeat 5 --output testbed.csv
  python -m benchmarks.testbed --node 0.25:50 --node 0.25:50 --plans 6
  python -m benchmarks.testbed --model vgg16 --methods coedge milp overlap
  python -m benchmarks.testbed --clean            after a kill -9: removes what is left

exit codes
  0 done, or skipped because the machine does not allow it (one line says why; --skip-code sets another code)
  1 a process failed; 2 bad input; 128 + N ended by signal N
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; returns the exit code."""
    options = _parser().parse_args(arguments)
    console = Console(width=None if sys.stdout.isatty() else 140)
    try:
        with ending_in_order():
            return _clean(console) if options.clean else _measure_or_skip(options, console)
    except Stopped as stopped:
        return 128 + signal.Signals[str(stopped)].value
    except IopoptError as error:
        Console(stderr=True).print(f"error: {error}", markup=False, highlight=False, soft_wrap=True)
        return FAILED if isinstance(error, ExecutionError) else BAD_INPUT


def _clean(console: Console) -> int:
    for name in clean():
        console.print(f"removed {name}", highlight=False)
    return OK


def _measure_or_skip(options: argparse.Namespace, console: Console) -> int:
    reason = why_not()
    if reason is not None:
        console.print(f"testbed skipped: {reason}", markup=False, highlight=False, soft_wrap=True)
        return int(options.skip_code)
    _measure(options, console)
    return OK


def _measure(options: argparse.Namespace, console: Console) -> None:
    """Calibrate on one network, predict and run another."""
    nodes = tuple(parse_node(text) for text in options.node or DEFAULT_NODES)
    known, asked = load_model(options.calibrate_on), load_model(options.model, input_size=options.input_size)
    with tempfile.TemporaryDirectory(prefix=PREFIX) as directory, Testbed(nodes) as testbed:
        crew = Crew(testbed, options.timeout)
        fit, fitted_rows = _calibrate(crew, known, nodes, options, Path(directory) / "calibration.json")
        console.print(table([(row,) for row in fitted_rows], f"Calibration: {known.name} (the fitted cluster prices what it was fitted to)"))
        console.print("\n".join([describe_fit(fit), *doubts(fit)]) + "\n", highlight=False)
        if options.methods:
            chosen = of_methods(asked, fit.cluster, options.methods)
        else:
            chosen = spread(within(candidates(asked, fit.cluster, options.seed), options.within), options.plans)
        crew.order({"load": options.model, "input_size": options.input_size}, limited=False)
        record = _run(
            crew, [candidate.plan for candidate in chosen], fit.cluster, options.repeat, Path(directory) / "runs.json", overlap=[False, True]
        )
    pairs = list(zip(_rows(chosen, record, overlap=False), _rows(chosen, record, overlap=True), strict=True))
    console.print(table(pairs, f"Predicted and measured latency: {asked.name}, {len(nodes)} devices"))
    console.print(summary(pairs), highlight=False)
    console.print(account_table(account_frame([run for run in record["runs"] if not run["overlap"]])))
    if options.output is not None:
        write_csv(frame([row for pair in pairs for row in pair]), options.output)
        write_csv(operator_frame(chosen, record), options.output.with_stem(options.output.stem + "-operators"))


def _calibrate(crew: Crew, graph: Graph, nodes: tuple[Node, ...], options: argparse.Namespace, path: Path) -> tuple[Fit, list[Row]]:
    """Run the plans of the calibration; returns the fit, and the same plans priced with it."""
    cluster = nominal_cluster(nodes)
    plans = calibration_plans(graph, cluster)
    crew.order({"load": options.calibrate_on, "input_size": None}, limited=False)
    record = _run(crew, plans, cluster, options.repeat, path, overlap=[False], calibrate=True)
    fit = Fit(**record["fit"] | {"cluster": Cluster.from_dict(record["fit"]["cluster"]), "unseen": tuple(record["fit"]["unseen"])})
    priced = [Candidate.of(f"calibration plan {n}", plan, graph, fit.cluster) for n, plan in enumerate(plans)]
    return fit, _rows(priced, record, overlap=False)


def _run(crew: Crew, plans: list[Plan], cluster: Cluster, repeat: int, path: Path, *, overlap: list[bool], calibrate: bool = False) -> dict[str, Any]:
    """The measurements of the sink."""
    order = {"run": [plan.to_dict() for plan in plans], "cluster": cluster.to_dict(), "repeat": repeat, "overlap": overlap}
    crew.order(order | {"calibrate": calibrate, "output": str(path)}, limited=True)
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return record


def _rows(chosen: Sequence[Candidate], record: dict[str, Any], *, overlap: bool) -> list[Row]:
    mine = [run for run in record["runs"] if run["overlap"] == overlap]
    runs = [tuple(run["elapsed_s"] for run in mine if run["plan"] == number) for number in range(len(chosen))]
    prices = [candidate.events_s if overlap else candidate.bulk_s for candidate in chosen]
    return [Row(candidate.label, overlap, price, times) for candidate, price, times in zip(chosen, prices, runs, strict=True)]


def operator_frame(chosen: Sequence[Candidate], record: dict[str, Any]) -> pd.DataFrame:
    """A row for each plan and operator: predicted, and median measured, seconds of computation and communication."""
    parts = [pd.DataFrame(run["operators"]).assign(plan=chosen[run["plan"]].label) for run in record["runs"] if not run["overlap"]]
    return pd.concat(parts).groupby(["plan", "operator"], sort=False).median().reset_index()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.testbed",
        description="Emulate a cluster on this machine (Linux, root), run plans on it, and compare measured with predicted latency.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--node",
        action="append",
        metavar="CPU:MBIT",
        help=f"a device: share of a core, and Mbit/s of its link; once for each (default: {' '.join(DEFAULT_NODES)})",
    )
    parser.add_argument("--model", default="vgg11", metavar="NAME", help="network to predict (default: vgg11)")
    parser.add_argument("--input-size", type=int, metavar="N", help="height and width of its input (default: the published size)")
    parser.add_argument("--calibrate-on", default="alexnet", metavar="NAME", help="network to calibrate on (default: alexnet)")
    parser.add_argument("--plans", type=int, default=10, metavar="N", help="number of plans, chosen so that their predictions differ (default: 10)")
    parser.add_argument("--methods", nargs="+", metavar="NAME", help="run the plans of these methods instead, and no others")
    parser.add_argument(
        "--within", type=float, default=2.0, metavar="X", help="no plan is predicted to take X times as long as the best (default: 2)"
    )
    parser.add_argument("--repeat", type=int, default=5, metavar="N", help="runs of each plan after one warm-up run (default: 5)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the random plan (default: 0)")
    parser.add_argument("--timeout", type=float, default=900.0, metavar="SECONDS", help="limit for one message or one round of runs (default: 900)")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write every run as CSV, and FILE-operators with the medians of each operator")
    parser.add_argument("--skip-code", type=int, default=OK, metavar="N", help="exit code if the machine does not allow it (default: 0)")
    parser.add_argument("--clean", action="store_true", help="remove the leftovers of killed testbeds (and of one that is still running), then exit")
    return parser
