"""Equation (1) in the program: resident weights plus the largest activations of every device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from iopopt.cluster.cluster import Cluster
from iopopt.cost.workload import Demand, share_memory, share_output
from iopopt.milp.arcs import Node
from iopopt.milp.program import Affine, ProgramBuilder, constant, plus, scaled, times, total
from iopopt.milp.stage import Stage
from iopopt.network.graph import Graph
from iopopt.plan.placement import Placement, Reduce

_REDUCES: tuple[Reduce, Reduce] = ("direct", "two_phase")

_UNITS = 1e4
"""A device's memory in units of the program, so that a byte of hundreds of megabytes stays above the back end's tolerance."""


def add_memory(
    builder: ProgramBuilder,
    graph: Graph,
    stages: Sequence[Stage],
    cluster: Cluster,
    team: Sequence[int],
    limits: Sequence[Affine],
    completions: Sequence[Affine],
    *,
    always: bool = False,
) -> None:
    """sum_i w_ij + max_i (a_ij + kept_ij) <= ``limits[j]`` (in bytes); rows that cannot bind are left out unless ``always``.

    ``completions`` say of each operator whether it adds up its partial sums in two phases: then its owners keep slices, not sums.
    """
    for j, device in enumerate(cluster.devices):
        if always or _most_memory(graph, stages, j, team, cluster) > device.memory_bytes:
            kept = _kept(graph, stages, j, team, cluster, completions)
            _add_device(builder, stages, j, team, cluster.bytes_per_element, _UNITS / device.memory_bytes, limits[j], kept)


def _add_device(
    builder: ProgramBuilder, stages: Sequence[Stage], j: int, team: Sequence[int], e: int, unit: float, limit: Affine, kept: Sequence[Affine]
) -> None:
    peak = builder.variable(f"A[{j}]")
    resident: list[Affine] = []
    for stage, waiting in zip(stages, kept, strict=True):
        weights, activations = _demand(stage, j, team, e)
        resident.append(weights)
        for number, line in enumerate(activations):
            builder.at_least(f"activations[{stage.operator.name},{j},{number}]", times(1, peak), scaled(unit, plus(line, waiting)))
    builder.at_most(f"eq1[{j}]", plus(times(1, peak), scaled(unit, total(resident))), scaled(unit, limit))


def _kept(graph: Graph, stages: Sequence[Stage], j: int, team: Sequence[int], cluster: Cluster, completions: Sequence[Affine]) -> list[Affine]:
    """kept_ij: what device j keeps of long-lived tensors while each operator runs."""
    kept: list[Affine] = [constant(0)] * len(graph)
    for producer, during in graph.long_lived:
        if producer is None:
            held = constant(_input_bytes(graph, j, cluster))
        else:
            held = _owned(stages[producer], j, team, cluster.bytes_per_element, completions[producer])
        for i in during:
            kept[i] = plus(kept[i], held)
    return kept


def _input_bytes(graph: Graph, j: int, cluster: Cluster) -> int:
    return cluster.bytes_per_element * graph.input_shape.elements if cluster.source in (None, j) else 0


def _owned(stage: Stage, j: int, team: Sequence[int], e: int, completion: Affine) -> Affine:
    """What device j owns of the operator's output, linear in its share."""
    parts = []
    for node, choice in stage.choice.items():
        if node.device == j:
            parts.append(times(_output_at(stage, node, j, (j,), 1, e), choice))
        elif node.dim == "IC" and j in team:
            sums, slices = (_output_at(stage, node, j, team, 0, e, reduce) for reduce in _REDUCES)
            parts += [times(sums, choice), scaled(slices - sums, completion)]
        elif node.dim is not None and j in team:
            parts.append(times(_output_at(stage, node, j, team, 1, e), stage.shares[node][team.index(j)]))
    return total(parts)


def _output_at(stage: Stage, node: Node, j: int, team: Sequence[int], share: int, e: int, reduce: Reduce = "direct") -> float:
    """The evaluator's bytes of the output that device j owns at one share, in the node's units."""
    return dict(share_output(stage.operator, _placement_at(stage, node, j, team, share, reduce), e))[j]


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
    return dict(share_memory(stage.operator, _placement_at(stage, node, j, team, share), e))[j]


def _placement_at(stage: Stage, node: Node, j: int, team: Sequence[int], share: int, reduce: Reduce = "direct") -> Placement:
    if node.dim is None:
        return Placement.whole(j)
    return Placement.split(node.dim, team, [share * stage.granularity(node) if device == j else 0 for device in team], reduce)


def _most_memory(graph: Graph, stages: Sequence[Stage], j: int, team: Sequence[int], cluster: Cluster) -> float:
    """A bound on what any plan asks of device j."""
    e = cluster.bytes_per_element
    demands = [list(_largest(stage, j, team, e)) for stage in stages]
    activations = [max((demand.activations for demand in of), default=0.0) for of in demands]
    for producer, during in graph.long_lived:
        for i in during:
            activations[i] += _input_bytes(graph, j, cluster) if producer is None else _most_kept(stages[producer], e)
    return sum(max((demand.weights for demand in of), default=0) for of in demands) + max(activations)


def _most_kept(stage: Stage, e: int) -> int:
    return e * max(stage.operator.pre_pool_shape.elements, stage.operator.out_shape.elements)


def _largest(stage: Stage, j: int, team: Sequence[int], e: int) -> Iterator[Demand]:
    for node in stage.choice:
        if node.device == j:
            yield _at(stage, node, j, (j,), 1, e)
        elif node.dim is not None and j in team:
            yield _at(stage, node, j, team, stage.size(node), e)
