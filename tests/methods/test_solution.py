"""Solutions: what must hold within one, and its record."""

from __future__ import annotations

import json
import math
import random
from dataclasses import replace
from typing import Any

import pytest
from support.damage import attempt, damaged, without_each_key
from support.random_branches import random_branched_graph, random_branched_plan
from support.random_instances import random_cluster, random_graph, random_plan

from iopopt import Cluster, Evaluation, FileFormatError, Graph, Plan, Solution, load_cluster, load_model, simulate, solve_coedge
from iopopt.methods.solution import Point, heuristic_solution


def _nothing(status: Any = "infeasible", **changes: Any) -> Solution:
    values: dict[str, Any] = {
        "plan": None,
        "status": status,
        "termination": "exhausted",
        "latency_s": math.inf,
        "bound_s": None,
        "space": "team=(0, 1)",
        "build_s": 0.0,
        "solve_s": 1.0,
        "method": "milp",
        "reason": "too little memory",
    }
    return Solution(**(values | changes))


def test_heuristic_solution(trio_solution: Solution, trio_plan: Plan) -> None:
    """A heuristic's Solution carries the evaluator's price, no bound and no gap."""
    assert trio_solution.status == "feasible"
    assert trio_solution.plan == trio_plan
    assert trio_solution.evaluation is not None
    assert trio_solution.latency_s == trio_solution.evaluation.latency_s
    assert (trio_solution.bound_s, trio_solution.gap, trio_solution.reason) == (None, None, None)


def test_memory_violation_is_a_status(trio_graph: Graph, trio_cluster: Cluster, trio_plan: Plan) -> None:
    """A plan beyond the memory keeps its price, names the devices in the reason, and shows no gap even beside a bound."""
    tight = replace(trio_cluster, devices=tuple(replace(device, memory_bytes=300) for device in trio_cluster.devices))
    solution = heuristic_solution(trio_graph, tight, trio_plan, method="hand", space="team=(0, 1, 2)", build_s=0, solve_s=0)
    assert solution.status == "violates_memory"
    assert solution.plan == trio_plan
    assert solution.reason is not None
    assert "'d1' needs 459 bytes but has 300, 159 short" in solution.reason
    assert "'d0'" not in solution.reason
    assert replace(solution, bound_s=1.0).gap is None


@pytest.mark.parametrize(("share", "gap"), [(1.0, 0.0), (0.75, 0.25), (0.0, 1.0)])
def test_gap(share: float, gap: float, trio_solution: Solution) -> None:
    """The gap is (latency - bound) / latency."""
    assert replace(trio_solution, bound_s=share * trio_solution.latency_s).gap == pytest.approx(gap)


def test_a_bound_above_the_latency_is_refused(trio_solution: Solution) -> None:
    """A plan that is faster than its own lower bound is a wrong proof, and no Solution."""
    with pytest.raises(ValueError, match="bound"):
        replace(trio_solution, bound_s=1.5 * trio_solution.latency_s)


def test_no_gap_without_plan() -> None:
    """Without a plan there is no gap, whatever the bound."""
    assert _nothing("unknown", termination="time_limit", bound_s=1.0).gap is None


@pytest.mark.parametrize(
    "changes",
    [
        {"latency_s": 1.0},
        {"status": "optimal"},
        {"status": "feasible"},
        {"status": "violates_memory"},
        {"build_s": -0.1},
        {"solve_s": -0.1},
    ],
)
def test_contradictions_without_plan_are_refused(changes: dict[str, Any]) -> None:
    """A finite latency or a status that claims a plan needs one, and times are not negative."""
    _nothing()
    with pytest.raises(ValueError, match="Solution"):
        _nothing(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"plan": None},
        {"evaluation": None},
        {"latency_s": math.inf},
        {"latency_s": 1.0},
        {"plan": Plan(())},
        {"status": "infeasible"},
        {"status": "unknown"},
        {"solve_s": -1.0},
    ],
)
def test_contradictions_with_plan_are_refused(changes: dict[str, Any], trio_solution: Solution) -> None:
    """Plan, evaluation, latency and status belong together."""
    with pytest.raises(ValueError, match="Solution"):
        replace(trio_solution, **changes)


def test_round_trips(trio_solution: Solution) -> None:
    """Solutions with and without plan come back from JSON as they were, the infinite latency as null."""
    full = replace(
        trio_solution,
        bound_s=1.5,
        backend="highs",
        backend_version="1.9",
        seed=7,
        trajectory=(Point(0.1, None, 1.0), Point(0.5, 30.0, 1.5)),
        reason="why not",
    )
    for solution in (trio_solution, full, _nothing(), _nothing("unknown", termination="time_limit", bound_s=0.25)):
        text = json.dumps(solution.to_dict(), allow_nan=False)
        assert Solution.from_dict(json.loads(text)) == solution
    assert json.loads(json.dumps(_nothing().to_dict()))["latency_s"] is None


def test_damaged_records_are_refused(trio_solution: Solution) -> None:
    """No damage to a record raises anything but FileFormatError, and what is accepted says the same as the record."""
    solution = replace(trio_solution, bound_s=1.5, trajectory=(Point(0.1, None, 1.0),))
    record = json.loads(json.dumps(solution.to_dict()))
    refused = 0
    for path, wrong, broken in damaged(record):
        accepted, message = attempt(Solution.from_dict, broken)
        if message is not None:
            refused += 1
            assert message.startswith("solution"), path
        else:
            assert json.loads(json.dumps(accepted.to_dict())) == broken, (path, wrong)
    assert refused > 500
    for path, broken in without_each_key(record):
        if path[0] in ("started_from", "start_latency_s", "timing", "objective", "bound_j", "bound_share", "bound_bytes", "deadline_s"):
            assert Solution.from_dict(broken) == solution  # written by an earlier version
        elif path[:2] != ("plan", "placements") or len(path) > 3:  # a plan may have fewer operators
            with pytest.raises(FileFormatError, match=str(path[-1])):
                Solution.from_dict(broken)


def test_contradicting_records_are_refused(trio_solution: Solution) -> None:
    """A record whose parts contradict each other is refused as a file, not as a programming error."""
    record = json.loads(json.dumps(trio_solution.to_dict()))
    for changes in ({"plan": None}, {"evaluation": None}, {"latency_s": None}, {"latency_s": 1.0}, {"status": "unknown"}, {"build_s": -1}):
        with pytest.raises(FileFormatError, match="a Solution"):
            Solution.from_dict(record | changes)


def test_explanation(trio_solution: Solution) -> None:
    """The explanation names method, latency, splits, the costliest operator and the memory of each device."""
    text = trio_solution.explain()
    assert "hand: feasible" in text
    assert "2 of 3 operators split" in text
    assert "nothing is proven" in text
    assert "H 1/1/2 on 0/1/2" in text
    assert "Costliest operator: b" in text  # 4.4 s for the edge and 11.52 s, against 11.52 s for a
    assert "d1 0.000459 of 1 MB" in text
    assert "too little memory" in _nothing().explain()
    assert "proven: no plan of team=(0, 1) fits the memory" in _nothing().explain()


STATUSES = ("optimal", "feasible", "infeasible", "violates_memory", "unknown", "error")


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("seed", range(8))
def test_records_are_of_jsons_types(status: Any, seed: int) -> None:
    """With random plans and every status: a record is what JSON would make of it, and is read back with and without JSON."""
    rng = random.Random(f"{status} {seed}")
    graph = random_branched_graph(rng) if seed % 2 else random_graph(rng)
    cluster = random_cluster(rng)
    points = tuple(Point(rng.random(), rng.choice([None, rng.random()]), rng.choice([None, 0.0])) for _ in range(seed))
    if status in ("optimal", "feasible", "violates_memory"):
        plan = (random_branched_plan if seed % 2 else random_plan)(rng, graph, len(cluster))
        common: Any = {"method": "hand", "space": "all", "build_s": rng.random(), "solve_s": rng.random(), "trajectory": points}
        solution = replace(heuristic_solution(graph, cluster, plan, **common), status=status, bound_s=rng.choice([None, 0.0]))
    else:
        solution = _nothing(status, trajectory=points, bound_s=rng.choice([None, rng.random()]))
    record = solution.to_dict()
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert Solution.from_dict(record) == solution
    assert Solution.from_dict(json.loads(json.dumps(record))) == solution
    if solution.evaluation is not None:
        price = solution.evaluation.to_dict()
        assert json.loads(json.dumps(price)) == price
        assert Evaluation.from_dict(price) == solution.evaluation
        tuples = price | {"operators": tuple(price["operators"]), "memory_bytes": tuple(price["memory_bytes"])}
        assert Evaluation.from_dict(tuples) == solution.evaluation


def test_one_line(trio_solution: Solution) -> None:
    """A solution on one line: who found it, what, and what is proven."""
    assert repr(trio_solution) == f"Solution(hand: feasible, {trio_solution.latency_s * 1e3:.4g} ms, 2 of 3 operators split)"
    assert repr(replace(trio_solution, bound_s=1.5)).endswith(", bound 1500 ms)")
    assert repr(_nothing()) == "Solution(milp: infeasible, no plan)"
    assert len(repr(replace(trio_solution, method="m" * 1000))) <= 120


def test_the_clock_of_a_latency() -> None:
    """By events, the latency is the simulated makespan and the evaluation keeps the price by equation (6); the texts say which is meant."""
    graph = load_model("lenet5")
    cluster = load_cluster("mcu-x3", graph)
    plan = solve_coedge(graph, cluster).plan
    assert plan is not None
    price, timed = heuristic_solution(graph, cluster, plan, method="m"), heuristic_solution(graph, cluster, plan, method="m", timing="events")
    assert (price.timing, timed.timing) == ("bulk-synchronous", "events")
    assert timed.latency_s == simulate(graph, cluster, plan).makespan_s != price.latency_s
    assert timed.evaluation == price.evaluation
    assert "without barriers" in timed.headline
    assert "without barriers" not in price.headline
    assert Solution.from_dict(timed.to_dict()) == timed
