"""Algorithm 1 of the IOP paper (Liu, Xu et al., ICIC 2024, arXiv 2409.07693): pair operators greedily where that pays.

The paper gives the algorithm in words; what is compared here is the latency of the whole plan, with everything behind the pair placed as
CoEdge, so that what a pair's result costs to hand on is counted and the outcome is never worse than CoEdge.
"""

from __future__ import annotations

from collections.abc import Sequence

from iopopt.cluster import Cluster, Device
from iopopt.evaluation import evaluate
from iopopt.graph import Graph
from iopopt.methods.coedge import FullyConnected, coedge_placements
from iopopt.methods.oc import oc_placement
from iopopt.methods.scheme import solve_by
from iopopt.operators import Operator
from iopopt.plan import Placement, Plan, Reduce
from iopopt.solution import Solution
from iopopt.team import Team


def pairs_with(second: Operator) -> bool:
    """Whether an operator can be the second of a pair: it takes input channels, which a grouped one does not."""
    return "IC" in second.splittable_dims


def iop_pair(first: Operator, cluster: Cluster, team: Sequence[int], reduce: Reduce) -> tuple[Placement, Placement]:
    """Output channels on ``first`` and input channels on its successor, in the same shares: nothing is sent between them."""
    outputs = oc_placement(first, cluster, team)
    return outputs, Placement.split("IC", outputs.devices, outputs.shares, reduce)


def greedy_plan(graph: Graph, cluster: Cluster, team: Sequence[int], fully_connected: FullyConnected = "fastest", reduce: Reduce = "direct") -> Plan:
    """From the first operator on, take the pair if the whole plan is faster with it than without.

    A grouped operator has no IC split, so a pair in front of one is skipped; it may be the first of a pair.
    """
    chosen = Plan.of(graph, coedge_placements(graph, cluster, team, fully_connected))
    latency, i = evaluate(graph, cluster, chosen).latency_s, 0
    while i < len(graph) - 1 and len(team) > 1:
        if not pairs_with(graph.operators[i + 1]):
            i += 1
            continue
        placements = list(chosen.values())
        placements[i : i + 2] = iop_pair(graph.operators[i], cluster, team, reduce)
        paired = Plan.of(graph, placements)
        with_pair = evaluate(graph, cluster, paired).latency_s
        if with_pair < latency:
            chosen, latency, i = paired, with_pair, i + 2
        else:
            i += 1
    return chosen


def solve_greedy(
    graph: Graph,
    devices: Cluster | Sequence[Device],
    *,
    team: Team = "all",
    fully_connected: FullyConnected = "fastest",
    reduce: Reduce = "direct",
) -> Solution:
    """The IOP greedy; a plan that breaks a memory limit is returned as ``violates_memory``.

    Raises:
        ClusterError: if ``team`` names a device that does not exist.
        UnsupportedError: if an option is unknown.
    """

    def make_plan(graph: Graph, cluster: Cluster, members: tuple[int, ...]) -> Plan:
        return greedy_plan(graph, cluster, members, fully_connected, reduce)

    return solve_by(make_plan, graph, devices, team, "greedy")
