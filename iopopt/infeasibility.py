"""Why nothing fits: the plan that comes nearest to the memory limits, in words."""

from __future__ import annotations

from iopopt.cluster import Cluster
from iopopt.evaluation import evaluate
from iopopt.graph import Graph
from iopopt.plan import Plan
from iopopt.workload import share_memory


def nearest_miss(graph: Graph, cluster: Cluster, plan: Plan) -> str:
    """What ``plan``, of all plans the one of the least largest demand relative to the limit, lacks; and what would mend it."""
    memory = evaluate(graph, cluster, plan).memory_bytes
    worst = max(range(len(cluster)), key=lambda j: memory[j] / cluster.devices[j].memory_bytes)
    device = cluster.devices[worst]
    operator, demand = _largest_operator(graph, cluster, plan, worst)
    total = sum(limit.memory_bytes for limit in cluster.devices)
    weights, activations = graph.whole_memory_bytes(cluster.bytes_per_element)
    return (
        f"no plan fits the memory (equation 1). The one that comes nearest asks device {device.name!r} for {memory[worst]:,.0f} bytes and it has "
        f"{device.memory_bytes:,.0f}: {memory[worst] - device.memory_bytes:,.0f} too many, {demand:,.0f} of them for operator {operator!r}. The model has "
        f"{weights:,} bytes of weights and needs up to {activations:,} for activations; all devices together have {total:,.0f}. "
        f"It would fit with {memory[worst] / device.memory_bytes:.3g} times the memory on every device; more devices or fewer bytes per element help too."
    )


def _largest_operator(graph: Graph, cluster: Cluster, plan: Plan, device: int) -> tuple[str, float]:
    """The operator that asks the device for most."""
    demands = {
        operator.name: demand.weights + demand.activations
        for operator in graph.operators
        for j, demand in share_memory(operator, plan[operator.name], cluster.bytes_per_element)
        if j == device
    }
    name = max(demands, key=lambda name: demands[name])
    return name, demands[name]
