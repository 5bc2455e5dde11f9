"""The build and solve times of the exact method, by model, cluster and back end. ``python -m benchmarks.milp``"""

from __future__ import annotations

import argparse

import pandas as pd
from rich.console import Console

import iopopt
from benchmarks.command_line import run
from iopopt.cost.instance import Instance
from iopopt.milp.formulation import Formulation

_MODELS = ("lenet5", "alexnet", "vgg11", "vgg13", "vgg16", "vgg19")


def clusters_of(model: str, devices: int, memory: str) -> list[str]:
    """The tiers that have speed targets."""
    tiers = ("mcu", "slow-link") if model == "lenet5" else ("edge", "slow-link")
    return [f"{tier}-x{devices}{memory}" for tier in tiers]


def gap_after(solution: iopopt.Solution, seconds: float) -> float | None:
    """The proven gap after that many seconds, from the best incumbent and the best bound so far; None without a bound."""
    points = [point for point in solution.trajectory if point.elapsed_s <= seconds]
    latency = min((point.latency_s for point in points if point.latency_s is not None), default=None)
    bound = max((point.bound_s for point in points if point.bound_s is not None), default=None)
    return None if latency is None or bound is None else max(0.0, (latency - bound) / latency)


def main() -> None:
    """Solve every combination and print a row for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", nargs="+", default=list(_MODELS))
    parser.add_argument("--devices", nargs="+", type=int, default=[3, 4])
    parser.add_argument("--memory", default="", help="suffix of the instance names, such as -tight-0.4")
    parser.add_argument("--backend", nargs="+", default=["highs"])
    parser.add_argument("--time-limit", type=float, default=60.0)
    parser.add_argument("--gap", type=float, default=1e-4, help="relative gap at which to stop")
    parser.add_argument("--after", type=float, default=10.0, help="also show the gap after that many seconds")
    options = parser.parse_args()
    console, rows = Console(stderr=True), []
    for model in options.model:
        graph = iopopt.load_model(model)
        for name in [cluster for devices in options.devices for cluster in clusters_of(model, devices, options.memory)]:
            cluster = iopopt.load_cluster(name, graph)
            size = Formulation(Instance(graph, cluster), range(len(cluster)), 1.0).program.size
            for backend in options.backend:
                with console.status(f"{model} {name} {backend}"):
                    found = iopopt.solve_milp(graph, cluster, backend=backend, time_limit_s=options.time_limit, gap=options.gap)
                rows.append(
                    {
                        "model": model,
                        "cluster": name,
                        "backend": backend,
                        "program": size,
                        "build_s": round(found.build_s, 2),
                        "solve_s": round(found.solve_s, 2),
                        f"gap_after_{options.after:g}s": gap_after(found, options.after),
                        "gap": found.gap,
                        "status": found.status,
                    }
                )
    print(pd.DataFrame(rows).to_string(index=False))


if __name__ == "__main__":
    run(main)
