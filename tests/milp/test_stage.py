"""Equations (2) to (5): the points of one operator are its placements."""

import numpy as np
import pytest
from support.programs import integer_points, slacks
from support.tiny_edges import even_cluster

from iopopt import GraphBuilder
from iopopt.methods.exhaustive import all_placements
from iopopt.milp.arcs import node_of, nodes_of
from iopopt.milp.program import ProgramBuilder
from iopopt.milp.stage import add_copies, add_stages

TEAM = (0, 2)


def one_operator(kind):
    """A graph of one operator, in units of one or of several channels or rows."""
    net = GraphBuilder(kind, (2, 2, 1))
    if kind == "upsampling":
        net.upsample((2, 1))
    else:
        net.conv(*{"points": (2, 1), "groups": (4, 1)}[kind], groups=2 if kind == "groups" else 1)
    return net.build()


@pytest.mark.parametrize("kind", ["points", "groups", "upsampling"])
def test_points_are_placements(kind):
    """Of all integer points within the bounds just those fulfil the equations that stand for a placement, in whole units; each is read
    back as its shares."""
    graph, cluster = one_operator(kind), even_cluster(3)
    operator, builder = graph.operators[0], ProgramBuilder()
    (stage,) = add_stages(builder, graph, [nodes_of(operator, 3, TEAM)], TEAM)
    program = builder.build()
    assert program.integer.all()
    found = set()
    for point in integer_points(program):
        (node,) = [node for node, choice in stage.choice.items() if point[choice]]
        found.add((node, tuple(stage.split_shares(node, point)) if node.dim else (1,)))
    assert found == {(node_of(way), way.shares) for way in all_placements(operator, cluster, TEAM)}


def test_copies_are_in_force_with_their_flows():
    """A copy sums to the dimension while one of its flows is 1, and to nothing else."""
    graph, builder = one_operator("points"), ProgramBuilder()
    (stage,) = add_stages(builder, graph, [nodes_of(graph.operators[0], 3, TEAM)], TEAM)
    (node,) = [node for node in stage.shares if node.dim == "H"]
    flows = [builder.variable("y", upper=1), builder.variable("z", upper=1)]
    copies = add_copies(builder, stage, node, "copy", flows)
    assert len(copies) == len(TEAM)
    program = builder.build()
    base = {**dict.fromkeys(stage.choice.values(), 0.0), stage.choice[node]: 1.0}
    base |= dict(zip(stage.shares[node], (2.0, 0.0), strict=True))
    for y, z, first, second, holds in ((1, 0, 1, 1, True), (0, 1, 0, 2, True), (0, 0, 0, 0, True), (0, 0, 1, 0, False), (1, 0, 1, 0, False)):
        point = np.zeros(len(program.objective))
        for variable, value in (base | dict(zip([*flows, *copies], (y, z, first, second), strict=True))).items():
            point[variable] = value
        assert (slacks(program, point) >= -1e-12).all() == holds
