"""Memory against latency: every point and the whole staircase against the prices of all plans, a case by hand, and searches that end early."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from support.backends import HERE, solved_here
from support.memory_instances import memory_instance

from iopopt import (
    Cluster,
    Device,
    FileFormatError,
    GraphBuilder,
    ParetoFront,
    Plan,
    PlanError,
    SolverError,
    evaluate,
    load_cluster,
    load_model,
    pareto,
    random_plan,
    simulate,
    solve,
)
from iopopt.methods import pareto as pareto_module
from iopopt.methods import team_search
from iopopt.methods.objective import largest_share

ROUNDING = 3 * HERE

HAND = GraphBuilder("hand", (1, 4, 1)).conv(2, 1, bias=False).build()
PAIR = Cluster((Device("fast", 1.0, 16.0, 1.0), Device("slow", 0.25, 16.0, 1.0)), 0.5, bytes_per_element=1)
"""The worked case of cost_model.md."""


def _agrees(seed: int, points: int = 3) -> ParetoFront:
    """Assert that a front is that of all plans: each cap's latency is the least within it, and none lies below the staircase."""
    case = memory_instance(seed)
    settings: dict[str, Any] = {"points": points, "team": case.team, "longest_block": case.longest_block, "gap": 0.0}
    with solved_here():
        front = pareto(case.graph, case.cluster, backend="scipy", **settings)
    if any(point.status != "optimal" for point in front.points):  # without presolve, scipy's HiGHS calls the program of seed 172 infeasible
        front = pareto(case.graph, case.cluster, **settings)
    prices = case.prices()
    share, latency_s = prices.share, prices.latency_s
    if not (share <= 1).any():
        assert (front.ending, front.points, front.staircase(1.0)) == ("infeasible", (), math.inf)
        assert front.staircase(1.01) is None
        return front
    assert front.ending == "finished"
    assert front.least_share == pytest.approx(share.min(), rel=ROUNDING)
    for point in front.points:
        price = evaluate(case.graph, case.cluster, point.plan)
        assert (point.share, point.latency_s) == (largest_share(price), price.latency_s)
        assert point.latency_s == pytest.approx(latency_s[share <= point.cap * (1 + 1e-9)].min(), rel=ROUNDING)
        assert point.gap <= 2 * ROUNDING
    for step in front.steps:
        assert step.bound_s == pytest.approx(latency_s[share <= step.cap * (1 + 1e-9)].min(), rel=ROUNDING)
    assert front.points[0].share == pytest.approx(share.min(), rel=ROUNDING)
    assert front.points[-1].latency_s == pytest.approx(latency_s[share <= 1].min(), rel=ROUNDING)
    shares, latencies = [point.share for point in front.points], [point.latency_s for point in front.points]
    assert shares == sorted(set(shares))
    assert latencies == sorted(set(latencies), reverse=True)
    for number in np.flatnonzero(share <= 1):
        bound_s = front.staircase(float(share[number]))
        assert bound_s is not None
        assert bound_s <= latency_s[number] * (1 + 1e-9), (share[number], bound_s, latency_s[number])
    return front


def _front(**settings: Any) -> ParetoFront:
    """Of the worked case."""
    with solved_here():
        return pareto(HAND, PAIR, gap=0.0, backend="scipy", **settings)


@pytest.mark.parametrize("start", [0, 6, *(pytest.param(start, marks=pytest.mark.slow) for start in (12, 18, 24))])
def test_the_front_is_that_of_all_plans(start: int) -> None:
    """On chains, branches and blocks."""
    for seed in range(start, start + 6):
        _agrees(seed)


@pytest.mark.slow
@pytest.mark.parametrize("start", range(30, 230, 40))
def test_the_front_is_that_of_all_plans_of_many_instances(start: int) -> None:
    """On two hundred more; some trade memory for latency, some fit nothing."""
    fronts = [_agrees(seed, points=5) for seed in range(start, start + 40)]
    assert {front.ending for front in fronts} == {"finished", "infeasible"}
    assert max(len(front.points) for front in fronts) >= 4


def test_the_worked_case() -> None:
    """Rows 2/2 in 8 bytes, rows 3/1 in 11, and whole on the fast device in 14: three points; between them the bound at the next cap holds."""
    front = _front(points=3)
    found = [(point.cap, point.share, point.latency_s, str(point.plan["conv1"].shares)) for point in front.points]
    assert found == [(0.5, 0.5, 36.5, "(2, 2)"), (0.6875, 0.6875, 18.5, "(3, 1)"), (1.0, 0.875, 16.0, "(1,)")]
    assert all(point.status == "optimal" for point in front.points)
    assert front.least_share == pytest.approx(0.5, rel=ROUNDING)
    for share, bound_s in ((0.49, math.inf), (0.5, 36.5), (0.51, 18.5), (0.6875, 18.5), (0.7, 16.0), (0.875, 16.0), (1.0, 16.0)):
        assert front.staircase(share) == pytest.approx(bound_s, rel=ROUNDING)
    assert front.staircase(1.001) is None


def test_no_plan_of_any_method_lies_below_the_staircase() -> None:
    """Of LeNet-5 on three microcontrollers: heuristics, and random plans of the space; the search has a few seconds and leaves gaps."""
    graph = load_model("lenet5")
    cluster = load_cluster("mcu-x3", graph)
    front, rng = pareto(graph, cluster, points=3, time_limit_s=8.0), np.random.default_rng(1)
    plans = [solve(graph, cluster, name).plan for name in ("single", "oc", "coedge", "data", "horizontal", "stages", "greedy", "iop_segments", "dp")]
    plans += [random_plan(graph, cluster, rng, team="all") for _ in range(300)]
    for plan in plans:
        assert plan is not None
        price = evaluate(graph, cluster, plan)
        bound_s = front.staircase(largest_share(price))
        assert bound_s is None or bound_s <= price.latency_s * (1 + 1e-9)
    assert front.staircase(front.points[0].share) == pytest.approx(front.points[0].bound_s)


def test_inputs_in_flight() -> None:
    """Each point has the simulated makespan and throughput of its plan; without ``inputs`` it has neither."""
    front = _front(points=3, inputs=3)
    for point in front.points:
        timeline = simulate(HAND, PAIR, point.plan, inputs=3)
        assert (point.makespan_s, point.throughput_per_s) == (timeline.makespan_s, timeline.throughput_per_s)
    assert front.inputs == 3
    assert {point.makespan_s for point in _front(points=2).points} == {None}


def test_records_and_texts() -> None:
    """A front comes back from JSON; damaged records are refused by name; a row for each point, and a line."""
    front = _front(points=3, inputs=2)
    record = json.loads(json.dumps(front.to_dict()))
    assert ParetoFront.from_dict(record) == front
    frame = front.to_frame()
    assert list(frame["share"]) == [0.5, 0.6875, 0.875]
    assert list(frame.columns) == ["cap", "share", "latency_s", "bound_s", "gap", "status", "makespan_s", "throughput_per_s"]
    assert repr(front).startswith("ParetoFront(hand: finished, 3 points from 0.5 of the memory in 3.65e+04 ms to 0.875 in 1.6e+04 ms, gaps up to ")
    assert "\n" not in repr(front)
    for broken in (
        record | {"points": [record["points"][0] | {"cap": "1"}]},
        record | {"points": record["points"][::-1]},
        record | {"points": [record["points"][0] | {"bound_s": 40.0}]},
        record | {"steps": [[1.0]]},
        record | {"steps": [["a", 1.0]]},
        record | {"ending": "tired"},
        {key: value for key, value in record.items() if key != "space"},
        record | {"schema_version": 2},
    ):
        with pytest.raises(FileFormatError, match=r"^front: "):
            ParetoFront.from_dict(broken)


def test_what_does_not_fit_has_no_points() -> None:
    """The reason is that of the least memory; nothing fits within the limits, and nothing is known beyond."""
    tight = replace(PAIR, devices=tuple(replace(device, memory_bytes=7.9) for device in PAIR.devices))
    front = pareto(HAND, tight)
    assert (front.ending, front.points, front.steps) == ("infeasible", (), ())
    assert "no plan fits the memory (equation 1)" in (front.reason or "")
    assert repr(front) == "ParetoFront(hand: infeasible, no point)"
    assert ParetoFront.from_dict(front.to_dict()) == front
    assert front.to_frame().empty


def test_one_plan_for_all_caps() -> None:
    """Where the fastest plan needs least, there is one point."""
    alone = Cluster((Device("a", 1.0, 16.0, 1.0),), bytes_per_element=1)
    front = pareto(HAND, alone)
    assert [(point.cap, point.share, point.latency_s) for point in front.points] == [(1.0, 0.875, 16.0)]


def test_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    """The points so far are kept, and no other cap is begun."""
    real, calls = pareto_module.solve_milp, []

    def once(*arguments: Any, **settings: Any) -> Any:
        calls.append(settings)
        found = real(*arguments, **settings)
        return replace(found, termination="interrupted") if len(calls) == 3 else found

    monkeypatch.setattr(pareto_module, "solve_milp", once)
    front = _front(points=4)
    assert (front.ending, len(calls)) == ("interrupted", 3)
    assert [point.cap for point in front.points] == [0.5, 1.0]
    assert front.staircase(0.7) == pytest.approx(16.0, rel=ROUNDING)


def test_a_time_limit_leaves_valid_points(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever was solved when the time was up is there, with its bounds."""
    real, calls = pareto_module.solve_milp, []

    def slowly(*arguments: Any, **settings: Any) -> Any:
        calls.append(settings["time_limit_s"])
        return real(*arguments, **settings)

    clock = iter([0.0, *(0.0 for _ in range(3)), *(99.0 for _ in range(50))])
    monkeypatch.setattr(pareto_module, "solve_milp", slowly)
    monkeypatch.setattr(pareto_module, "limited", lambda *_, **__: pareto_module.Stopwatch(60.0, clock=lambda: next(clock)))
    front = _front(points=4)
    assert front.ending == "time_limit"
    assert len(calls) < 5
    assert all(point.bound_s <= point.latency_s for point in front.points)


def test_a_failing_back_end_keeps_what_needs_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Points are plans at the evaluator's price, and bounds those on nodes."""

    def failing(*_: Any, **__: Any) -> Any:
        raise SolverError("back end 'fake' is broken")

    monkeypatch.setattr(team_search, "run_backend", failing)
    front = pareto(HAND, PAIR, points=3)
    case = [(8 / 16, 36.5), (11 / 16, 18.5), (14 / 16, 16.0), (14 / 16, 24.5)]
    assert front.points
    for share, latency_s in case:
        bound_s = front.staircase(share)
        assert bound_s is None or bound_s <= latency_s


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"points": 1}, SolverError, "points is 1; it must be an integer from 2"),
        ({"points": 2.5}, SolverError, "points is 2.5"),
        ({"time_limit_s": 0.0}, SolverError, "time_limit_s is 0.0"),
        ({"inputs": 0}, PlanError, "inputs is 0"),
        ({"gap": 2.0}, SolverError, "gap is 2.0"),
    ],
)
def test_settings_out_of_range(settings: dict[str, Any], error: type[Exception], message: str) -> None:
    """Before anything is solved."""
    with pytest.raises(error, match=message):
        pareto(HAND, PAIR, **settings)


def test_a_plan_is_never_above_its_cap() -> None:
    """A front that says so is refused."""
    front = _front(points=2)
    point = front.points[0]
    assert isinstance(point.plan, Plan)
    with pytest.raises(ValueError, match="within its cap"):
        replace(front, points=(replace(point, cap=0.4),))
