"""The file of a fit says how far to trust it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from iopopt import Cluster, Device, Graph, Placement, Plan, evaluate, load_cluster, load_model, solve_coedge, solve_oc
from iopopt.network.unit import SINK

pytest.importorskip("torch", reason="the extra 'run' is not installed")

from iopopt.executor.calibration import TRUSTED_RESIDUAL, Fit, calibrate, describe_fit, doubts, write_cluster
from iopopt.executor.report import Timing


def ran_as_predicted(graph: Graph, cluster: Cluster, plan: Plan) -> Any:
    """What the times of a run would be if every device took what the evaluator says of a cluster."""
    costs = evaluate(graph, cluster, plan).operators
    timings = [Timing(cost.name, j, 0.0, seconds) for cost in costs for j, seconds in enumerate(cost.device_compute_s)]
    return SimpleNamespace(timings=(*timings, *(Timing(SINK, j, 0.0, 0.0) for j in range(len(cluster)))))


def test_synthetic_times_give_the_devices_back(tmp_path: Path) -> None:
    """AlexNet by rows and by channels on two devices: both rooflines come back, where it has one; the file repeats it, and loads."""
    graph = load_model("alexnet")
    devices = Device("a", 1e10, 1e9, 1e7, 2e9), Device("b", 4e10, 1e9, 1e7)
    truth = Cluster(devices)
    given = Cluster(tuple(replace(device, flops_per_s=1e9, memory_bytes_per_s=None) for device in devices))
    plans = [solve_coedge(graph, given, fully_connected="oc").plan, solve_oc(graph, given).plan]
    fit = calibrate(graph, given, [(plan, ran_as_predicted(graph, truth, plan)) for plan in plans if plan is not None])
    assert [device.flops_per_s for device in fit.cluster.devices] == pytest.approx([1e10, 4e10])
    assert fit.cluster.devices[0].memory_bytes_per_s == pytest.approx(2e9)
    assert fit.cluster.devices[1].memory_bytes_per_s is None
    assert fit.compute_residual < 1e-9
    assert fit.unseen[:1] == ("memory of b",)
    text = describe_fit(fit)
    assert "a: 10 GFLOP/s, memory 2 GB/s, 10 MB/s" in text
    assert "b: 40 GFLOP/s, 10 MB/s" in text
    assert "memory bandwidth not exercised, left out: b" in text
    assert "kept as given: memory" not in text
    write_cluster(fit, tmp_path / "fitted.yaml")
    assert load_cluster(tmp_path / "fitted.yaml") == fit.cluster


def test_a_device_without_tasks_keeps_its_figures() -> None:
    """Its speed and its memory bandwidth are those that were given."""
    graph = load_model("lenet5")
    cluster = Cluster((Device("a", 1e9, 1e9, 1e7), Device("idle", 2e9, 1e9, 1e7, 3e9)))
    plan = Plan.of(graph, [Placement.whole(0)] * len(graph))
    fit = calibrate(graph, cluster, [(plan, ran_as_predicted(graph, cluster, plan))])
    assert fit.cluster.devices[1] == cluster.devices[1]
    assert fit.unseen[:2] == ("memory of a", "computation of idle")


@pytest.mark.parametrize(
    ("compute", "communication", "doubted"),
    [
        (0.0, 0.0, []),
        (TRUSTED_RESIDUAL, 0.1, []),
        (3.34, 0.3, ["computation"]),
        (0.1, 0.31, ["communication"]),
        (1.0, 2.0, ["computation", "communication"]),
    ],
)
def test_large_residuals_are_doubted(trio_cluster: Cluster, tmp_path: Path, compute: float, communication: float, doubted: list[str]) -> None:
    """Above the threshold, and only there, the part is named with residual, threshold, causes and a remedy; the file repeats it, and loads."""
    fit = Fit(trio_cluster, compute, communication, ())
    found = doubts(fit)
    assert [sentence.split(" by ")[0].rsplit(" ", 1)[1] for sentence in found] == doubted
    residuals = {"computation": compute, "communication": communication}
    for part, sentence in zip(doubted, found, strict=True):
        for words in (f"{residuals[part]:.0%} of their mean", "above 30%", "Usual causes: ", "Calibrate on a network with longer operators"):
            assert words in sentence
    write_cluster(fit, tmp_path / "fitted.yaml")
    text = (tmp_path / "fitted.yaml").read_text(encoding="utf-8")
    assert [line.removeprefix("# warning: ") for line in text.splitlines() if line.startswith("# warning: ")] == found
    assert load_cluster(tmp_path / "fitted.yaml") == trio_cluster


def test_a_fit_says_what_a_residual_is(trio_cluster: Cluster) -> None:
    """Its figures stand beside its definition."""
    text = describe_fit(Fit(trio_cluster, 0.125, 0.25, ("link of d0",)))
    assert "residual (root mean square of measured minus fitted time, over the mean measured time): computation 12.5%, communication 25.0%" in text
    assert "not exercised, kept as given: link of d0" in text
