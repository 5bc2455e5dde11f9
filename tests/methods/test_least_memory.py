"""The least memory: the exact program against the prices of all plans, with and without a deadline, and what both say where nothing fits."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from support.backends import HERE, solved_here
from support.memory_instances import MemoryInstance, memory_instance

from iopopt import (
    Cluster,
    Device,
    GraphBuilder,
    Solution,
    SolverError,
    UnknownNameError,
    evaluate,
    load_cluster,
    load_model,
    solve,
    solve_exhaustive,
    solve_milp,
)
from iopopt.methods import team_search
from iopopt.methods.objective import MEASURES, Objective
from iopopt.milp.backends import Outcome
from iopopt.milp.memory_program import keeps_less_in_slices

ROUNDING = 3 * HERE

OBJECTIVES: tuple[Objective, ...] = ("memory", "memory_bytes")


def _solved(case: MemoryInstance, method: str, objective: Objective, deadline_s: float | None, backend: str) -> Solution:
    settings: dict[str, Any] = {"team": case.team, "longest_block": case.longest_block, "objective": objective, "deadline_s": deadline_s}
    return solve(case.graph, case.cluster, method, **settings, **({"gap": 0.0, "backend": backend} if method == "milp" else {}))


def _agrees(seed: int, backend: str = "scipy") -> str:
    """Assert that the exact program, exhaustive search and the least of all prices agree on both objectives; returns the status."""
    case = memory_instance(seed)
    prices = case.prices()
    fits, objective = prices.share <= 1, OBJECTIVES[seed % 2]
    deadline_s = None if seed % 4 < 2 or not fits.any() else float(np.quantile(prices.latency_s[fits], 0.3))
    allowed = fits if deadline_s is None else fits & (prices.latency_s <= deadline_s * (1 + 1e-9))
    values = prices.share if objective == "memory" else prices.bytes_
    for method in ("milp", "exhaustive"):
        found = _solved(case, method, objective, deadline_s, backend)
        assert found.reason is None or found.status == "infeasible", found.reason
        if not allowed.any():
            assert (found.status, found.bound) == ("infeasible", None)
            assert "no plan fits the memory (equation 1)" in (found.reason or "")
            continue
        least = float(values[allowed].min())
        assert found.status == "optimal", found
        assert found.plan is not None
        price = evaluate(case.graph, case.cluster, found.plan)
        assert found.value == MEASURES[objective].of(price) == pytest.approx(least, rel=ROUNDING)
        assert found.bound is not None
        assert least * (1 - ROUNDING) <= found.bound <= least * (1 + 1e-9)
        assert price.feasible
        assert deadline_s is None or price.latency_s <= deadline_s * (1 + 1e-9)
        assert (found.bound_s, found.bound_j) == (None, None)
    return found.status


@pytest.mark.parametrize("start", range(0, 30, 6))
def test_it_agrees_with_all_prices(start: int) -> None:
    """Chains, branches and blocks, teams, deadlines; limits that some plans keep, or none."""
    with solved_here():
        for seed in range(start, start + 6):
            _agrees(seed)


@pytest.mark.parametrize("seed", [2, 5, 9])
def test_it_agrees_through_a_child_process(seed: int) -> None:
    """As it is run."""
    _agrees(seed, "highs")


@pytest.mark.slow
@pytest.mark.parametrize("start", range(30, 230, 40))
def test_it_agrees_on_many_instances(start: int) -> None:
    """On two hundred more; of each forty some are infeasible."""
    with solved_here():
        assert {_agrees(seed) for seed in range(start, start + 40)} == {"optimal", "infeasible"}


HAND = GraphBuilder("hand", (1, 4, 1)).conv(2, 1, bias=False).build()
PAIR = Cluster((Device("fast", 1.0, 16.0, 1.0), Device("slow", 0.25, 16.0, 1.0)), 0.5, bytes_per_element=1)
"""The worked case of cost_model.md: rows 2/2 in 8 bytes and 36.5 s, 3/1 in 11 bytes and 18.5 s, whole in 14 bytes and 16 s."""


@pytest.mark.parametrize(
    ("objective", "deadline_s", "value"),
    [("memory", None, 0.5), ("memory", 36.5, 0.5), ("memory", 20.0, 0.6875), ("memory", 16.0, 0.875), ("memory_bytes", 20.0, 11.0)],
)
def test_the_worked_case(objective: Objective, deadline_s: float | None, value: float) -> None:
    """The least memory within deadlines, by both methods, with the bound in the field of the objective."""
    for method in ("milp", "exhaustive"):
        found = solve(HAND, PAIR, method, objective=objective, deadline_s=deadline_s)
        assert (found.status, found.value) == ("optimal", value)
        bound = found.bound_share if objective == "memory" else found.bound_bytes
        assert bound == found.bound == pytest.approx(value, rel=2e-4)
        assert found.unit == ("of the limit" if objective == "memory" else "bytes")


def test_texts_and_records() -> None:
    """A line says the share in per cent; a record comes back, and one that lacks the new keys is of another objective."""
    found = solve_exhaustive(HAND, PAIR, objective="memory")
    assert repr(found) == "Solution(exhaustive: optimal, 50 % of the limit, 1 of 1 operators split, bound 50 % of the limit)"
    assert "no plan of team=(0, 1) needs less than 50 % of the limit (gap 0.00%)" in found.headline
    assert Solution.from_dict(json.loads(json.dumps(found.to_dict()))) == found
    with pytest.raises(ValueError, match="bound of another one; its own is bound_share"):
        replace(found, bound_bytes=8.0)
    with pytest.raises(ValueError, match=r"bound is 0.6 of the limit, but its plan takes 0.5 of the limit"):
        replace(found, bound_share=0.6)


def test_what_fits_nothing_has_the_reason_of_before() -> None:
    """Equation (1) remains a limit: the least memory is that of plans that fit."""
    tight = replace(PAIR, devices=tuple(replace(device, memory_bytes=7.9) for device in PAIR.devices))
    for objective in OBJECTIVES:
        for method in ("milp", "exhaustive"):
            found = solve(HAND, tight, method, objective=objective)
            assert (found.status, found.plan, found.bound) == ("infeasible", None, None)
            assert "It would fit with 1.0127 times the memory on every device" in (found.reason or "")


def test_slices_may_be_larger_than_partial_sums() -> None:
    """A padded pool makes four elements of one, so a slice of one of three channels is more than all partial sums: the direct reduce keeps less."""
    net = GraphBuilder("padded", (4, 1, 1)).conv(3, 1, bias=False).max_pool(2, stride=1, padding=1)
    tip = net.tip
    graph = net.conv(3, 1, bias=False).add(net.tip, tip).build()
    assert not keeps_less_in_slices(graph.units[0], 2)
    cluster = Cluster((Device("a", 1.0, 1e3, 1.0), Device("b", 1.0, 1e3, 1.0)), source=0, bytes_per_element=1)
    ways = (("IC",), ("IC two-phase",), ("IC", "IC two-phase"))
    values = []
    for strategies in ways:
        best, found = (solve(graph, cluster, method, objective="memory_bytes", strategies=strategies) for method in ("exhaustive", "milp"))
        assert found.value == pytest.approx(best.value, rel=2e-4)
        values.append(best.value)
    assert values[2] == min(values)


def test_a_mispriced_memory_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a back end proves is dropped where the evaluator prices its plan higher; what the weights alone prove stays."""
    real = team_search.run_backend

    def lying(*arguments: Any, **options: Any) -> Any:
        run = real(*arguments, **options)
        return replace(run, outcome=replace(run.outcome, objective=0.5 * (run.outcome.objective or 0.0)))

    monkeypatch.setattr(team_search, "run_backend", lying)
    found = solve_milp(HAND, PAIR, objective="memory")
    assert (found.status, found.termination) == ("feasible", "failed")
    assert found.bound == pytest.approx(2 / 32)
    assert "of the limit, the evaluator at" in (found.reason or "")


def test_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ends with the best plan so far, and what the weights prove."""
    stopped = team_search.Run(Outcome("unknown", None, None, None, "", "fake"), interrupted=True)
    monkeypatch.setattr(team_search, "run_backend", lambda *_, **__: stopped)
    found = solve_milp(HAND, PAIR, objective="memory")
    assert (found.status, found.termination, found.value) == ("feasible", "interrupted", 0.5)


def test_weights_that_exceed_all_memory_need_no_back_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """That nothing fits is proven before any program is built."""
    monkeypatch.setattr(team_search, "run_backend", None)
    monkeypatch.setattr(team_search, "least_memory_plan", lambda *_: None)
    tiny = replace(PAIR, devices=tuple(replace(device, memory_bytes=0.9) for device in PAIR.devices))
    assert solve_milp(HAND, tiny, objective="memory").status == "infeasible"


@pytest.mark.slow
def test_back_ends_agree_on_vgg16() -> None:
    """And the time limit holds."""
    graph = load_model("vgg16")
    cluster = load_cluster("board-x4", graph)
    values = [solve_milp(graph, cluster, objective="memory", backend=backend, gap=1e-3, time_limit_s=60.0).value for backend in ("highs", "scip")]
    assert values[0] == pytest.approx(values[1], rel=2e-3)


def test_settings_that_make_no_sense() -> None:
    """A deadline goes with the memory; CoEdge's program does not know it."""
    with pytest.raises(SolverError, match=r"deadline_s is 0\.0"):
        solve_milp(HAND, PAIR, objective="memory", deadline_s=0.0)
    with pytest.raises(UnknownNameError, match=r"unknown objective 'memory'\..*Known: energy, latency"):
        solve(HAND, PAIR, "coedge_lp", objective="memory")
