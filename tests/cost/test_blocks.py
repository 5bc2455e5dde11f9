"""Prices of plans with fused blocks: worked cases, and a second pricing written from the statement alone."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from support.block_instances import PAIR, ROWS
from support.naive_pricing import naive_price
from support.naive_units import End, block_field, block_rows, naive_block, naive_blocks
from support.random_blocks import random_fused_plan, random_fusible_graph
from support.random_gathers import with_gathers
from support.random_instances import random_cluster
from support.worked_cases import WorkedCase, block_cases

from iopopt import (
    Cluster,
    Evaluation,
    Graph,
    GraphBuilder,
    Placement,
    Plan,
    PlanBatch,
    Pricer,
    evaluate,
)
from iopopt.cost.memory import DeviceDemand, share_memory, share_output
from iopopt.network.epilogue import Mixing

CASES = block_cases()
EXACT = {"rel": 1e-12, "abs": 0.0}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_worked_case(case: WorkedCase) -> None:
    """The evaluator gives a worked case every figure, unit by unit."""
    evaluation, expected = evaluate(case.graph, case.cluster, case.plan), case.expected
    for unit, cost in zip(expected["units"], evaluation.operators, strict=True):
        figures = {"compute_s": cost.compute_s, "communication_s": cost.communication_s, "transferred_bytes": cost.transferred_bytes}
        assert {**figures, "connections": cost.connections} == pytest.approx(unit, **EXACT)
    assert (evaluation.latency_s, evaluation.sink_s) == pytest.approx((expected["latency_s"], expected["sink_s"]), **EXACT)
    assert evaluation.memory_bytes == pytest.approx(expected["memory_bytes"], **EXACT)
    assert (evaluation.transferred_bytes, evaluation.connections) == (expected["transferred_bytes"], expected["connections"])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_worked_case_by_the_others(case: WorkedCase) -> None:
    """So do the vectorised form and the naive pricing."""
    priced = Pricer(case.graph, case.cluster).price(PlanBatch.from_plans(case.graph, [case.plan], len(case.cluster)))
    naive = naive_price(case.graph, case.cluster, case.plan)
    vectorised = priced.latency_s[0], *priced.memory_bytes[:, 0], priced.transferred_bytes[0], priced.connections[0]
    expected = [case.expected["latency_s"], *case.expected["memory_bytes"], case.expected["transferred_bytes"], case.expected["connections"]]
    assert list(vectorised) == pytest.approx(expected, **EXACT)
    assert [naive.latency_s, *naive.memory_bytes, naive.transferred_bytes, naive.connections] == pytest.approx(expected, **EXACT)


def test_worked_cases_are_many() -> None:
    """The file has not been emptied: twelve cases, of which one has no block."""
    assert len(CASES) == 12
    assert [len(case.plan.blocks) for case in CASES].count(0) == 1


def test_members_have_no_even_slices(four: Graph) -> None:
    """A two-phase reduce beside a block divides by nothing."""
    plan = Plan.of(four, [ROWS, Placement.split("IC", (0, 1), (1, 1), "two_phase"), ROWS], [2, 1, 1])
    priced = Pricer(four, PAIR).price(PlanBatch.from_plans(four, [plan], 2))
    assert priced.latency_s[0] == pytest.approx(evaluate(four, PAIR, plan).latency_s, **EXACT)


@pytest.mark.parametrize(("seed", "graphs"), [(1, 100), pytest.param(2, 4000, marks=pytest.mark.slow)])
def test_second_implementation_agrees(seed: int, graphs: int) -> None:
    """Naive pricing, evaluator and vectorised form give random plans one price; plans of one batch have different blocks, or none."""
    rng, seen = random.Random(seed), Counter[Any]()
    for _ in range(graphs):
        graph, cluster = random_fusible_graph(rng), random_cluster(rng)
        plans = [with_gathers(rng, random_fused_plan(rng, graph, len(cluster)), len(cluster)) for _ in range(5)]
        for plan, evaluation in zip(plans, _one_price(graph, cluster, plans), strict=True):
            seen.update(_what_is_in(graph, plan, evaluation))
        seen["plans of other blocks"] += len({plan.blocks for plan in plans}) - 1
    rare = {"all-gather", "reduce", "reduce-scatter", "mul", "softmax", "shuffle", "lrn"}
    most = {"send", "free", "halo exchange", "row-aligned", "conv", "pool", "elementwise", "add", "concat", "slice", "space_to_depth", 2, 3, 4, 5}
    more = {
        "an empty share",
        "another order",
        "fewer than all devices",
        "a row read twice",
        "a live tensor",
        "plans of other blocks",
        "gather",
        "a gathered block",
    }
    assert all(seen[what] >= graphs / 20 for what in most | more), seen
    assert all(seen[what] for what in rare), seen
    assert not seen.keys() & {"fc", "upsample", "interleaved"}


def test_blocks_anywhere_in_a_long_batch(four: Graph) -> None:
    """Plans are priced in chunks: it does not matter which of them have blocks, or of how many operators."""
    rng = random.Random(4)
    cluster = random_cluster(rng)
    count = len(cluster)
    kinds = [[with_gathers(rng, random_fused_plan(rng, four, count, longest), count) for _ in range(20)] for longest in (1, 2, 5, 1)]
    plans = [plan for kind in kinds for _ in range(10) for plan in kind]
    one_by_one = {plan: evaluate(four, cluster, plan) for plan in plans}
    priced = Pricer(four, cluster).price(PlanBatch.from_plans(four, plans, len(cluster)))
    assert priced.latency_s.tolist() == pytest.approx([one_by_one[plan].latency_s for plan in plans], **EXACT)
    assert pytest.approx(np.array([one_by_one[plan].memory_bytes for plan in plans]), **EXACT) == priced.memory_bytes.T
    assert len({plan.blocks for plan in plans}) > 5


def _one_price(graph: Graph, cluster: Cluster, plans: list[Plan]) -> Iterator[Evaluation]:
    """Assert that all three price each plan alike; what the evaluator says of it."""
    priced = Pricer(graph, cluster).price(PlanBatch.from_plans(graph, plans, len(cluster)))
    for number, plan in enumerate(plans):
        evaluation, naive = evaluate(graph, cluster, plan), naive_price(graph, cluster, plan)
        assert [cost.compute_s for cost in evaluation.operators] == pytest.approx(naive.compute_s, **EXACT), plan
        assert [cost.communication_s for cost in evaluation.operators] == pytest.approx(naive.communication_s, **EXACT), plan
        assert (evaluation.latency_s, evaluation.sink_s) == pytest.approx((naive.latency_s, naive.sink_s), **EXACT), plan
        assert priced.latency_s[number] == pytest.approx(naive.latency_s, **EXACT), plan
        for memory in (evaluation.memory_bytes, priced.memory_bytes[:, number]):
            assert list(memory) == pytest.approx(naive.memory_bytes, **EXACT), plan
        for transferred, connections in (
            (evaluation.transferred_bytes, evaluation.connections),
            (priced.transferred_bytes[number], priced.connections[number]),
        ):
            assert transferred == pytest.approx(naive.transferred_bytes, **EXACT), plan
            assert connections == naive.connections, plan
        yield evaluation


def _what_is_in(graph: Graph, plan: Plan, evaluation: Evaluation) -> set[Any]:
    """What the blocks of a plan are made of and how their tensors arrive."""
    found: set[Any] = set()
    for names, cost in zip(plan.blocks, (cost for cost in evaluation.operators if cost.name not in plan), strict=True):
        members, placement = [graph[name] for name in names], cost.placement
        block = naive_block(graph, members)
        found |= {len(names), *(member.kind for member in members)}
        found |= {step.function for member in members for step in member.epilogue if isinstance(step, Mixing)}
        found |= {case for cases in cost.cases for case in cases.split("+")}
        found |= {"an empty share"} if 0 in placement.shares else set()
        found |= {"another order"} if list(placement.devices) != sorted(placement.devices) else set()
        found |= {"fewer than all devices"} if len(placement.devices) < len(evaluation.device_names) else set()
        found |= {"a row read twice"} if sum(block.outside in reads for reads in block.reads.values()) > 1 else set()
        found |= {"a gathered block"} if placement.gather is not None else set()
        found |= {"a live tensor"} if any(edge.producer == block.outside and edge.consumer not in names for edge in graph.edges) else set()
    return found


def test_a_block_that_ends_with_a_mixing_step() -> None:
    """A slice behind its softmax needs all three channels of the row that device 0 lacks, 12 bytes; the sink gets one row of one, 4 bytes."""
    net = GraphBuilder("mixing", (2, 4, 1)).conv(3, 1, name="a").conv(3, 1, name="b").softmax()
    graph = net.slice(0, 1).build()
    plan = Plan.of(graph, [Placement.split("H", (0, 1), (2, 2)), Placement.split("H", (0, 1), (3, 1))], [2, 1])
    assert [cost.transferred_bytes for cost in evaluate(graph, PAIR, plan).operators] == [0, 12]
    priced = Pricer(graph, PAIR).price(PlanBatch.from_plans(graph, [plan], 2))
    assert priced.transferred_bytes[0] == naive_price(graph, PAIR, plan).transferred_bytes == 16


def test_the_field_of_a_block() -> None:
    """K - P and P are the largest over the paths, S their product of strides: inner participants need just these rows, and the unit has them."""
    rng, branches = random.Random(3), 0
    for _ in range(150):
        graph = random_fusible_graph(rng)
        members = rng.choice(naive_blocks(graph, 5))
        block = naive_block(graph, graph.operators[members.start : members.stop])
        (K, S, P), height = block_field(block), block.members[-1].out_shape.height
        cuts = sorted((rng.randint(0, height), rng.randint(0, height)))
        end = End(block.members[-1], "H", {0: cuts[0], 1: cuts[1] - cuts[0], 2: height - cuts[1]}, block)
        assert block_rows(end, 1).held[block.outside] == (cuts[0] * S - P, (cuts[1] - 1) * S - P + K)
        field = graph.block(members).field
        assert (field.stride, field.overlap, field.above) == (S, K - S, P)
        branches += len(block.reads) > 1 and any(len(reads) > 1 for reads in block.reads.values())
    assert branches > 20


def test_what_gathered_blocks_hold(four: Graph) -> None:
    """Of a block that is gathered on a third device, the vectorised form gives the demands of the evaluator's rules, one unit by itself."""
    trio = replace(PAIR, devices=(*PAIR.devices, replace(PAIR.devices[0], name="third")))
    block, placements = four.block(range(3)), [replace(ROWS, gather=host) for host in (None, 0, 2)]
    batch = PlanBatch.of([[placement] for placement in placements], 3)
    weights, activations, live = Pricer(four, trio).operator_demands(2, batch, block)
    for number, placement in enumerate(placements):
        demands, output = dict(share_memory(block, placement, 4)), dict(share_output(block, placement, 4))
        for j in range(3):
            demand = demands.get(j, DeviceDemand())
            assert (weights[j, number], activations[j, number], live[j, number]) == (demand.weights, demand.activations, output.get(j, 0))
    assert live[:, 2].tolist() == [0, 0, 4 * 2 * 8 * 4]
