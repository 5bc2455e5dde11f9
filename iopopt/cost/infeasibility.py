"""Why no plan fits the memory: explains the plan that is closest to fitting."""

from __future__ import annotations

import math
from collections.abc import Sequence

from iopopt.cluster.cluster import Cluster
from iopopt.cost.evaluation import evaluate
from iopopt.cost.instance import Instance
from iopopt.cost.memory import memory_demands
from iopopt.network.graph import Graph
from iopopt.plan.plan import Plan


def nearest_miss(graph: Graph, cluster: Cluster, plans: Sequence[Plan]) -> str:
    """What the plan closest to fitting lacks (the one whose largest demand relative to a limit is smallest), and what would make it fit."""
    demands = [evaluate(graph, cluster, plan).memory_bytes for plan in plans]

    def overload(memory: Sequence[float]) -> list[float]:
        return [demand / device.memory_bytes for demand, device in zip(memory, cluster.devices, strict=True)]

    memory, plan = min(zip(demands, plans, strict=True), key=lambda pair: max(overload(pair[0])))
    worst = max(range(len(cluster)), key=lambda j: overload(memory)[j])
    device = cluster.devices[worst]
    factor = math.ceil(memory[worst] / device.memory_bytes * 1e4) / 1e4  # rounded up, so that it is enough
    times = f"{factor:.4f}".rstrip("0").rstrip(".")
    operator, demand = _largest_operator(graph, cluster, plan, worst)
    total = sum(limit.memory_bytes for limit in cluster.devices)
    weights, activations = graph.whole_memory_bytes(cluster.bytes_per_element)
    return (
        f"no plan fits the memory (equation 1). The closest plan found needs {memory[worst]:,.0f} bytes on device {device.name!r}, which "
        f"has {device.memory_bytes:,.0f} ({memory[worst] - device.memory_bytes:,.0f} short); the largest part is {demand:,.0f} for "
        f"operator {operator!r}. The model has {weights:,} bytes of weights and needs up to {activations:,} for activations; all devices "
        f"together have {total:,.0f}. It would fit with {times} times the memory on every device; more "
        "devices or fewer bytes per element also help."
    )


def _largest_operator(graph: Graph, cluster: Cluster, plan: Plan, device: int) -> tuple[str, float]:
    """The operator that needs most memory on the device, including live tensors, and that memory."""
    instance = Instance(graph, cluster)
    demands = [sum(of[device]) for of in memory_demands(instance, instance.placements(plan))]
    largest = max(range(len(graph)), key=lambda i: demands[i])
    return graph.operators[largest].name, demands[largest]
