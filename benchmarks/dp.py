"""The run time of the dynamic program, and its plans compared with the fixed schemes. ``python -m benchmarks.dp``"""

from __future__ import annotations

import argparse
import math

import pandas as pd
from rich.console import Console

import iopopt
from benchmarks.command_line import run
from iopopt.models import ZOO

_SCHEMES = ("single", "oc", "coedge", "greedy")


def main() -> None:
    """Solve every combination and print a row for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", nargs="+", default=list(ZOO))
    parser.add_argument("--cluster", nargs="+", default=["edge-x3", "edge-x4"])
    options = parser.parse_args()
    console, rows = Console(stderr=True), []
    for model in options.model:
        graph = iopopt.load_model(model)
        for name in options.cluster:
            cluster = iopopt.load_cluster(name, graph)
            with console.status(f"{model} {name}"):
                found = iopopt.solve_dp(graph, cluster)
                schemes = [iopopt.solve(graph, cluster, method) for method in _SCHEMES]
            fitting = [scheme for scheme in schemes if scheme.status == "feasible"]
            best = min(fitting, key=lambda scheme: scheme.latency_s, default=None)
            rows.append(
                {
                    "model": model,
                    "cluster": name,
                    "operators": len(graph),
                    "build_s": round(found.build_s, 2),
                    "solve_s": round(found.solve_s, 2),
                    "latency_s": found.latency_s,
                    "status": found.status,
                    "best scheme": best.method if best else "",
                    "its latency_s": best.latency_s if best else math.nan,
                }
            )
    print(pd.DataFrame(rows).to_string(index=False))


if __name__ == "__main__":
    run(main)
