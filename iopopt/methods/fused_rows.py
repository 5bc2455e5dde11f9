"""Shared by schemes that cut a network into fused blocks of rows: the best cut at one share for each unit, by dynamic programming."""

from __future__ import annotations

from collections.abc import Sequence

from iopopt.cluster.cluster import Cluster
from iopopt.cost.elimination import Table, minimise
from iopopt.cost.stopwatch import NO_LIMIT, Stopwatch
from iopopt.methods.candidates import Candidates
from iopopt.methods.coedge import coedge_placement
from iopopt.methods.cost_tables import CostTables
from iopopt.network.graph import Graph
from iopopt.plan.placement import Placement
from iopopt.plan.plan import Plan
from iopopt.plan.shares import unit_proportional_shares


def best_cut(graph: Graph, cluster: Cluster, team: Sequence[int], longest_block: int, watch: Stopwatch = NO_LIMIT) -> Plan:
    """The plan of the least latency, memory aside, in which every operator with rows is split by speed over the team, alone or in a block.

    Operators without rows run on the fastest device.

    Raises:
        TimeUpError: if the time is up before all cuts are compared.
        InstanceTooLargeError: if the network is too dense for elimination.
    """
    alone = [[coedge_placement(unit, cluster, team)] for unit in graph.placed_units]
    speeds = [cluster.devices[j].flops_per_s for j in team]
    blocks: dict[range, list[Placement]] = {}
    for members in graph.blocks(longest_block) if len(team) > 1 else ():
        watch.check()
        blocks[members] = [Placement.split("H", team, unit_proportional_shares(graph.block(members), "H", speeds))]
    candidates = Candidates(graph, cluster, alone, blocks)
    tables = CostTables(candidates, watch)
    seconds = [Table((i,), costs) for i, costs in enumerate(tables.alone_s)]
    return candidates.plan(minimise(tables.domains, [*seconds, *tables.edges], watch=watch))
