"""Fused blocks: worked cases, a second pricing written from the statement alone, what is no block, and plans that are refused."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from support.naive_pricing import naive_price
from support.naive_units import End, block_field, block_rows, naive_block, naive_blocks
from support.random_blocks import random_fused_plan, random_fusible_graph
from support.random_instances import random_cluster
from support.worked_cases import WorkedCase, block_cases

from iopopt import (
    Cluster,
    Device,
    Evaluation,
    FileFormatError,
    Graph,
    GraphBuilder,
    GraphError,
    Placement,
    Plan,
    PlanBatch,
    PlanError,
    Pricer,
    evaluate,
)
from iopopt.network.epilogue import Mixing, Pool
from iopopt.network.shapes import Window

CASES = block_cases()
EXACT = {"rel": 1e-12, "abs": 0.0}


PAIR = Cluster(tuple(Device(f"d{j}", 1e3, 1e9, 1e3) for j in range(2)), connection_setup_s=0.1)
ROWS = Placement.split("H", (0, 1), (4, 4))


@pytest.fixture
def four() -> Graph:
    """Four convolutions of eight rows."""
    net = GraphBuilder("four", (2, 8, 4))
    for name in "abcd":
        net.conv(2, 3, padding=1, name=name)
    return net.build()


# Prices.


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
        plans = [random_fused_plan(rng, graph, len(cluster)) for _ in range(5)]
        for plan, evaluation in zip(plans, _one_price(graph, cluster, plans), strict=True):
            seen.update(_what_is_in(graph, plan, evaluation))
        seen["plans of other blocks"] += len({plan.blocks for plan in plans}) - 1
    rare = {"all-gather", "reduce", "reduce-scatter", "mul", "softmax", "shuffle", "lrn"}
    most = {"send", "free", "halo exchange", "row-aligned", "conv", "pool", "elementwise", "add", "concat", "slice", "space_to_depth", 2, 3, 4, 5}
    more = {"an empty share", "another order", "fewer than all devices", "a row read twice", "a live tensor", "plans of other blocks"}
    assert all(seen[what] >= graphs / 20 for what in most | more), seen
    assert all(seen[what] for what in rare), seen
    assert not seen.keys() & {"fc", "upsample", "interleaved"}


def test_blocks_anywhere_in_a_long_batch(four: Graph) -> None:
    """Plans are priced in chunks: it does not matter which of them have blocks, or of how many operators."""
    rng = random.Random(4)
    cluster = random_cluster(rng)
    kinds = [[random_fused_plan(rng, four, len(cluster), longest) for _ in range(20)] for longest in (1, 2, 5, 1)]
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


# What is a block.


@pytest.mark.parametrize("seed", [1, 2])
def test_what_is_a_block(seed: int) -> None:
    """Runs of random graphs are blocks where a test written from the statement says so, whatever their length."""
    rng, runs, faults = random.Random(seed), 0, 0
    for _ in range(150):
        graph = random_fusible_graph(rng)
        if any(operator.kind == "upsample" and operator.rows.upsampling == 1 for operator in graph.operators):
            continue  # see test_an_upsampling_of_columns
        stated = set(naive_blocks(graph, len(graph)))
        for start in range(len(graph)):
            for stop in range(start + 1, len(graph) + 1):
                fault = graph.block_fault(range(start, stop))
                assert (fault is None) == (range(start, stop) in stated), (fault, graph.operators[start:stop])
                runs, faults = runs + 1, faults + (fault is not None)
        assert set(graph.blocks(3)) == {members for members in stated if len(members) <= 3}
        assert list(graph.blocks(1)) == []
    assert min(faults, runs - faults) > 300


def test_an_upsampling_of_columns() -> None:
    """Upsamplings stay outside, also one of columns only."""
    graph = GraphBuilder("columns", (1, 4, 2)).conv(1, 1).upsample((1, 2)).build()
    assert graph.block_fault(range(2)) is not None


def _fork() -> Graph:
    """a, then b and c from a, their sum, and an upsampling."""
    net = GraphBuilder("fork", (2, 8, 4)).conv(2, 3, padding=1, name="a").conv(2, 3, padding=1, name="b")
    net.at("a").conv(2, 3, padding=1, name="c")
    return net.add("b", "c", name="sum").upsample(2, name="up").build()


def _gated() -> Graph:
    net = GraphBuilder("gated", (2, 8, 4)).conv(2, 3, padding=1, name="a")
    tensor = net.tip
    gate = net.operator("pool", 2, name="squeeze", rows=Window(8), columns=Window(4), function="average").tip
    return net.mul(tensor, gate, name="product").build()


def _two_strides() -> Graph:
    """Four rows become two by a stride, and by a window of three rows."""
    net = GraphBuilder("strides", (1, 4, 1))
    net.operator("conv", 1, name="by stride", rows=Window(2, 2))
    net.at("input").operator("conv", 1, name="by window", rows=Window(3))
    return net.add("by stride", "by window", name="sum").build()


def _chain() -> Graph:
    """Ends fully connected; d is pooled to one row by its epilogue."""
    net = GraphBuilder("chain", (2, 8, 8)).conv(2, 3, padding=1, name="a").conv(2, 8, name="b").conv(2, 1, padding=2, name="c")
    return net.conv(2, 1, name="d").step(Pool("max", Window(5), Window(5))).fc(3, name="e").build()


NO_BLOCKS = [
    (_fork(), range(1), "a block has at least two operators"),
    (_fork(), range(1, 4), None),
    (_fork(), range(4), None),
    (_fork(), range(2, 4), "its operators read 2 tensors from outside; a block reads one"),
    (_fork(), range(2), "the tensor of 'a' is read outside"),
    (_fork(), range(1, 3), "the tensor of 'b' is read outside"),
    (_fork(), range(3, 5), "'up' (upsample nearest 2x2) is not fused: fully connected operators, gates, global pools and upsamplings stay outside"),
    (_gated(), range(2), "'squeeze' (pool average 8x4) is not fused: fully connected operators, gates, global pools and upsamplings stay outside"),
    (_gated(), range(1, 3), "'squeeze' (pool average 8x4) is not fused: fully connected operators, gates, global pools and upsamplings stay outside"),
    (_gated(), range(2, 3), "a block has at least two operators"),
    (_two_strides(), range(3), "two paths to its end have different products of strides"),
    (_chain(), range(2), "'b' has one row, which cannot be split"),
    (_chain(), range(3), None),
    (_chain(), range(2, 4), "'d' (conv 1x1) is not fused: fully connected operators, gates, global pools and upsamplings stay outside"),
    (_chain(), range(3, 5), "'d' (conv 1x1) is not fused: fully connected operators, gates, global pools and upsamplings stay outside"),
]


@pytest.mark.parametrize(("graph", "members", "fault"), NO_BLOCKS)
def test_what_is_no_block(graph: Graph, members: range, fault: str | None) -> None:
    """Every reason by its message; a run of one row in the middle is none."""
    assert graph.block_fault(members) == fault
    if fault is None:
        assert graph.block(members).name == f"{graph.operators[members.start].name} to {graph.operators[members.stop - 1].name}"
        return
    with pytest.raises(GraphError) as refused:
        graph.block(members)
    assert str(refused.value).endswith(f"operators {members.start} to {members.stop - 1} are no fused block: {fault}")


def test_gates_and_fully_connected_operators_stay_outside() -> None:
    """A product with a gate is refused where the squeezing pool is not in the run, and so is a fully connected operator behind rows."""
    net = GraphBuilder("gate", (2, 1, 1)).conv(2, 1, name="a")
    gate = net.tip
    net.at("input").conv(2, 1, padding=2, name="b")
    graph = net.mul(gate, net.tip, name="product").build()
    assert graph.block_fault(range(3)) == "'product' (mul) is not fused: fully connected operators, gates, global pools and upsamplings stay outside"
    graph = GraphBuilder("fc", (2, 4, 4)).conv(2, 3, padding=1, name="a").fc(3, name="b").build()
    assert graph.block_fault(range(2)) == "'b' (fc) is not fused: fully connected operators, gates, global pools and upsamplings stay outside"


# Plans with blocks.


@pytest.fixture
def fused(four: Graph) -> Plan:
    """a and b, then c, then d."""
    return Plan.of(four, [ROWS, Placement.whole(1), ROWS], [2, 1, 1])


def test_a_plan_with_a_block(four: Graph, fused: Plan) -> None:
    """Every member has the block's placement; the price has one row for it."""
    assert fused["a"] == fused["b"] == ROWS
    assert (fused.blocks, fused.spans(four), len(fused)) == ((("a", "b"),), (2, 1, 1), 4)
    assert [cost.name for cost in evaluate(four, PAIR, fused).operators] == list(fused.by_unit) == ["a to b", "c", "d"]
    assert fused != Plan.of(four, [ROWS, ROWS, Placement.whole(1), ROWS])


def test_files_hold_blocks(four: Graph) -> None:
    """Random plans come back from JSON as they were; a block is written once, by its last operator."""
    rng, blocks = random.Random(5), 0
    for _ in range(80):
        graph = random_fusible_graph(rng)
        plan = random_fused_plan(rng, graph, 3)
        record = json.loads(json.dumps(plan.to_dict()))
        assert Plan.from_dict(record) == plan
        assert len(record["placements"]) == len(plan.by_unit)
        blocks += len(plan.blocks)
    assert blocks > 40
    assert "block" not in json.dumps(Plan.of(four, [ROWS] * 4).to_dict())


def test_batches_hold_blocks() -> None:
    """Random plans come back from a batch as they were."""
    rng = random.Random(6)
    for _ in range(20):
        graph = random_fusible_graph(rng)
        plans = [random_fused_plan(rng, graph, 3) for _ in range(6)]
        batch = PlanBatch.from_plans(graph, plans, 3)
        assert [batch.plan(graph, number) for number in range(6)] == plans


def test_files_written_before_blocks_load(four: Graph) -> None:
    """A record without the key is a plan without blocks."""
    placed = {"dim": "H", "shards": [{"device": 0, "start": 0, "stop": 4}, {"device": 1, "start": 4, "stop": 8}]}
    plan = Plan.from_dict({"schema_version": 1, "placements": dict.fromkeys("abcd", placed)})
    assert plan == Plan.of(four, [ROWS] * 4)
    assert (plan.blocks, plan.spans(four)) == ((), None)


@pytest.mark.parametrize(
    ("block", "message"),
    [
        (None, "'block' is None; it must be a list"),
        ("ab", "'block' is 'ab'; it must be a list"),
        (["a", 1], "'block'[1] is 1; it must be a text"),
        ([], "'block' is []; it must name two or more operators, of which 'b' is the last"),
        (["b"], "'block' is ['b']; it must name two or more operators, of which 'b' is the last"),
        (["b", "b"], "'block' is ['b', 'b']; it must name two or more operators, of which 'b' is the last"),
        (["b", "a"], "'block' is ['b', 'a']; it must name two or more operators, of which 'b' is the last"),
    ],
)
def test_a_bad_block_in_a_file(fused: Plan, block: Any, message: str) -> None:
    """The message names the file, the operator, what was found and what is allowed."""
    record = fused.to_dict()
    record["placements"]["b"]["block"] = block
    with pytest.raises(FileFormatError) as refused:
        Plan.from_dict(record, "mine.json")
    assert str(refused.value) == f"mine.json: b: {message}"


@pytest.mark.parametrize(
    ("block", "message"),
    [(["x", "b"], "has no placement for a"), (["x", "a", "b"], "places unknown x"), (["a", "c", "b"], "a name is repeated")],
)
def test_a_block_of_other_operators(four: Graph, fused: Plan, block: list[str], message: str) -> None:
    """What a record alone cannot tell is refused with the graph."""
    record = fused.to_dict()
    record["placements"]["b"]["block"] = block
    with pytest.raises(PlanError, match=message):
        evaluate(four, PAIR, Plan.from_dict(record))


def test_spans_must_fit(four: Graph) -> None:
    """Spans are positive, as many as the placements, and cover the graph."""
    for placements, spans in (([ROWS] * 3, [2, 2]), ([ROWS] * 3, [2, 1, 2]), ([ROWS] * 4, [2, 1, 1, 0]), ([ROWS] * 2, [5, -1])):
        with pytest.raises(PlanError, match=rf"{len(placements)} placements, spans \[.*\], for the 4 operators of four"):
            Plan.of(four, placements, spans)


ALL_ROWS = tuple((name, ROWS) for name in "abcd")


@pytest.mark.parametrize(
    ("placements", "blocks", "message"),
    [
        (ALL_ROWS, (("a", "c"),), "fused block a to c: they do not follow each other"),
        (ALL_ROWS, (("b", "a"),), "fused block b to a: they do not follow each other"),
        (ALL_ROWS, (("d", "e"),), "fused block d to e: they do not follow each other"),
        (ALL_ROWS, (("a",),), "fused block a to a: a block has at least two operators"),
        (
            (("a", Placement.whole(0)), *ALL_ROWS[1:]),
            (("a", "b"),),
            "fused block a to b: they have different placements",
        ),
        (
            tuple((name, Placement.whole(1)) for name in "abcd"),
            (("a", "b"),),
            "fused block a to b: it is whole on 1; a block is split by H over two devices or more",
        ),
        (
            tuple((name, Placement.split("OC", (0, 1), (1, 1))) for name in "abcd"),
            (("a", "b"),),
            "fused block a to b: it is OC 1/1 on 0/1; a block is split by H over two devices or more",
        ),
        (
            tuple((name, Placement.split("H", (0, 1), (4, 3))) for name in "abcd"),
            (("a", "b", "c", "d"),),
            "operator 'd': its H shares sum to 7, the dimension has 8 (equation 3)",
        ),
        (
            tuple((name, Placement.split("H", (0, 2), (4, 4))) for name in "abcd"),
            (("a", "b", "c", "d"),),
            "operator 'd': device 2 does not exist; the cluster has devices 0 to 1",
        ),
    ],
)
def test_refused_plans(four: Graph, placements: Any, blocks: Any, message: str) -> None:
    """A block is a run that is one, has one placement, and that is by rows of its last operator."""
    with pytest.raises(PlanError) as refused:
        evaluate(four, PAIR, Plan(placements, blocks))
    assert str(refused.value) == message


def test_a_run_that_is_no_block_is_refused() -> None:
    """With the reason that the graph gives."""
    graph = _fork()
    plan = Plan.of(graph, [ROWS, ROWS, ROWS, Placement.whole(0)], [2, 1, 1, 1])
    with pytest.raises(PlanError, match="fused block a to b: the tensor of 'a' is read outside"):
        evaluate(graph, PAIR, plan)


@pytest.mark.parametrize("order", ["cdb", "dcb"])
def test_the_order_of_a_record_does_not_matter(four: Graph, order: str) -> None:
    """Names say which operators are fused, as they say which placement is whose; a tool may have sorted the keys."""
    plan = Plan.of(four, [ROWS, Placement.split("H", (0, 1), (3, 5)), Placement.split("H", (1, 0), (3, 5))], [2, 1, 1])
    record = plan.to_dict()["placements"]
    other = Plan.from_dict({"schema_version": 1, "placements": {name: record[name] for name in order}})
    assert evaluate(four, PAIR, other) == evaluate(four, PAIR, plan)


@pytest.mark.parametrize("blocks", [(("a", "b"), ("b", "c")), (("a", "b"), ("a", "b")), ((),), (("x", "a"),)])
def test_blocks_that_are_none(four: Graph, blocks: Any) -> None:
    """Blocks that share operators, repeat, are empty or begin with an unknown name are errors of the plan, which name the block."""
    with pytest.raises(PlanError, match="block"):
        evaluate(four, PAIR, Plan(ALL_ROWS, blocks))


def test_the_order_of_a_record_does_not_matter_to_a_batch(four: Graph) -> None:
    """A plan without blocks, as an older file may hold it."""
    plan = Plan.of(four, [Placement.whole(0), ROWS, Placement.whole(1), ROWS])
    other = Plan(tuple(reversed(plan.placements)))
    assert evaluate(four, PAIR, other) == evaluate(four, PAIR, plan)
    priced = Pricer(four, PAIR).price(PlanBatch.from_plans(four, [plan, other], 2))
    assert priced.latency_s[0] == priced.latency_s[1]


@pytest.mark.parametrize("members", [range(0, 4, 2), range(2, 9), range(-3, -1)])
def test_ranges_that_are_no_run(members: range) -> None:
    """They are refused with a reason of their own."""
    net = GraphBuilder("skips", (2, 8, 4)).conv(2, 3, padding=1, name="a")
    net.at("input").conv(2, 3, padding=1, name="b")
    net.at("a").conv(2, 3, padding=1, name="c")
    graph = net.add("b", "c", name="d").build()
    fault = graph.block_fault(members)
    assert fault is not None
    assert "follow each other" in fault
