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

from benchmarks.testbed.layout import PREFIX, Node, nominal_cluster, parse_node
from benchmarks.testbed.plans import Candidate, calibration_plans, candidates, spread
from benchmarks.testbed.report import Row, frame, summary, table, write_csv
from benchmarks.testbed.requirements import why_not
from benchmarks.testbed.session import Crew, Stopped, Testbed, clean, ending_in_order
from iopopt.cluster.cluster import Cluster
from iopopt.cost.evaluation import evaluate
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
  3. Very different plans of --model, another network, are priced with the fitted cluster and run; the table compares both.
  Each plan runs once to warm up and then --repeat times; plans take turns; the median counts.

what the model does not count, and the table shows
  Barriers before each operator. Operators limited by memory bandwidth instead of arithmetic (fully connected ones, and the first convolution, whose
  input has three channels): they take several times as long as their FLOPs at the one speed of their device. Devices run plain SSE code of MKL,
  and oneDNN is off: with wider vectors the factor would be twenty, unlike on small boards. --output gives both times of every operator.

examples
  python -m benchmarks.testbed
  python -m benchmarks.testbed --input-size 112 --repeat 5 --output testbed.csv
  python -m benchmarks.testbed --node 0.25:50 --node 0.25:50 --plans 6
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
        console.print(table(fitted_rows, f"Calibration: {known.name} (the fitted cluster prices what it was fitted to)"))
        console.print("\n".join([describe_fit(fit), *doubts(fit)]) + "\n", highlight=False)
        chosen = spread(candidates(asked, fit.cluster, options.seed), options.plans)
        crew.order({"load": options.model, "input_size": options.input_size}, limited=False)
        record = _run(crew, [candidate.plan for candidate in chosen], fit.cluster, options.repeat, Path(directory) / "runs.json")
    rows = _rows(chosen, record)
    console.print(table(rows, f"Predicted and measured latency: {asked.name}, {len(nodes)} devices"))
    console.print(summary(rows), highlight=False)
    if options.output is not None:
        write_csv(frame(rows), options.output)
        write_csv(operator_frame(chosen, record), options.output.with_stem(options.output.stem + "-operators"))


def _calibrate(crew: Crew, graph: Graph, nodes: tuple[Node, ...], options: argparse.Namespace, path: Path) -> tuple[Fit, list[Row]]:
    """Run the plans of the calibration; returns the fit, and the same plans priced with it."""
    cluster = nominal_cluster(nodes)
    plans = calibration_plans(graph, cluster)
    crew.order({"load": options.calibrate_on, "input_size": None}, limited=False)
    record = _run(crew, plans, cluster, options.repeat, path, calibrate=True)
    fit = Fit(**record["fit"] | {"cluster": Cluster.from_dict(record["fit"]["cluster"]), "unseen": tuple(record["fit"]["unseen"])})
    priced = [Candidate(f"calibration plan {n}", plan, evaluate(graph, fit.cluster, plan).latency_s) for n, plan in enumerate(plans)]
    return fit, _rows(priced, record)


def _run(crew: Crew, plans: list[Plan], cluster: Cluster, repeat: int, path: Path, *, calibrate: bool = False) -> dict[str, Any]:
    """The measurements of the sink."""
    order = {"run": [plan.to_dict() for plan in plans], "cluster": cluster.to_dict(), "repeat": repeat, "calibrate": calibrate, "output": str(path)}
    crew.order(order, limited=True)
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return record


def _rows(chosen: Sequence[Candidate], record: dict[str, Any]) -> list[Row]:
    runs = [tuple(run["elapsed_s"] for run in record["runs"] if run["plan"] == number) for number in range(len(chosen))]
    return [Row(candidate.label, candidate.predicted_s, mine) for candidate, mine in zip(chosen, runs, strict=True)]


def operator_frame(chosen: Sequence[Candidate], record: dict[str, Any]) -> pd.DataFrame:
    """A row for each plan and operator: predicted, and median measured, seconds of computation and communication."""
    parts = [pd.DataFrame(run["operators"]).assign(plan=chosen[run["plan"]].label) for run in record["runs"]]
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
    parser.add_argument("--repeat", type=int, default=5, metavar="N", help="runs of each plan after one warm-up run (default: 5)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the random plan (default: 0)")
    parser.add_argument("--timeout", type=float, default=900.0, metavar="SECONDS", help="limit for one message or one round of runs (default: 900)")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write every run as CSV, and FILE-operators with the medians of each operator")
    parser.add_argument("--skip-code", type=int, default=OK, metavar="N", help="exit code if the machine does not allow it (default: 0)")
    parser.add_argument("--clean", action="store_true", help="remove the leftovers of killed testbeds (and of one that is still running), then exit")
    return parser
