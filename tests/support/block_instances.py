"""A pair of devices, and seeded tiny instances on which fused blocks often pay: computation takes about as long as opening a connection."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import NamedTuple

from support.random_branches import random_branched_graph
from support.random_instances import random_cluster, random_graph

from iopopt import Cluster, Device, Graph, GraphBuilder, Placement, solve_exhaustive
from iopopt.methods.exhaustive import plan_count

PAIR = Cluster(tuple(Device(f"d{j}", 1e3, 1e9, 1e3) for j in range(2)), connection_setup_s=0.1)
ROWS = Placement.split("H", (0, 1), (4, 4))
"""Eight rows, evenly, on the pair."""


class BlockInstance(NamedTuple):
    graph: Graph
    cluster: Cluster
    team: tuple[int, ...]
    longest_block: int


def block_instance(seed: int, most_plans: int = 30_000) -> BlockInstance:
    """A chain or a graph with branches that has a fused block, on a team in any order; on half of them memory is short."""
    rng = random.Random(seed)
    while True:
        graph = rng.choice([chain_of_rows, random_graph, random_branched_graph])(rng, tiny=True)
        longest, count = rng.choice([2, 3, 4]), rng.choice([2, 2, 3])
        if not list(graph.blocks(longest)):
            continue
        cluster = balanced(rng, graph, random_cluster(rng, devices=count))
        team = tuple(rng.sample(range(count), count))
        if plan_count(graph, cluster, team, longest) <= most_plans:
            return BlockInstance(graph, _short_of_memory(rng, graph, cluster, team, longest), team, longest)


def chain_of_rows(rng: random.Random, tiny: bool) -> Graph:
    """A chain of convolutions of one channel, which can be split by rows alone."""
    net = GraphBuilder("rows", (1, rng.randint(5, 8), rng.randint(2, 4)))
    for _ in range(rng.randint(2, 4)):
        net.conv(1, 3, padding=1)
        if rng.random() < 0.2:
            net.relu().max_pool((2, 1), stride=1)
    return net.build()


def balanced(rng: random.Random, graph: Graph, cluster: Cluster) -> Cluster:
    """Speeds at which the largest operator takes one to eight times as long as a connection to open."""
    setup_s, multiple = rng.choice([1e-3, 1e-2]), rng.choice([2, 3, 4, 6])
    speed = max(max(operator.flops for operator in graph.operators), 1) / (multiple * setup_s)
    devices = (_at_speed(device, speed * rng.uniform(0.7, 1.4)) for device in cluster.devices)
    source = cluster.source if rng.random() < 0.3 else None
    return replace(cluster, devices=tuple(devices), connection_setup_s=setup_s, source=source)


def _at_speed(device: Device, flops_per_s: float) -> Device:
    """The device at another speed; what its memory gives in the time of a FLOP stays."""
    rate = device.memory_bytes_per_s
    memory_bytes_per_s = None if rate is None else rate * flops_per_s / device.flops_per_s
    return replace(device, flops_per_s=flops_per_s, memory_bytes_per_s=memory_bytes_per_s, bandwidth_bytes_per_s=1e6)


def _short_of_memory(rng: random.Random, graph: Graph, cluster: Cluster, team: tuple[int, ...], longest: int) -> Cluster:
    """Half of the time, less memory on every device than the best plan needs there."""
    best = solve_exhaustive(graph, cluster, team=team, longest_block=longest)
    if rng.random() < 0.5 or best.evaluation is None:
        return cluster
    factor = rng.choice([0.6, 0.8, 0.95, 1.0])
    limits = [max(1.0, factor * demand) for demand in best.evaluation.memory_bytes]
    return replace(cluster, devices=tuple(replace(device, memory_bytes=limit) for device, limit in zip(cluster.devices, limits, strict=True)))
