"""The whole network on one device: what every partition has to beat."""

from __future__ import annotations

from collections.abc import Sequence

from iopopt.cluster.cluster import Cluster, Device
from iopopt.cost.evaluation import evaluate
from iopopt.cost.instance import Instance
from iopopt.cost.stopwatch import Stopwatch
from iopopt.methods.solution import Solution, heuristic_solution
from iopopt.network.graph import Graph
from iopopt.plan.placement import Placement
from iopopt.plan.plan import Plan


def single_plan(graph: Graph, cluster: Cluster) -> Plan:
    """Everything on the device with the least latency, input and output transfer included, among those with enough memory if there are any."""
    plans = [Plan.of(graph, [Placement.whole(device)] * len(graph)) for device in range(len(cluster))]
    prices = [evaluate(graph, cluster, plan) for plan in plans]
    return min(zip(plans, prices, strict=True), key=lambda pair: (not pair[1].feasible, pair[1].latency_s))[0]


def solve_single(graph: Graph, devices: Cluster | Sequence[Device]) -> Solution:
    """The best single device."""
    cluster, watch = Instance.of(graph, devices).cluster, Stopwatch()
    plan = single_plan(graph, cluster)
    return heuristic_solution(graph, cluster, plan, method="single", space="fixed scheme", build_s=0.0, solve_s=watch.elapsed_s)
