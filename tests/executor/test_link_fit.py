"""Links are fitted to rounds as a whole, by simulating them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from iopopt import Cluster, Device, Graph, Placement, Plan, load_model, simulate, solve_coedge, solve_oc
from iopopt.network.unit import SINK

pytest.importorskip("torch", reason="the extra 'run' is not installed")

from iopopt.executor.link_fit import fit_links
from iopopt.executor.report import Timing


def ran(graph: Graph, truth: Cluster, plan: Plan, factor: float = 1.0) -> Any:
    """What the times of a run with barriers are on a cluster: how long each device waits for the inputs of each unit."""
    spans = [span for span in simulate(graph, truth, plan, barriers=True).spans if span.is_transfer]
    names = [*dict.fromkeys(plan.by_unit), SINK]
    timings = []
    for name in names:
        begun = min([span.start_s for span in spans if span.unit == name], default=0.0)
        for j in range(len(truth)):
            mine = [span.end_s - begun for span in spans if span.unit == name and j == span.receiver]
            timings.append(Timing(name, j, factor * max(mine, default=0.0), 0.0))
    return SimpleNamespace(timings=tuple(timings))


@pytest.fixture(scope="module")
def graph() -> Graph:
    return load_model("alexnet")


def _cluster(*bandwidths: float, setup_s: float = 0.0) -> Cluster:
    return Cluster(tuple(Device(f"d{j}", 1e9, 1e9, bandwidth) for j, bandwidth in enumerate(bandwidths)), setup_s)


@pytest.mark.parametrize("setup_s", [0.0, 0.004])
def test_unequal_links_come_back(graph: Graph, setup_s: float) -> None:
    """As far as a slower one at the other end does not hide them: the two slowest, and the set-up time; and all rounds take what they took."""
    truth, given = _cluster(5e6, 1e7, 1.2e7, setup_s=setup_s), _cluster(1e7, 1e7, 1e7, setup_s=1e-3)
    plans = [solve_coedge(graph, given, fully_connected="oc").plan, solve_oc(graph, given).plan, solve_oc(graph, given, team=(1, 2)).plan]
    found = fit_links(graph, given, [(plan, ran(graph, truth, plan)) for plan in plans if plan is not None])
    assert found.bandwidths[:2] == pytest.approx([5e6, 1e7], rel=1e-3)
    assert found.bandwidths[2] >= 1e7 * (1 - 1e-3)
    assert found.setup_s == pytest.approx(setup_s, abs=1e-5)
    assert abs(found.residuals).max() < 1e-4


def test_a_fast_link_behind_slow_ones(graph: Graph) -> None:
    """Where a neighbour always is the slower end, the runs do not tell how fast a link is: it gets what they need of it."""
    truth, given = _cluster(5e6, 4e7), _cluster(1e7, 1e7)
    plan = solve_coedge(graph, given).plan
    assert plan is not None
    found = fit_links(graph, given, [(plan, ran(graph, truth, plan))])
    assert found.bandwidths[0] == pytest.approx(5e6, rel=1e-3)
    assert found.bandwidths[1] >= 5e6 * (1 - 1e-3)
    assert found.residuals == pytest.approx(0, abs=1e-5)


def test_repetitions_count_by_their_median(graph: Graph) -> None:
    """One run in which everything took ten times as long changes nothing."""
    truth, given = _cluster(5e6, 5e6), _cluster(1e7, 1e7)
    plan = solve_oc(graph, given).plan
    assert plan is not None
    runs = [(plan, ran(graph, truth, plan, factor)) for factor in (1.0, 10.0, 1.0)]
    found = fit_links(graph, given, runs)
    assert min(found.bandwidths) == pytest.approx(5e6, rel=1e-3)


def test_nothing_was_sent(graph: Graph) -> None:
    """Without transfers everything is kept."""
    given = _cluster(1e7, 2e7, setup_s=0.003)
    plan = Plan.of(graph, [Placement.whole(0)] * len(graph))
    found = fit_links(graph, given, [(plan, ran(graph, given, plan))])
    assert (found.bandwidths, found.setup_s, found.unseen) == ((1e7, 2e7), 0.003, (0, 1))


def test_a_link_that_is_not_used(graph: Graph) -> None:
    """A third device that takes no part keeps its rate, and is named."""
    truth, given = _cluster(5e6, 5e6, 5e6), _cluster(1e7, 1e7, 3e7)
    plan = solve_oc(graph, given, team=(0, 1)).plan
    assert plan is not None
    found = fit_links(graph, given, [(plan, ran(graph, truth, plan))])
    assert min(found.bandwidths) == pytest.approx(5e6, rel=1e-3)
    assert found.bandwidths[2] == 3e7
    assert 2 in found.unseen
