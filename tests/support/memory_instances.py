"""Seeded random instances whose memory limits matter: tiny chains, branches and runs that can be fused, on devices of unequal memory."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from support.block_instances import chain_of_rows
from support.random_branches import random_branched_graph
from support.random_instances import random_cluster, random_graph

from iopopt import Cluster, Graph, Pricer
from iopopt.cost.stopwatch import NO_LIMIT
from iopopt.methods.exhaustive import all_plan_batches, plan_count
from iopopt.plan.team import Team, candidate_teams


@dataclass(frozen=True)
class Prices:
    """Every plan of a space: its latency, seconds, and its largest demand as a share of a limit, and in bytes."""

    latency_s: np.ndarray
    share: np.ndarray
    bytes_: np.ndarray


@dataclass(frozen=True)
class MemoryInstance:
    graph: Graph
    cluster: Cluster
    team: Team
    longest_block: int

    def prices(self) -> Prices:
        """Of all plans, whether or not they fit."""
        pricer, limits = Pricer(self.graph, self.cluster), [[device.memory_bytes] for device in self.cluster.devices]
        found = [
            pricer.price(batch)
            for members in candidate_teams(self.team, self.cluster)
            for batch in all_plan_batches(self.graph, self.cluster, members, NO_LIMIT, self.longest_block)
        ]
        memory = np.concatenate([price.memory_bytes for price in found], axis=1)
        return Prices(np.concatenate([price.latency_s for price in found]), (memory / limits).max(axis=0), memory.max(axis=0))


def memory_instance(seed: int, most_plans: int = 20_000) -> MemoryInstance:
    """By turns a chain, a graph with branches, and one that can be fused, on two or three devices; their limits are such that some plans fit, or, in
    one case of eight, none.
    """
    rng = random.Random(seed)
    while True:
        graph = (random_graph, random_branched_graph, chain_of_rows)[seed % 3](rng, tiny=True)
        cluster = random_cluster(rng, devices=rng.choice([2, 2, 3]))
        team: Team = rng.choice(["all", "all", "best", (1, 0)])
        longest = rng.choice([2, 4]) if seed % 3 == 2 else rng.choice([1, 1, 3])
        if plan_count(graph, cluster, team, longest) <= most_plans:
            break
    uneven = _limited(cluster, [rng.uniform(1, 3) for _ in cluster.devices])
    shares = MemoryInstance(graph, uneven, team, longest).prices().share
    least = 0.98 * shares.min() if rng.random() < 0.125 else np.quantile(shares, rng.uniform(0.0, 1.0))
    # A little more, so that whether the plan at the limit fits is no matter of rounding.
    limits = [float(device.memory_bytes * least * (1 + 1e-6)) for device in uneven.devices]
    return MemoryInstance(graph, _limited(cluster, limits), team, longest)


def _limited(cluster: Cluster, limits: Sequence[float]) -> Cluster:
    return replace(cluster, devices=tuple(replace(device, memory_bytes=limit) for device, limit in zip(cluster.devices, limits, strict=True)))
