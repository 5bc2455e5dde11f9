"""Streams in the simulation: by hand, against the naive one, and beside equations (1), (6) and (8)."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from support.branched_cases import streamed_cases
from support.naive_events import NaiveJob, naive_timeline
from support.random_branches import random_branched_graph
from support.random_instances import random_cluster, random_graph
from support.random_streams import streamed_plan

from iopopt import Cluster, Graph, Plan, Timeline, evaluate, simulate
from iopopt.network.operators.operator import INPUT

Row = tuple[int, str, str, int, int, str, float, float, float]


def _rows(timeline: Timeline) -> list[Row]:
    spans = ((of, -1 if of.receiver is None else of.receiver) for of in timeline.spans)
    return sorted((of.item, of.unit, of.what, of.device, to, of.producer, of.start_s, of.end_s, of.amount) for of, to in spans)


def _naive_rows(jobs: list[NaiveJob]) -> list[Row]:
    found = ((of, -1 if of.receiver is None else of.receiver) for of in jobs)
    sources = {INPUT: "(source)"}
    return sorted((of.item, of.unit, of.what, of.device, to, sources.get(of.tensor, of.tensor), of.start_s, of.end_s, of.amount) for of, to in found)


def test_a_pair_then_messages_by_hand() -> None:
    """The case of the statement: each message is computed or fetched when the place of the one before is free."""
    case = streamed_cases()["a pair, then messages"]
    timeline = simulate(case.graph, case.cluster, case.plan)
    spans = [(span.unit, span.what, span.device, span.start_s, span.end_s) for span in timeline.spans]
    assert sorted(spans) == sorted(
        [
            ("c", "", 0, 0, 24),
            ("c", "", 1, 0, 8),
            ("d", "message", 0, 24, 48),
            ("d", "streamed reduce-scatter", 0, 48, 52.5),
            ("d", "own", 0, 52.5, 100.5),
            ("d", "message", 1, 8, 24),
            ("d", "streamed reduce-scatter", 1, 24, 32.5),
            ("d", "own", 1, 32.5, 40.5),
            ("f", "own", 0, 100.5, 116.5),
            ("f", "stream", 1, 52.5, 57),
            ("f", "message", 0, 116.5, 124.5),
            ("f", "own", 1, 52.5, 60.5),
            ("f", "stream", 0, 100.5, 105),
            ("f", "message", 1, 105, 113),
            ("f", "stream", 0, 113, 117.5),
            ("f", "message", 1, 117.5, 125.5),
            ("(sink)", "all-gather", 1, 125.5, 130),
        ]
    )
    assert timeline.makespan_s == 130
    assert [memory.peak_bytes for memory in timeline.memory] == [51, 23]


def _cases(seed: int, count: int) -> list[tuple[Graph, Cluster, Plan]]:
    rng, found = random.Random(seed), []
    for number in range(count):
        graph, cluster = random_branched_graph(rng) if number % 2 else random_graph(rng), random_cluster(rng)
        found.append((graph, cluster, streamed_plan(rng, graph, len(cluster))))
    return found


def test_random_plans_against_the_naive_simulation() -> None:
    """The same tasks and transfers at the same times, for one to three inputs, and the same memory at every moment."""
    counted = Counter[str]()
    for number, (graph, cluster, plan) in enumerate(_cases(3, 150)):
        inputs = 1 + number % 3
        found, naive = simulate(graph, cluster, plan, inputs=inputs), naive_timeline(graph, cluster, plan, inputs=inputs)
        rows, expected, precision_s = _rows(found), _naive_rows(naive.jobs), 1e-9 * max(naive.outputs_s)
        np.testing.assert_allclose(found.outputs_s, naive.outputs_s, rtol=0, atol=precision_s)
        assert [row[:6] for row in rows] == [row[:6] for row in expected]
        np.testing.assert_allclose([row[6:8] for row in rows], [row[6:8] for row in expected], rtol=0, atol=precision_s)
        np.testing.assert_allclose([row[8] for row in rows], [row[8] for row in expected], rtol=1e-9, atol=1e-6)
        for device, memory in enumerate(found.memory):
            ends = (time for held in naive.held if held.device == device for time in (held.start_s, held.end_s))
            for begin_s, end_s in pairwise(sorted({0.0, *memory.times_s, *ends})):
                if end_s - begin_s > 10 * precision_s:
                    at_s = (begin_s + end_s) / 2
                    held = memory.held_bytes[bisect_right(memory.times_s, at_s) - 1]
                    assert held == pytest.approx(naive.held_bytes(device, at_s), rel=1e-9), (device, at_s)
        counted.update(row[2] for row in rows)
    for what in ("own", "message", "stream", "streamed reduce-scatter"):
        assert counted[what] >= 200, counted


def _plain(plan: Plan) -> bool:
    """Whether nothing is split by rows and no share is empty, so that a run moves what (8) counts."""
    return not any(placement.dim == "H" or 0 in placement.shares for placement in plan.values())


def test_bytes_are_those_of_equation_8() -> None:
    """Of every streamed edge, whatever else the plan has; of whole plans, where no share of rows or empty share is."""
    compared = 0
    for graph, cluster, plan in _cases(4, 200):
        evaluation, timeline = evaluate(graph, cluster, plan), simulate(graph, cluster, plan)
        for cost in evaluation.operators:
            if "stream" in cost.cases and len(cost.cases) == 1:
                moved = sum(span.amount for span in timeline.spans if span.unit == cost.name and span.is_transfer)
                assert moved == pytest.approx(cost.transferred_bytes, rel=1e-12)
                compared += 1
        if _plain(plan):
            assert timeline.transferred_bytes == pytest.approx(evaluation.transferred_bytes, rel=1e-12)
    assert compared >= 100, compared


def test_barriers_give_equation_6() -> None:
    """On two devices of one bandwidth; mostly they also hold no more than (1) counts."""
    compared, alike = 0, 0
    for graph, cluster, plan in _cases(5, 400):
        if len(cluster) == 2 and _plain(plan) and all(len(edges) == 1 for edges in graph.edges_into):
            cluster = replace(cluster, devices=tuple(replace(device, bandwidth_bytes_per_s=1e5) for device in cluster.devices))
            evaluation, timeline = evaluate(graph, cluster, plan), simulate(graph, cluster, plan, barriers=True)
            assert timeline.makespan_s == pytest.approx(evaluation.latency_s, rel=1e-9)
            peaks = zip(timeline.memory, evaluation.memory_bytes, strict=True)
            compared, alike = compared + 1, alike + all(memory.peak_bytes <= demand * (1 + 1e-9) for memory, demand in peaks)
    assert compared >= 20
    assert alike >= 0.6 * compared, (alike, compared)
