"""The order of the participants: every form of the cost model follows it, and it alone decides who is first, last and next."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from support.branched_cases import branched_cases
from support.naive_pricing import naive_price
from support.random_branches import random_branched_graph, random_branched_plan
from support.random_gathers import with_gathers
from support.random_instances import random_cluster, random_graph, random_plan
from support.random_orders import random_order, renumbered_cluster, renumbered_plan, reordered

from iopopt import Cluster, Evaluation, Graph, Placement, Plan, PlanBatch, Pricer, evaluate
from iopopt.schedule.rounds import TransferKind

EXACT = {"rel": 1e-12, "abs": 0.0}
BRANCHED = pytest.mark.parametrize("branched", [False, True], ids=["chain", "branched"])


def _instance(rng: random.Random, branched: bool, devices: int | None = None) -> tuple[Graph, Cluster, Callable[[], Plan]]:
    """A graph, a cluster and a source of plans in the order of the cluster."""
    graph = random_branched_graph(rng) if branched else random_graph(rng)
    cluster = random_cluster(rng, devices, memory_bytes=rng.choice([1e9, 2e3]))
    return graph, cluster, lambda: with_gathers(rng, (random_branched_plan if branched else random_plan)(rng, graph, len(cluster)), len(cluster))


def _kinds(evaluation: Evaluation) -> set[str]:
    """The rows of the table under which the edges of a plan were priced."""
    cases = [*(case for cost in evaluation.operators for case in cost.cases), *evaluation.sink_cases]
    return {kind for case in cases for kind in case.split("+")}


@BRANCHED
def test_naive_pricing_agrees(branched: bool) -> None:
    """The evaluator gives ordered plans the price of the second implementation, part by part, under every row of the table."""
    rng, seen = random.Random(41 + branched), Counter[str]()
    for _ in range(300):
        graph, cluster, ascending = _instance(rng, branched)
        plan = reordered(rng, ascending(), len(cluster))
        evaluation, naive = evaluate(graph, cluster, plan), naive_price(graph, cluster, plan)
        assert [cost.compute_s for cost in evaluation.operators] == pytest.approx(naive.compute_s, **EXACT)
        assert [cost.communication_s for cost in evaluation.operators] == pytest.approx(naive.communication_s, **EXACT)
        assert (evaluation.latency_s, evaluation.sink_s) == pytest.approx((naive.latency_s, naive.sink_s), **EXACT)
        assert evaluation.memory_bytes == pytest.approx(naive.memory_bytes, **EXACT)
        assert (evaluation.transferred_bytes, evaluation.connections) == (pytest.approx(naive.transferred_bytes, **EXACT), naive.connections)
        if any(list(placement.devices) != sorted(placement.devices) for placement in plan.values()):
            seen.update(_kinds(evaluation))
    assert all(seen[kind] >= 5 for kind in TransferKind if not kind.is_streamed), seen


def _assert_priced(graph: Graph, cluster: Cluster, batch: PlanBatch, plans: list[Plan]) -> None:
    priced = Pricer(graph, cluster).price(batch)
    oracle = [evaluate(graph, cluster, plan) for plan in plans]
    np.testing.assert_allclose(priced.latency_s, [evaluation.latency_s for evaluation in oracle], rtol=1e-12, atol=0)
    np.testing.assert_allclose(priced.memory_bytes.T, [evaluation.memory_bytes for evaluation in oracle], rtol=1e-12, atol=0)
    np.testing.assert_allclose(priced.transferred_bytes, [evaluation.transferred_bytes for evaluation in oracle], rtol=1e-12, atol=0)
    assert priced.connections.tolist() == [evaluation.connections for evaluation in oracle]


@BRANCHED
def test_mixed_batches_are_priced(branched: bool) -> None:
    """The vectorised form prices a batch of plans in the cluster's order and in others, teams with gaps among them, like the evaluator."""
    rng, gaps = random.Random(43 + branched), 0
    for _ in range(40):
        graph, cluster, ascending = _instance(rng, branched)
        plans = [ascending() if number % 3 == 0 else reordered(rng, ascending(), len(cluster)) for number in range(8)]
        _assert_priced(graph, cluster, PlanBatch.from_plans(graph, plans, len(cluster)), plans)
        gaps += sum(1 < len(placement.devices) < max(placement.devices) + 1 for plan in plans for placement in plan.values())
    assert gaps > 120


@BRANCHED
def test_a_batch_without_order_has_that_of_the_cluster(branched: bool) -> None:
    """Plans in the order of the cluster need no order; written out, with anything at devices that take no part, it changes nothing."""
    rng = random.Random(45 + branched)
    for _ in range(20):
        graph, cluster, ascending = _instance(rng, branched)
        plans = [ascending() for _ in range(6)]
        batch = PlanBatch.from_plans(graph, plans, len(cluster))
        assert batch.order is None
        anything = np.array([rng.randrange(-1, 9) for _ in range(batch.shares.size)]).reshape(batch.shares.shape)
        written = replace(batch, order=np.where(batch.participants, batch.ranks, anything).astype(np.int8))
        _assert_priced(graph, cluster, written, plans)


@BRANCHED
def test_six_devices(branched: bool) -> None:
    """Orders of more devices than most operators have rows or channels are priced alike by all three forms."""
    rng = random.Random(47 + branched)
    for _ in range(8):
        graph, cluster, ascending = _instance(rng, branched, devices=6)
        plans = [reordered(rng, ascending(), 6) for _ in range(6)]
        _assert_priced(graph, cluster, PlanBatch.from_plans(graph, plans, 6), plans)
        assert evaluate(graph, cluster, plans[0]).latency_s == pytest.approx(naive_price(graph, cluster, plans[0]).latency_s, **EXACT)


@BRANCHED
def test_numbers_of_devices_mean_nothing(branched: bool) -> None:
    """Where the devices of cluster and plan are renumbered together, time, bytes, connections and each device's memory stay as they were."""
    rng, moved = random.Random(49 + branched), 0
    for _ in range(70):
        graph, cluster, ascending = _instance(rng, branched)
        plan = reordered(rng, ascending(), len(cluster))
        numbers = random_order(rng, len(cluster))
        other_cluster, other_plan = renumbered_cluster(cluster, numbers), renumbered_plan(plan, numbers)
        one, other = evaluate(graph, cluster, plan), evaluate(graph, other_cluster, other_plan)
        assert other.latency_s == pytest.approx(one.latency_s, **EXACT)
        assert [other.memory_bytes[number] for number in numbers] == pytest.approx(list(one.memory_bytes), **EXACT)
        assert (other.transferred_bytes, other.connections) == (pytest.approx(one.transferred_bytes, **EXACT), one.connections)
        assert [cost.cases for cost in other.operators] == [cost.cases for cost in one.operators]
        _assert_priced(graph, other_cluster, PlanBatch.from_plans(graph, [other_plan], len(cluster)), [other_plan])
        moved += other_plan != plan
    assert moved > 35


def test_host_in_the_middle_by_its_shares_in_ascending_order() -> None:
    """The worked case of the team (1, 0, 2) with the same shares by device in the order (0, 1, 2).

    c H 3/1/2 owns [0, 3), [3, 4) and [4, 6). Its fields [-1, 4), [2, 5) and [3, 7) are cut to [0, 4), [2, 5) and [3, 6): device 0 sends
    3 + 3 bytes, N = 1: 6 against 3.5. d H 2/2/2 needs [0, 3), [1, 5) and [3, 6) of rows of 2 bytes: device 1 lacks two rows above and one
    below, R_1 = S_0 + S_2 = 6, N = 2: 7; device 2 lacks [3, 4), R_2 = 2. T = 6 + 108 + 7 + 72 + 5, bytes 6 + 8 + 4.
    """
    graph, plan, cluster = branched_cases()["host in the middle"]
    ascending = Plan.of(graph, [Placement.split("H", (0, 1, 2), (3, 1, 2)), Placement.split("H", (0, 1, 2), (2, 2, 2))])
    assert [dict(zip(placement.devices, placement.shares, strict=True)) for placement in plan.values()] == [{1: 1, 0: 3, 2: 2}, {1: 2, 0: 2, 2: 2}]
    evaluation = evaluate(graph, cluster, ascending)
    assert [*(cost.communication_s for cost in evaluation.operators), evaluation.sink_s] == [6, 7, 5]
    assert (evaluation.latency_s, evaluation.transferred_bytes) == (198, 18)


def test_the_same_devices_in_another_order_are_not_the_same_participants() -> None:
    """Neither interleaved nor a halo exchange: shares that match rank by rank are gathered if the orders differ."""
    graph = branched_cases()["host in the middle"].graph
    cluster = branched_cases()["host in the middle"].cluster
    for dim, shares in (("H", ((2, 2, 2), (2, 2, 2))), ("OC", ((1, 1, 0), (1, 1, 0)))):
        follower = "H" if dim == "H" else "IC"
        first, second = Placement.split(dim, (1, 0, 2), shares[0]), Placement.split(follower, (1, 0, 2), shares[1])  # type: ignore[arg-type]
        together = evaluate(graph, cluster, Plan.of(graph, [first, second])).operators[1].cases
        assert together == (("halo exchange",) if dim == "H" else ("interleaved",))
        other = Placement.split(follower, (0, 1, 2), shares[1])  # type: ignore[arg-type]
        assert evaluate(graph, cluster, Plan.of(graph, [first, other])).operators[1].cases == ("all-gather",)
