"""Latencies of all methods and their reductions, one row for each comparison: shared by the latency table and the set-up time figure."""

from __future__ import annotations

import math
from typing import Any

from paper_figs.columns import Column, fixed, method_columns, small_percent
from paper_figs.comparison import Comparison
from paper_figs.setting import BASELINES, METHODS_COMPARED, VARIANTS

BASELINE_GROUPS = {"oc": "reduction vs OC, %", "coedge": "reduction vs CoEdge, %"}
LATENCY_COLUMNS = method_columns(METHODS_COMPARED, "latency_s", "latency, ms", fixed(1, scale=1e3))
GAP_COLUMN = Column("milp_gap_percent", "", "MILP gap, %", small_percent)

PLAN_GROUP = "MILP plan"
PLAN_COLUMNS = (
    Column("milp_operators", PLAN_GROUP, "operators", fixed(0)),
    Column("milp_split_operators", PLAN_GROUP, "split", fixed(0)),
    Column("milp_devices", PLAN_GROUP, "devices", fixed(0)),
)
"""How many operators the plan of the MILP has, how many of them it splits, and how many devices compute something."""


def reduction_columns(baseline: str) -> tuple[Column, ...]:
    """The latency reduction of each IOP variant against one baseline."""
    return method_columns(VARIANTS, f"reduction_vs_{baseline}_percent", BASELINE_GROUPS[baseline], fixed(2))


def marked_latencies(comparison: Comparison) -> frozenset[str]:
    """The keys of the latencies whose plans break a memory limit."""
    return frozenset(f"{method}_latency_s" for method in comparison.violators)


def latency_row(comparison: Comparison) -> dict[str, Any]:
    """Latencies in seconds, the MILP's gap, reductions in percent, and the status of every Solution."""
    solutions = comparison.solutions
    reductions = {
        f"{method}_reduction_vs_{baseline}_percent": comparison.latency_reduction_percent(method, baseline)
        for baseline in BASELINES
        for method in VARIANTS
    }
    return {
        "model": comparison.instance.label,
        **{f"{method}_latency_s": solution.latency_s for method, solution in solutions.items()},
        "milp_gap_percent": comparison.gap_percent,
        **reductions,
        **plan_cells(comparison),
        **{f"{method}_status": solution.status for method, solution in solutions.items()},
    }


def plan_cells(comparison: Comparison) -> dict[str, float]:
    """The values of PLAN_COLUMNS; NaN without a plan."""
    plan = comparison.solutions["milp"].plan
    counts = (math.nan,) * 3 if plan is None else (len(plan), len(plan.split_operators), len(comparison.milp_devices()))
    return {column.key: count for column, count in zip(PLAN_COLUMNS, counts, strict=True)}
