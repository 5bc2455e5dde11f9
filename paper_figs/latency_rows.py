"""Latencies of all methods and their reductions, one row for each comparison: shared by the latency table and the set-up time figure."""

from __future__ import annotations

from typing import Any

from paper_figs.columns import Column, fixed, method_columns, small_percent
from paper_figs.comparison import Comparison
from paper_figs.setting import BASELINES, METHODS_COMPARED, VARIANTS

BASELINE_GROUPS = {"oc": "reduction vs OC, %", "coedge": "reduction vs CoEdge, %"}
LATENCY_COLUMNS = method_columns(METHODS_COMPARED, "latency_s", "latency, ms", fixed(1, scale=1e3))
GAP_COLUMN = Column("milp_gap_percent", "", "MILP gap, %", small_percent)


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
        **{f"{method}_status": solution.status for method, solution in solutions.items()},
    }
