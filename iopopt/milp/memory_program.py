"""By what factor memory would have to grow for any plan to fit: equations (1) to (5) without time."""

from __future__ import annotations

from collections.abc import Sequence

from iopopt.cluster.cluster import Cluster
from iopopt.milp.arcs import nodes_of
from iopopt.milp.backends import Options
from iopopt.milp.memory_rows import add_memory
from iopopt.milp.process import run_backend
from iopopt.milp.program import Affine, FloatArray, ProgramBuilder, times
from iopopt.milp.stage import Stage, add_stages
from iopopt.network.graph import Graph
from iopopt.plan.placement import Placement
from iopopt.plan.plan import Plan


def least_memory_plan(graph: Graph, cluster: Cluster, team: Sequence[int], backend: str, time_limit_s: float) -> Plan | None:
    """The plan of the least largest demand relative to a device's memory; None if none was found in time.

    Raises:
        SolverError: if the back end fails.
    """
    builder = ProgramBuilder()
    nodes = [nodes_of(operator, len(cluster), team) for operator in graph.operators]
    stages = add_stages(builder, graph, nodes, team)
    factor = builder.variable("memory factor", cost=1)
    limits = [times(device.memory_bytes, factor) for device in cluster.devices]
    add_memory(builder, graph, stages, cluster, team, limits, [_summed(stage) for stage in stages], always=True)
    options = Options(time_limit_s, gap=0.0, seed=0, threads=1, start={}, directory="")
    outcome = run_backend(backend, builder.build(), options).outcome
    return None if outcome.x is None else Plan.of(graph, [_placement(stage, team, outcome.x) for stage in stages])


def _summed(stage: Stage) -> Affine:
    """1 where partial sums are added up: in two phases, for then less is kept and all else takes the same memory."""
    return times(1, *(variable for node, variable in stage.choice.items() if node.dim == "IC"))


def _placement(stage: Stage, team: Sequence[int], x: FloatArray) -> Placement:
    node = max(stage.choice, key=lambda candidate: float(x[stage.choice[candidate]]))
    if node.dim is None:
        assert node.device is not None
        return Placement.whole(node.device)
    return Placement.split(node.dim, team, stage.split_shares(node, x), "two_phase")
