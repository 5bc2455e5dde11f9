"""Gantt charts: every bar where its span is, waits in between, and the critical path through it."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import replace
from itertools import pairwise

import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from support.pictures import Box, bars, legend, texts
from support.random_branches import random_branched_graph, random_branched_plan
from support.random_instances import random_cluster

from iopopt import Cluster, Device, Graph, GraphBuilder, Placement, Plan, Span, Timeline, load_cluster, load_model, simulate, solve_coedge
from iopopt.pictures import draw_timeline, draw_timelines
from iopopt.pictures.appearance import COMPUTING, TRANSFERS, WAITING

TASKS, TRANSFERRED, WAITS, PATH = "computing", "transfer", "waiting", "critical path"


@pytest.fixture(scope="module")
def vgg() -> Timeline:
    """VGG16 by rows on four boards: about 100 tasks and 70 transfers."""
    graph = load_model("vgg16")
    cluster = load_cluster("board-x4", graph)
    plan = solve_coedge(graph, cluster).plan
    assert plan is not None
    return simulate(graph, cluster, plan)


@pytest.fixture(scope="module")
def charts(vgg: Timeline) -> list[tuple[Timeline, Axes]]:
    """Timelines of random plans, and the large one, each with its picture."""
    rng = random.Random(9)
    timelines = [vgg]
    for number in range(6):
        graph, cluster = random_branched_graph(rng), random_cluster(rng)
        plan = random_branched_plan(rng, graph, len(cluster))
        timelines.append(simulate(graph, cluster, plan, inputs=1 + number % 2, barriers=number % 3 == 2))
    return [(timeline, draw_timeline(timeline)) for timeline in timelines]


def times(box: Box) -> tuple[float, float]:
    return box.left, box.right


def rows_of(axes: Axes, timeline: Timeline) -> list[tuple[float, float]]:
    """Where each device computes, from top to bottom: around its tick, apart from the others."""
    ticks = list(axes.get_yticks())
    assert [text.get_text() for text in axes.get_yticklabels()] == [device.name for device in timeline.cluster.devices]
    assert ticks == sorted(ticks)
    return [(tick - 0.5, tick + 0.5) for tick in ticks]


def test_every_task_is_a_bar_of_its_device(charts: list[tuple[Timeline, Axes]]) -> None:
    """As many bars as tasks, from start to end in milliseconds, in the row of the device."""
    for timeline, axes in charts:
        rows = rows_of(axes, timeline)
        tasks = [span for span in timeline.spans if not span.is_transfer]
        for bar, span in zip(bars(axes, TASKS), tasks, strict=True):
            assert times(bar) == pytest.approx((span.start_s * 1e3, span.end_s * 1e3))
            assert (bar.top, bar.bottom) == pytest.approx(rows[span.device])


def test_every_transfer_is_a_bar_at_both_ends(charts: list[tuple[Timeline, Axes]]) -> None:
    """Below the row of its sender, and lower below that of its receiver; what overlaps on one link stands one below the other."""
    for timeline, axes in charts:
        rows = rows_of(axes, timeline)
        below = [*(top for top, _ in rows[1:]), axes.get_ylim()[0]]
        transfers = [span for span in timeline.spans if span.is_transfer]
        drawn = bars(axes, TRANSFERRED)
        assert len(drawn) == 2 * len(transfers)
        on_links: dict[tuple[str, int], list[Box]] = defaultdict(list)
        for span, sent, received in zip(transfers, drawn[::2], drawn[1::2], strict=True):
            assert span.receiver is not None
            assert times(sent) == times(received) == pytest.approx((span.start_s * 1e3, span.end_s * 1e3))
            on_links["sends", span.device].append(sent)
            on_links["receives", span.receiver].append(received)
        for (_, device), boxes in on_links.items():
            assert min(box.top for box in boxes) > rows[device][1]
            assert max(box.bottom for box in boxes) < below[device]
            for number, one in enumerate(boxes):
                for other in boxes[:number]:
                    assert (
                        min(one.right, other.right) <= max(one.left, other.left) + 1e-9
                        or min(one.bottom, other.bottom) <= max(one.top, other.top) + 1e-9
                    )
        for device in range(len(timeline.cluster)):
            if on_links["sends", device] and on_links["receives", device]:
                assert max(box.bottom for box in on_links["sends", device]) < min(box.top for box in on_links["receives", device])


def test_units_share_shades(charts: list[tuple[Timeline, Axes]]) -> None:
    """All tasks of a unit have one shade of the tasks, all transfers for it the same one of the transfers; its neighbours have others."""
    vgg, axes = charts[0]
    shades: dict[str, set[str]] = defaultdict(set)
    for bar, span in zip(bars(axes, TASKS), [span for span in vgg.spans if not span.is_transfer], strict=True):
        shades[span.unit].add(bar.colour)
    assert {len(of_unit) for of_unit in shades.values()} == {1}
    numbers = {unit: COMPUTING.index(*of_unit) for unit, of_unit in shades.items()}
    units = list(numbers)
    assert all(numbers[one] != numbers[other] for one, other in pairwise(units))
    transfers = [span for span in vgg.spans if span.is_transfer and span.unit in numbers]
    assert len(transfers) > 60
    for bar, span in zip(bars(axes, TRANSFERRED)[::2], transfers, strict=False):
        assert bar.colour == TRANSFERS[numbers[span.unit]]


def test_narrow_bars_keep_their_colour(charts: list[tuple[Timeline, Axes]]) -> None:
    """White edges tell bars apart; around bars of a hair's breadth they would leave nothing."""
    timeline, axes = charts[0]
    (drawn,) = (container for container in axes.containers if container.get_label() == TASKS)
    edges = {}
    for bar, span in zip(drawn, [span for span in timeline.spans if not span.is_transfer], strict=True):
        edges[span.unit, span.what, span.device] = (to_hex(bar.get_edgecolor()), to_hex(bar.get_facecolor()))
    assert edges["conv2", "interior", 0][0] == "#ffffff"
    own, face = edges["fc3", "", 2]
    assert own == face


def test_waits_fill_the_gaps(charts: list[tuple[Timeline, Axes]]) -> None:
    """Tasks and waits of a device cover the time to its last task, without gap or overlap."""
    for timeline, axes in charts:
        waits = bars(axes, WAITS)
        assert len(waits) == len(timeline.waits)
        assert {bar.colour for bar in waits} <= {WAITING}
        for row in rows_of(axes, timeline):
            own = sorted(times(bar) for bar in (*waits, *bars(axes, TASKS)) if bar.top == pytest.approx(row[0]))
            assert not own or own[0][0] == 0
            for (_, earlier), (later, _) in pairwise(own):
                assert earlier == pytest.approx(later)


def test_the_line_is_the_critical_path(charts: list[tuple[Timeline, Axes]]) -> None:
    """One line, from start to end of each span in turn: along the device of a task, from the sender's link to the receiver's for a transfer."""
    for timeline, axes in charts:
        (line,) = [line for line in axes.lines if line.get_label() == PATH]
        rows = rows_of(axes, timeline)
        links = list(axes.get_yticks(minor=True))
        points = [(float(x), float(y)) for x, y in line.get_xydata()]
        spans = timeline.critical_path
        assert len(points) == 2 * len(spans)
        assert points[-1][0] == pytest.approx(timeline.makespan_s * 1e3)
        for span, (start, first), (end, last) in zip(spans, points[::2], points[1::2], strict=True):
            assert (start, end) == pytest.approx((span.start_s * 1e3, span.end_s * 1e3))
            if span.receiver is None:
                assert first == last == pytest.approx(rows[span.device][1])
            else:
                assert first == pytest.approx(links[2 * span.device], abs=0.2)
                assert last == pytest.approx(links[2 * span.receiver + 1], abs=0.2)


def test_what_is_written(charts: list[tuple[Timeline, Axes]]) -> None:
    """Makespan and origin, a legend, how busy each device is, and the units that fit: boundary and interior of one unit have one label."""
    _, axes = charts[0]
    assert axes.get_title(loc="left") == "simulated: 487.2 ms"
    assert legend(axes) == [TASKS, TRANSFERRED, WAITS, PATH]
    said = texts(axes)
    assert [text for text in said if "busy" in text] == ["96% busy", "93% busy", "94% busy", "90% busy"]
    for number in range(2, 14):
        assert said.count(f"conv{number}") == 4
    assert "fc3" not in said
    assert axes.get_xlabel() == "time, ms"
    assert [text.get_text() for text in axes.get_yticklabels(minor=True)] == ["sends", "receives"] * 4


def test_waits_name_the_device_that_is_waited_for(trio_graph: Graph, trio_cluster: Cluster, trio_plan: Plan) -> None:
    """By hand: d1 and d2 wait for the rows of d0, and d1 for its channels."""
    axes = draw_timeline(simulate(trio_graph, trio_cluster, trio_plan))
    assert [text for text in texts(axes) if text.startswith("\N{LEFTWARDS ARROW}")] == ["\N{LEFTWARDS ARROW} d0"] * 3


def test_a_wait_for_the_own_transfer_names_nobody() -> None:
    """As where there are barriers: that the device has sent something is no other device's doing."""
    cluster = Cluster((Device("d0", 1.0, 1.0, 1.0), Device("d1", 1.0, 1.0, 1.0)))
    spans = (
        Span("a", "", 0, None, 0.0, 1.0, 1.0),
        Span("b", "send", 0, 1, 1.0, 3.0, 1.0, "a", (0,)),
        Span("b", "", 0, None, 3.0, 4.0, 1.0, after=(1,)),
        Span("b", "", 1, None, 3.0, 4.0, 1.0, after=(1,)),
    )
    axes = draw_timeline(Timeline(cluster, spans, (4.0,)))
    assert [text for text in texts(axes) if text.startswith("\N{LEFTWARDS ARROW}")] == ["\N{LEFTWARDS ARROW} d0"]
    assert len(bars(axes, WAITS)) == 2


def test_inputs_are_numbered(trio_graph: Graph, trio_cluster: Cluster, trio_plan: Plan) -> None:
    """Where several are in flight, a task says of which it is."""
    axes = draw_timeline(simulate(trio_graph, trio_cluster, trio_plan, inputs=2))
    assert {"a #1", "a #2", "b #1", "b #2"} <= set(texts(axes))
    assert "a" not in texts(axes)


def test_simulated_above_measured(vgg: Timeline) -> None:
    """One figure and one time axis, as long as the longer; the axis is named once."""
    slower = replace(
        vgg,
        spans=tuple(replace(span, start_s=1.5 * span.start_s, end_s=1.5 * span.end_s) for span in vgg.spans),
        outputs_s=(1.5 * vgg.makespan_s,),
        origin="measured",
    )
    upper, lower = draw_timelines([vgg, slower])
    assert upper.figure is lower.figure
    assert upper.get_xlim() == lower.get_xlim()
    assert lower.get_xlim()[0] == 0
    assert 1 < lower.get_xlim()[1] / (slower.makespan_s * 1e3) < 1.01
    assert [axes.get_title(loc="left") for axes in (upper, lower)] == ["simulated: 487.2 ms", "measured: 730.8 ms"]
    assert [axes.get_xlabel() for axes in (upper, lower)] == ["", "time, ms"]
    assert upper.get_position().y0 > lower.get_position().y1


def test_own_axes(vgg: Timeline) -> None:
    """What is given is drawn on and returned; the end of the time axis can be chosen."""
    axes = Figure().subplots()
    assert draw_timeline(vgg, axes, until_s=2.0) is axes
    assert 2000 < axes.get_xlim()[1] < 2020
    first, second = Figure().subplots(1, 2)
    assert draw_timelines([vgg, vgg], [first, second]) == [first, second]


def test_names_are_no_formulas() -> None:
    """Dollars, line ends and endless names are written as they are, cut off where they are too long."""
    graph = GraphBuilder("net", (2, 8, 8)).conv(2, 3, padding=1, name="$x$\n_").conv(2, 3, padding=1, name="n" * 500).build()
    cluster = Cluster((Device("$\\frac", 1e6, 1e9, 1e6), Device("d" * 500, 1e6, 1e9, 1e6)))
    axes = draw_timeline(simulate(graph, cluster, Plan.of(graph, [Placement.split("H", (0, 1), (4, 4))] * 2)))
    axes.figure.draw_without_rendering()
    assert "$x$\\n_" in texts(axes)
    assert [text.get_text() for text in axes.get_yticklabels()] == ["$\\\\frac", "d" * 21 + "..."]


def test_nothing_takes_time() -> None:
    """A timeline of no length has an axis all the same."""
    empty = Timeline(Cluster((Device("d0", 1.0, 1.0, 1.0),)), (), (0.0,))
    axes = draw_timeline(empty)
    axes.figure.draw_without_rendering()
    assert axes.get_xlim()[1] > 0
    assert bars(axes, TASKS) == bars(axes, TRANSFERRED) == bars(axes, WAITS) == []
