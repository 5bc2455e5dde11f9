"""Dynamic model selection over MobileNet-V1's variants: their latencies by each way of running them, and the service that these give."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from iopopt import (
    METHODS,
    Candidate,
    Channel,
    Cluster,
    RandomRateChannel,
    Service,
    Solution,
    estimate_service,
    exact_service,
    load_cluster,
    simulate,
    solve,
)
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
    """One method over one channel, with the variants of at least this accuracy; ``exact`` is None if the channel has no closed form."""

    channel: str
    method: str
    least_percent: float
    estimated: Service
    exact: Service | None


def serve(
    models: Sequence[Timed],
    methods: Sequence[str],
    channels: Mapping[str, Channel],
    deadlines_s: Sequence[float],
    samples: int,
    least_percents: Sequence[float],
) -> list[Serving]:
    """Every method over every channel with each set of variants, on the same draws of the channel."""
    servings = []
    for (name, channel), least, method in itertools.product(channels.items(), least_percents, methods):
        candidates = [model.candidate(method) for model in models if model.variant.top1_percent >= least]
        exact = exact_service(candidates, channel, deadlines_s) if isinstance(channel, RandomRateChannel) else None
        servings.append(Serving(name, method, least, estimate_service(candidates, channel, deadlines_s, samples=samples), exact))
    return servings


def boards(name: str, flops_per_s: float) -> Cluster:
    """The cluster of that name at this speed, its input on the first device, the host: that is where the channel brings it."""
    cluster = load_cluster(name)
    devices = tuple(dataclasses.replace(device, flops_per_s=flops_per_s) for device in cluster.devices)
    return dataclasses.replace(cluster, devices=devices, source=0, sink=0)
