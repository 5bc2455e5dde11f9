"""Objectives: settings that make sense, and Solutions whose value and bound are in joules."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest
from support.markup import cells

from iopopt import Cluster, Device, FileFormatError, GraphBuilder, Placement, Plan, Solution, SolverError, UnknownNameError, UnsupportedError, solve
from iopopt.methods.checking import checked_solution
from iopopt.methods.objective import Goal, checked_goal
from iopopt.methods.solution import Point, heuristic_solution

GRAPH = GraphBuilder("pointwise", (1, 4, 1)).conv(2, 1, bias=False).conv(1, 1, bias=False).build()
POWERED = Cluster(
    (Device("a", 1, 1e9, 1, compute_watts=2, transmit_watts=3, receive_watts=5, idle_watts=1), Device("b", 1, 1e9, 1, compute_watts=4)),
    0.5,
    bytes_per_element=1,
)
BARE = Cluster((Device("a", 1, 1e9, 1), Device("b", 1, 1e9, 1)), 0.5, bytes_per_element=1)
PLAN = Plan.of(GRAPH, [Placement.split("H", (0, 1), (2, 2)), Placement.whole(0)])
"""28.5 s; device a draws 28.5 J idle, 48 J computing and 20 J receiving, device b 32 J computing."""


def _energetic(**changes: Any) -> Solution:
    found = heuristic_solution(GRAPH, POWERED, PLAN, method="hand", space="none", solve_s=1.0, objective="energy", deadline_s=30.0)
    return replace(found, **changes)


def test_value_bound_and_gap_are_in_joules() -> None:
    """The plan's energy is the value; the bound on it makes the gap."""
    found = _energetic(bound_j=64.25)
    assert (found.value, found.bound, found.unit, found.gap) == (128.5, 64.25, "J", 0.5)
    assert (found.latency_s, found.bound_s, found.deadline_s) == (28.5, None, 30.0)
    slow = heuristic_solution(GRAPH, POWERED, PLAN, method="hand", space="none", solve_s=1.0)
    assert (slow.value, slow.bound, slow.unit, slow.objective) == (28.5, None, "s", "latency")
    assert replace(slow, bound_s=14.25).bound == 14.25


def test_texts_say_joules() -> None:
    """The line, the headline, the explanation and the notebook say the energy, and the deadline that the proof is for."""
    found = _energetic(bound_j=64.25, trajectory=(Point(0.1, 200.0, 64.25),))
    assert repr(found) == "Solution(hand: feasible, 128.5 J, 1 of 2 operators split, bound 64.25 J)"
    assert found.headline == (
        "hand: feasible, stopped by finished: 128.5 J, 1 of 2 operators split, taking 2.85e+04 ms; "
        "no plan of none that takes at most 3e+04 ms draws less than 64.25 J (gap 50.00%)."
    )
    text = " ".join(found.explain().split())
    assert "Energy: 128.5 J: 28.5 J idling (22%), 80 J computing (62%), 0 J sending (0%), 20 J receiving (16%)" in text
    assert "device 'a' draws most, 96.5 J." in text
    assert "draws less than 64.25 J" in cells(found._repr_html_())[1]
    lost = replace(found, plan=None, evaluation=None, latency_s=math.inf, status="infeasible", bound_j=None)
    assert "proven: no plan of none fits the memory and takes at most 3e+04 ms" in lost.headline
    assert "Energy" not in heuristic_solution(GRAPH, BARE, PLAN, method="hand", space="none").explain()


def test_records() -> None:
    """A Solution in joules comes back from JSON; one of an earlier version, without the keys, is a latency's."""
    found = _energetic(bound_j=64.25, trajectory=(Point(0.1, None, 1.0), Point(0.5, 128.5, 64.25)))
    record = found.to_dict()
    assert Solution.from_dict(json.loads(json.dumps(record))) == found
    old = heuristic_solution(GRAPH, POWERED, PLAN, method="hand", space="none")
    assert Solution.from_dict({key: value for key, value in old.to_dict().items() if key not in ("objective", "bound_j", "deadline_s")}) == old
    for changes in ({"objective": "money"}, {"bound_j": "64"}, {"deadline_s": -1.0}, {"deadline_s": 20.0}, {"bound_j": 200.0}):
        with pytest.raises(FileFormatError, match=r"^solution: "):
            Solution.from_dict(record | changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bound_s": 1.0}, "bound of another one; its own is bound_j"),
        ({"bound_j": 128.6}, "bound is 128.6 J, but its plan takes 128.5 J"),
        ({"deadline_s": 28.4}, "takes 28.5 s, more than its deadline of 28.4 s"),
        ({"deadline_s": 0.0}, "must be positive"),
        ({"timing": "events", "latency_s": 20.0}, "by the clock of equation"),
        ({"start_latency_s": 40.0}, "no start_latency_s"),
        ({"objective": "latency"}, "'latency' has no deadline"),
        ({"objective": "latency", "deadline_s": None, "bound_j": 1.0}, "bound of another one; its own is bound_s"),
    ],
)
def test_contradictions_are_refused(changes: dict[str, Any], message: str) -> None:
    """Bound, deadline and clock belong to the objective."""
    with pytest.raises(ValueError, match=message):
        _energetic(**changes)


def test_an_energy_needs_an_evaluation_with_one() -> None:
    """A plan that was priced without powers has no value."""
    found = heuristic_solution(GRAPH, BARE, PLAN, method="hand", space="none")
    with pytest.raises(ValueError, match="needs an evaluation that has one"):
        replace(found, objective="energy")


def test_a_heuristic_that_misses_the_deadline() -> None:
    """It has no answer: the status is unknown, and the reason says how long its plan takes."""
    found = heuristic_solution(GRAPH, POWERED, PLAN, method="hand", space="none", objective="energy", deadline_s=28.4)
    assert (found.status, found.plan, found.value, found.evaluation) == ("unknown", None, math.inf, None)
    assert found.reason == "the plan that was found takes 2.85e+04 ms, longer than the deadline of 2.84e+04 ms"
    assert heuristic_solution(GRAPH, POWERED, PLAN, method="hand", space="none", objective="energy", deadline_s=28.5).status == "feasible"


@pytest.mark.parametrize("deadline", [0, -1.0, math.nan, math.inf, "1", True])
def test_wrong_deadlines(deadline: Any) -> None:
    """A deadline is a positive number of seconds."""
    with pytest.raises(SolverError, match=r"deadline_s is .*; it must be a positive number of seconds, or None"):
        checked_goal("energy", deadline, POWERED)


def test_settings_that_make_no_sense() -> None:
    """An unknown objective, a deadline for the latency, an energy without powers, and a method without objectives are refused with what would do."""
    assert checked_goal("energy", None, POWERED) == Goal("energy")
    assert checked_goal("energy", 2, POWERED) == Goal("energy", 2.0)
    with pytest.raises(UnknownNameError, match=r"unknown objective 'enrgy'. Did you mean 'energy'"):
        checked_goal("enrgy", None, POWERED)
    with pytest.raises(SolverError, match="deadline_s needs objective='energy'"):
        checked_goal("latency", 1.0, POWERED)
    with pytest.raises(SolverError, match="needs a device with a power: give compute_watts"):
        checked_goal("energy", None, BARE)
    with pytest.raises(UnsupportedError, match="method 'dp' does not take objective"):
        solve(GRAPH, POWERED, "dp", objective="energy")


def test_what_a_method_returns_is_compared_with_the_evaluator() -> None:
    """An energy that is not the evaluator's is refused, and so is a bound of a method that proves none."""
    found = _energetic()
    assert checked_solution(GRAPH, POWERED, found, "hand", proves_bounds=False) is found
    thriftier = replace(POWERED, devices=(replace(POWERED.devices[0], idle_watts=0.5), POWERED.devices[1]))
    with pytest.raises(SolverError, match=r"its plan has the energy 114.25 J, not 128.5"):
        checked_solution(GRAPH, thriftier, found, "hand", proves_bounds=False)
    with pytest.raises(SolverError, match="claims a bound"):
        checked_solution(GRAPH, POWERED, replace(found, bound_j=1.0), "hand", proves_bounds=False)


def test_a_goal() -> None:
    """A deadline is met up to rounding."""
    found = _energetic()
    assert found.evaluation is not None
    for deadline_s, met in ((28.5, True), (28.5 * (1 - 1e-12), True), (28.5 * (1 - 1e-8), False), (math.inf, True)):
        assert Goal("energy", deadline_s).met_by(found.evaluation) == met
