"""Dynamic model selection over MobileNet-V1's variants: their latencies by each way of running them, and the service that these give."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from iopopt import METHODS, Candidate, Channel, Cluster, RandomRateChannel, Service, Solution, estimate_service, exact_service, simulate, solve
from paper_figs.appearance import label
from paper_figs.comparison import Progress
from paper_figs.published import Variant


@dataclass(frozen=True)
class Timed:
    """A variant and, by method, its plan and its latency without barriers, seconds."""

    variant: Variant
    input_bytes: int
    solutions: Mapping[str, Solution]
    latencies_s: Mapping[str, float]

    def candidate(self, method: str) -> Candidate:
        """What a host that runs the method's plan can choose."""
        return Candidate(self.variant.label, self.variant.top1_percent, self.latencies_s[method], self.input_bytes)


def timed(variant: Variant, cluster: Cluster, methods: Sequence[str], time_limit_s: float, progress: Progress) -> Timed:
    """Solve one variant by each method; one that searches also starts from the fastest plan of those before it.

    Whatever clock a method plans by, its plan is simulated.
    """
    graph = variant.graph()
    solutions: dict[str, Solution] = {}
    latencies_s: dict[str, float] = {}
    for method in methods:
        fastest = min(latencies_s, key=latencies_s.__getitem__, default=None)
        options = {"time_limit_s": time_limit_s, "seed": 0, "warm_start": fastest and solutions[fastest].plan}
        taken = {key: value for key, value in options.items() if key in METHODS[method].takes}
        solution = solutions[method] = solve(graph, cluster, method, **taken)
        latencies_s[method] = simulate(graph, cluster, solution.plan).makespan_s if solution.plan else math.inf
        progress(f"MobileNet-V1 {variant.label}, {label(method)}: {latencies_s[method] * 1e3:.2f} ms, {solution.solve_s:.1f} s of search")
    return Timed(variant, graph.input_shape.elements, solutions, latencies_s)


@dataclass(frozen=True)
class Serving:
    """One method over one channel; ``exact`` is None if the channel has no closed form."""

    channel: str
    method: str
    estimated: Service
    exact: Service | None


def serve(
    models: Sequence[Timed], methods: Sequence[str], channels: Mapping[str, Channel], deadlines_s: Sequence[float], samples: int
) -> list[Serving]:
    """Every method over every channel, on the same draws of it."""
    return [_serving(models, method, name, channel, deadlines_s, samples) for name, channel in channels.items() for method in methods]


def _serving(models: Sequence[Timed], method: str, name: str, channel: Channel, deadlines_s: Sequence[float], samples: int) -> Serving:
    candidates = [model.candidate(method) for model in models]
    exact = exact_service(candidates, channel, deadlines_s) if isinstance(channel, RandomRateChannel) else None
    return Serving(name, method, estimate_service(candidates, channel, deadlines_s, samples=samples), exact)


def three_boards(cluster: Cluster) -> Cluster:
    """The cluster with its input on the first device, the host: that is where the channel brings it."""
    return dataclasses.replace(cluster, source=0, sink=0)
