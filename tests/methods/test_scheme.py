"""What fixed schemes have in common."""

import random

import pytest
from support.random_branches import random_branched_graph
from support.random_instances import random_cluster, random_team

from iopopt import Cluster, Device, solve_coedge, solve_oc


def test_schemes_keep_to_their_team(alexnet, edge):
    """With a team, only its devices are participants."""
    for solution in (solve_oc(alexnet, edge, team=(0, 1)), solve_coedge(alexnet, edge, team=(0, 1))):
        assert {j for placement in solution.plan.values() for j in placement.devices} == {0, 1}


def test_a_broken_memory_limit_is_reported(alexnet, edge):
    """A scheme that does not fit is shown with its price, demand, limit and excess, and without a gap."""
    small = Cluster(tuple(Device(device.name, device.flops_per_s, 1e8, device.bandwidth_bytes_per_s) for device in edge.devices))
    solution = solve_coedge(alexnet, small)
    (violation,) = solution.evaluation.violations
    assert solution.status == "violates_memory"
    assert solution.gap is None
    assert violation.name == "edge2"
    assert violation.excess_bytes == violation.demand_bytes - 1e8 > 0
    assert solution.latency_s == pytest.approx(solve_coedge(alexnet, Cluster(edge.devices)).latency_s)


@pytest.mark.parametrize("seed", range(30))
def test_every_kind_of_operator_has_its_place(seed):
    """On graphs with branches OC splits everything by channels, CoEdge all that has two rows by rows; the plans are valid over any team."""
    rng = random.Random(seed)
    graph, cluster = random_branched_graph(rng), random_cluster(rng)
    team = random_team(rng, len(cluster))
    assert {placement.dim for placement in solve_oc(graph, cluster, team=team).plan.values()} == {"OC"}
    coedge = solve_coedge(graph, cluster, team=team).plan
    for operator in graph.operators:
        assert coedge[operator.name].dim == ("H" if operator.out_shape.height >= 2 else None)
