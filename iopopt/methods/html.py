"""A solution as HTML, for notebooks: what was found and proven, the picture of the plan, and its price."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from iopopt.cost.html import evaluation_html
from iopopt.network.html import heading
from iopopt.plan.html import plan_html

if TYPE_CHECKING:
    from iopopt.methods.solution import Solution


def solution_html(solution: Solution) -> str:
    """The headline, the reason if there is one, the plan, and its price folded away."""
    how = solution.method + (f" ({solution.backend})" if solution.backend else "")
    parts = [heading(how, solution.headline.removeprefix(f"{how}: "))]
    if solution.reason:
        parts.append(f"<div>{escape(solution.reason)}</div>")
    if solution.plan is not None and solution.evaluation is not None:
        parts.append(plan_html(solution.plan, solution.evaluation.device_names))
        parts.append(f"<details><summary>The price of each operator</summary>{evaluation_html(solution.evaluation)}</details>")
    return "".join(parts)
