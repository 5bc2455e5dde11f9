"""Memory over time: steps, weights, the demand of equation (1) and the limit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from support.pictures import legend, texts

from iopopt import Cluster, Device, Evaluation, Graph, Plan, Timeline, UnsupportedError, simulate
from iopopt.pictures import draw_memory
from iopopt.simulation.held_memory import HeldMemory

MB = 1e6


def timeline(*held: HeldMemory) -> Timeline:
    """A timeline of 4 s on devices that hold this."""
    cluster = Cluster(tuple(Device(f"d{j}", 1.0, memory.limit_bytes, 1.0) for j, memory in enumerate(held)))
    return Timeline(cluster, (), (4.0,), memory=held)


def area(axes: Axes, label: str) -> PolyCollection:
    (found,) = (area for area in axes.collections if area.get_label() == label)
    assert isinstance(found, PolyCollection)
    return found


def corners(axes: Axes, label: str) -> set[tuple[float, float]]:
    """The corners of an area, milliseconds and MB."""
    (path,) = area(axes, label).get_paths()
    return {(float(x), float(y)) for x, y in np.asarray(path.vertices)}


def level(axes: Axes, label: str) -> list[float]:
    """The height of a horizontal line, if there is one."""
    return [float(np.asarray(line.get_ydata())[0]) for line in axes.lines if line.get_label() == label]


def test_steps_by_hand() -> None:
    """3 MB of weights; 5 MB held from 0 to 1 s, 4 MB from 1 to 3 s, then weights alone to the end at 4 s."""
    held = HeldMemory((0.0, 1.0, 3.0), (5 * MB, 4 * MB, 3 * MB), 3 * MB, 6 * MB)
    (axes,) = draw_memory(timeline(held), demands_bytes=[5.5 * MB])
    assert corners(axes, "weights") == {(x, y) for x in (0, 1000, 3000, 4000) for y in (0, 3)}
    steps = {(0, 5), (1000, 5), (1000, 4), (3000, 4), (3000, 3), (4000, 3)}
    assert corners(axes, "activations") == steps | {(0, 3), (1000, 3)}
    assert level(axes, "demand of equation (1)") == [5.5]
    assert level(axes, "limit of the device") == [6.0]
    assert axes.get_ylim()[0] == 0
    assert axes.get_ylim()[1] > 6
    assert legend(axes) == ["activations", "weights", "demand of equation (1)", "limit of the device"]
    assert texts(axes) == ["weights 3\npeak 5\nlimit 6"]
    assert axes.get_ylabel() == "d0\nMB"


def test_a_far_limit_is_only_written() -> None:
    """It would squeeze everything else to the ground."""
    (axes,) = draw_memory(timeline(HeldMemory((0.0,), (5 * MB,), 3 * MB, 1000 * MB)))
    assert level(axes, "limit of the device") == []
    assert axes.get_ylim()[1] < 6
    assert legend(axes) == ["activations", "weights"]
    assert texts(axes) == ["weights 3\npeak 5\nlimit 1000"]


@pytest.mark.parametrize(
    ("weights", "demand", "limit"), [(0.0, 5.0, 5.2), (3.0, 5.0, 4.0), (99.0, 100.0, 100.5), (99.0, 101.0, 50.0), (99.0, 100.5, 1e6)]
)
def test_everything_is_in_sight(weights: float, demand: float, limit: float) -> None:
    """Peak, demand, the edge of the weights, and a limit that is near or broken; a panel of little but weights begins not far below their edge."""
    peak = max(5.0, weights + 1)
    held = HeldMemory((0.0, 1.0), (peak * MB, weights * MB), weights * MB, limit * MB)
    (axes,) = draw_memory(timeline(held), demands_bytes=[demand * MB])
    low, high = axes.get_ylim()
    for value in (peak, demand, *([weights] if weights else []), *([limit] if limit < 1e6 else [])):
        assert low < value < high
    assert (low > 0) == (weights > 90 and limit > 90)
    assert (high - low) < 20 or not low


def test_a_panel_for_each_device(trio_graph: Graph, trio_cluster: Cluster, trio_plan: Plan, trio_evaluation: Evaluation) -> None:
    """In order, with one time axis, named below the last, and one legend; each has its own demand."""
    simulated = simulate(trio_graph, trio_cluster, trio_plan)
    panels = draw_memory(simulated, demands_bytes=trio_evaluation.memory_bytes)
    assert [axes.get_ylabel() for axes in panels] == ["d0\nMB", "d1\nMB", "d2\nMB"]
    assert [level(axes, "demand of equation (1)") for axes in panels] == [[size / MB] for size in trio_evaluation.memory_bytes]
    assert [axes.get_xlabel() for axes in panels] == ["", "", "time, ms"]
    assert [bool(legend(axes)) for axes in panels] == [True, False, False]
    assert {axes.get_xlim() for axes in panels} == {panels[0].get_xlim()}
    assert 29540 < panels[0].get_xlim()[1] < 29700
    for axes, held in zip(panels, simulated.memory, strict=True):
        heights = {y for _, y in corners(axes, "activations")}
        assert max(heights) == pytest.approx(held.peak_bytes / MB)
        assert {size / MB for size in held.held_bytes} <= heights


def test_the_legend_is_that_of_all_panels() -> None:
    """A limit that is only near on the second device is in the legend above the first, and nothing is in it twice."""
    far, near = (HeldMemory((0.0,), (5 * MB,), 3 * MB, limit * MB) for limit in (1000, 5.5))
    first, second = draw_memory(timeline(far, near))
    assert legend(first) == ["activations", "weights", "limit of the device"]
    assert legend(second) == []


def test_own_axes() -> None:
    """What is given is drawn on and returned; the end of the time axis can be chosen."""
    given: Sequence[Axes] = list(Figure().subplots(2, 1))
    held = HeldMemory((0.0,), (5 * MB,), 3 * MB, 6 * MB)
    assert draw_memory(timeline(held, held), given, until_s=8.0) == given
    assert 8000 < given[0].get_xlim()[1] < 8100


def test_a_timeline_without_memory_is_refused() -> None:
    """A measured one may not know what devices hold."""
    measured = Timeline(timeline(HeldMemory((0.0,), (1.0,), 1.0, 1.0)).cluster, (), (4.0,), "measured")
    with pytest.raises(UnsupportedError, match="this measured timeline does not say what devices hold"):
        draw_memory(measured)


def test_nothing_is_held() -> None:
    """An empty device has an empty panel."""
    (axes,) = draw_memory(timeline(HeldMemory((0.0,), (0.0,), 0.0, 6.0)))
    axes.figure.draw_without_rendering()
    assert axes.get_ylim()[1] > 0
