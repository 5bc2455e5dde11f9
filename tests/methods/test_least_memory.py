"""The least memory: the exact program against the prices of all plans, with and without a deadline, and what both say where nothing fits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.backends import solved_here
from support.memory_instances import MemoryInstance, memory_instance

from iopopt import Solution, evaluate, solve
from iopopt.methods.objective import MEASURES, Objective

ROUNDING = 3e-6

OBJECTIVES: tuple[Objective, ...] = ("memory", "memory_bytes")


def _solved(case: MemoryInstance, method: str, objective: Objective, deadline_s: float | None) -> Solution:
    settings: dict[str, Any] = {"team": case.team, "longest_block": case.longest_block, "objective": objective, "deadline_s": deadline_s}
    return solve(case.graph, case.cluster, method, **settings, **({"gap": 0.0} if method == "milp" else {}))


def _agrees(seed: int) -> str:
    """Assert that the exact program, exhaustive search and the least of all prices agree on both objectives; returns the status."""
    case = memory_instance(seed)
    prices = case.prices()
    fits, objective = prices.share <= 1, OBJECTIVES[seed % 2]
    deadline_s = None if seed % 4 < 2 or not fits.any() else float(np.quantile(prices.latency_s[fits], 0.3))
    allowed = fits if deadline_s is None else fits & (prices.latency_s <= deadline_s * (1 + 1e-9))
    values = prices.share if objective == "memory" else prices.bytes_
    for method in ("milp", "exhaustive"):
        found = _solved(case, method, objective, deadline_s)
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
    _agrees(seed)


@pytest.mark.slow
@pytest.mark.parametrize("start", range(30, 230, 40))
def test_it_agrees_on_many_instances(start: int) -> None:
    """On two hundred more; of each forty some are infeasible."""
    with solved_here():
        assert {_agrees(seed) for seed in range(start, start + 40)} == {"optimal", "infeasible"}
