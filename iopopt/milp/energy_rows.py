"""The energy in the program: rows and the objective for plans that draw least in the time that they have.

The energy of ``cost_model.md`` is a sum over devices, so it is linear in the latency of the program, in the compute time of each device, and in the
bytes of each transfer. All of its coefficients are at least 0; what is only bounded from below is therefore no larger than it must be.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from iopopt.cluster.cluster import Cluster, Device
from iopopt.cost.work import whole_work
from iopopt.milp.affine import Affine, times, total
from iopopt.milp.arcs import Node
from iopopt.milp.edge_variables import EdgeVariables, Load
from iopopt.milp.operator_variables import OperatorVariables
from iopopt.milp.program import ProgramBuilder
from iopopt.network.terms import Line
from iopopt.plan.shares import roofline_lines


@dataclass(frozen=True)
class EnergyGoal:
    """Minimise the energy instead of the latency.

    Attributes:
        unit: of the objective, joules; an energy near the optimum keeps the numbers near 1.
        latest_s: the longest latency that is allowed, seconds; infinite without a deadline.
    """

    unit: float
    latest_s: float = math.inf


def minimise_energy(
    builder: ProgramBuilder,
    cluster: Cluster,
    scale_s: float,
    goal: EnergyGoal,
    operators: Iterable[OperatorVariables],
    edges: Iterable[EdgeVariables],
) -> None:
    """Replace the objective, which is the latency in units of ``scale_s``, by the energy."""
    latency = builder.objective
    idle = sum(device.idle_watts or 0.0 for device in cluster.devices)
    computing = (part for operator in operators for part in _compute_j(builder, cluster, operator))
    sending = (part for edge in edges for load in (*edge.loads, *edge.scatters) for part in _transfer_j(cluster, load))
    builder.minimise(total([latency * (idle * scale_s), *computing, *sending]) * (1 / goal.unit))


def _compute_j(builder: ProgramBuilder, cluster: Cluster, operator: OperatorVariables) -> Iterator[Affine]:
    """What the devices draw to compute an operator or a block, joules: a term for each device that may take part."""
    for node, choice in operator.choice.items():
        if node.dim is None:
            assert node.device is not None
            device = cluster.devices[node.device]
            work = whole_work(operator.unit, cluster.bytes_per_element)
            yield times((device.compute_watts or 0.0) * device.compute_s(*work), choice)
            continue
        team = [cluster.devices[j] for j in operator.team]
        lines = roofline_lines(operator.unit, node.dim, team, cluster.bytes_per_element)
        for rank, (device, of_rank) in enumerate(zip(team, lines, strict=True)):
            if device.compute_watts:
                yield _share_s(builder, operator, node, rank, device, of_rank) * device.compute_watts


def _share_s(builder: ProgramBuilder, operator: OperatorVariables, node: Node, rank: int, device: Device, lines: Sequence[Line]) -> Affine:
    """t_cmp of one participant of a split, seconds: the maximum of lines over its share."""
    share, choice = operator.shares[node][rank], operator.choice[node]
    seconds = [times(line.slope / device.flops_per_s, share) + times(line.constant / device.flops_per_s, choice) for line in lines]
    if len(lines) == 1:
        return seconds[0]
    name = ("t_device", operator.unit.name, node, operator.team[rank])
    longest = max(max(line.constant, line.constant + line.slope * operator.size(node)) for line in lines) / device.flops_per_s or 1.0
    part = builder.variable(name)
    for number, of_line in enumerate(seconds):
        builder.at_least((*name, str(number)), times(1, part), of_line * (1 / longest))
    return times(longest, part)


def _transfer_j(cluster: Cluster, load: Load) -> Iterator[Affine]:
    """What the devices draw to send and receive a load, joules: powers over the rates of their links, times bytes."""
    for j, volume in load.received.items():
        yield volume * _per_byte_j(cluster.devices[j].receive_watts, cluster.devices[j])
    for j, volume in load.sent.items():
        yield volume * _per_byte_j(cluster.devices[j].transmit_watts, cluster.devices[j])


def _per_byte_j(watts: float | None, device: Device) -> float:
    return (watts or 0.0) / device.bandwidth_bytes_per_s
