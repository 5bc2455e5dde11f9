"""Traces, against the keys that the Trace Event Format gives each phase, and against the timeline."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from itertools import pairwise
from typing import Any

import pytest
from support.random_branches import random_branched_graph, random_branched_plan
from support.random_instances import random_cluster

from iopopt import Cluster, Device, Graph, Placement, Plan, Span, Timeline, simulate
from iopopt.simulation.trace import trace_record

KEYS = {
    "X": {"ph", "name", "cat", "pid", "tid", "ts", "dur", "args"},
    "M": {"ph", "name", "pid", "tid", "args"},
    "C": {"ph", "name", "pid", "tid", "ts", "args"},
    "s": {"ph", "name", "cat", "pid", "tid", "ts", "id"},
    "t": {"ph", "name", "cat", "pid", "tid", "ts", "id"},
    "f": {"ph", "name", "cat", "pid", "tid", "ts", "id", "bp"},
}
"""Of complete, metadata, counter and flow events."""

METADATA = {"process_name": "name", "thread_name": "name", "process_sort_index": "sort_index", "thread_sort_index": "sort_index"}


def events_of(record: dict[str, Any], *phases: str) -> list[dict[str, Any]]:
    return [event for event in record["traceEvents"] if event["ph"] in phases]


def names_of(record: dict[str, Any], kind: str) -> dict[tuple[int, int], str]:
    """The names of processes or threads, by pid and tid."""
    return {(event["pid"], event["tid"]): event["args"]["name"] for event in events_of(record, "M") if event["name"] == kind}


def enclosing(record: dict[str, Any], event: dict[str, Any]) -> dict[str, Any]:
    """The complete event to which a flow event binds: the one of its thread that runs at its time."""
    (found,) = (
        slice_
        for slice_ in events_of(record, "X")
        if (slice_["pid"], slice_["tid"]) == (event["pid"], event["tid"]) and slice_["ts"] <= event["ts"] < slice_["ts"] + slice_["dur"]
    )
    return found


@pytest.fixture(scope="module")
def timelines() -> list[Timeline]:
    rng = random.Random(8)
    found = []
    for number in range(12):
        graph, cluster = random_branched_graph(rng), random_cluster(rng)
        plan = random_branched_plan(rng, graph, len(cluster))
        found.append(simulate(graph, cluster, plan, inputs=1 + number % 3, barriers=number % 4 == 3))
    return found


def test_every_event_has_the_keys_of_its_phase(timelines: list[Timeline]) -> None:
    """No key is missing and none unknown; numbers are finite, processes and threads integers, durations not negative."""
    for timeline in timelines:
        record = trace_record(timeline)
        assert json.loads(json.dumps(record, allow_nan=False)) == record
        assert set(record) == {"traceEvents", "displayTimeUnit", "otherData"}
        assert record["displayTimeUnit"] == "ms"
        for event in record["traceEvents"]:
            assert set(event) == KEYS[event["ph"]], event
            assert isinstance(event["name"], str)
            assert type(event["pid"]) is type(event["tid"]) is int
            assert event["pid"] > 0
            if event["ph"] == "M":
                assert set(event["args"]) == {METADATA[event["name"]]}
            else:
                assert event["ts"] >= 0
            if event["ph"] == "X":
                assert event["dur"] >= 0
            if event["ph"] == "f":
                assert event["bp"] == "e"


def test_no_two_events_of_a_thread_overlap(timelines: list[Timeline]) -> None:
    """The format allows nested events only: on each thread, one ends before the next starts, to the last digit."""
    for timeline in timelines:
        record = trace_record(timeline)
        threads: dict[int, list[tuple[float, float]]] = defaultdict(list)
        for event in events_of(record, "X"):
            threads[event["tid"]].append((event["ts"], event["ts"] + event["dur"]))
        for times in threads.values():
            assert all(earlier[1] <= later[0] for earlier, later in pairwise(sorted(times)))


def test_processes_and_threads_are_named(timelines: list[Timeline]) -> None:
    """A process for each device; its threads compute, send and receive, with numbers that no other process or thread has."""
    for timeline in timelines:
        record = trace_record(timeline)
        processes = {pid: name for (pid, _), name in names_of(record, "process_name").items()}
        assert [processes[device + 1] for device in range(len(timeline.cluster))] == [device.name for device in timeline.cluster.devices]
        threads = names_of(record, "thread_name")
        assert {(event["pid"], event["tid"]) for event in events_of(record, "X", "C", "s", "t", "f")} <= set(threads)
        assert len({tid for _, tid in threads}) == len(threads)
        assert not {tid for _, tid in threads} & set(processes)
        assert len(set(zip([pid for pid, _ in threads], threads.values(), strict=True))) == len(threads)
        assert {name.partition(" ")[0] for name in threads.values()} == {"compute", "send", "receive"}


def test_events_are_the_spans(timelines: list[Timeline]) -> None:
    """A task is one event on its device, a transfer one at the sender and one at the receiver, at its times to an eighth of a microsecond."""
    for timeline in timelines:
        record = trace_record(timeline)
        threads = names_of(record, "thread_name")
        found = [
            (threads[event["pid"], event["tid"]].partition(" ")[0], event["pid"] - 1, event["ts"], event["dur"], event["args"])
            for event in events_of(record, "X")
        ]
        expected: list[tuple[str, int, Span]] = []
        for span in timeline.spans:
            expected += [("compute", span.device, span)] if span.receiver is None else [("send", span.device, span), ("receive", span.receiver, span)]
        critical = set(map(id, timeline.critical_path))
        names = [device.name for device in timeline.cluster.devices]
        for (row, device, ts, duration, args), (wanted_row, wanted_device, span) in zip(found, expected, strict=True):
            assert (row, device) == (wanted_row, wanted_device)
            assert ts == pytest.approx(span.start_s * 1e6, abs=0.0626)
            assert ts + duration == pytest.approx(span.end_s * 1e6, abs=0.0626)
            assert (args["unit"], args["what"], args["input"], args["critical"]) == (span.unit, span.what, span.item, id(span) in critical)
            if span.receiver is None:
                assert args["flops"] == span.amount
            else:
                assert (args["bytes"], args["producer"], args["from"], args["to"]) == (
                    span.amount,
                    span.producer,
                    names[span.device],
                    names[span.receiver],
                )


def test_flows_by_hand(trio_graph: Graph, trio_cluster: Cluster, trio_plan: Plan) -> None:
    """Each of nine transfers is followed from its sender over its receiver to the task of its unit; the output ends where it arrives."""
    timeline = simulate(trio_graph, trio_cluster, trio_plan)
    record = trace_record(timeline)
    flows: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for event in events_of(record, "s", "t", "f"):
        flows[event["id"]].append(event)
    assert len(flows) == 9
    threads, ends = names_of(record, "thread_name"), []
    for events in flows.values():
        slices = [enclosing(record, event) for event in events]
        sent, received = slices[0]["args"], slices[1]["args"]
        assert sent == received
        assert [threads[event["pid"], event["tid"]].partition(" ")[0] for event in events[:2]] == ["send", "receive"]
        assert [event["ph"] for event in events] == (["s", "t", "f"] if len(events) == 3 else ["s", "f"])
        assert [event["pid"] for event in events] == [trio_cluster_pid(sent["from"])] + [trio_cluster_pid(sent["to"])] * (len(events) - 1)
        if len(events) == 3:
            assert threads[events[2]["pid"], events[2]["tid"]] == "compute"
            assert events[2]["ts"] == slices[2]["ts"]
            assert slices[2]["args"]["unit"] == sent["unit"]
        ends.append((sent["unit"], sent["from"], sent["to"], events[-1]["ts"] / 1e6))
    assert sorted(ends) == sorted(
        [
            ("b", "d1", "d0", 11.52),
            ("b", "d2", "d0", 11.52),
            ("b", "d0", "d1", 14.12),
            ("b", "d2", "d1", 14.12),
            ("b", "d0", "d2", 14.12),
            ("b", "d1", "d2", 14.12),
            ("c", "d0", "d1", 25.64),
            ("c", "d2", "d1", 25.64),
            ("(sink)", "d1", "d0", 28.04),
        ]
    )


def trio_cluster_pid(name: str) -> int:
    """The process of d0, d1 or d2."""
    return int(name[1:]) + 1


def test_a_flow_ends_at_the_first_task_of_its_unit(four: Graph) -> None:
    """Boundary rows come first, and are what halos are waited for; of several inputs, it is the task of the same one."""
    cluster = Cluster((Device("d0", 1e6, 1e9, 1e6), Device("d1", 1e6, 1e9, 1e6)), connection_setup_s=0.0)
    timeline = simulate(four, cluster, Plan.of(four, [Placement.split("H", (0, 1), (4, 4))] * 4), inputs=2)
    assert {span.what for span in timeline.spans} >= {"boundary", "interior", "halo exchange"}
    record, found = trace_record(timeline), 0
    for event in events_of(record, "f"):
        slice_ = enclosing(record, event)["args"]
        transfer = timeline.spans[event["id"] - 1]
        assert (slice_["unit"], slice_["input"]) == (transfer.unit, transfer.item)
        if transfer.what == "halo exchange":
            found += 1
            assert slice_["what"] == ("" if transfer.unit == "d" else "boundary")
    assert found == 2 * 3 * 2


def test_waits_are_told(trio_graph: Graph, trio_cluster: Cluster, trio_plan: Plan) -> None:
    """The task after a gap says how long its device waited, and for what."""
    record = trace_record(simulate(trio_graph, trio_cluster, trio_plan))
    found = {
        (event["pid"] - 1, event["args"]["unit"]): (event["args"]["waited_ms"], event["args"]["waited_for"])
        for event in events_of(record, "X")
        if "waited_ms" in event["args"]
    }
    assert {key: text for key, (_, text) in found.items()} == {
        (1, "b"): "b all-gather, d0 to d1",
        (2, "b"): "b all-gather, d0 to d2",
        (1, "c"): "c all-gather, d0 to d1",
    }
    assert [found[key][0] for key in ((1, "b"), (2, "b"), (1, "c"))] == pytest.approx([8360, 8360, 5760])


def test_counters_are_the_memory_held(timelines: list[Timeline]) -> None:
    """A counter on each device's process, with every step of what it holds; none where memory was not measured."""
    for timeline in timelines:
        found: dict[int, list[tuple[float, float]]] = defaultdict(list)
        for event in events_of(trace_record(timeline), "C"):
            (size,) = event["args"].values()
            found[event["pid"] - 1].append((event["ts"], size))
        assert len(found) == len(timeline.cluster)
        for device, held in enumerate(timeline.memory):
            assert [size for _, size in found[device]] == list(held.held_bytes)
            assert [time for time, _ in found[device]] == pytest.approx([time * 1e6 for time in held.times_s], abs=0.0626)
    measured = Timeline(timelines[0].cluster, timelines[0].spans, timelines[0].outputs_s, "measured")
    assert not events_of(trace_record(measured), "C")
    assert trace_record(measured)["otherData"] == {"origin": "measured", "makespan_ms": measured.makespan_s * 1e3}
