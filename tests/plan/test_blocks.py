"""Plans with fused blocks: their files and batches, and those that are refused."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from support.block_instances import PAIR, ROWS
from support.random_blocks import random_fused_plan, random_fusible_graph
from support.random_gathers import with_gathers

from iopopt import (
    FileFormatError,
    Graph,
    GraphBuilder,
    Placement,
    Plan,
    PlanBatch,
    PlanError,
    Pricer,
    evaluate,
)


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
        plan = with_gathers(rng, random_fused_plan(rng, graph, 3), 3)
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
        plans = [with_gathers(rng, random_fused_plan(rng, graph, 3), 3) for _ in range(6)]
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
    graph = GraphBuilder("residual", (2, 8, 4)).conv(2, 3, padding=1, name="a").conv(2, 3, padding=1, name="b").add("a", "b", name="sum").build()
    plan = Plan.of(graph, [ROWS, ROWS], [2, 1])
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
