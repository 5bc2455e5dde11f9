"""The exact optimum over the IOP paper's segments: single operators as CoEdge places them, and OC-IC pairs.

Algorithm 1 is greedy and a pair it takes can block a better one. Over the same segments the best plan is a dynamic programme in linear
time whose state is the segment that ends at an operator, for on it depends what the next edge costs.
"""

from __future__ import annotations

from collections.abc import Sequence

from iopopt.cluster import Cluster, Device
from iopopt.evaluation import evaluate
from iopopt.graph import Graph
from iopopt.methods.coedge import FullyConnected, coedge_placements
from iopopt.methods.greedy import iop_pair, pairs_with
from iopopt.methods.scheme import solve_by
from iopopt.plan import Placement, Plan, Reduce
from iopopt.solution import Solution
from iopopt.team import Team


def segments_plan(
    graph: Graph, cluster: Cluster, team: Sequence[int], fully_connected: FullyConnected = "fastest", reduce: Reduce = "direct"
) -> Plan:
    """The fastest plan over the paper's segments, memory aside; a pair whose second operator is grouped, without an IC split, is skipped.

    A prefix is priced as the evaluator prices it, inside a whole plan whose rest is CoEdge: of two prefixes that end in the same
    placement, the one that makes this plan faster makes every completion faster, since all that follows costs both the same.
    """
    coedge = coedge_placements(graph, cluster, team, fully_connected)

    def latency_s(prefix: Sequence[Placement]) -> float:
        return evaluate(graph, cluster, Plan.of(graph, [*prefix, *coedge[len(prefix) :]])).latency_s

    # best[i]: the best prefixes of i operators, one that ends in a single operator and one that ends in a pair.
    best: list[list[list[Placement]]] = [[[]]]
    for i in range(1, len(graph) + 1):
        ending_single = [[*prefix, coedge[i - 1]] for prefix in best[i - 1]]
        best.append([min(ending_single, key=latency_s)])
        if i >= 2 and len(team) > 1 and pairs_with(graph.operators[i - 1]):
            pair = iop_pair(graph.operators[i - 2], cluster, team, reduce)
            best[i].append(min(([*prefix, *pair] for prefix in best[i - 2]), key=latency_s))
    return Plan.of(graph, min(best[-1], key=latency_s))


def solve_iop_segments(
    graph: Graph,
    devices: Cluster | Sequence[Device],
    *,
    team: Team = "all",
    fully_connected: FullyConnected = "fastest",
    reduce: Reduce = "direct",
) -> Solution:
    """The optimum over the paper's segments; a plan that breaks a memory limit is returned as ``violates_memory``.

    Raises:
        ClusterError: if ``team`` names a device that does not exist.
        UnsupportedError: if an option is unknown.
    """

    def make_plan(graph: Graph, cluster: Cluster, members: tuple[int, ...]) -> Plan:
        return segments_plan(graph, cluster, members, fully_connected, reduce)

    return solve_by(make_plan, graph, devices, team, "iop_segments")
