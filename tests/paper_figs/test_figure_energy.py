"""The figure of energy over the deadline: its points are the methods' plans, and the published range stands apart."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from iopopt import solve_coedge, solve_coedge_lp, solve_single
from paper_figs import figure_energy
from paper_figs.figure_energy import ACCOUNTS, DEADLINES, INSTANCES, Exact, load
from paper_figs.published import PAPERS, coedge_paper
from paper_figs.report import Report, write
from paper_figs.setting import Instance

SMALL = Instance("LeNet", "lenet5", "pi3+tx2@wifi")
MULTIPLES = (1.0, 1.5, 3.0)


@pytest.fixture(scope="module")
def report() -> Report:
    """LeNet on a Pi and a TX2."""
    return figure_energy.build(20.0, lambda line: None, [SMALL], MULTIPLES)


@pytest.fixture(scope="module")
def frame(report: Report) -> pd.DataFrame:
    return report.frames["figure_energy"]


@pytest.mark.parametrize("account", ACCOUNTS)
def test_every_point_is_the_methods_plan(frame: pd.DataFrame, account: str) -> None:
    """Energies are those of the Solutions at the deadlines of their rows."""
    graph, cluster = load(SMALL, account)
    rows = frame[(frame["account"] == account) & (frame["curve"] == "coedge_lp")]
    assert len(rows) == len(MULTIPLES) + 1
    for _, row in rows.iterrows():
        found = solve_coedge_lp(graph, cluster, objective="energy", deadline_s=row["deadline_s"])
        assert row["energy_j"] == found.value
    by_speed = solve_coedge(graph, cluster).evaluation
    assert by_speed is not None
    assert frame[(frame["account"] == account) & (frame["curve"] == "coedge")]["energy_j"].item() == by_speed.energy_j


@pytest.mark.parametrize("account", ACCOUNTS)
def test_nothing_is_below_the_proven_bound(frame: pd.DataFrame, account: str) -> None:
    """At each deadline CoEdge draws at least the bound, and so does each plan that meets it; the MILP's curve never rises with the deadline."""
    of = frame[frame["account"] == account]
    exact, frugal = (of[of["curve"] == curve].set_index("deadline_s") for curve in ("milp", "coedge_lp"))
    for deadline_s, row in exact.iterrows():
        assert row["bound_j"] <= row["energy_j"] * (1 + 1e-9)
        assert row["bound_j"] <= frugal.loc[deadline_s, "energy_j"] * (1 + 1e-9)
        in_time = of[of["latency_s"] <= deadline_s]
        assert row["bound_j"] <= in_time["energy_j"].min() * (1 + 1e-9)
        assert row["latency_s"] <= deadline_s * (1 + 1e-9)
    assert (np.diff(exact["energy_j"]) <= 1e-9 * exact["energy_j"].iloc[0]).all()


def test_deadlines_begin_with_the_fastest_plan(frame: pd.DataFrame) -> None:
    """The first multiple is the least latency of any plan, which is at most that of the best device alone."""
    graph, cluster = load(SMALL, "all")
    assert min(frame["deadline_s"].dropna()) <= solve_single(graph, cluster).latency_s * (1 + 1e-9)


def test_idle_power_counts_in_one_account_alone() -> None:
    """The input is on the first Pi, which also needs the output."""
    (_, without), (_, with_idle) = load(SMALL, "work"), load(SMALL, "all")
    assert {device.idle_watts for device in without.devices} == {0.0}
    assert all(device.idle_watts for device in with_idle.devices)
    assert (with_idle.source, with_idle.sink) == (0, 0)


def test_a_later_optimum_holds_for_an_earlier_deadline_that_it_meets() -> None:
    """It is not solved again: without a time limit's worth of search it is the very same object."""
    graph, cluster = load(SMALL, "all")
    optimum = Exact(1.0, 1.0, 0.5)
    assert figure_energy._exact(graph, cluster, ["all"], 0.6, 1.0, optimum) is optimum
    assert figure_energy._exact(graph, cluster, ["all"], 0.4, 1.0, optimum) is not optimum
    assert figure_energy._exact(graph, cluster, ["all"], 0.6, 1.0, Exact(1.0, 0.9, 0.5)) is not optimum


def test_reductions_follow_from_the_row(report: Report) -> None:
    """100 (1 - energy / energy by capability), at its latency or less."""
    for row in report.tables[0].rows:
        for method in ("coedge_lp", "milp"):
            expected = 100 * (1 - row[f"{method}_energy_j"] / row["coedge_energy_j"])
            assert row[f"{method}_reduction_percent"] == pytest.approx(expected)
        assert row["milp_energy_j"] <= row["coedge_lp_energy_j"] <= row["alone_energy_j"]


def test_published_numbers_stand_apart(report: Report, frame: pd.DataFrame) -> None:
    """The paper's range has its own columns, digit for digit, and its source stands below."""
    record = json.loads(PAPERS.read_text(encoding="utf-8"))["papers"]["coedge"]["energy_reduction_percent"]
    assert record == {"least": 25.5, "most": 66.9} == coedge_paper().energy_reduction._asdict()
    assert set(frame["paper_least_percent"]) == {25.5}
    assert set(frame["paper_most_percent"]) == {66.9}
    assert all(column.is_paper == ("paper" in column.heading) for column in report.tables[0].columns)
    assert any("arXiv 2012.03257" in note and "not reproduced" in note for note in report.notes)


def test_files_and_figure(report: Report, tmp_path: Path) -> None:
    """One panel for each account, and a page that says which figures are assumed."""
    assert isinstance(report.figure, Figure)
    assert len(report.figure.subfigs[0].axes) == len(ACCOUNTS)
    names = {path.name for path in write(report, tmp_path)}
    assert names == {"figure_energy.csv", "figure_energy.md", "figure_energy.png"}
    page = (tmp_path / "figure_energy.md").read_text(encoding="utf-8")
    assert "assumed" in page
    assert "python -m paper_figs.figure_energy" in page


def test_steps_announced_are_the_steps_taken() -> None:
    """A line for each network, link, account and deadline, that of rows by capability included."""
    lines: list[str] = []
    figure_energy.build(20.0, lines.append, [SMALL], MULTIPLES)
    assert len(lines) == len(ACCOUNTS) * (len(MULTIPLES) + 1)
    assert len(INSTANCES) * len(ACCOUNTS) * (len(DEADLINES) + 1) == figure_energy.STEPS
