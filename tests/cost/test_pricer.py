"""The vectorised Pricer: the same numbers as the evaluator, thousands of plans at a time."""

from __future__ import annotations

import random

import numpy as np
import pytest
from support.random_any import random_case
from support.random_branches import random_branched_graph, random_branched_plan
from support.random_gathers import with_gathers
from support.random_instances import random_cluster, random_graph, random_plan, with_powers
from support.worked_cases import WorkedCase, worked_cases

from iopopt import Cluster, Graph, Placement, Plan, PlanBatch, Pricer, evaluate
from iopopt.cost.instance import Instance
from iopopt.cost.memory import share_memory
from iopopt.plan.placement import Strategy

CASES = worked_cases()
EXACT = {"rel": 1e-12, "abs": 0.0}


def _compare(graph: Graph, cluster: Cluster, plans: list[Plan]) -> None:
    """Assert that the Pricer gives every plan the evaluator's price."""
    priced = Pricer(graph, cluster).price(PlanBatch.from_plans(graph, plans, len(cluster)))
    oracle = [evaluate(graph, cluster, plan) for plan in plans]
    np.testing.assert_allclose(priced.latency_s, [evaluation.latency_s for evaluation in oracle], rtol=1e-12, atol=0)
    np.testing.assert_allclose(priced.memory_bytes.T, [evaluation.memory_bytes for evaluation in oracle], rtol=1e-12, atol=0)
    np.testing.assert_allclose(priced.transferred_bytes, [evaluation.transferred_bytes for evaluation in oracle], rtol=1e-12, atol=0)
    assert priced.connections.tolist() == [evaluation.connections for evaluation in oracle]
    excess = [sum(violation.excess_bytes for violation in evaluation.violations) for evaluation in oracle]
    np.testing.assert_allclose(priced.excess_bytes, excess, rtol=1e-9, atol=1e-6)


@pytest.mark.parametrize("seed", range(60))
def test_energy(seed: int) -> None:
    """Chains, branches, blocks and gathers with any powers missing: the evaluator's joules, and none unless they are asked for."""
    graph, cluster, plan = random_case(seed)
    powered = with_powers(random.Random(seed), cluster)
    pricer, batch = Pricer(graph, powered), PlanBatch.from_plans(graph, [plan, plan], len(cluster))
    joules = pricer.price(batch, energy=True).energy_j
    assert joules is not None
    np.testing.assert_allclose(joules, [evaluate(graph, powered, plan).energy_j] * 2, rtol=1e-12, atol=1e-300)
    assert pricer.price(batch).energy_j is None
    assert Pricer(graph, cluster).price(batch, energy=True).energy_j == pytest.approx([0, 0])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_worked_case(case: WorkedCase) -> None:
    """Every figure of a worked case comes out to 1e-12 relative, the parts of the latency too."""
    graph, cluster, expected = case.graph, case.cluster, case.expected
    pricer, batch = Pricer(graph, cluster), PlanBatch.from_plans(graph, [case.plan], len(cluster))
    priced = pricer.price(batch)
    assert priced.latency_s[0] == pytest.approx(expected["latency_s"], **EXACT)
    assert priced.memory_bytes[:, 0].tolist() == pytest.approx(expected["memory_bytes"], **EXACT)
    assert priced.transferred_bytes[0] == pytest.approx(expected["transferred_bytes"], **EXACT)
    assert priced.connections[0] == expected["connections"]
    assert float(np.sum(_parts(graph, cluster, case.plan))) == pytest.approx(expected["latency_s"], **EXACT)


@pytest.mark.parametrize(("seed", "instances"), [(7, 150), pytest.param(8, 5000, marks=pytest.mark.slow)])
def test_random_plans(seed: int, instances: int) -> None:
    """Thousands of random plans with arbitrary participants have the evaluator's price to 1e-12."""
    rng = random.Random(seed)
    for _ in range(instances):
        graph, cluster = random_graph(rng), random_cluster(rng, memory_bytes=rng.choice([1e9, 2e3]))
        _compare(graph, cluster, [with_gathers(rng, random_plan(rng, graph, len(cluster)), len(cluster)) for _ in range(20)])


@pytest.mark.parametrize(("seed", "instances"), [(12, 150), pytest.param(13, 3000, marks=pytest.mark.slow)])
def test_random_plans_of_branched_graphs(seed: int, instances: int) -> None:
    """So have plans of graphs with branches, tight memory and unequal participants included."""
    rng = random.Random(seed)
    for number in range(instances):
        graph, cluster = random_branched_graph(rng, tiny=number % 4 == 0), random_cluster(rng, memory_bytes=rng.choice([1e9, 2e3]))
        _compare(graph, cluster, [with_gathers(rng, random_branched_plan(rng, graph, len(cluster)), len(cluster)) for _ in range(10)])


def test_many_devices() -> None:
    """Six devices, more than most operators have rows or channels, are priced as the evaluator does."""
    rng = random.Random(8)
    for _ in range(10):
        graph, cluster = random_graph(rng, operators=3), random_cluster(rng, devices=6)
        _compare(graph, cluster, [random_plan(rng, graph, 6) for _ in range(20)])
        graph = random_branched_graph(rng)
        _compare(graph, cluster, [random_branched_plan(rng, graph, 6) for _ in range(20)])


@pytest.mark.parametrize("count", [1, 255, 256, 257, 1000])
def test_batches_beyond_a_chunk(count: int) -> None:
    """A batch may be smaller or larger than what is priced together, and every plan keeps its place."""
    rng = random.Random(count)
    graph, cluster = random_graph(rng, operators=3), random_cluster(rng, devices=3)
    _compare(graph, cluster, [with_gathers(rng, random_plan(rng, graph, 3), 3) for _ in range(count)])


def test_batch_round_trip() -> None:
    """A batch gives back the plans from which it was made, also after taking, slicing, splitting and joining."""
    rng = random.Random(9)
    for _ in range(30):
        graph, devices = random_graph(rng), rng.randint(2, 4)
        plans = [random_plan(rng, graph, devices) for _ in range(10)]
        batch = PlanBatch.from_plans(graph, plans, devices)
        assert [batch.plan(graph, number) for number in range(len(batch))] == plans
        taken = batch.take(np.array([3, 3, 0]))
        assert [taken.plan(graph, number) for number in range(3)] == [plans[3], plans[3], plans[0]]
        assert batch[slice(2, 4)].plan(graph, 1) == plans[3]
        singles = [PlanBatch.of([[plan[operator.name]] for plan in plans], devices) for operator in graph.operators]
        assert PlanBatch.join(singles).plan(graph, 5) == plans[5]


def _parts(graph: Graph, cluster: Cluster, plan: Plan) -> list[float]:
    """The price of each operator by itself, and of the edges into each."""
    pricer, single = Pricer(graph, cluster), [PlanBatch.of([[placement]], len(cluster)) for placement in plan.values()]
    parts = [float(pricer.operator_s(i, placement)[0]) for i, placement in enumerate(single)]
    into = Instance(graph, cluster).edges_into[: graph.sink]
    edges = [float(pricer.edges_s(edges, dict(enumerate(single))).item()) for edges in into if edges]
    return [*parts, *edges]


def test_parts_add_up() -> None:
    """Operators and the edges into each, priced one by one, add up to the latency of the plan."""
    rng = random.Random(10)
    for _ in range(60):
        graph, cluster = random_graph(rng), random_cluster(rng)
        plan = with_gathers(rng, random_plan(rng, graph, len(cluster)), len(cluster))
        assert float(np.sum(_parts(graph, cluster, plan))) == pytest.approx(evaluate(graph, cluster, plan).latency_s, **EXACT)


@pytest.mark.parametrize(("seed", "instances"), [(14, 150), pytest.param(15, 3000, marks=pytest.mark.slow)])
def test_parts_of_branched_graphs_add_up(seed: int, instances: int) -> None:
    """They do where operators have several inputs and tensors several consumers: a first phase belongs to its operator, not to an edge."""
    rng = random.Random(seed)
    for _ in range(instances):
        graph, cluster = random_branched_graph(rng), random_cluster(rng)
        plan = with_gathers(rng, random_branched_plan(rng, graph, len(cluster)), len(cluster))
        assert float(np.sum(_parts(graph, cluster, plan))) == pytest.approx(evaluate(graph, cluster, plan).latency_s, **EXACT)


def test_demands() -> None:
    """Weights and activations of one operator are those of equation (1), and zero for devices that take no part."""
    rng = random.Random(11)
    for _ in range(60):
        graph, cluster = random_graph(rng), random_cluster(rng)
        plan, pricer = with_gathers(rng, random_plan(rng, graph, len(cluster)), len(cluster)), Pricer(graph, cluster)
        for i, operator in enumerate(graph.operators):
            demands = dict(share_memory(operator.unit, plan[operator.name], cluster.bytes_per_element))
            weights, activations, _ = pricer.operator_demands(i, PlanBatch.of([[plan[operator.name]]], len(cluster)))
            for j in range(len(cluster)):
                assert (weights[j, 0], activations[j, 0]) == pytest.approx(demands.get(j, (0.0, 0.0))[:2], **EXACT)


def test_feasibility_follows_the_limits(trio_graph: Graph, trio_cluster: Cluster, trio_plan: Plan) -> None:
    """Limits equal to the demand hold; one byte less on one device is an excess of one byte."""
    from dataclasses import replace

    def price(limits: tuple[float, ...]) -> tuple[bool, float]:
        devices = tuple(replace(device, memory_bytes=limit) for device, limit in zip(trio_cluster.devices, limits, strict=True))
        priced = Pricer(trio_graph, replace(trio_cluster, devices=devices)).price(PlanBatch.from_plans(trio_graph, [trio_plan], 3))
        return bool(priced.feasible[0]), float(priced.excess_bytes[0])

    assert price((214, 459, 262)) == (True, 0.0)
    assert price((214, 458, 262)) == (False, 1.0)


def test_kinds() -> None:
    """Every placement has the code of its dimension and reduce."""
    codes = {
        Strategy.WHOLE: Placement.whole(2),
        Strategy.H: Placement.split("H", (0, 1), (1, 1)),
        Strategy.OC: Placement.split("OC", (0, 1), (1, 1)),
        Strategy.IC: Placement.split("IC", (0, 1), (1, 1)),
        Strategy.IC_TWO_PHASE: Placement.split("IC", (0, 1), (1, 1), "two_phase"),
    }
    assert {kind: placement.strategy for kind, placement in codes.items()} == {kind: kind for kind in codes}


def test_edges_of_many_placements() -> None:
    """Edges into one operator, priced for several placements at each end at once, cost what they do for each combination alone."""
    rng = random.Random(16)
    for _ in range(20):
        graph, cluster = random_branched_graph(rng, tiny=True), random_cluster(rng)
        pricer, plans = Pricer(graph, cluster), [with_gathers(rng, random_branched_plan(rng, graph, len(cluster)), len(cluster)) for _ in range(3)]
        ways = {i: PlanBatch.of([[plan[operator.name]] for plan in plans], len(cluster)) for i, operator in enumerate(graph.operators)}
        for edges in filter(None, Instance(graph, cluster).edges_into[: graph.sink]):
            ends = sorted({end for edge in edges for end in (edge.producer, edge.consumer)} - {graph.source})
            together = pricer.edges_s(edges, ways)
            assert together.shape == (3,) * len(ends)
            for numbers in np.ndindex(*together.shape):
                alone = {end: ways[end][slice(number, number + 1)] for end, number in zip(ends, numbers, strict=True)}
                assert together[numbers] == pytest.approx(pricer.edges_s(edges, alone).item(), **EXACT)
