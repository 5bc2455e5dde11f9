"""Partition maps: shares as wide as they are, coloured by dimension, blocks framed."""

from __future__ import annotations

import random

import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.container import BarContainer
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from support.pictures import bar_labels, bars, legend, texts
from support.random_branches import random_branched_graph, random_branched_plan
from support.random_gathers import with_gathers

from iopopt import Placement, Plan
from iopopt.pictures import draw_plan
from iopopt.plan.appearance import DIMENSION_COLOURS, DIMENSIONS

ROWS, WHOLE, OUT, IN = (DIMENSIONS[dim] for dim in ("H", None, "OC", "IC"))  # type: ignore[index]


def frames(axes: Axes) -> list[tuple[float, float]]:
    """The first and the last row of each frame."""
    found = [patch for patch in axes.patches if isinstance(patch, Rectangle) and not patch.get_fill()]
    assert all((frame.get_x(), frame.get_width()) == (0, 1) for frame in found)
    return [(round(frame.get_y() + 0.45, 6), round(frame.get_y() + frame.get_height() - 0.45, 6)) for frame in found]


def test_by_hand(trio_plan: Plan) -> None:
    """Rows 1/1/2 of 4, output channels 2/2/2 of 6, and the last operator whole on device 1."""
    axes = draw_plan(trio_plan, device_names=["x", "y", "z"])
    assert bar_labels(axes) == legend(axes) == [ROWS, OUT, WHOLE]
    for label, row, extents in (
        (ROWS, 0, [(0, 0.25), (0.25, 0.5), (0.5, 1)]),
        (OUT, 1, [(0, 1 / 3), (1 / 3, 2 / 3), (2 / 3, 1)]),
        (WHOLE, 2, [(0, 1)]),
    ):
        drawn = bars(axes, label)
        assert [value for bar in drawn for value in bar[:2]] == pytest.approx([value for extent in extents for value in extent])
        assert {(bar.top + bar.bottom) / 2 for bar in drawn} == {row}
        assert [bar.bottom - bar.top for bar in drawn] == pytest.approx([0.8] * len(drawn))
    assert [text.get_text() for text in axes.get_yticklabels()] == ["a", "b", "c"]
    assert axes.get_ylim()[0] > axes.get_ylim()[1]
    assert texts(axes) == ["0: 1", "1: 1", "2: 2", "0: 2", "1: 2", "2: 2", "1"]
    assert axes.get_xlabel() == "devices: 0 x, 1 y, 2 z"


def test_two_phases_are_hatched() -> None:
    """Of the same colour as a direct reduce, and an entry of their own."""
    plan = Plan((("a", Placement.split("IC", (1, 0), (2, 1), "two_phase")), ("b", Placement.split("IC", (1, 0), (2, 1)))))
    axes = draw_plan(plan)
    assert legend(axes) == [IN, f"{IN}, two-phase"]
    direct, two_phase = axes.containers
    assert isinstance(direct, BarContainer)
    assert isinstance(two_phase, BarContainer)
    assert [bar.get_hatch() is None for bar in direct] == [True, True]
    assert [bar.get_hatch() is None for bar in two_phase] == [False, False]
    assert {bar.colour for label in legend(axes) for bar in bars(axes, label)} == {DIMENSION_COLOURS["IC"]}
    assert texts(axes) == ["1: 2", "0: 1", "1: 2", "0: 1"]


def test_blocks_are_framed() -> None:
    """A frame around the rows of each block, whatever stands beside it; one entry in the legend, and none without a block."""
    rows = Placement.split("H", (0, 1), (3, 3))
    plan = Plan(tuple((name, rows) for name in "abcdefg"), (("a", "b"), ("c", "d", "e")))
    axes = draw_plan(plan)
    assert frames(axes) == [(0, 1), (2, 4)]
    assert legend(axes) == [ROWS, "fused block"]
    plain = draw_plan(Plan(plan.placements))
    assert frames(plain) == []
    assert legend(plain) == [ROWS]


def test_a_gather_is_named() -> None:
    """An arrow beside its row, with the device."""
    plan = Plan((("a", Placement.split("H", (0, 1), (2, 1))), ("b", Placement.split("H", (0, 1), (2, 1), gather=2))))
    arrows = [text for text in draw_plan(plan).texts if text.get_text().startswith("\N{RIGHTWARDS ARROW}")]
    assert [(text.get_text(), text.get_position()[1]) for text in arrows] == [("\N{RIGHTWARDS ARROW} 2", 1)]


def test_a_stream_is_named() -> None:
    """Beside its row, with the channels at a time."""
    plan = Plan((("a", Placement.split("OC", (0, 1), (2, 1))), ("b", Placement.split("OC", (0, 1), (2, 1), stream=4))))
    named = [text for text in draw_plan(plan).texts if text.get_text().startswith("streamed")]
    assert [(text.get_text(), text.get_position()[1]) for text in named] == [("streamed 4", 1)]


def test_random_plans() -> None:
    """Every row is filled from 0 to 1 by the shares that are not empty, each of the colour of the row's dimension."""
    rng = random.Random(10)
    for _ in range(8):
        graph = random_branched_graph(rng)
        plan = with_gathers(rng, random_branched_plan(rng, graph, 3), 3)
        axes = draw_plan(plan)
        drawn = sorted((bar.top + bar.bottom, bar.left, bar.right, bar.colour) for label in bar_labels(axes) for bar in bars(axes, label))
        expected = []
        for row, placement in enumerate(plan.values()):
            total, at = sum(placement.shares), 0
            for share in placement.shares:
                if share:
                    expected.append((2 * row, at / total, (at + share) / total, to_hex(DIMENSION_COLOURS[placement.dim])))
                at += share
        assert [bar[3] for bar in drawn] == [bar[3] for bar in expected]
        assert [value for bar in drawn for value in bar[:3]] == pytest.approx([value for bar in expected for value in bar[:3]])


def test_slivers_have_no_text() -> None:
    """What fits is written: device and share, the device alone, or nothing."""
    plan = Plan((("a", Placement.split("OC", (0, 1, 2), (1, 20, 979))),))
    assert texts(draw_plan(plan)) == ["1", "2: 979"]


def test_colours_differ() -> None:
    """Each dimension has a colour of its own, and a name."""
    assert set(DIMENSIONS) == set(DIMENSION_COLOURS)
    assert len(set(DIMENSION_COLOURS.values())) == len(DIMENSION_COLOURS)


def test_own_axes_and_no_operators() -> None:
    """What is given is drawn on and returned; a plan of nothing is an empty picture."""
    axes = Figure().subplots()
    assert draw_plan(Plan(()), axes) is axes
    axes.figure.draw_without_rendering()
    assert legend(axes) == []


def test_names_are_no_formulas() -> None:
    """Operators and devices are named as they are."""
    axes = draw_plan(Plan((("$x\n" + "y" * 100, Placement.whole(0)),)), device_names=["$\\alpha"])
    axes.figure.draw_without_rendering()
    assert [text.get_text() for text in axes.get_yticklabels()] == ["$x\\n" + "y" * 33 + "..."]
    assert axes.get_xlabel() == "devices: 0 $\\\\alpha"


def test_many_operators_are_still_apart() -> None:
    """A hundred rows have a taller figure and smaller text."""
    few, many = (draw_plan(Plan(tuple((f"op{n}", Placement.whole(0)) for n in range(count)))) for count in (10, 100))
    assert few.figure.get_size_inches()[1] > 10 * 0.15
    assert many.figure.get_size_inches()[1] > 5 * few.figure.get_size_inches()[1]
    assert many.get_yticklabels()[0].get_fontsize() < few.get_yticklabels()[0].get_fontsize()
