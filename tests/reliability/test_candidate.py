"""Candidates, and which of them a host selects."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iopopt import Candidate, Cluster, Graph, ServiceError, Solution, select_model, solve_single

FAST = Candidate("fast", 50.0, 0.01, 100)
GOOD = Candidate("good", 70.0, 0.04, 400)

times = st.floats(1e-4, 1.0)
candidate_sets = st.lists(st.builds(Candidate, st.uuids().map(str), st.floats(0, 100), times, st.just(1.0)), min_size=1, max_size=6)


@pytest.mark.parametrize(
    ("deadline_s", "transfer_s", "expected"),
    [(0.1, 0.05, GOOD), (0.1, 0.0625, FAST), (0.1, 0.0925, None), (0.05, 0.0, GOOD), (0.04, 0.0, GOOD), (0.039, 0.0, FAST), (0.009, 0.0, None)],
)
def test_selection_by_hand(deadline_s: float, transfer_s: float, expected: Candidate | None) -> None:
    """The most accurate one with transfer + latency <= deadline, at equality as well."""
    assert select_model([FAST, GOOD], deadline_s, transfer_s) == expected
    assert select_model([GOOD, FAST], deadline_s, transfer_s) == expected


def test_of_equally_accurate_candidates_the_fastest() -> None:
    """Accuracy decides first, then latency, then the order."""
    slow, same = dataclasses.replace(FAST, name="slow", latency_s=0.02), dataclasses.replace(FAST, name="same")
    assert select_model([slow, FAST, same], 1.0, 0.0) is FAST


@given(candidates=candidate_sets, deadlines=st.tuples(times, times).map(sorted), transfer_s=st.floats(0, 0.5))
def test_accuracy_does_not_fall_with_the_deadline(candidates: list[Candidate], deadlines: list[float], transfer_s: float) -> None:
    """For every fixed transfer time, a later deadline never selects a less accurate model."""
    early, late = (select_model(candidates, deadline, transfer_s) for deadline in deadlines)
    assert (-1.0 if early is None else early.accuracy) <= (-1.0 if late is None else late.accuracy)


@given(candidates=candidate_sets, deadline_s=times, transfer_s=st.floats(0, 0.5))
def test_nothing_better_would_be_in_time(candidates: list[Candidate], deadline_s: float, transfer_s: float) -> None:
    """The selected one is in time, and every more accurate one is late."""
    selected = select_model(candidates, deadline_s, transfer_s)
    in_time = [candidate for candidate in candidates if transfer_s + candidate.latency_s <= deadline_s]
    assert (selected is None) == (not in_time)
    assert selected is None or (selected in in_time and selected.accuracy == max(candidate.accuracy for candidate in in_time))


def test_a_candidate_of_a_solution(trio_graph: Graph, trio_cluster: Cluster) -> None:
    """Name with the height of the input, latency of the plan, and one byte for each of the 2 x 8 x 4 elements."""
    solution = solve_single(trio_graph, trio_cluster)
    assert Candidate.of(trio_graph, solution, 0.7) == Candidate("trio-8", 0.7, solution.latency_s, 64)
    assert Candidate.of(trio_graph, solution, 0.7, bytes_per_element=4, name="x") == Candidate("x", 0.7, solution.latency_s, 256)


def test_a_solution_without_a_plan_is_no_candidate(trio_graph: Graph, trio_cluster: Cluster, trio_solution: Solution) -> None:
    """Nor is one whose plan breaks a memory limit: the message says which."""
    small = dataclasses.replace(trio_cluster, devices=tuple(dataclasses.replace(device, memory_bytes=10.0) for device in trio_cluster.devices))
    with pytest.raises(ServiceError, match=r"candidate 'trio-8': single found no plan that fits the memory \(violates_memory\): .*bytes"):
        Candidate.of(trio_graph, solve_single(trio_graph, small), 0.7)
    failed = dataclasses.replace(trio_solution, plan=None, evaluation=None, latency_s=float("inf"), status="unknown", reason=None)
    with pytest.raises(ServiceError, match=r"hand found no plan that fits the memory \(unknown\)$"):
        Candidate.of(trio_graph, failed, 0.7)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": ""}, "candidate: name is ''; it must be a non-empty string"),
        ({"name": 3}, "candidate: name is 3"),
        ({"accuracy": -1}, "candidate 'fast': accuracy is -1; it must be a number from 0"),
        ({"accuracy": float("nan")}, "accuracy is nan"),
        ({"latency_s": float("inf")}, "candidate 'fast': latency_s is inf"),
        ({"latency_s": "1 ms"}, "latency_s is '1 ms'"),
        ({"input_bytes": 0}, "candidate 'fast': input_bytes is 0; it must be a positive finite number"),
        ({"input_bytes": True}, "input_bytes is True"),
    ],
)
def test_figures_out_of_range(change: dict[str, Any], message: str) -> None:
    """The message names the candidate, the figure, what was found and what is allowed."""
    with pytest.raises(ServiceError, match=message):
        dataclasses.replace(FAST, **change)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([], 1.0, 0.0), "candidates: there is none"),
        (([FAST, FAST], 1.0, 0.0), "candidates: names repeat: fast"),
        ((["fast"], 1.0, 0.0), r"candidates: found 'fast' \(a str\); Candidates are expected"),
        ((FAST, 1.0, 0.0), r"candidates: found Candidate\(.*; a sequence of Candidates is expected"),
        (([FAST], 0, 0.0), "deadline_s is 0"),
        (([FAST], 1.0, -1), "transfer_s is -1"),
    ],
)
def test_wrong_arguments(arguments: tuple[Any, ...], message: str) -> None:
    """What cannot be selected from is refused by name."""
    with pytest.raises(ServiceError, match=message):
        select_model(*arguments)
