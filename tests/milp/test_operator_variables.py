"""Equations (2) to (5): the points of one operator are its placements."""

import numpy as np
import pytest
from support.programs import integer_points, slacks
from support.tiny_edges import even_cluster

from iopopt import GraphBuilder
from iopopt.methods.exhaustive import all_placements
from iopopt.milp.arcs import node_of, nodes_of
from iopopt.milp.operator_variables import add_operator, taken_by
from iopopt.milp.program import ProgramBuilder

TEAM = (2, 0)


def one_unit(kind):
    """One operator's unit, in granules of one or of several channels or rows."""
    net = GraphBuilder(kind, (2, 2, 1))
    if kind == "upsampling":
        net.upsample((2, 1))
    else:
        net.conv(*{"points": (2, 1), "groups": (4, 1)}[kind], groups=2 if kind == "groups" else 1)
    return net.build().units[0]


@pytest.mark.parametrize("kind", ["points", "groups", "upsampling"])
def test_points_are_placements(kind):
    """Of all integer points within the bounds just those fulfil the equations that stand for a placement, in whole granules; each is read
    back as that placement."""
    unit, builder = one_unit(kind), ProgramBuilder()
    operator = add_operator(builder, unit, nodes_of(unit, 3, TEAM), TEAM)
    program = builder.build()
    assert program.integer.all()
    nodes = [(taken_by([[operator]], point)[0].node, point) for point in integer_points(program)]
    found = {operator.placement(node, point, reduce) for node, point in nodes for reduce in ("direct", "two_phase")}
    assert found == set(all_placements(unit, even_cluster(3), TEAM))
    assert {node for node, _ in nodes} == {node_of(way) for way in found}


def test_copies_are_in_force_with_their_flows():
    """A copy sums to the dimension while one of its flows is 1, and to nothing else."""
    unit, builder = one_unit("points"), ProgramBuilder()
    operator = add_operator(builder, unit, nodes_of(unit, 3, TEAM), TEAM)
    (node,) = [node for node in operator.shares if node.dim == "H"]
    flows = [builder.variable(("y",), upper=1), builder.variable(("z",), upper=1)]
    copies = operator.copies(builder, node, ("copy",), flows)
    assert len(copies) == len(TEAM)
    program = builder.build()
    base = {**dict.fromkeys(operator.choice.values(), 0.0), operator.choice[node]: 1.0}
    base |= dict(zip(operator.shares[node], (2.0, 0.0), strict=True))
    for y, z, first, second, holds in ((1, 0, 1, 1, True), (0, 1, 0, 2, True), (0, 0, 0, 0, True), (0, 0, 1, 0, False), (1, 0, 1, 0, False)):
        point = np.zeros(len(program.objective))
        for variable, value in (base | dict(zip([*flows, *copies], (y, z, first, second), strict=True))).items():
            point[variable] = value
        assert (slacks(program, point) >= -1e-12).all() == holds
