"""Algorithm 1 of the IOP paper (Liu, Xu et al., ICIC 2024, arXiv 2409.07693): pair operators greedily where that is faster.

The paper describes the algorithm in words, for chains. Here the latencies of whole plans are compared, with all operators after the pair
placed as CoEdge does, so that the cost of passing on a pair's result counts and the result is never slower than CoEdge. Memory is ignored.
When the time is up, the plan has the pairs taken so far.

On networks with branches the successor of an operator is its only consumer. An operator with several consumers starts no pair: split by
output channels for one, its output would be all-gathered for the others. The two operators of a pair are adjacent: pairs with a pool, a
depthwise convolution or another channel-local operator between them, which could follow the split, are outside Algorithm 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress

from iopopt.cluster.cluster import Cluster, Device
from iopopt.cost.evaluation import evaluate
from iopopt.cost.stopwatch import NO_LIMIT, Stopwatch, TimeUpError
from iopopt.methods.coedge import FullyConnected, coedge_placements
from iopopt.methods.oc import oc_placement
from iopopt.methods.scheme import solve_by
from iopopt.methods.solution import Solution
from iopopt.network.graph import Graph
from iopopt.network.unit import Unit
from iopopt.plan.placement import Placement, Reduce
from iopopt.plan.plan import Plan
from iopopt.plan.team import Team


def paired_successor(graph: Graph, i: int) -> int | None:
    """The second of the pair that operator ``i`` can start: its only consumer, if that can take the input channels in place.

    It can if it has a kernel of one group, and if the epilogue of the first does not end with a mixing step.
    """
    readers = graph.edges_from[i]
    if len(readers) != 1 or readers[0].p.mixes_channels or "IC" not in readers[0].q.dims:
        return None
    return readers[0].consumer


def iop_pair(first: Unit, cluster: Cluster, team: Sequence[int], reduce: Reduce) -> tuple[Placement, Placement]:
    """Output channels on ``first`` and input channels on its successor, with the same shares: nothing is sent between them."""
    outputs = oc_placement(first, cluster, team)
    return outputs, Placement.split("IC", outputs.devices, outputs.shares, reduce)


def greedy_plan(
    graph: Graph,
    cluster: Cluster,
    team: Sequence[int],
    fully_connected: FullyConnected = "fastest",
    reduce: Reduce = "direct",
    watch: Stopwatch = NO_LIMIT,
) -> Plan:
    """In topological order, take each pair of unpaired operators if the whole plan is faster with it than without."""
    placements = coedge_placements(graph, cluster, team, fully_connected)
    if len(team) > 1:
        with suppress(TimeUpError):
            _take_pairs(graph, cluster, team, reduce, placements, watch)
    return Plan.of(graph, placements)


def _take_pairs(graph: Graph, cluster: Cluster, team: Sequence[int], reduce: Reduce, placements: list[Placement], watch: Stopwatch) -> None:
    """Change ``placements`` pair by pair.

    Raises:
        TimeUpError: if the time is up before the last operator.
    """
    watch.check()
    latency, seconds = evaluate(graph, cluster, Plan.of(graph, placements)).latency_s, set[int]()
    for i, unit in enumerate(graph.placed_units):
        successor = paired_successor(graph, i)
        if i in seconds or successor is None:
            continue
        watch.check()
        attempt = list(placements)
        attempt[i], attempt[successor] = iop_pair(unit, cluster, team, reduce)
        with_pair = evaluate(graph, cluster, Plan.of(graph, attempt)).latency_s
        if with_pair < latency:
            placements[:], latency = attempt, with_pair
            seconds.add(successor)


def solve_greedy(
    graph: Graph,
    devices: Cluster | Sequence[Device],
    *,
    team: Team = "all",
    fully_connected: FullyConnected = "fastest",
    reduce: Reduce = "direct",
    time_limit_s: float = math.inf,
) -> Solution:
    """The IOP greedy: never slower than CoEdge. Memory is ignored: a plan that breaks a limit is returned as ``violates_memory``.

    On networks with branches the successor of an operator is its only consumer; an operator with several consumers starts no pair. The plan
    is always the same unless the time limit, in seconds of wall clock for everything, cuts the search short (``termination="time_limit"``).

    Raises:
        ClusterError: if ``team`` names a device that does not exist.
        SolverError: if ``time_limit_s`` is not positive.
        UnsupportedError: if an option is unknown.
    """

    def make_plan(graph: Graph, cluster: Cluster, members: tuple[int, ...], watch: Stopwatch) -> Plan:
        return greedy_plan(graph, cluster, members, fully_connected, reduce, watch)

    return solve_by(make_plan, graph, devices, team, "greedy", time_limit_s)
