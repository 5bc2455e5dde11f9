"""Time without barriers: how fast the plans of method overlap are, and how near to what no plan can beat. ``python -m benchmarks.overlap``

Beside it stand CoEdge and the proven optimum of equation (6), simulated by the same clock, and the perfect split: all FLOPs on all devices at once.
``--csv FILE`` writes every run as it ends, and a run with the same settings continues there.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console

import iopopt
from benchmarks.command_line import run
from benchmarks.instances import add_instances, instances_of
from benchmarks.resume import Row, RowFile, finished

_MODELS = ("alexnet", "vgg11", "vgg16", "resnet18", "resnet50", "mobilenet_v2", "yolov2")


def measure(graph: iopopt.Graph, cluster: iopopt.Cluster, key: Row) -> Row:
    """One run: of the method overlap, or of one of those that it is compared with."""
    options: dict[str, Any] = {"time_limit_s": key["time_limit_s"]}
    if key["method"] == "overlap":
        found = iopopt.solve_overlap(graph, cluster, longest_block=key["longest_block"], seed=key["seed"], **options)  # type: ignore[arg-type]
    elif key["method"] == "milp":
        found = iopopt.solve_milp(graph, cluster, **options)
    else:
        found = iopopt.solve_coedge(graph, cluster)
    finished(found)
    assert found.plan is not None  # the reference clusters have memory enough
    return {
        "latency_s": found.latency_s,
        "events_s": iopopt.simulate(graph, cluster, found.plan).makespan_s,
        "bound_s": found.bound_s if found.timing == "events" else None,
        "start_s": found.start_latency_s,
        "started_from": found.started_from,
        "seconds": round(found.build_s + found.solve_s, 3),
    }


def perfect_split_s(graph: iopopt.Graph, cluster: iopopt.Cluster) -> float:
    """All FLOPs at the speed of all devices, seconds."""
    return 2 * graph.macs / sum(device.flops_per_s for device in cluster.devices)


def summary(perfect_s: float, coedge: pd.Series[Any], optimum: pd.Series[Any], runs: pd.DataFrame) -> Row:
    """A line of the table: milliseconds, and the gap of the median to the bound in percent."""
    median_s, bound_s = float(runs["events_s"].median()), float(runs["bound_s"].max())
    return {
        "(6) optimum": optimum["latency_s"] * 1e3,
        "the same simulated": optimum["events_s"] * 1e3,
        "CoEdge": coedge["events_s"] * 1e3,
        "median": median_s * 1e3,
        "best": float(runs["events_s"].min()) * 1e3,
        "worst": float(runs["events_s"].max()) * 1e3,
        "bound": bound_s * 1e3,
        "gap_%": 100 * (1 - bound_s / median_s),
        "perfect split": perfect_s * 1e3,
        "seconds": float(runs["seconds"].median()),
    }


def main() -> None:
    """Run every seed on every instance and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_instances(parser, models=_MODELS, devices=(3, 4), tiers=("board", "wifi"))
    parser.add_argument("--longest-block", type=int, default=8, metavar="N", help="the most operators of a fused block (default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=5, metavar="N", help="how many seeds, from 0 (default: %(default)s)")
    parser.add_argument("--time-limit", type=float, default=30.0, metavar="SECONDS", help="of each seed, and of the optimum (default: %(default)g)")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the runs here, and do not repeat what is here")
    options = parser.parse_args()
    console, rows, table = Console(stderr=True), RowFile(options.csv), []
    for model, graph, name, cluster in list(instances_of(options)):
        settings = {"longest_block": options.longest_block, "time_limit_s": options.time_limit, "iopopt": iopopt.__version__}

        def row(method: str, seed: int = 0) -> pd.DataFrame:
            key = {"model": model, "cluster": name, **settings, "method": method, "seed": seed}  # noqa: B023
            rows.row(key, lambda: measure(graph, cluster, key))  # noqa: B023
            return rows.frame(key)

        with console.status(f"{model} {name}"):
            runs = pd.concat([row("overlap", seed) for seed in range(options.seeds)])
            table.append(
                {
                    "model": model,
                    "cluster": name,
                    **summary(perfect_split_s(graph, cluster), row("coedge").iloc[0], row("milp").iloc[0], runs),
                }
            )
        console.print(f"{model} {name}: {table[-1]['median']:.4g} ms, gap {table[-1]['gap_%']:.1f} %", highlight=False)
    print(pd.DataFrame(table).round(1).to_string(index=False))


if __name__ == "__main__":
    run(main)
