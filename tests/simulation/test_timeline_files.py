"""Timelines as records and files."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.damage import attempt, damaged, without_each_key
from support.random_branches import random_branched_graph, random_branched_plan
from support.random_instances import random_cluster

from iopopt import Cluster, Device, FileFormatError, Graph, Plan, Solution, Span, Timeline, simulate
from iopopt.network.records import write_json
from iopopt.simulation.held_memory import HeldMemory
from iopopt.simulation.timeline_files import read_timeline
from iopopt.simulation.trace import trace_record


def small() -> Timeline:
    """Two tasks and the transfer between them."""
    cluster = Cluster((Device("d0", 1.0, 9.0, 1.0), Device("d1", 1.0, 9.0, 1.0)), shared_medium_bytes_per_s=5.0)
    spans = (
        Span("a", "", 0, None, 0.0, 1.0, 2.0),
        Span("b", "send", 0, 1, 1.0, 2.0, 4.0, "a", (0,)),
        Span("b", "", 1, None, 2.0, 3.0, 2.0, "", (1,), 1),
    )
    memory = (HeldMemory((0.0, 1.0), (3.0, 2.0), 1.0, 9.0), HeldMemory((0.0,), (1.0,), 1.0, 9.0))
    return Timeline(cluster, spans, (2.0, 3.0), "measured", 5.0, memory)


def test_random_round_trips() -> None:
    """Simulated timelines are of JSON's types, and come back as they were."""
    rng = random.Random(6)
    for number in range(20):
        graph, cluster = random_branched_graph(rng), random_cluster(rng)
        plan = random_branched_plan(rng, graph, len(cluster))
        timeline = simulate(graph, cluster, plan, inputs=1 + number % 2, shared_medium=None if number % 3 else 1e3)
        record = timeline.to_dict()
        assert json.loads(json.dumps(record)) == record
        found = Timeline.from_dict(record)
        assert found == timeline
        assert found.critical_path == timeline.critical_path


def test_damaged_records_are_refused() -> None:
    """No damage to a record raises anything but FileFormatError, and what is accepted says the same as the record, and can be used."""
    record = json.loads(json.dumps(small().to_dict()))
    refused = 0
    for path, wrong, broken in damaged(record):
        accepted, message = attempt(Timeline.from_dict, broken)
        if message is None:
            written = json.loads(json.dumps(accepted.to_dict()))
            assert {**written, "cluster": None} == {**broken, "cluster": None}, (path, wrong)
            assert Timeline.from_dict(written) == accepted
            accepted.bottlenecks()
            trace_record(accepted)
        else:
            refused += 1
            assert message.startswith("timeline"), path
    assert refused > 500
    optional = {"connection_setup_s", "connections", "source", "sink", "bytes_per_element", "shared_medium_bytes_per_s"}
    for path, broken in without_each_key(record):
        if not (path[0] == "cluster" and path[-1] in optional):
            with pytest.raises(FileFormatError, match=str(path[-1])):
                Timeline.from_dict(broken)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"outputs_s": ()}, "outputs_s is empty"),
        ({"outputs_s": (-1.0, 2.0)}, "times count from the start"),
        ({"shared_medium_bytes_per_s": 0.0}, "shared_medium_bytes_per_s is 0.0; it must be positive"),
        ({"memory": (HeldMemory((0.0,), (1.0,), 1.0, 9.0),)}, "memory has 1 entries for 2 devices"),
    ],
)
def test_timelines_that_contradict_themselves_are_refused(changes: dict[str, Any], message: str) -> None:
    """What pictures and sums rely on is checked where a record is read."""
    with pytest.raises(FileFormatError, match=f"^timeline: .*{message}"):
        Timeline.from_dict(replace(small(), **changes).to_dict())


@pytest.mark.parametrize(
    ("number", "changes", "message"),
    [
        (0, {"device": 2}, r"spans\[0\]: device is 2; the cluster has devices 0 to 1"),
        (1, {"receiver": -1}, r"spans\[1\]: receiver is -1; the cluster has devices 0 to 1"),
        (1, {"receiver": 0}, r"spans\[1\]: device 0 sends to itself"),
        (2, {"end_s": 1.5}, r"spans\[2\]: it ends at 1.5 s, before it starts, at 2.0 s"),
        (2, {"amount": -1.0}, r"spans\[2\]: amount is -1.0; it cannot be negative"),
        (2, {"item": 2}, r"spans\[2\]: item is 2; outputs_s has 2, counted from 0"),
        (2, {"item": -1}, r"spans\[2\]: item is -1"),
        (2, {"after": (1, 3)}, r"spans\[2\]: it waits for span 3; there are 3"),
        (2, {"after": (-1,)}, r"spans\[2\]: it waits for span -1"),
        (1, {"after": (1,)}, r"spans \[1, 1\] wait for each other in a circle"),
        (0, {"after": (2,)}, r"spans \[0, 1, 2, 0\] wait for each other in a circle"),
    ],
)
def test_spans_that_cannot_be_are_refused(number: int, changes: dict[str, Any], message: str) -> None:
    """A span names devices, inputs and spans that exist, and no circle of waiting."""
    timeline = small()
    spans = list(timeline.spans)
    spans[number] = replace(spans[number], **changes)
    with pytest.raises(FileFormatError, match=f"^timeline: {message}"):
        Timeline.from_dict(replace(timeline, spans=tuple(spans)).to_dict())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"times_s": ()}, "0 times_s for 2 held_bytes"),
        ({"times_s": (), "held_bytes": ()}, "0 times_s for 0 held_bytes"),
        ({"times_s": (0.0,)}, "1 times_s for 2 held_bytes"),
        ({"times_s": (0.5, 1.0)}, "times_s do not rise from 0"),
        ({"times_s": (0.0, 0.0)}, "times_s do not rise from 0"),
        ({"limit_bytes": 0.0}, "limit_bytes is 0.0; it must be positive"),
        ({"held_bytes": (1.0, -1.0)}, "a figure is negative"),
        ({"weights_bytes": -1.0}, "a figure is negative"),
    ],
)
def test_memory_that_cannot_be_is_refused(changes: dict[str, Any], message: str) -> None:
    """Steps in time, none below 0."""
    timeline = small()
    memory = replace(timeline.memory[0], **changes), timeline.memory[1]
    with pytest.raises(FileFormatError, match=rf"^timeline: memory\[0\]: {message}"):
        Timeline.from_dict(replace(timeline, memory=memory).to_dict())


def test_files(tmp_path: Path, trio_plan: Plan, trio_solution: Solution, trio_graph: Graph) -> None:
    """A file is read as what was written; any other file is answered with what it is."""
    path = tmp_path / "file.json"
    write_json(path, small().to_dict())
    assert read_timeline(path) == read_timeline(str(path)) == small()
    others: dict[str, Any] = {
        "this is a trace for Perfetto": trace_record(small()),
        "this is a plan": trio_plan.to_dict(),
        "this is a solution": trio_solution.to_dict(),
        "'spans' is not among its keys, ['schema_version', 'name',": trio_graph.to_dict(),
        "found [1]": [1],
    }
    for found, record in others.items():
        write_json(path, record)
        with pytest.raises(FileFormatError) as refusal:
            read_timeline(path)
        assert str(refusal.value).startswith(f"{path}: {found}")
        assert str(refusal.value).endswith("; a timeline is wanted, as Timeline.to_dict writes it")
    write_json(path, small().to_dict() | {"schema_version": 2})
    with pytest.raises(FileFormatError, match=r"file\.json: 'schema_version' is 2"):
        read_timeline(path)
