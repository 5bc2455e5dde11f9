"""Pictures of fronts: the points, the staircase where it says, and the region without plans."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.axes import Axes
from support.pictures import legend

from iopopt import ParetoFront, ParetoPoint, Placement, Plan
from iopopt.methods.pareto import Step
from iopopt.pictures import draw_pareto

PLAN = Plan((("a", Placement.whole(0)),))
POINTS = (ParetoPoint(0.25, 0.25, 4.0, 3.0, "feasible", PLAN), ParetoPoint(1.0, 0.5, 2.0, 2.0, "optimal", PLAN))
FRONT = ParetoFront("net$", ("d",), (1e6,), POINTS, (Step(0.25, 3.0), Step(1.0, 2.0)), 0.2, "team=(0,)", "finished", 1.0)


def drawn(axes: Axes, label: str) -> tuple[list[float], list[float]]:
    """The corners of a line."""
    (line,) = (line for line in axes.lines if line.get_label() == label)
    return np.asarray(line.get_xdata(), float).tolist(), np.asarray(line.get_ydata(), float).tolist()


def test_points_and_staircase_by_hand() -> None:
    """Plans at 25 % and 50 %; no plan below 20 %, none below 3 s up to a cap of 25 %, nor below 2 s beyond."""
    axes = draw_pareto(FRONT)
    assert drawn(axes, "plan") == ([25.0, 50.0], [4000.0, 2000.0])
    xs, ys = drawn(axes, "proven bound")
    assert xs[:2] == [20.0, 25.0]
    assert ys == [3000.0, 2000.0, 2000.0]
    assert legend(axes) == ["no plan (proven)", "proven bound", "plan"]
    (left, right), (low, top) = axes.get_xlim(), axes.get_ylim()
    assert left < 20 < 50 < right == xs[-1]
    assert 0 <= low < 2000 < 4000 < top
    assert axes.get_xlabel() == "largest memory of a device, % of its limit"


def test_a_front_of_one_point() -> None:
    """All within sight."""
    axes = draw_pareto(replace(FRONT, points=POINTS[1:], steps=(Step(1.0, 2.0),), least_share=0.5))
    (left, right), (low, top) = axes.get_xlim(), axes.get_ylim()
    assert left < 50 < right
    assert low < 2000 < top


def test_without_points_there_is_nothing_to_draw() -> None:
    """It is refused."""
    with pytest.raises(ValueError, match="without points"):
        draw_pareto(replace(FRONT, points=(), steps=(), ending="infeasible"))
