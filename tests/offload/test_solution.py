"""What offloading methods return is held to the recursion."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from support.offloading import worked_instance

from iopopt.errors import SolverError
from iopopt.offload.methods import OFFLOAD_METHODS, OffloadMethod, solve_offload
from iopopt.offload.methods.nfl import solve_best_cut
from iopopt.offload.plan import ClientPlan, OffloadPlan, Path
from iopopt.offload.solution import OffloadSolution

STRANGER = OffloadPlan((ClientPlan(9, (Path(0, 1, 0),)),))


@pytest.mark.parametrize(
    ("claim", "message"),
    [
        (lambda found: found.plan, "it returned a OffloadPlan; an OffloadSolution is expected"),
        (lambda found: replace(found, plan=STRANGER), "its plan does not belong to the instance: .*9 stages are fused"),
        (lambda found: replace(found, value_s=7.0), r"it says that its plan takes 7\.0 s; by the recursion it takes 8\.0 s"),
        (lambda found: replace(found, bound_s=8.5), r"it says that no plan takes less than 8\.5 s, but its own takes 8\.0 s"),
    ],
)
def test_a_false_claim(claim: Callable[[OffloadSolution], Any], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    method = OffloadMethod(lambda instance: claim(solve_best_cut(instance)), "liar")
    monkeypatch.setattr(OFFLOAD_METHODS, "find", lambda name: method)
    with pytest.raises(SolverError, match=message):
        solve_offload(worked_instance(), "liar")


def test_what_is_true() -> None:
    assert solve_offload(worked_instance(), "best-cut") == replace(solve_best_cut(worked_instance()), solve_s=pytest.approx(0, abs=60))
