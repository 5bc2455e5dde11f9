"""Plans as arrays: there and back, in every order of participants, and running sums along that order."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest
from support.random_branches import random_branched_graph, random_branched_plan
from support.random_gathers import with_gathers
from support.random_instances import random_graph, random_plan
from support.random_orders import reordered

from iopopt import Graph, GraphBuilder, Placement, Plan, PlanBatch, PlanError, Pricer, evaluate, load_cluster
from iopopt.plan.batch import Array, along_order
from iopopt.plan.placement import Strategy
from iopopt.plan.shares import even_shares

ORDERED = pytest.mark.parametrize("ordered", [False, True], ids=["ascending", "ordered"])


def _plans(rng: random.Random, count: int, *, ordered: bool) -> tuple[Graph, int, list[Plan]]:
    """Plans of one graph over several devices."""
    branched, devices = rng.random() < 0.5, rng.randint(2, 5)
    graph = random_branched_graph(rng) if branched else random_graph(rng)
    plans = [with_gathers(rng, (random_branched_plan if branched else random_plan)(rng, graph, devices), devices) for _ in range(count)]
    return graph, devices, [reordered(rng, plan, devices) for plan in plans] if ordered else plans


def _back(graph: Graph, batch: PlanBatch) -> list[Plan]:
    return [batch.plan(graph, number) for number in range(len(batch))]


def test_arrays_by_hand(trio_graph: Graph) -> None:
    """Device 2 has the first row and device 0 the other three; b whole on 1; c over (1, 0, 2): shares and ranks stand at the devices."""
    placements = [Placement.split("H", (2, 0), (1, 3)), Placement.whole(1), Placement.split("IC", (1, 0, 2), (6, 0, 0), "two_phase")]
    batch = PlanBatch.of([placements], 3)
    assert batch.strategies[:, 0].tolist() == [Strategy.H, Strategy.WHOLE, Strategy.IC_TWO_PHASE]
    assert batch.shares[:, :, 0].tolist() == [[3, 0, 0], [0, 1, 6], [1, 0, 0]]
    assert batch.participants[:, :, 0].tolist() == [[True, False, True], [False, True, True], [True, False, True]]
    assert batch.order is not None
    assert np.where(batch.participants, batch.ranks, -1)[:, :, 0].tolist() == [[1, -1, 1], [-1, 0, 0], [0, -1, 2]]
    assert batch.plan(trio_graph, 0) == Plan.of(trio_graph, placements)


def test_the_order_of_the_cluster_is_not_written_down() -> None:
    """A batch whose participants all ascend has no order; ranks then count the participants, so devices may be left out."""
    batch = PlanBatch.of([[Placement.split("OC", (0, 2, 3), (2, 0, 1))]], 4)
    assert batch.order is None
    assert np.where(batch.participants, batch.ranks, -1)[:, 0, 0].tolist() == [0, -1, 1, 2]


def test_a_batch_holds_a_plan() -> None:
    """No plans make no batch."""
    with pytest.raises(PlanError, match="at least one plan"):
        PlanBatch.of([], 2)


@ORDERED
def test_round_trips(ordered: bool) -> None:
    """Random plans come back, also those that were taken, repeated or sliced."""
    rng = random.Random(61)
    for _ in range(60):
        graph, devices, plans = _plans(rng, 7, ordered=ordered)
        batch = PlanBatch.from_plans(graph, plans, devices)
        assert ordered or batch.order is None
        assert (len(batch), _back(graph, batch)) == (7, plans)
        assert _back(graph, batch.take(np.array([5, 0, 5]))) == [plans[5], plans[0], plans[5]]
        assert _back(graph, batch[slice(2, 4)]) == plans[2:4]


@ORDERED
def test_units_and_join_undo_each_other(ordered: bool) -> None:
    """Operators picked out, one by one and in any order, have their placements, and joined again they are the plans."""
    rng = random.Random(62)
    for _ in range(40):
        graph, devices, plans = _plans(rng, 5, ordered=ordered)
        batch = PlanBatch.from_plans(graph, plans, devices)
        numbers = [rng.randrange(len(graph)) for _ in range(4)]
        picked = batch.units(np.array(numbers))
        for (position, number), plan in itertools.product(enumerate(numbers), range(5)):
            assert picked.placement(position, plan) == batch.placement(number, plan)
        singles = [PlanBatch.of([[plan[operator.name]] for plan in plans], devices) for operator in graph.operators]
        assert _back(graph, PlanBatch.join(singles)) == plans


def test_parts_with_and_without_an_order_join(trio_graph: Graph) -> None:
    """A part that needs no order takes the cluster's when another has one; without any the whole has none."""
    ascending, back = Placement.split("H", (0, 2), (1, 3)), Placement.split("OC", (2, 1), (4, 2))
    parts = [PlanBatch.of([[placement]], 3) for placement in (ascending, back, Placement.whole(2))]
    assert [part.order is None for part in parts] == [True, False, True]
    joined = PlanBatch.join(parts)
    assert joined.plan(trio_graph, 0) == Plan.of(trio_graph, [ascending, back, Placement.whole(2)])
    assert PlanBatch.join([parts[0], parts[2]]).order is None


def _running_sum(values: Array) -> Array:
    return np.asarray(np.cumsum(values, axis=0))


@ORDERED
def test_running_sums_follow_the_order(ordered: bool) -> None:
    """A running sum of the shares ends, at each participant, with its interval."""
    rng = random.Random(63)
    for _ in range(40):
        graph, devices, plans = _plans(rng, 5, ordered=ordered)
        batch = PlanBatch.from_plans(graph, plans, devices)
        stops = along_order(batch.ranks if ordered else None, _running_sum, batch.shares)
        for (number, plan), (i, operator) in itertools.product(enumerate(plans), enumerate(graph.operators)):
            for shard in plan[operator.name].shards:
                assert stops[shard.device, i, number] == shard.stop


def test_functions_of_several_arrays_follow_the_order() -> None:
    """Over (2, 0, 3) of four devices what the participant before has arrives in turn: nothing, 30, 10."""
    batch = PlanBatch.of([[Placement.split("H", (2, 0, 3), (1, 1, 1))]], 4)
    values, mask = np.array([10.0, 20.0, 30.0, 40.0]).reshape(4, 1, 1), batch.participants

    def from_before(values: Array, mine: Array) -> Array:
        masked = values * mine
        return np.concatenate([np.zeros((1, *values.shape[1:])), masked[:-1]])

    handed = along_order(batch.ranks, from_before, values, mask)[:, 0, 0]
    assert [handed[j] for j in (2, 0, 3)] == [0, 30, 10]


@pytest.mark.parametrize("backwards", [False, True])
def test_more_devices_than_a_byte_counts(backwards: bool) -> None:
    """Plans over 200 devices, in the order of the cluster or against it, are priced as the evaluator prices them."""
    graph = GraphBuilder("tall", (2, 300, 4)).conv(220, 3, padding=1).conv(4, 3, padding=1).build()
    cluster = load_cluster("pi4-x200")
    order = tuple(range(200))[:: -1 if backwards else 1]
    plan = Plan.of(graph, [Placement.split("OC", order, even_shares(220, 200)), Placement.split("H", order, even_shares(300, 200))])
    price = Pricer(graph, cluster).price(PlanBatch.from_plans(graph, [plan], 200))
    assert price.latency_s[0] == pytest.approx(evaluate(graph, cluster, plan).latency_s, rel=1e-12)
    assert PlanBatch.from_plans(graph, [plan], 200).plan(graph, 0) == plan
