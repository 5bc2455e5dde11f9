"""Equation (8) for an operator with several inputs: its edges share a round, so their loads add up on every device."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from iopopt.cluster.cluster import Cluster
from iopopt.milp.affine import Affine, constant, times, total
from iopopt.milp.arcs import Name
from iopopt.milp.edge_variables import EdgeVariables, Load
from iopopt.milp.program import ProgramBuilder


def add_joint_costs(
    builder: ProgramBuilder, cluster: Cluster, scale_s: float, label: str, edges: Sequence[EdgeVariables], *, without: Collection[str] = ()
) -> None:
    """Com_d for each node d of the operator: at least the sum of all loads into it on any device, and the time of each edge alone.

    The second follows from the first for integral flows, but it tightens the relaxation.
    """
    for node in dict.fromkeys(load.target for edge in edges for load in edge.loads):
        time = builder.variable(("t_com", label, node), cost=1)
        by_edge = [[load for load in edge.loads if load.target == node] for edge in edges]
        several = sum(bool(loads) for loads in by_edge) > 1
        for number, loads in enumerate(by_edge):
            if loads and not (several and "edge_cuts" in without):
                builder.at_least(("edge", label, node, str(number)), times(1, time), total(load.time for load in loads))
        if several:
            _add_sums(builder, cluster, scale_s, (label, node), time, by_edge)


def _add_sums(builder: ProgramBuilder, cluster: Cluster, scale_s: float, label: Name, time: int, by_edge: Sequence[Sequence[Load]]) -> None:
    every = [load for loads in by_edge for load in loads]
    for j, device in enumerate(cluster.devices):
        setup = _connections(builder, cluster, (*label, j), j, by_edge) * (cluster.connection_setup_s / scale_s)
        received = [load.received[j] for load in every if j in load.received]
        sent = [load.sent[j] for load in every if j in load.sent]
        for way, volumes in (("R", received), ("S", sent)):
            if volumes:
                seconds = total(volumes) * (1 / (device.bandwidth_bytes_per_s * scale_s))
                builder.at_least(("eq8", *label, way, j), times(1, time), seconds + setup)


def _connections(builder: ProgramBuilder, cluster: Cluster, label: Name, j: int, by_edge: Sequence[Sequence[Load]]) -> Affine:
    """N_j over all edges; if connections are counted once for the round, 1 if any edge opens one."""
    if cluster.connections == "peer":
        return total(times(load.connections.get(j, 0), *load.flows) for loads in by_edge for load in loads)
    opened = [[load for load in loads if load.connections.get(j, 0)] for loads in by_edge]
    if not any(opened):
        return constant(0)
    once = builder.variable(("N", *label), upper=1)
    for number, loads in enumerate(opened):
        builder.at_least(("once", *label, str(number)), times(1, once), total(times(1, *load.flows) for load in loads))
    return times(1, once)
