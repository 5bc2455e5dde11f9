"""Timelines: the critical path, what devices and links do, and the table."""

from __future__ import annotations

import itertools

import pytest
from support.random_any import random_case

from iopopt import Cluster, Device, GraphBuilder, Placement, Plan, Simulator, Timeline, simulate
from iopopt.simulation.timeline import Span


@pytest.mark.parametrize("seed", range(60))
def test_the_critical_path_is_one(seed: int) -> None:
    """From the start to the makespan without a gap: each begins when the one before it, for which it waited, ends."""
    graph, cluster, plan = random_case(seed)
    for barriers in (False, True):
        timeline = simulate(graph, cluster, plan, barriers=barriers, inputs=1 + seed % 3)
        path = timeline.critical_path
        assert path[0].start_s == 0
        assert path[-1].end_s == timeline.makespan_s
        for before, span in itertools.pairwise(path):
            assert span.start_s == before.end_s
            assert before in [timeline.spans[number] for number in span.after]


@pytest.mark.parametrize("seed", range(30))
def test_sums(seed: int) -> None:
    """Busy seconds and bytes are those of the spans, and nobody is busier than all the time."""
    graph, cluster, plan = random_case(seed)
    timeline = simulate(graph, cluster, plan)
    frame = timeline.to_frame()
    assert len(frame) == len(timeline.spans)
    assert list(frame["critical"]) == [any(span is other for other in timeline.critical_path) for span in timeline.spans]
    for j, device in enumerate(cluster.devices):
        tasks = frame[(frame["device"] == device.name) & (frame["receiver"] == "")]
        assert timeline.busy_s[j] == pytest.approx((tasks["end_s"] - tasks["start_s"]).sum(), abs=1e-15)
        assert 0 <= timeline.device_utilisation[j] <= 1 + 1e-12
        sent, received = frame[(frame["device"] == device.name)]["bytes"].sum(), frame[frame["receiver"] == device.name]["bytes"].sum()
        assert timeline.link_bytes[j] == (sent, received)
        assert all(0 <= part <= 1 + 1e-12 for part in timeline.link_utilisation[j])
    assert timeline.transferred_bytes == frame["bytes"].sum()
    assert repr(timeline).startswith(f"Timeline(simulated, {timeline.makespan_s * 1e3:.4g} ms: ")


def test_a_device_that_only_gathers() -> None:
    """c H 2/2 over 0 and 1, gathered on 2; then d whole on 0. Rows of 1 byte; t_est = 0.5 s, 1 byte/s, 2 FLOP/s, sink 0.

    c: 2 x 2 FLOPs, 2 s. Both send 2 bytes to 2 over its one link, 2 + 0.5 + 4 = 6.5; 2 sends all four to 0, 6.5 + 0.5 + 4 = 11; d: 8 FLOPs, 4 s.
    """
    graph = GraphBuilder("x", (1, 4, 1)).conv(1, 1, bias=False).conv(1, 1, bias=False).build()
    cluster = Cluster(tuple(Device(f"d{j}", 2.0, 1e9, 1.0) for j in range(3)), 0.5, bytes_per_element=1)
    plan = Plan.of(graph, [Placement.split("H", (0, 1), (2, 2), gather=2), Placement.whole(0)])
    timeline = simulate(graph, cluster, plan)
    moves = [(span.what, span.device, span.receiver, span.start_s, span.end_s) for span in timeline.spans if span.is_transfer]
    assert moves == [("gather", 0, 2, 2.0, 6.5), ("gather", 1, 2, 2.0, 6.5), ("send", 2, 0, 6.5, 11.0)]
    assert timeline.makespan_s == 15.0
    # Device 2 holds what arrives, then the whole tensor until it is sent.
    held = timeline.memory[2]
    assert list(zip(held.times_s, held.held_bytes, strict=True)) == [(0, 0), (2, 4), (6.5, 4), (11, 0)]


def test_whose_tensor_is_sent() -> None:
    """Transfers name their producer and their consumer; with barriers as well."""
    graph = GraphBuilder("x", (1, 4, 1)).conv(1, 1, name="a").conv(1, 1, name="b").build()
    cluster = Cluster(tuple(Device(f"d{j}", 2.0, 1e9, 1.0) for j in range(2)), 0.5, source=1, bytes_per_element=1)
    plan = Plan.of(graph, [Placement.whole(0), Placement.whole(1)])
    for barriers in (False, True):
        spans = Simulator(graph, cluster, barriers=barriers).timeline(plan).spans
        assert [(span.producer, span.unit) for span in spans if span.is_transfer] == [("(source)", "a"), ("a", "b"), ("b", "(sink)")]


def test_a_plan_that_takes_no_time() -> None:
    """No spans at all: nothing divides by zero."""
    timeline = Timeline(Cluster((Device("a", 1.0, 1.0, 1.0),)), (), (0.0,))
    assert (timeline.device_utilisation, timeline.link_utilisation, timeline.critical_path) == ((0.0,), ((0.0, 0.0),), ())
    assert timeline.throughput_per_s == float("inf")


def test_spans_know_what_they_are() -> None:
    """A transfer has a receiver."""
    task, transfer = Span("a", "", 0, None, 1.0, 3.0, 5.0), Span("a", "send", 0, 1, 1.0, 4.0, 5.0, "b")
    assert (task.is_transfer, transfer.is_transfer, task.duration_s, transfer.duration_s) == (False, True, 2.0, 3.0)


def test_the_table_has_flops_and_bytes() -> None:
    """Tasks have FLOPs, those of both parts of a share adding up, and no producer; transfers have bytes."""
    graph = GraphBuilder("x", (1, 8, 1)).conv(1, (3, 1), padding=(1, 0), bias=False, name="a").conv(1, (3, 1), padding=(1, 0), bias=False).build()
    cluster = Cluster(tuple(Device(f"d{j}", 6.0, 1e9, 1.0) for j in range(2)), 0.5, bytes_per_element=1)
    frame = simulate(graph, cluster, Plan.of(graph, [Placement.split("H", (0, 1), (4, 4))] * 2)).to_frame()
    tasks, moves = frame[frame["receiver"] == ""], frame[frame["receiver"] != ""]
    assert list(tasks["flops"]) == [6, 18, 6, 18, 24, 24]
    assert list(tasks["what"]) == ["boundary", "interior", "boundary", "interior", "", ""]
    assert set(tasks["producer"]) == {""}
    assert (set(tasks["bytes"]), set(moves["flops"])) == ({0.0}, {0.0})
    assert list(moves["bytes"]) == [1, 1, 4]


def test_links_that_carry_less_than_a_byte() -> None:
    """2^-3 bytes/s for 4 s: half a byte at most, all of which is carried."""
    cluster = Cluster((Device("a", 1.0, 1.0, 0.125), Device("b", 1.0, 1.0, 0.125)))
    timeline = Timeline(cluster, (Span("(sink)", "send", 0, 1, 0.0, 4.0, 0.5, "a"),), (4.0,))
    assert timeline.link_utilisation == ((1.0, 0.0), (0.0, 1.0))


def test_a_simulator_forgets(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it keeps for the next plan is bounded, and forgetting changes no result."""
    graph, cluster, plan = random_case(4)
    expected = simulate(graph, cluster, plan).makespan_s
    monkeypatch.setattr("iopopt.simulation.real_schedule._MOST_KEPT", 1)
    simulator = Simulator(graph, cluster)
    assert [simulator.makespan_s(plan) for _ in range(3)] == [expected] * 3
    scheduler = simulator._scheduler
    assert (len(scheduler._edges), len(scheduler._tasks)) == (1, 1)
