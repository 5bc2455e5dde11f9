"""Equation (1) in the programme: resident weights plus the largest activations of every device."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from iopopt.cluster import Cluster
from iopopt.milp.handover import Node
from iopopt.milp.program import Affine, ProgramBuilder, constant, plus, scaled, times, total
from iopopt.milp.stage import Stage
from iopopt.plan import Placement
from iopopt.workload import Demand, share_memory

_UNITS = 1e4
"""A device's memory in units of the programme, so that a byte of hundreds of megabytes stays above the back end's tolerance."""


def add_memory(
    builder: ProgramBuilder, stages: Sequence[Stage], cluster: Cluster, team: Sequence[int], limit: Callable[[int], Affine], *, always: bool = False
) -> None:
    """sum_i w_ij + max_i a_ij <= ``limit(j)`` (in bytes); rows that cannot bind are left out unless ``always``."""
    for j, device in enumerate(cluster.devices):
        if always or _most_memory(stages, j, team, cluster.bytes_per_element) > device.memory_bytes:
            _add_device(builder, stages, j, team, cluster.bytes_per_element, _UNITS / device.memory_bytes, limit(j))


def _add_device(builder: ProgramBuilder, stages: Sequence[Stage], j: int, team: Sequence[int], e: int, unit: float, limit: Affine) -> None:
    peak = builder.variable(f"A[{j}]")
    resident: list[Affine] = []
    for stage in stages:
        weights, activations = _demand(stage, j, team, e)
        resident.append(weights)
        for number, line in enumerate(activations):
            builder.at_least(f"activations[{stage.operator.name},{j},{number}]", times(1, peak), scaled(unit, line))
    builder.at_most(f"eq1[{j}]", plus(times(1, peak), scaled(unit, total(resident))), scaled(unit, limit))


def _demand(stage: Stage, j: int, team: Sequence[int], e: int) -> tuple[Affine, list[Affine]]:
    """w_ij as one expression, a_ij as the largest of one or two."""
    weights, linear, bent = [], [], None
    for node, choice in stage.choice.items():
        if node.device == j:
            demand = _at(stage, node, j, (j,), 1, e)
            weights.append(times(demand.weights, choice))
            linear.append(times(demand.activations, choice))
        elif node.dim is not None and j in team:
            share = stage.shares[node][team.index(j)]
            none, one, all_ = (_at(stage, node, j, team, n, e) for n in (0, 1, stage.size(node)))
            slope = (all_.activations - one.activations) / (stage.size(node) - 1) if stage.size(node) > 1 else one.activations - none.activations
            weights.append(plus(times(none.weights, choice), times(one.weights - none.weights, share)))
            line = plus(times(one.activations - slope, choice), times(slope, share))
            # Empty shares may need more than the line says (no count of rows is below 0); a second line through 0 and 1 holds them.
            if none.activations > one.activations - slope:
                bent = plus(times(none.activations, choice), times(one.activations - none.activations, share)), line
            else:
                linear.append(line)
    return total(weights), [plus(*linear, line) for line in bent or (constant(0),)]


def _at(stage: Stage, node: Node, j: int, team: Sequence[int], share: int, e: int) -> Demand:
    """The evaluator's demand of device j at one share, in the node's units."""
    if node.dim is None:
        placement = Placement.whole(j)
    else:
        placement = Placement.split(node.dim, team, [share * stage.unit(node) if device == j else 0 for device in team])
    return dict(share_memory(stage.operator, placement, e))[j]


def _most_memory(stages: Sequence[Stage], j: int, team: Sequence[int], e: int) -> float:
    """A bound on what any plan asks of device j."""
    demands = [list(_largest(stage, j, team, e)) for stage in stages]
    weights = sum(max((demand.weights for demand in of), default=0) for of in demands)
    return weights + max((demand.activations for of in demands for demand in of), default=0)


def _largest(stage: Stage, j: int, team: Sequence[int], e: int) -> Iterator[Demand]:
    for node in stage.choice:
        if node.device == j:
            yield _at(stage, node, j, (j,), 1, e)
        elif node.dim is not None and j in team:
            yield _at(stage, node, j, team, stage.size(node), e)
