"""How near the swarm comes to the proven optimum, over several seeds. ``python -m benchmarks.pso``

The reference is the exact method's plan and bound after a time limit of its own. ``--csv FILE`` writes every run as it ends, and a run with the same
settings continues there.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console

import iopopt
from benchmarks.command_line import run
from benchmarks.instances import add_instances, instances_of
from benchmarks.resume import Row, RowFile, finished
from iopopt.methods.pso import SwarmSettings

_MODELS = ("lenet5", "alexnet", "vgg11", "vgg13", "vgg16", "vgg19", "resnet18", "resnet50", "mobilenet_v2", "yolov2")
_TIERS = ("edge", "board", "wifi")


def measure(graph: iopopt.Graph, cluster: iopopt.Cluster, key: Row) -> Row:
    """One run: of the exact method, the swarm, or the plain swarm."""
    options: dict[str, Any] = {"longest_block": key["longest_block"], "time_limit_s": key["time_limit_s"]}
    if key["method"] == "milp":
        found = iopopt.solve_milp(graph, cluster, gap=1e-4, **options)
    else:
        found = iopopt.solve_pso(graph, cluster, seed=key["seed"], settings=SwarmSettings(plain=key["method"] == "plain"), **options)  # type: ignore[arg-type]
    finished(found)
    return {
        "latency_s": found.latency_s,
        "bound_s": found.bound_s,
        "start_latency_s": found.start_latency_s,
        "seconds": round(found.build_s + found.solve_s, 3),
    }


def summary(reference: pd.Series[Any], swarms: pd.DataFrame, plain: pd.DataFrame) -> Row:
    """A line of the table, from the exact run and those of the swarm and of the plain one: milliseconds, and excesses in percent."""
    median_s, worst_s, start_s = float(swarms["latency_s"].median()), float(swarms["latency_s"].max()), swarms["start_latency_s"].iloc[0]
    optimum_s, bound_s = float(reference["latency_s"]), reference["bound_s"]
    row = {
        "start_ms": start_s * 1e3,
        "median_ms": median_s * 1e3,
        "worst_ms": worst_s * 1e3,
        "gain_%": _excess(median_s, start_s),
        "reference_ms": optimum_s * 1e3,
        "its gap_%": 100 * (optimum_s - bound_s) / optimum_s,
        "median over it_%": _excess(median_s, optimum_s),
        "worst over it_%": _excess(worst_s, optimum_s),
        "median over bound_%": _excess(median_s, bound_s),
        "seconds": float(swarms["seconds"].median()),
    }
    return row if plain.empty else {**row, "plain over it_%": _excess(float(plain["latency_s"].median()), optimum_s)}


def _excess(latency_s: float, least_s: float) -> float:
    return 100 * (latency_s / least_s - 1)


class _Runs:
    """The runs of one instance, kept in a file."""

    def __init__(self, rows: RowFile, instance: tuple[str, iopopt.Graph, str, iopopt.Cluster], longest_block: int) -> None:
        model, self._graph, name, self._cluster = instance
        self._rows = rows
        self._key = {"model": model, "cluster": name, "longest_block": longest_block, "iopopt": iopopt.__version__}

    def of(self, method: str, time_limit_s: float, seeds: int = 1) -> pd.DataFrame:
        """A row for each seed."""
        keys: Sequence[Row] = [{**self._key, "method": method, "time_limit_s": time_limit_s, "seed": seed} for seed in range(seeds)]
        for key in keys:
            self._rows.row(key, lambda: measure(self._graph, self._cluster, key))  # noqa: B023
        return pd.concat([self._rows.frame(key) for key in keys]) if keys else pd.DataFrame()


def main() -> None:
    """Run every seed on every instance and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_instances(parser, models=_MODELS, devices=(3, 4), tiers=_TIERS)
    parser.add_argument("--longest-block", nargs="+", type=int, default=[1, 8], metavar="N", help="the most operators of a fused block")
    parser.add_argument("--seeds", type=int, default=10, metavar="N", help="how many seeds, from 0 (default: %(default)s)")
    parser.add_argument("--time-limit", type=float, default=10.0, metavar="SECONDS", help="of each seed (default: %(default)g)")
    parser.add_argument("--reference-limit", type=float, default=60.0, metavar="SECONDS", help="of the exact method (default: %(default)g)")
    parser.add_argument("--plain", action="store_true", help="also run the swarm alone, from random particles")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the runs here, and do not repeat what is here")
    options = parser.parse_args()
    console, rows, table = Console(stderr=True), RowFile(options.csv), []
    for instance in list(instances_of(options)):
        for longest_block in options.longest_block:
            model, _, name, _ = instance
            runs = _Runs(rows, instance, longest_block)
            with console.status(f"{model} {name} {longest_block}"):
                reference = runs.of("milp", options.reference_limit)
                swarms = runs.of("pso", options.time_limit, options.seeds)
                plain = runs.of("plain", options.time_limit, options.seeds if options.plain else 0)
            row = {"model": model, "cluster": name, "longest_block": longest_block, **summary(reference.iloc[0], swarms, plain)}
            table.append(row)
            console.print(f"{model} {name} {longest_block}: {row['median over it_%']:.2f} % over {row['reference_ms']:.4g} ms", highlight=False)
    print(pd.DataFrame(table).round(3).to_string(index=False))


if __name__ == "__main__":
    run(main)
