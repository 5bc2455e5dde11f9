"""The dynamic program: its run time, and its plans compared with the fixed schemes and with the proven optimum. ``python -m benchmarks.dp``"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from rich.console import Console

import iopopt
from benchmarks.command_line import run
from iopopt.models import ZOO

_SCHEMES = ("single", "oc", "coedge", "greedy")


def main() -> None:
    """Solve every combination and print a row for each, then the worst."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", nargs="+", default=list(ZOO))
    parser.add_argument("--cluster", "--tier", nargs="+", default=["edge-x3", "edge-x4"], help="reference instances or files, as for iopopt.bench")
    parser.add_argument("--longest-block", nargs="+", type=int, default=[1], help="the most operators of a fused block")
    parser.add_argument("--against-milp", type=float, metavar="SECONDS", help="the time in which solve_milp may prove each optimum")
    options = parser.parse_args()
    console, rows = Console(stderr=True), []
    for model in options.model:
        graph = iopopt.load_model(model)
        for name in options.cluster:
            cluster = iopopt.load_cluster(name, graph)
            for longest in options.longest_block:
                with console.status(f"{model} {name}, blocks of {longest}"):
                    row = {"model": model, "cluster": name, "blocks": longest, **_row(graph, cluster, longest)}
                    if options.against_milp is not None:
                        row |= _against_milp(graph, cluster, longest, options.against_milp, row["latency_s"])
                rows.append(row)
    print(pd.DataFrame(rows).to_string(index=False))
    if options.against_milp is not None:
        print(worst(rows))


def _row(graph: iopopt.Graph, cluster: iopopt.Cluster, longest_block: int) -> dict[str, Any]:
    """What the dynamic program found, and the best of the schemes that fit."""
    found = iopopt.solve_dp(graph, cluster, longest_block=longest_block)
    schemes = [iopopt.solve(graph, cluster, method) for method in _SCHEMES]
    best = min((scheme for scheme in schemes if scheme.status == "feasible"), key=lambda scheme: scheme.latency_s, default=None)
    return {
        "operators": len(graph),
        "build_s": round(found.build_s, 2),
        "solve_s": round(found.solve_s, 2),
        "latency_s": found.latency_s if found.status == "feasible" else math.inf,
        "status": found.status,
        "best scheme": best.method if best else "",
        "its latency_s": best.latency_s if best else math.nan,
    }


def _against_milp(graph: iopopt.Graph, cluster: iopopt.Cluster, longest_block: int, seconds: float, latency_s: float) -> dict[str, Any]:
    """What the exact method proves in that time, and by how much the dynamic program exceeds it; without a proof its best plan counts."""
    exact = iopopt.solve_milp(graph, cluster, longest_block=longest_block, time_limit_s=seconds)
    found = exact.plan is not None
    return {
        "milp_s": exact.latency_s if found else math.nan,
        "milp": exact.status,
        "excess_%": round(100 * (latency_s / exact.latency_s - 1), 2) if found and exact.latency_s > 0 else math.nan,
    }


def worst(rows: Sequence[Mapping[str, Any]]) -> str:
    """The row of the largest excess over a proven optimum, in words."""
    proven = [row for row in rows if row["milp"] == "optimal" and not math.isnan(row["excess_%"])]
    if not proven:
        return "no optimum was proven"
    row = max(proven, key=lambda row: row["excess_%"])
    return (
        f"worst of {len(proven)} proven optima: {row['excess_%']:.2f} % above it, {row['model']} on {row['cluster']} with blocks of {row['blocks']}"
    )


if __name__ == "__main__":
    run(main)
