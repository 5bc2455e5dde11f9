"""The build and solve times of the exact method and the gaps that it proves, by model, cluster and back end. ``python -m benchmarks.milp``

Without options: six chains on 2, 3 and 4 devices of four tiers. ``--csv FILE`` writes each row as it comes, and a run with the same settings
continues there.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console

import iopopt
from benchmarks.command_line import run
from benchmarks.instances import add_instances, instances_of
from benchmarks.resume import Row, RowFile, finished
from iopopt.milp.backends import BACKENDS

_MODELS = ("lenet5", "alexnet", "vgg11", "vgg13", "vgg16", "vgg19")


def gap_after(solution: iopopt.Solution, seconds: float) -> float | None:
    """The proven gap after that many seconds, from the best incumbent and the best bound so far; None without a bound."""
    points = [point for point in solution.trajectory if point.elapsed_s <= seconds]
    latency = min((point.value for point in points if point.value is not None), default=None)
    bound = max((point.bound for point in points if point.bound is not None), default=None)
    return None if latency is None or bound is None else max(0.0, (latency - bound) / latency)


def measure(graph: iopopt.Graph, cluster: iopopt.Cluster, backend: str, options: argparse.Namespace) -> Row:
    """The times and the gap of one solve."""
    found = finished(
        iopopt.solve_milp(graph, cluster, backend=backend, longest_block=options.longest_block, time_limit_s=options.time_limit, gap=options.gap)
    )
    return {
        "build_s": round(found.build_s, 3),
        "solve_s": round(found.solve_s, 3),
        "seconds": round(found.build_s + found.solve_s, 3),
        "latency_s": None if found.plan is None else found.latency_s,
        "bound_s": found.bound_s,
        "gap_after": gap_after(found, options.after),
        "gap": found.gap,
        "status": found.status,
    }


def summary(rows: pd.DataFrame, asked_gap: float) -> Iterator[str]:
    """Geometric mean and worst of the seconds and of the gaps, in sentences; a gap counts as at least the one that was asked for."""
    worst = rows.sort_values("seconds").iloc[-1]
    mean_s = float(np.exp(np.log(rows["seconds"].clip(lower=1e-3)).mean()))
    yield f"seconds: geometric mean {mean_s:.3g}, worst {worst['seconds']:.3g} ({_where(worst)})"
    proven = rows.dropna(subset="gap")
    if len(proven):
        widest = proven.sort_values("gap").iloc[-1]
        closed = int((proven["gap"] <= asked_gap * (1 + 1e-3)).sum())
        mean_gap = float(np.exp(np.log(proven["gap"].clip(lower=asked_gap or 1e-9)).mean()))
        yield (
            f"gap: {closed} of {len(rows)} within {asked_gap:g}; geometric mean {mean_gap:.2g}, each counted as at least that; "
            f"worst {widest['gap']:.2g} ({_where(widest)})"
        )
    for status, of_status in rows[rows["gap"].isna()].groupby("status"):
        yield f"{status}: {len(of_status)}"


def _where(row: pd.Series[Any]) -> str:
    return f"{row['model']} on {row['cluster']}, {row['backend']}"


def main() -> None:
    """Solve every combination, print a row for each, and what they come to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_instances(parser, models=_MODELS, devices=(2, 3, 4))
    parser.add_argument("--longest-block", type=int, default=1, metavar="N", help="the most operators of a fused block (default: %(default)s)")
    parser.add_argument("--backend", nargs="+", default=["highs"])
    parser.add_argument("--time-limit", type=float, default=60.0, metavar="SECONDS")
    parser.add_argument("--gap", type=float, default=1e-4, help="relative gap at which to stop (default: %(default)g)")
    parser.add_argument("--after", type=float, default=10.0, metavar="SECONDS", help="also show the gap after that many seconds")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the rows here, and do not solve again what is here")
    options = parser.parse_args()
    for backend in options.backend:
        BACKENDS.find(backend)
    console, rows, shown = Console(stderr=True), RowFile(options.csv), []
    for model, graph, name, cluster in list(instances_of(options)):
        for backend in options.backend:
            key = {
                "model": model,
                "cluster": name,
                "backend": backend,
                "longest_block": options.longest_block,
                "time_limit_s": options.time_limit,
                "asked_gap": options.gap,
                "after_s": options.after,
                "iopopt": iopopt.__version__,
            }
            with console.status(f"{model} {name} {backend}"):
                rows.row(key, lambda: measure(graph, cluster, backend, options))  # noqa: B023
            shown.append(rows.frame(key))
            print(_line(shown[-1], header=len(shown) == 1), flush=True)
    print("\n".join(summary(pd.concat(shown, ignore_index=True), options.gap)))


def _line(row: pd.DataFrame, *, header: bool) -> str:
    """One row as a line of a table."""
    columns = ["model", "cluster", "backend", "build_s", "solve_s", "gap_after", "gap", "status"]
    return row[columns].to_string(index=False, header=header, col_space=12)


if __name__ == "__main__":
    run(main)
