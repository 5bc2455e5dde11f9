"""All methods on one instance, and the reductions of one against another."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from iopopt import METHODS, Cluster, Solution, solve
from paper_figs.appearance import label
from paper_figs.setting import METHODS_COMPARED, Instance, load

Progress = Callable[[str], None]
"""Receives one line for each solved instance."""

PAPER_ORDER = "IOP < CoEdge < OC"


@dataclass(frozen=True)
class Comparison:
    """The Solution of each method on one instance, by name of the method."""

    instance: Instance
    cluster: Cluster
    solutions: Mapping[str, Solution]

    @property
    def violators(self) -> frozenset[str]:
        """The methods whose plan breaks a memory limit."""
        return frozenset(method for method, solution in self.solutions.items() if solution.status == "violates_memory")

    @property
    def gap_percent(self) -> float:
        """The MILP's proven gap; NaN if it has no plan or no bound."""
        gap = self.solutions["milp"].gap
        return math.nan if gap is None else 100 * gap

    def latency_reduction_percent(self, method: str, baseline: str) -> float:
        """100 (1 - method / baseline): positive where the method is faster."""
        return reduction_percent(self.solutions[method].latency_s, self.solutions[baseline].latency_s)

    def memory_bytes(self, method: str) -> tuple[float, ...]:
        """The peak demand of each device, equation (1); NaN without a plan."""
        evaluation = self.solutions[method].evaluation
        return evaluation.memory_bytes if evaluation else (math.nan,) * len(self.cluster)

    def memory_reduction_percent(self, method: str, baseline: str) -> float:
        """The same for the largest peak over the devices."""
        return reduction_percent(max(self.memory_bytes(method)), max(self.memory_bytes(baseline)))

    def milp_devices(self) -> frozenset[int]:
        """The devices that compute something in the MILP's plan; none without a plan."""
        plan = self.solutions["milp"].plan
        return frozenset(shard.device for name in plan or () for shard in plan[name].shards if shard.size > 0) if plan else frozenset()

    def order(self) -> str:
        """OC, CoEdge and the IOP greedy by latency, the fastest first: what the paper states as ``IOP < CoEdge < OC``."""
        names = {"oc": "OC", "coedge": "CoEdge", "greedy": "IOP"}
        return " < ".join(names[method] for method in sorted(names, key=lambda method: self.solutions[method].latency_s))


def reduction_percent(value: float, baseline: float) -> float:
    """100 (1 - value / baseline); NaN if either is missing."""
    return 100 * (1 - value / baseline) if math.isfinite(value) and math.isfinite(baseline) else math.nan


def compare(instance: Instance, time_limit_s: float, progress: Progress, connection_setup_s: float | None = None) -> Comparison:
    """Solve the instance with every method; the limit applies to those that take one."""
    graph, cluster = load(instance) if connection_setup_s is None else load(instance, connection_setup_s)
    solutions = {}
    for method in METHODS_COMPARED:
        options = {"time_limit_s": time_limit_s} if "time_limit_s" in METHODS[method].takes else {}
        solution = solutions[method] = solve(graph, cluster, method=method, **options)
        setup = "" if connection_setup_s is None else f" at {connection_setup_s * 1e3:g} ms"
        progress(
            f"{instance.label}{setup}, {label(method)}: {solution.latency_s * 1e3:.1f} ms, {solution.status}, {solution.solve_s:.1f} s of search"
        )
    return Comparison(instance, cluster, solutions)


def order_note(comparisons: Iterable[Comparison]) -> str:
    """Whether our setting has the paper's order of latencies, network by network, with IOP greedy as IOP."""
    orders = [(item.instance.label, item.order()) for item in comparisons]
    verdicts = [f"{name}: {order}" + ("" if order == PAPER_ORDER else " (not the paper's order)") for name, order in orders]
    return f"Latency, the paper's order {PAPER_ORDER}; here, with the greedy for IOP: {'; '.join(verdicts)}."


def one_device_notes(comparisons: Iterable[Comparison]) -> tuple[str, ...]:
    """A sentence on each network that the MILP's plan leaves to one device."""
    return tuple(
        f"{item.instance.label}: the MILP's plan is device {next(iter(devices))} alone; its reductions compare one device with {len(item.cluster)}."
        for item in comparisons
        if len(devices := item.milp_devices()) == 1
    )


def solver_note(comparisons: Iterable[Comparison], time_limit_s: float) -> str:
    """The back end that solved the MILP, and the meaning of its gap; where bounds on nodes alone proved the optimum, no solver ran."""
    runs = [item.solutions["milp"] for item in comparisons]
    solvers = sorted({f"{run.backend} {run.backend_version}" for run in runs if run.backend_version}) or ["no solver was needed"]
    return (
        f"MILP: {', '.join(solvers)}, at most {time_limit_s:g} s for each instance; the gap is proven: (latency - bound) / latency over every plan "
        "that splits an operator over all devices or leaves it whole on one."
    )
