"""DeepThings' partition: the first operators fused into one block of rows, the rest on one device (Zhao, Barijough, Gerstlauer, IEEE TCAD 2018).

Reconstructed: DeepThings cuts the last fused map in an M x N grid, here in strips of equally many rows, one for each device; what is not fused
runs on the gateway, here the sink. Tiles are not stolen, and no intermediate data is reused.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import suppress

from iopopt.cluster.cluster import Cluster, Device
from iopopt.cost.evaluation import evaluate
from iopopt.cost.stopwatch import Stopwatch, TimeUpError
from iopopt.errors import UnsupportedError
from iopopt.methods.scheme import solve_by
from iopopt.methods.settings import checked_longest_block
from iopopt.methods.solution import Solution
from iopopt.network.graph import Graph, as_graph
from iopopt.plan.placement import Placement
from iopopt.plan.plan import Plan
from iopopt.plan.shares import unit_even_shares
from iopopt.plan.team import Team, space_name


def solve_deepthings(
    graph: Graph, devices: Cluster | Sequence[Device], *, team: Team = "all", fused: int | None = None, time_limit_s: float = math.inf
) -> Solution:
    """The first ``fused`` operators as one block of even rows, the others whole on the sink; by default as many as give the least latency.

    Memory is ignored: a plan that breaks a limit is returned as ``violates_memory``. The plan is always the same unless the time limit, in seconds of
    wall clock for everything, cuts the search short (``termination="time_limit"``).

    Raises:
        ClusterError: if ``team`` names a device that does not exist.
        SolverError: if ``fused`` is no integer of at least 1, or ``time_limit_s`` is not positive.
        UnsupportedError: if the first ``fused`` operators are no block, or there is one device only.
    """
    if fused is not None:
        fused = checked_longest_block(fused, "fused")

    def make_plan(graph: Graph, cluster: Cluster, members: tuple[int, ...], watch: Stopwatch) -> Plan:
        plans = [_plan(graph, cluster, members, count) for count in _in_time(_counts(graph, members, fused), watch)]
        return min(plans or [_plan(graph, cluster, members, 0)], key=lambda plan: evaluate(graph, cluster, plan).latency_s)

    return solve_by(make_plan, graph, devices, team, "deepthings", time_limit_s, space=space_name(team, devices, fused or longest_first_block(graph)))


def longest_first_block(graph: Graph) -> int:
    """The most first operators that are a block; 1 if none are."""
    return max((count for count in range(2, len(as_graph(graph)) + 1) if graph.block_fault(range(count)) is None), default=1)


def _counts(graph: Graph, members: Sequence[int], fused: int | None) -> list[int]:
    """How many operators may be fused; 0 for none, where nothing else can be."""
    if fused is not None:
        fault = "there is one device" if len(members) < 2 else graph.block_fault(range(fused))
        if fault:
            raise UnsupportedError(f"deepthings: the first {fused} operators of {graph.name} cannot be fused: {fault}")
        return [fused]
    counts = [count for count in range(2, len(graph) + 1) if graph.block_fault(range(count)) is None]
    return counts if counts and len(members) > 1 else [0]


def _in_time(counts: Sequence[int], watch: Stopwatch) -> Iterator[int]:
    """The counts that there is time for."""
    with suppress(TimeUpError):
        for count in counts:
            watch.check()
            yield count


def _plan(graph: Graph, cluster: Cluster, members: Sequence[int], count: int) -> Plan:
    """The first ``count`` operators fused."""
    rest = [Placement.whole(cluster.sink)] * (len(graph) - count)
    if count == 0:
        return Plan.of(graph, rest)
    rows = Placement.split("H", members, unit_even_shares(graph.block(range(count)), "H", len(members)))
    return Plan.of(graph, [rows, *rest], [count, *[1] * len(rest)])
