"""Edges into one operator together: their loads add up on every device, and none is cheaper than alone."""

import pytest
from support.programs import assert_priced, formulation_of, least_objective, plans_of_each_case, without

from iopopt import Cluster, Device, Graph, GraphBuilder
from iopopt.milp.arcs import whole


def residual(kind: str) -> Graph:
    """Two tensors joined; the second operator has gone over one of them."""
    net = GraphBuilder(kind, (2, 4, 2)).conv(2, 1)
    tip = net.tip
    net.conv(2, (3, 1), padding=(1, 0))
    if kind == "gate":
        net.global_average_pool()
    join = {"sum": net.add, "gate": net.mul, "concat": net.concat, "thrice": net.add}[kind]
    join(*([tip, net.tip] if kind != "thrice" else [tip, net.tip, tip]))
    return net.conv(2, 1).build()


def cluster_of(connections: str, source: int | None, setup_s: float = 0.25) -> Cluster:
    """Three unequal devices of one FLOP/s and more."""
    devices = tuple(Device(f"d{j}", 50.0 * (j + 1), 1e9, 30.0 * (3 - j)) for j in range(3))
    return Cluster(devices, setup_s, connections, source, 1, 2)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["sum", "gate", "concat", "thrice"])
@pytest.mark.parametrize(("connections", "source", "team"), [("peer", None, (0, 1, 2)), ("round", 2, (2, 0))], ids=["peer", "round"])
def test_joined_edges_are_priced_together(kind, connections, source, team):
    """Plans of every combination of cases cost in the program what the evaluator says: sums of bytes, and connections as they are counted."""
    graph, cluster = residual(kind), cluster_of(connections, source)
    plans = plans_of_each_case(graph, cluster, team, each=1, tries=100)
    assert len(plans) >= 20
    cases = assert_priced(graph, cluster, team, plans)
    assert cases >= {"send", "all-gather", "halo exchange", "reduce", "reduce-scatter"}


def test_the_input_may_be_read_twice():
    """Edges from the source add up with others, and cost nothing where every device has the input."""
    net = GraphBuilder("input", (2, 4, 1)).conv(2, 1)
    graph = net.add(net.tip, "input").conv(2, 1).build()
    for source in (None, 0, 2):
        for connections in ("peer", "round"):
            cluster = cluster_of(connections, source)
            plans = plans_of_each_case(graph, cluster, (0, 1, 2), each=1, tries=60)
            assert len(plans) >= 8
            assert_priced(graph, cluster, (0, 1, 2), plans)


@pytest.mark.parametrize("connections", ["peer", "round"])
def test_each_edge_alone_strengthens_the_relaxation(connections):
    """A third of each of two tensors on each of three devices would send in two thirds of the time, if the program had no time of each
    edge alone."""
    cluster = Cluster(tuple(Device(f"d{j}", 50.0, 1e9, 300.0 if j == 3 else 30.0) for j in range(4)), 0.25, connections, None, 3, 2)
    any_sender, receiver = [whole(0), whole(1), whole(2)], [whole(3)]
    program = formulation_of(residual("sum"), cluster, (0, 1, 2), nodes=[any_sender, any_sender, receiver, receiver]).program
    assert least_objective(without(program, "edges alone")) < 0.99 * least_objective(program)
