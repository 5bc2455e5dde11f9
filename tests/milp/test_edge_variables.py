"""Flows of an edge go from the chosen node of one operator to that of the next, and copies of shares add up to them."""

from collections import Counter

import numpy as np
import pytest
from support.programs import flows_of, formulation_of, least_point, random_instance
from support.tiny_edges import edges_of

from iopopt import evaluate
from iopopt.cost.instance import Instance
from iopopt.milp.arcs import node_of


@pytest.mark.parametrize("branched", [False, True], ids=["chain", "branched"])
def test_a_flow_leaves_the_chosen_node_for_the_chosen_node(branched):
    """With the nodes and shares of a random plan fixed, but no flow, every edge has a flow of one in all, from its producer's node to its
    consumer's."""
    edges = 0
    for seed in range(20):
        graph, cluster, team, plan = random_instance(seed, branched=branched)
        formulation = formulation_of(graph, cluster, team, evaluate(graph, cluster, plan).latency_s)
        taken = {flow for flows in flows_of(formulation) for flow in flows.values()}
        fixed = {variable: value for variable, value in formulation.integer_point(plan).items() if variable not in taken}
        point = least_point(formulation.program, fixed)
        assert point is not None
        for edge, flows in zip(priced_edges(graph, cluster), flows_of(formulation), strict=True):
            assert sum(point[flow] for flow in flows.values()) == pytest.approx(1)
            for arc, flow in flows.items():
                if point[flow] > 1e-9:
                    placements = Instance(graph, cluster).placements(plan)
                    assert (arc.source, arc.target) == (node_of(placements[edge.producer]), node_of(placements[edge.consumer]))
            edges += 1
    assert edges > 40


def priced_edges(graph, cluster):
    """The edges that the program has, the sink's included."""
    return [edge for edges in graph.edges_into for edge in edges if edge.producer != graph.source or cluster.source is not None]


@pytest.mark.parametrize("branched", [False, True], ids=["chain", "branched"])
def test_flows_are_integral_just_where_arcs_are_parallel(branched):
    """Between two nodes with several arcs every flow is an integer variable, and no other is: that would cost branching."""
    seen = Counter()
    for seed in range(12):
        graph, cluster, team, _ = random_instance(seed, branched=branched)
        formulation = formulation_of(graph, cluster, team)
        program = formulation.program
        for flows in flows_of(formulation):
            parallel = Counter((arc.source, arc.target) for arc in flows)
            for arc, flow in flows.items():
                assert program.integer[flow] == (parallel[arc.source, arc.target] > 1)
                assert program.upper[flow] == 1
                seen[bool(program.integer[flow])] += 1
    assert min(seen[True], seen[False]) > 50


def test_every_arc_has_a_flow():
    """The flows of an edge are those of its arcs."""
    for seed in range(10):
        graph, cluster, team, _ = random_instance(seed, branched=seed % 2 == 1)
        edges = [edge for edge in edges_of(graph, cluster, team) if edge.edge in priced_edges(graph, cluster)]
        for edge, flows in zip(edges, flows_of(formulation_of(graph, cluster, team)), strict=True):
            assert sorted(flows, key=str) == sorted(edge.arcs, key=str)


@pytest.mark.parametrize("branched", [False, True], ids=["chain", "branched"])
def test_relaxed_shares_add_up(branched):
    """At the optimum of the relaxation all copies are between nothing and the dimension, in proportion to their flows."""
    for seed in range(8):
        graph, cluster, team, plan = random_instance(seed, branched=branched)
        formulation = formulation_of(graph, cluster, team, evaluate(graph, cluster, plan).latency_s)
        point = least_point(formulation.program)
        assert point is not None
        assert (point >= -1e-9).all()
        for flows in flows_of(formulation):
            assert sum(point[flow] for flow in flows.values()) == pytest.approx(1)
        assert np.isfinite(point).all()
