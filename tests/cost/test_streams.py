"""Streams by hand and against the second implementation."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from support.naive_pricing import naive_price
from support.random_branches import random_branched_graph, random_branched_plan
from support.random_gathers import with_gathers
from support.random_instances import random_cluster, random_graph, random_plan
from support.random_streams import streamed_plan, with_streams

from iopopt import Cluster, Graph, Plan, evaluate
from iopopt.cost.streams import messages

EXACT = {"rel": 1e-9, "abs": 1e-12}


def test_messages() -> None:
    """Full ones, and what is left."""
    assert (messages(7, 3), messages(6, 3), messages(2, 3), messages(0, 3)) == ([3, 3, 1], [3, 3], [2], [])


def _features(graph: Graph, cluster: Cluster, plan: Plan) -> set[str]:
    """What of a stream the plan has."""
    found = set()
    for operator, edges in zip(graph.operators, graph.edges_into, strict=False):
        placement = plan[operator.name]
        if placement.streams_sums:
            found.add("sums")
        if placement.streams_input:
            producer = edges[0].producer
            if producer == graph.source:
                found.add("input everywhere" if cluster.source is None else "input of the source")
            else:
                name = graph.operators[producer].name
                found.add(f"from {plan[name].handed_on.strategy.name}" + (", streamed" if plan[name].stream is not None else ""))
                found.add("read later" if len(graph.edges_from[producer]) > 1 else "read once")
            found.add("an empty share" if 0 in placement.shares else "no empty share")
    return found


def test_both_implementations_agree_on_streams() -> None:
    """Latency, memory, bytes and connections of random plans, chains and branched ones, that stream most of what they can."""
    rng, seen = random.Random(14), Counter[str]()
    for number in range(500):
        cluster = random_cluster(rng)
        graph = random_branched_graph(rng) if number % 2 else random_graph(rng)
        drawn, plan = random_branched_plan if number % 2 else random_plan, streamed_plan(rng, graph, len(cluster))
        if number % 5 == 0:
            plan = with_streams(rng, graph, with_gathers(rng, drawn(rng, graph, len(cluster)), len(cluster)))
        evaluation, naive = evaluate(graph, cluster, plan), naive_price(graph, cluster, plan)
        assert evaluation.latency_s == pytest.approx(naive.latency_s, **EXACT), plan
        assert [cost.communication_s for cost in evaluation.operators] == pytest.approx(naive.communication_s, **EXACT), plan
        assert evaluation.memory_bytes == pytest.approx(naive.memory_bytes, **EXACT), plan
        assert evaluation.transferred_bytes == pytest.approx(naive.transferred_bytes, **EXACT), plan
        assert evaluation.connections == naive.connections, plan
        seen.update(_features(graph, cluster, plan))
    features = "sums", "input everywhere", "input of the source", "read later", "read once", "an empty share"
    for name in (*features, "from WHOLE", "from OC", "from OC, streamed", "from IC_TWO_PHASE", "from IC_TWO_PHASE, streamed"):
        assert seen[name] >= 10, (name, seen)
