"""The figure of HALP over the link rate: its points are the methods' latencies, and the published number stands apart."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure

from iopopt import Simulator, halp_plan, simulate, solve_coedge, solve_halp, solve_single
from paper_figs import figure_halp
from paper_figs.figure_halp import BOUND, CURVES, PAPER_KEY, RATES_MBIT_PER_S, READINGS, Point, crossing, draw, load, reading_note
from paper_figs.published import PAPERS, halp_paper
from paper_figs.report import Report, write

MODEL, RATES = "alexnet", (10.0, 100.0)


@pytest.fixture(scope="module")
def report() -> Report:
    """AlexNet, which is quicker to search than VGG16, at two rates."""
    return figure_halp.build(1.0, lambda line: None, MODEL, RATES)


def points_of(speed_ups: Sequence[float]) -> list[Point]:
    """All curves through these speed-ups, at 1, 10, 100 ... Mbit/s."""
    return [Point(10.0**power, 1.0, dict.fromkeys(CURVES, 1 / value), 1 / 3) for power, value in enumerate(speed_ups)]


@pytest.mark.parametrize("rate", RATES)
def test_every_point_is_the_methods_latency(report: Report, rate: float) -> None:
    """Speed-ups over one Pi by the clock without barriers; without overlap, the plan found and priced without boundary rows first."""
    graph, cluster = load(MODEL, rate)
    assert {device.bandwidth_bytes_per_s for device in cluster.devices} == {rate * 125_000}
    rows, in_order = solve_coedge(graph, cluster).plan, halp_plan(graph, cluster, refine="layer", overlap=False)
    assert rows is not None
    expected = {
        "halp_opt": solve_halp(graph, cluster).latency_s,
        "halp_min": solve_halp(graph, cluster, zone="min").latency_s,
        "halp_in_order": Simulator(graph, cluster, boundary_first=False).makespan_s(in_order),
        "coedge": simulate(graph, cluster, rows).makespan_s,
    }
    alone_s = solve_single(graph, cluster).latency_s
    row = next(row for row in report.tables[0].rows if row["link_mbit_per_s"] == rate)
    frame = report.frames["figure_halp"].set_index(["link_mbit_per_s", "curve"])
    assert row["alone_latency_s"] == pytest.approx(alone_s)
    for key, latency_s in expected.items():
        assert frame.loc[(rate, key), "latency_s"] == latency_s
        assert row[f"{key}_speed_up"] == frame.loc[(rate, key), "speed_up"] == pytest.approx(alone_s / latency_s)


def test_no_plan_is_better_than_overlap_or_the_bound(report: Report) -> None:
    """Method overlap starts from HALP's plan, and no plan gains more than what is proven."""
    for row in report.tables[0].rows:
        assert row["overlap_speed_up"] == max(row[f"{key}_speed_up"] for key in CURVES)
        assert row["overlap_speed_up"] <= row[f"{BOUND}_speed_up"] <= 3


def test_the_published_number_has_its_own_column(report: Report) -> None:
    """It is the record's, the same in every row, and marked as the paper's in heading and note."""
    record = json.loads(PAPERS.read_text(encoding="utf-8"))["papers"]["halp"]
    columns = [column for column in report.tables[0].columns if column.is_paper]
    assert [column.key for column in columns] == [PAPER_KEY]
    assert "paper" in columns[0].heading
    assert {row[PAPER_KEY] for row in report.tables[0].rows} == {record["speed_up"]["vgg16"]} == {1.7}
    assert "arXiv 2211.13778" in report.notes[-1]


@pytest.mark.parametrize(
    ("speed_ups", "rate"),
    [
        ((1.0, 2.0), 10**0.5),
        ((0.5, 1.0, 3.0), 10**1.25),
        ((1.0, 1.5, 1.6), 10),
        ((1.0, 1.2, 1.4), None),
        ((1.6, 2.0), None),
        ((1.0, 2.0, 1.0, 2.0), 10**0.5),
    ],
)
def test_where_a_curve_rises_to_a_level(speed_ups: tuple[float, ...], rate: float | None) -> None:
    """1.5 times, between two rates by the logarithm of the rate, the first time; NaN if it lies above from the start, or never reaches it."""
    found = crossing(points_of(speed_ups), "halp_min", 1.5)
    assert found == pytest.approx(math.nan if rate is None else rate, nan_ok=True)


def test_the_note_names_each_reading() -> None:
    """With a rate, or that there is none."""
    level = halp_paper().speed_up["vgg16"]
    note = reading_note(points_of((level - 0.5, level + 0.5)))
    assert all(f"{CURVES[key].name} at about 3.2 Mbit/s" in note for key in READINGS)
    assert reading_note(points_of((1.0, 1.1))).count("nowhere between these rates") == len(READINGS)


def test_the_picture(report: Report) -> None:
    """A logarithmic axis; each curve, the region that no plan reaches and the published level in the legend; the rates where readings meet it."""
    assert isinstance(report.figure, Figure)
    axes = draw(points_of((1.0, 2.0))).axes[0]
    for drawn in (axes, report.figure.axes[0]):
        assert drawn.get_xscale() == "log"
        legend = drawn.get_legend()
        assert legend is not None
        assert [text.get_text() for text in legend.get_texts()] == NAMES
    assert [text.get_text() for text in axes.texts] == ["5 Mbit/s"] * 2


NAMES = [*(curve.name for curve in CURVES.values()), "no plan (proven)", "paper's HALP, 1.7 times"]


def test_rates_and_files(report: Report, tmp_path: Path) -> None:
    """Thirteen rates from 1 to 1000 Mbit/s, evenly on a logarithmic scale; CSV, Markdown and PNG are written."""
    assert len(RATES_MBIT_PER_S) == 13
    assert [RATES_MBIT_PER_S[0], RATES_MBIT_PER_S[-1]] == pytest.approx([1, 1000])
    assert {path.name for path in write(report, tmp_path)} == {f"figure_halp.{kind}" for kind in ("csv", "md", "png")}
    assert len(pd.read_csv(tmp_path / "figure_halp.csv")) == len(RATES) * (len(CURVES) + 1)
