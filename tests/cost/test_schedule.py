"""The schedule of a plan: its rounds in turn, and the tasks of equation (7)."""

from __future__ import annotations

import random

import pytest
from support.branched_cases import branched_cases
from support.random_branches import random_branched_graph, random_branched_plan
from support.random_gathers import with_gathers
from support.random_instances import random_cluster
from support.random_orders import reordered

from iopopt import Graph, GraphBuilder, Placement, Plan, evaluate
from iopopt.cost.evaluation import counted_connections, round_time_s, schedule_of_plan
from iopopt.cost.instance import Instance
from iopopt.cost.transfers import edge_rounds
from iopopt.network.unit import SINK
from iopopt.schedule.rounds import TransferKind


def test_the_schedule_of_a_worked_case() -> None:
    """Host in the middle: two sends, then the halo exchange, then the gathering at the sink; 108 and 72 FLOPs at most, none for the sink."""
    case = branched_cases()["host in the middle"]
    c, d, sink = schedule_of_plan(case.graph, case.cluster, case.plan).steps
    assert [step.name for step in (c, d, sink)] == ["c", "d", SINK]
    assert [str(round_) for step in (c, d, sink) for round_ in step.rounds] == ["send", "halo exchange", "all-gather"]
    assert sorted(c.rounds[0].transfers) == [(0, 1, 2), (0, 2, 3)]
    assert sorted(d.rounds[0].transfers) == [(0, 1, 4), (0, 2, 2), (1, 0, 0), (2, 0, 2)]
    assert sorted(sink.rounds[0].transfers) == [(1, 0, 2), (2, 0, 2)]
    flops = [{j: work.flops for j, work in step.tasks.items()} for step in (c, d, sink)]
    assert flops == [{1: 36, 0: 108, 2: 72}, {1: 72, 0: 72, 2: 72}, {}]


def test_input_that_every_device_has_takes_no_round() -> None:
    """Without a source the first operator has no rounds."""
    case = branched_cases()["input everywhere, kept"]
    first, *_ = schedule_of_plan(case.graph, case.cluster, case.plan).steps
    assert first.rounds == ()


@pytest.fixture
def joined() -> Graph:
    """a and b read the input; c adds a, b and a again."""
    net = GraphBuilder("joined", (2, 2, 2)).conv(2, 1, name="a")
    return net.at("input").conv(2, 1, name="b").add("a", "b", "a", name="c").build()


def test_edges_into_one_operator_share_a_round(joined: Graph) -> None:
    """What three edges carry between the same two devices lies in one round, transfer by transfer."""
    cluster = branched_cases()["two consumers"].cluster
    plan = Plan.of(joined, [Placement.whole(0), Placement.whole(0), Placement.whole(1)])
    *_, (round_,), _ = (step.rounds for step in schedule_of_plan(joined, cluster, plan).steps)
    assert round_.kinds == (TransferKind.SEND,) * 3
    assert round_.transfers == ((0, 1, 8),) * 3
    assert (round_.loads.received, round_.loads.connections) == ({1: 24}, {1: 3})


def test_every_reduce_scatter_has_a_round_of_its_own(joined: Graph) -> None:
    """Both come before the one round of all that is left: a once, though it is read twice."""
    cluster = branched_cases()["two consumers"].cluster
    split = Placement.split("IC", (0, 1), (1, 1), "two_phase")
    *_, step, _ = schedule_of_plan(joined, cluster, Plan.of(joined, [split, split, Placement.whole(0)])).steps
    assert [str(round_) for round_ in step.rounds] == ["reduce-scatter", "reduce-scatter", "all-gather+all-gather+all-gather"]
    assert [round_.loads.received for round_ in step.rounds] == [{0: 4, 1: 4}, {0: 4, 1: 4}, {0: 12}]
    *_, step, _ = schedule_of_plan(joined, cluster, Plan.of(joined, [Placement.whole(1), split, Placement.whole(0)])).steps
    assert [str(round_) for round_ in step.rounds] == ["reduce-scatter", "send+all-gather+send"]


def test_every_gather_has_a_round_of_its_own(joined: Graph) -> None:
    """With the first of the two edges that read a, and before all that is left; b is gathered where it is needed, and a sent on from there."""
    cluster = branched_cases()["two consumers"].cluster
    rows = [Placement.split("H", (0, 1), (1, 1), gather=host) for host in (1, 0)]
    *_, step, _ = schedule_of_plan(joined, cluster, Plan.of(joined, [*rows, Placement.whole(0)])).steps
    assert [str(round_) for round_ in step.rounds] == ["gather", "gather", "send+send+send"]
    assert [round_.transfers for round_ in step.rounds] == [((0, 1, 4),), ((1, 0, 4),), ((1, 0, 8), (1, 0, 8))]


def test_schedules_of_random_plans() -> None:
    """No transfer is lost or made up: a step has those of its edges, and its rounds and tasks are what the evaluator adds up."""
    rng = random.Random(1)
    for _ in range(120):
        graph, cluster = random_branched_graph(rng), random_cluster(rng)
        plan = with_gathers(rng, reordered(rng, random_branched_plan(rng, graph, len(cluster)), len(cluster)), len(cluster))
        instance, evaluation = Instance(graph, cluster), evaluate(graph, cluster, plan)
        placements, steps = instance.placements(plan), schedule_of_plan(graph, cluster, plan).steps
        for number, (step, edges) in enumerate(zip(steps, instance.edges_into, strict=True)):
            rounds = [edge_rounds(edge, placements[edge.producer], placements[number], cluster.bytes_per_element) for edge in edges]
            expected = [transfer for of in rounds for round_ in of for transfer in round_.transfers]
            assert sorted(transfer for round_ in step.rounds for transfer in round_.transfers) == sorted(expected)
            own = [round_.kinds in ((TransferKind.REDUCE_SCATTER,), (TransferKind.GATHER,)) for round_ in step.rounds]
            assert own == sorted(own, reverse=True)
            assert own.count(False) == (len(edges) > 0)
            if number < graph.sink:
                cost = evaluation.operators[number]
                assert cost.communication_s == sum(round_time_s(round_, cluster) for round_ in step.rounds)
                assert cost.connections == sum(sum(counted_connections(round_, cluster).values()) for round_ in step.rounds)
                assert set(step.tasks) == set(placements[number].devices)
                assert cost.compute_s == max(cluster.devices[j].compute_s(*work) for j, work in step.tasks.items())
