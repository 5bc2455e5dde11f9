"""The picture of a plan."""

from __future__ import annotations

import random
import re

import pytest
from support.markup import cells, read_html
from support.random_branches import random_branched_graph, random_branched_plan
from support.random_gathers import with_gathers

from iopopt import Graph, Placement, Plan
from iopopt.plan.appearance import colour
from iopopt.plan.html import plan_html


def _pieces(html: str) -> list[tuple[str, float, str]]:
    """What each piece of a bar says, how wide it is in percent, and its colour."""
    styles = [(str(attributes["title"]), str(attributes["style"])) for tag, attributes in read_html(html)[0] if "title" in attributes]
    return [(title, float(re.findall(r"flex:0 0 ([\d.]+)%", style)[0]), re.findall(r"background:(#\w+)", style)[0]) for title, style in styles]


def test_bars_are_as_wide_as_shares(trio_plan: Plan) -> None:
    """By hand: rows 1/1/2 of 4, output channels 2/2/2 of 6, and the last operator whole on device 1."""
    html = plan_html(trio_plan, ["d0", "d1", "d2"])
    assert _pieces(html) == [
        ("0 d0: H 1 of 4", 25.0, colour(0)),
        ("1 d1: H 1 of 4", 25.0, colour(1)),
        ("2 d2: H 2 of 4", 50.0, colour(2)),
        ("0 d0: OC 2 of 6", 33.333, colour(0)),
        ("1 d1: OC 2 of 6", 33.333, colour(1)),
        ("2 d2: OC 2 of 6", 33.333, colour(2)),
        ("1 d1: whole", 100.0, colour(1)),
    ]
    found = cells(html)
    assert found[:2] == ["Plan", "2 of 3 operators split; devices:"]
    assert found[2:] == ["0 d0", "1 d1", "2 d2", "a", "H, rows", "1", "1", "2", "b", "OC, output channels", "2", "2", "2", "c", "whole", "1 d1"]


def test_equal_placements_that_follow_each_other_are_one_bar() -> None:
    """A run is named by its ends and counted; an equal placement after another one is a new run."""
    rows, two_phase = Placement.split("H", (0, 1), (3, 0)), Placement.split("IC", (1, 0), (2, 1), "two_phase")
    plan = Plan((("a", rows), ("b", rows), ("c", rows), ("d", two_phase), ("e", rows)))
    found = cells(plan_html(plan))
    assert found[2:] == ["device 0", "device 1", "a to c (3)", "H, rows", "3", "d", "IC, input channels, two-phase", "2", "1", "e", "H, rows", "3"]


def test_fused_blocks_are_bars_of_their_own() -> None:
    """Blocks and operators beside them are told apart where all placements are equal."""
    rows = Placement.split("H", (0, 1), (3, 3))
    plan = Plan(tuple((name, rows) for name in "abcdef"), (("a", "b"), ("c", "d")))
    found = cells(plan_html(plan))
    bar = ["3", "3"]
    assert found[4:] == ["a to b (2)", "H, rows, fused", *bar, "c to d (2)", "H, rows, fused", *bar, "e to f (2)", "H, rows", *bar]


def test_random_plans() -> None:
    """Every bar adds up to its whole, in the order of the participants, and the operators of all runs are those of the plan."""
    rng = random.Random(8)
    for _ in range(50):
        graph = random_branched_graph(rng)
        plan = with_gathers(rng, random_branched_plan(rng, graph, 3), 3)
        html = plan_html(plan)
        runs = [run.partition("</tr>")[0] for run in html.split("<tr>")[1:]]
        counts = [int(found[0]) if (found := re.findall(r"\((\d+)\)</td>", run)) else 1 for run in runs]
        assert sum(counts) == len(plan)
        start = 0
        for run, count in zip(runs, counts, strict=True):
            placements = {placement for _, placement in plan.placements[start : start + count]}
            (placement,) = placements
            pieces = _pieces(run)
            assert sum(width for _, width, _ in pieces) == pytest.approx(100, abs=0.01)
            assert [shade for _, _, shade in pieces] == [colour(j) for j, share in zip(placement.devices, placement.shares, strict=True) if share]
            start += count


def test_names_are_escaped() -> None:
    """Operators and devices that are named as tags are only text, in the attributes too."""
    nasty = "<script>\"'&"
    html = plan_html(Plan(((nasty, Placement.split("H", (0, 1), (1, 1))),)), [nasty, "b"])
    tags, texts = read_html(html)
    assert "script" not in {tag for tag, _ in tags}
    assert texts.count(nasty) == 1
    assert f"0 {nasty}: H 1 of 2" in [attributes.get("title") for _, attributes in tags]


def test_narrow_pieces_have_no_text() -> None:
    """A share that is a sliver of its bar is shown by colour and title alone."""
    found = cells(plan_html(Plan((("a", Placement.split("OC", (0, 1), (1, 99))),))))
    assert found[-2:] == ["OC, output channels", "99"]


def test_a_plan_shows_itself(trio_graph: Graph, trio_plan: Plan) -> None:
    """Notebooks ask for the picture; on one line a plan is counted."""
    assert trio_plan._repr_html_() == plan_html(trio_plan)
    assert repr(trio_plan) == "Plan(3 operators: 1 H, 1 OC, 1 whole)"
    assert repr(Plan(())) == "Plan(0 operators)"


def test_a_gather_is_named() -> None:
    """Beside the dimension; its device stands among the others, even if it takes no part."""
    plan = Plan((("a", Placement.split("H", (0, 1), (2, 1), gather=2)),))
    assert cells(plan_html(plan, ["x", "y", "z"]))[2:] == ["0 x", "1 y", "2 z", "a", "H, rows, gathered on 2 z", "2", "1"]


def test_a_stream_is_named() -> None:
    """Beside the dimension, with the channels at a time."""
    plan = Plan((("a", Placement.split("IC", (0, 1), (2, 1), "two_phase", stream=8)),))
    assert "two-phase, streamed 8" in cells(plan_html(plan, ["x", "y"]))[5]
