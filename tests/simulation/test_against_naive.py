"""The simulation against the naive one of ``support/naive_events.py``, which was written from the statement alone."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections import Counter
from dataclasses import replace
from itertools import accumulate, pairwise
from typing import NamedTuple

import numpy as np
import pytest
from support.naive_events import NaiveTimeline, naive_timeline, unit_name
from support.naive_pricing import naive_ends
from support.random_any import random_case
from support.random_branches import any_shares
from support.random_orders import random_order

from iopopt import Cluster, Graph, Placement, Plan, Timeline, simulate
from iopopt.network.operators.operator import INPUT
from iopopt.schedule.rounds import TransferKind


class Row(NamedTuple):
    """One task or transfer of either simulation; ``receiver`` is -1 and ``producer`` empty for a task."""

    item: int
    unit: str
    what: str
    device: int
    receiver: int
    producer: str
    start_s: float
    end_s: float
    amount: float


def _rows(timeline: Timeline) -> list[Row]:
    spans = ((span, -1 if span.receiver is None else span.receiver) for span in timeline.spans)
    return sorted(Row(of.item, of.unit, of.what, of.device, to, of.producer, of.start_s, of.end_s, of.amount) for of, to in spans)


def _naive_rows(naive: NaiveTimeline, graph: Graph, plan: Plan) -> list[Row]:
    names = {end.operator.name: unit_name(end) for end in naive_ends(graph, plan) if end.operator is not None} | {INPUT: "(source)", "": ""}
    jobs = ((job, -1 if job.receiver is None else job.receiver) for job in naive.jobs)
    return sorted(Row(of.item, of.unit, of.what, of.device, to, names[of.tensor], of.start_s, of.end_s, of.amount) for of, to in jobs)


def _by_rows(rng: random.Random, graph: Graph, plan: Plan, device_count: int) -> Plan:
    """The same operators and blocks, all of them that can be by rows over the same participants: many have boundary rows."""
    spans = plan.spans(graph) or (1,) * len(graph)
    team, placements = random_order(rng, device_count)[: rng.randint(2, device_count)], []
    for stop in accumulate(spans):
        operator = graph.operators[stop - 1]
        if "H" in operator.splittable_dims:
            unit = operator.granularity("H")
            shares = any_shares(rng, operator.size("H") // unit, len(team))
            placements.append(Placement.split("H", team, [unit * share for share in shares]))
        else:
            placements.append(Placement.whole(rng.randrange(device_count)))
    return Plan.of(graph, placements, spans)


def _even(rng: random.Random, cluster: Cluster) -> Cluster:
    """Devices of one speed and links of one or two, so that much happens at the same time."""
    devices = (replace(device, flops_per_s=64.0, bandwidth_bytes_per_s=rng.choice([1.0, 1.0, 2.0])) for device in cluster.devices)
    return replace(cluster, devices=tuple(devices), connection_setup_s=rng.choice([0.0, 0.25]))


def _compare(seed: int) -> Counter[str]:
    """Assert that both agree on all tasks and transfers, the outputs and the memory; counts the tasks and transfers by their sort.

    Boundary rows come first or not, with barriers or without, for one to three inputs, over links or a shared medium.
    """
    graph, cluster, plan = random_case(seed)
    rng = random.Random(-1 - seed)
    plan = _by_rows(rng, graph, plan, len(cluster)) if rng.random() < 0.4 else plan
    cluster = _even(rng, cluster) if rng.random() < 0.2 else cluster
    first, barriers, inputs = rng.random() < 0.75, rng.random() < 0.25, rng.choice([1, 1, 2, 3])
    medium = 10 ** rng.uniform(4, 6) if rng.random() < 0.25 else None
    found = simulate(graph, cluster, plan, boundary_first=first, barriers=barriers, shared_medium=medium, inputs=inputs)
    naive = naive_timeline(graph, cluster, plan, boundary_first=first, barriers=barriers, shared_medium=medium, inputs=inputs)
    rows, expected, precision_s = _rows(found), _naive_rows(naive, graph, plan), 1e-9 * max(naive.outputs_s)
    np.testing.assert_allclose(found.outputs_s, naive.outputs_s, rtol=0, atol=precision_s)
    assert [row[:6] for row in rows] == [row[:6] for row in expected]
    np.testing.assert_allclose([row[6:8] for row in rows], [row[6:8] for row in expected], rtol=0, atol=precision_s)
    np.testing.assert_allclose([row.amount for row in rows], [row.amount for row in expected], rtol=1e-9)
    for device, memory in enumerate(found.memory):
        assert memory.weights_bytes == pytest.approx(naive.weights[device], rel=1e-12)
        ends = (time for held in naive.held if held.device == device for time in (held.start_s, held.end_s))
        for begin_s, end_s in pairwise(sorted({0.0, *memory.times_s, *ends})):
            if end_s - begin_s > 10 * precision_s:
                at_s = (begin_s + end_s) / 2
                held = memory.held_bytes[bisect_right(memory.times_s, at_s) - 1]
                assert held == pytest.approx(naive.held_bytes(device, at_s), rel=1e-9), (device, at_s)
    return Counter(row.what for row in rows)


def test_random_plans() -> None:
    """Chains, branches, blocks, gathers, any order of participants and empty shares: the same tasks and transfers at the same times."""
    counted = sum((_compare(seed) for seed in range(240)), Counter[str]())
    for what in (
        "boundary",
        "interior",
        *(kind for kind in TransferKind if kind not in (TransferKind.INTERLEAVED, TransferKind.ROW_ALIGNED) and not kind.is_streamed),
    ):
        assert counted[what] >= 50, counted


@pytest.mark.slow
@pytest.mark.parametrize("start", range(240, 6240, 500))
def test_many_random_plans(start: int) -> None:
    """The same for thousands of plans."""
    for seed in range(start, start + 500):
        _compare(seed)
