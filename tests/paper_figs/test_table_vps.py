"""The table of vertical partitioning: its cells are the methods' plans by the evaluator and the simulator."""

from __future__ import annotations

import pandas as pd
import pytest

from iopopt import simulate, solve
from paper_figs.command_line import RESULTS
from paper_figs.report import markdown
from paper_figs.table_vps import SCHEMES, SETTINGS, STEM, Setting, build

SMALL = (Setting("LeNet", "lenet5", None, 2), Setting("LeNet", "lenet5", None, 3))


def test_cells_are_those_of_the_plans() -> None:
    report = build(20.0, lambda _: None, SMALL)
    for row, setting in zip(report.tables[0].rows, SMALL, strict=True):
        graph, cluster = setting.graph, setting.cluster
        for scheme in SCHEMES:
            found = solve(graph, cluster, scheme)
            assert found.evaluation is not None
            assert found.plan is not None
            assert row[f"{scheme}_memory_bytes"] == max(found.evaluation.memory_bytes)
            assert row[f"{scheme}_per_s"] == pytest.approx(simulate(graph, cluster, found.plan, inputs=8).throughput_per_s)
        unstreamed = min(row[f"{scheme}_memory_bytes"] for scheme in SCHEMES if scheme != "vps")
        assert row["least_bound_bytes"] <= row["least_memory_bytes"] <= unstreamed
    text = markdown(report)
    assert all(f"| {setting.label}" in text for setting in SMALL)
    assert report.figure is not None


def test_tracked_results_are_of_the_settings() -> None:
    """Every network and number of devices has its row; the counts of YOLOv2 are those reckoned by hand."""
    frame = pd.read_csv(RESULTS / f"{STEM}.csv")
    assert list(zip(frame["label"], frame["devices"], strict=True)) == [(setting.label, setting.devices) for setting in SETTINGS]
    assert [round(count / 1e6, 1) for count in frame["vps_counted_bytes"][:4]] == [131.5, 65.7, 43.8, 32.9]
    assert (frame["least_bound_bytes"] <= frame["least_memory_bytes"] * (1 + 1e-9)).all()
