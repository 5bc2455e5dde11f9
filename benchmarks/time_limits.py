"""How long each method really takes at each time limit. ``python -m benchmarks.time_limits``

A limit L is kept if the method returns a plan within 1.2 L + 1 s. The exit status is 1 if one is not kept.
"""

from __future__ import annotations

import argparse
import inspect
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd
from rich.console import Console

import iopopt
from benchmarks.command_line import run
from benchmarks.densenet import densenet121
from iopopt.methods import METHODS

MODELS = ("resnet50", "googlenet", "mobilenet_v2", "yolov2", "densenet121")
CLUSTERS = ("edge-x3", "edge-x6", "edge-x8", "slow-link-x4-tight-0.5")
LIMITS_S = (0.5, 1.0, 3.0, 10.0)


def allowed_s(limit_s: float) -> float:
    """The wall clock that a method may take at a time limit, seconds."""
    return 1.2 * limit_s + 1


def graph_of(model: str) -> iopopt.Graph:
    """A network of the zoo, or DenseNet-121, which is none of it."""
    return densenet121() if model == "densenet121" else iopopt.load_model(model)


def options_of(method: str, limit_s: float, options: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the options that the method takes, and the time limit if it takes one."""
    takes = inspect.signature(METHODS[method].solve).parameters
    return {name: value for name, value in {"time_limit_s": limit_s, **options}.items() if name in takes}


def measure(solve: Callable[[], iopopt.Solution], limit_s: float) -> dict[str, Any]:
    """One row: the wall clock of a call, its ratio to what is allowed, and what it returned."""
    start = time.perf_counter()
    found = solve()
    measured_s = time.perf_counter() - start
    return {
        "measured_s": round(measured_s, 3),
        "ratio": round(measured_s / allowed_s(limit_s), 3),
        "status": found.status,
        "termination": found.termination,
        "latency_s": found.latency_s,
        "bound_s": found.bound_s,
    }


def worst_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """For each method and limit the row that comes closest to what is allowed, or exceeds it most."""
    return rows.loc[rows.groupby(["method", "limit_s"], sort=False)["ratio"].idxmax()]


def main() -> None:
    """Measure every combination, and print the worst of each method and limit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", nargs="+", default=list(MODELS))
    parser.add_argument("--cluster", nargs="+", default=list(CLUSTERS))
    parser.add_argument("--method", nargs="+", default=[name for name, method in METHODS.items() if not method.tiny_only])
    parser.add_argument("--limit", nargs="+", type=float, default=list(LIMITS_S), help="time limits, seconds")
    parser.add_argument("--backend", default="highs")
    parser.add_argument("--team", default="all", choices=["all", "best"], help="passed to exact methods")
    parser.add_argument("--all", action="store_true", help="print every row, not only the worst")
    parser.add_argument("--csv", help="also write every row to this file")
    options = parser.parse_args()
    console, rows = Console(stderr=True), []
    for model in options.model:
        graph = graph_of(model)
        for name in options.cluster:
            cluster = iopopt.load_cluster(name, graph)
            for method in options.method:
                solve, exact = METHODS[method].solve, METHODS[method].proves_bounds
                for limit_s in options.limit:
                    settings = options_of(method, limit_s, {"backend": options.backend, **({"team": options.team} if exact else {})})
                    with console.status(f"{model} {name} {method} {limit_s:g} s"):
                        row = measure(lambda: solve(graph, cluster, **settings), limit_s)  # noqa: B023
                    rows.append({"model": model, "cluster": name, "method": method, "limit_s": limit_s, **row})
    table = pd.DataFrame(rows)
    if options.csv:
        table.to_csv(options.csv, index=False)
    print((table if options.all else worst_rows(table)).to_string(index=False))
    sys.exit(int((table["ratio"] > 1).any()))


if __name__ == "__main__":
    run(main)
