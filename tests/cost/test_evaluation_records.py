"""Evaluations as tables and as records."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from typing import Any

import pytest
from support.damage import attempt, damaged, without_each_key
from support.random_branches import random_branched_graph, random_branched_plan
from support.random_gathers import with_gathers
from support.random_instances import random_cluster, random_graph, random_plan

from iopopt import Cluster, Evaluation, FileFormatError, Graph, Plan, evaluate


def test_frame_adds_up(trio_evaluation: Evaluation) -> None:
    """The table has a row for each operator and one for the sink, and its columns add up to the totals."""
    frame = trio_evaluation.to_frame()
    assert list(frame["operator"]) == ["a", "b", "c", "(sink)"]
    assert frame["compute_s"].sum() + frame["communication_s"].sum() == pytest.approx(trio_evaluation.latency_s)
    assert frame["transferred_bytes"].sum() == pytest.approx(trio_evaluation.transferred_bytes)
    assert frame["connections"].sum() == trio_evaluation.connections


def test_round_trip(trio_graph: Graph, trio_cluster: Cluster, trio_plan: Plan) -> None:
    """An Evaluation, its violations included, comes back from JSON as it was."""
    tight = replace(trio_cluster, devices=tuple(replace(device, memory_bytes=100) for device in trio_cluster.devices))
    evaluation = evaluate(trio_graph, tight, trio_plan)
    assert len(evaluation.violations) == 3
    assert Evaluation.from_dict(json.loads(json.dumps(evaluation.to_dict()))) == evaluation


def test_random_round_trips() -> None:
    """Evaluations of random plans come back from JSON as they were."""
    rng = random.Random(3)
    for _ in range(30):
        graph, cluster = random_graph(rng), random_cluster(rng, memory_bytes=1000)
        evaluation = evaluate(graph, cluster, with_gathers(rng, random_plan(rng, graph, len(cluster)), len(cluster)))
        assert Evaluation.from_dict(json.loads(json.dumps(evaluation.to_dict()))) == evaluation


def test_a_gather_on_a_device_that_does_not_exist_is_refused(trio_evaluation: Evaluation) -> None:
    """An explanation would name it."""
    first, *others = trio_evaluation.to_dict()["operators"]
    assert first["placement"]["dim"] == "H"
    gathered = first | {"placement": first["placement"] | {"gather": 3}}
    with pytest.raises(FileFormatError, match="uses device 3 of 3, counted from 0"):
        Evaluation.from_dict(trio_evaluation.to_dict() | {"operators": [gathered, *others]})


def test_damaged_records_are_refused(trio_graph: Graph, trio_cluster: Cluster, trio_plan: Plan) -> None:
    """No damage to a record raises anything but FileFormatError, and what is accepted says the same as the record."""
    tight = replace(trio_cluster, devices=tuple(replace(device, memory_bytes=100) for device in trio_cluster.devices))
    record = json.loads(json.dumps(evaluate(trio_graph, tight, trio_plan).to_dict()))
    refused = 0
    for path, wrong, broken in damaged(record):
        accepted, message = attempt(Evaluation.from_dict, broken)
        if message is not None:
            refused += 1
            assert message.startswith("evaluation"), path
        else:
            assert json.loads(json.dumps(accepted.to_dict())) == broken, (path, wrong)
    assert refused > 500
    for path, broken in without_each_key(record):
        if path[-1] != "reduce":
            with pytest.raises(FileFormatError, match=str(path[-1])):
                Evaluation.from_dict(broken)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"operators": []}, "has no operators"),
        ({"device_names": ["a"]}, "memory_bytes has 3 figures for 1 devices"),
        ({"memory_limit_bytes": [1.0, 1.0]}, "memory_limit_bytes has 2 figures for 3 devices"),
        ({"memory_limit_bytes": [1.0, 0.0, 1.0]}, "every limit is positive"),
        ({"violations": [{"device": 3, "name": "x", "demand_bytes": 2.0, "limit_bytes": 1.0}]}, "uses device 3 of 3, counted from 0"),
        ({"latency_s": 1.0}, "latency_s is 1.0, but the parts sum to"),
    ],
)
def test_evaluations_that_contradict_themselves_are_refused(changes: dict[str, Any], message: str, trio_evaluation: Evaluation) -> None:
    """What an explanation relies on is checked where a record is read."""
    with pytest.raises(FileFormatError, match=f"^evaluation: .*{message}"):
        Evaluation.from_dict(trio_evaluation.to_dict() | changes)


def test_records_are_of_jsons_types() -> None:
    """A record is what JSON would make of it, and is read back without JSON, with lists or tuples."""
    rng = random.Random(41)
    for _ in range(40):
        graph, cluster = random_branched_graph(rng), random_cluster(rng)
        evaluation = evaluate(graph, cluster, with_gathers(rng, random_branched_plan(rng, graph, len(cluster)), len(cluster)))
        record = evaluation.to_dict()
        assert json.loads(json.dumps(record)) == record
        assert Evaluation.from_dict(record) == evaluation
        assert Evaluation.from_dict(record | {"operators": tuple(record["operators"]), "violations": ()}) == replace(evaluation, violations=())


def test_the_transfer_to_the_sink_is_the_rest() -> None:
    """What the operators do not send goes to the sink."""
    rng = random.Random(42)
    for _ in range(40):
        graph, cluster = random_graph(rng), random_cluster(rng)
        evaluation = evaluate(graph, cluster, with_gathers(rng, random_plan(rng, graph, len(cluster)), len(cluster)))
        sent, connections = evaluation.sink_transfer
        assert sent + sum(cost.transferred_bytes for cost in evaluation.operators) == pytest.approx(evaluation.transferred_bytes)
        assert connections + sum(cost.connections for cost in evaluation.operators) == evaluation.connections
        frame = evaluation.to_frame()
        assert (frame["transferred_bytes"].sum(), frame["connections"].sum()) == (evaluation.transferred_bytes, evaluation.connections)
