"""HTML of solutions."""

from __future__ import annotations

import math
from dataclasses import replace

from support.markup import cells, read_html

from iopopt import Solution
from iopopt.plan.html import plan_html


def test_a_solution_with_a_plan(trio_solution: Solution) -> None:
    """What was found, the picture with the names of the devices, and the price folded away."""
    html = trio_solution._repr_html_()
    assert cells(html)[0] == "hand"
    assert trio_solution.plan is not None
    assert plan_html(trio_solution.plan, ("d0", "d1", "d2")) in html
    assert "details" in {tag for tag, _ in read_html(html)[0]}


def test_a_solution_without_a_plan(trio_solution: Solution) -> None:
    """Only what was proven, and why; markup in the reason is text."""
    nothing = replace(trio_solution, plan=None, evaluation=None, latency_s=math.inf, status="infeasible", reason="<script>short</script>")
    assert cells(nothing._repr_html_()) == [
        "hand",
        "infeasible, stopped by finished: no plan; proven: no plan of team=(0, 1, 2) fits the memory.",
        "<script>short</script>",
    ]
