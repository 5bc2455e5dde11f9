"""Seeded random instances whose plans draw energy: tiny graphs, clusters with powers, deadlines and memory limits, some of them impossible."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from support.random_branches import random_branched_graph
from support.random_instances import random_cluster, random_graph, with_powers

from iopopt import Cluster, Graph, solve_exhaustive
from iopopt.methods.exhaustive import plan_count
from iopopt.plan.team import Team


@dataclass(frozen=True)
class EnergyInstance:
    graph: Graph
    cluster: Cluster
    team: Team
    longest_block: int
    deadline_s: float | None


def energy_instance(seed: int, most_plans: int = 30_000) -> EnergyInstance:
    """A chain or a graph with branches of two to four operators on two or three devices, with blocks of up to three operators in one case of three.

    In half of the cases devices have about as much memory as one of the best plans needs. The deadline, if there is one, lies between what is just
    too early for the fastest plan without memory limits and what suits the one that draws least.
    """
    rng = random.Random(seed)
    while True:
        graph = random_branched_graph(rng, tiny=True) if seed % 2 else random_graph(rng, tiny=True)
        cluster = with_powers(rng, random_cluster(rng, devices=rng.choice([2, 3])))
        team, longest = rng.choice(["all", "all", "best", (1, 0)]), rng.choice([1, 1, 3])
        if plan_count(graph, cluster, team, longest) <= most_plans:
            break
    fastest = solve_exhaustive(graph, cluster, team=team, longest_block=longest)
    thriftiest = solve_exhaustive(graph, cluster, team=team, longest_block=longest, objective="energy")
    between_s = (fastest.latency_s + thriftiest.latency_s) / 2
    deadlines = [None, 0.9 * fastest.latency_s, fastest.latency_s, 1.1 * fastest.latency_s, between_s, 1.01 * thriftiest.latency_s]
    if rng.random() < 0.5:
        needed = rng.choice([fastest, thriftiest]).evaluation
        assert needed is not None
        limits = [max(1.0, demand * rng.choice([0.7, 1.0, 1.2])) for demand in needed.memory_bytes]
        devices = (replace(device, memory_bytes=limit) for device, limit in zip(cluster.devices, limits, strict=True))
        cluster = replace(cluster, devices=tuple(devices))
    return EnergyInstance(graph, cluster, team, longest, rng.choice(deadlines) or None)
