"""What devices wait for, and what the critical path is made of."""

from __future__ import annotations

import random

import pytest
from support.random_branches import random_branched_graph, random_branched_plan
from support.random_instances import random_cluster

from iopopt import Cluster, Device, Graph, Plan, Span, Timeline, simulate


def test_by_hand(trio_graph: Graph, trio_cluster: Cluster, trio_plan: Plan) -> None:
    """d0 computes 1152 FLOPs of a and of b at 100 FLOP/s; 16 bytes go at 10 bytes/s after 1 s; d1 computes 480 at 200; 5 bytes go at 10."""
    frame = simulate(trio_graph, trio_cluster, trio_plan).bottlenecks()
    assert list(zip(frame["what"], frame["device"], frame["receiver"], strict=True)) == [
        ("compute", "d0", ""),
        ("transfer", "d0", "d1"),
        ("compute", "d1", ""),
        ("transfer", "d1", "d0"),
    ]
    assert list(frame["seconds"]) == pytest.approx([23.04, 2.6, 2.4, 1.5])
    assert list(frame["part"]) == pytest.approx([seconds / 29.54 for seconds in (23.04, 2.6, 2.4, 1.5)])


def test_waits_by_hand(trio_graph: Graph, trio_cluster: Cluster, trio_plan: Plan) -> None:
    """d1 and d2 have their rows of a after 5.76 s and wait for those of d0; d1 has its channels of b at 19.88 s and waits for those of d0."""
    timeline = simulate(trio_graph, trio_cluster, trio_plan)
    found = {}
    for wait in timeline.waits:
        assert wait.awaited is not None
        assert wait.awaited.end_s == wait.end_s == wait.task.start_s
        found[wait.device, wait.task.unit] = (wait.start_s, wait.end_s, wait.awaited.device, wait.awaited.receiver)
    assert set(found) == {(1, "b"), (2, "b"), (1, "c")}
    assert found[1, "b"] == pytest.approx((5.76, 14.12, 0, 1))
    assert found[2, "b"] == pytest.approx((5.76, 14.12, 0, 2))
    assert found[1, "c"] == pytest.approx((19.88, 25.64, 0, 1))


def test_random_plans() -> None:
    """The seconds sum to the makespan, without a wait where nothing was measured; what devices compute and wait fills the time to their last task."""
    rng = random.Random(7)
    for barriers in (False, True):
        for _ in range(25):
            graph, cluster = random_branched_graph(rng), random_cluster(rng)
            timeline = simulate(graph, cluster, random_branched_plan(rng, graph, len(cluster)), barriers=barriers)
            frame = timeline.bottlenecks()
            assert frame["seconds"].sum() == pytest.approx(timeline.makespan_s)
            assert frame["seconds"].is_monotonic_decreasing
            assert frame.loc[frame["what"] == "wait", "seconds"].sum() == pytest.approx(0, abs=1e-9 * timeline.makespan_s)
            for device in range(len(cluster)):
                last_s = max((span.end_s for span in timeline.spans if span.device == device and not span.is_transfer), default=0.0)
                waited_s = sum(wait.duration_s for wait in timeline.waits if wait.device == device)
                assert timeline.busy_s[device] + waited_s == pytest.approx(last_s)


def test_measured_gaps_and_overlaps() -> None:
    """A gap before a task is its device's wait, one before the output the sink's; where clocks let two spans overlap, the later one counts from the
    end of the earlier; a gap that begins after everything has arrived is for nobody."""
    cluster = Cluster((Device("d0", 1e9, 1e9, 1e6), Device("d1", 1e9, 1e9, 1e6)))
    spans = (
        Span("a", "", 0, None, 1.0, 3.0, 1.0),
        Span("b", "send", 0, 1, 2.5, 5.0, 1.0, "a", (0,)),
        Span("b", "", 1, None, 6.0, 9.0, 1.0, after=(1,)),
        Span("c", "", 1, None, 9.5, 10.0, 1.0, after=(1, 2)),
    )
    timeline = Timeline(cluster, spans, (12.0,), origin="measured")
    frame = timeline.bottlenecks()
    found = {row: seconds for *row_, seconds in frame[["what", "device", "receiver", "seconds"]].to_numpy() for row in [tuple(row_)]}
    assert found == {
        ("wait", "d0", ""): 1.0 + 2.0,
        ("compute", "d0", ""): 2.0,
        ("transfer", "d0", "d1"): 2.0,
        ("wait", "d1", ""): 1.0 + 0.5,
        ("compute", "d1", ""): 3.0 + 0.5,
    }
    assert [(wait.device, wait.start_s, wait.end_s, wait.awaited) for wait in timeline.waits] == [
        (0, 0.0, 1.0, None),
        (1, 0.0, 6.0, spans[1]),
        (1, 9.0, 9.5, None),
    ]


def test_a_span_within_another() -> None:
    """Where clocks put one span inside the one that it waited for, time does not go back: neither for its device nor on the path."""
    spans = (
        Span("a", "", 0, None, 0.0, 5.0, 1.0),
        Span("b", "", 0, None, 1.0, 2.0, 1.0, after=(0,)),
        Span("c", "", 0, None, 6.0, 7.0, 1.0, after=(1,)),
    )
    timeline = Timeline(Cluster((Device("d0", 1.0, 1.0, 1.0),)), spans, (7.0,), origin="measured")
    assert [(wait.start_s, wait.end_s, wait.awaited) for wait in timeline.waits] == [(5.0, 6.0, None)]
    assert timeline.critical_path == spans
    assert timeline.bottlenecks()[["what", "seconds"]].to_numpy().tolist() == [["compute", 6.0], ["wait", 1.0]]


def test_nothing_to_do() -> None:
    """A timeline without spans has no path; the whole of it is a wait."""
    timeline = Timeline(Cluster((Device("d0", 1.0, 1.0, 1.0),)), (), (2.0,))
    assert timeline.waits == ()
    assert timeline.bottlenecks().to_dict("list") == {"what": ["wait"], "device": ["d0"], "receiver": [""], "seconds": [2.0], "part": [1.0]}
    assert len(Timeline(timeline.cluster, (), (0.0,)).bottlenecks()) == 0
